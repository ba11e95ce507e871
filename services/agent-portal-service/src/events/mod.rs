//! What this service tells, and what it listens to.

pub(crate) mod consumers;
pub(crate) mod produced;
