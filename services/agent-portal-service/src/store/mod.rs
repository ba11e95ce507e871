//! Rows of users and sessions. Diesel is used here and nowhere else.

pub(crate) mod conversations;
pub(crate) mod erasures;
pub(crate) mod genesys_tokens;
pub(crate) mod live_events;
pub(crate) mod people;
pub(crate) mod routing;
pub(crate) mod sessions;
pub(crate) mod sync_runs;
pub(crate) mod users;
