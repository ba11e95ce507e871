//! Rows of users and sessions. Diesel is used here and nowhere else.

pub(crate) mod genesys_tokens;
pub(crate) mod sessions;
pub(crate) mod users;
