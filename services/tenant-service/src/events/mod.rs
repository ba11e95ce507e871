//! Events that the service tells and that it listens to.

pub(crate) mod consumers;
pub(crate) mod produced;
