//! Rows of users, sessions and signing keys. Diesel is used here and nowhere else.

pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod users;
