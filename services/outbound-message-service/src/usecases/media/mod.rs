//! Files: keeping what arrives, bringing it to Meta, fetching what came in.

pub(crate) mod bring;
mod flights;
pub(crate) mod forget;
pub(crate) mod inbound;
pub(crate) mod keep;
pub(crate) mod links;
pub(crate) mod read;
