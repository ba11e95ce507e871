//! SQL, and only SQL. Every function runs in the transaction that it is given; those that look
//! across tenants end in `_any_tenant`.

pub(crate) mod acceptance;
pub(crate) mod contacts;
pub(crate) mod delivery;
pub(crate) mod evidence;
pub(crate) mod holds;
pub(crate) mod idempotency;
pub(crate) mod inbound;
pub(crate) mod intake;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod notices;
pub(crate) mod policies;
pub(crate) mod reports;
pub(crate) mod sweep;
pub(crate) mod template_syncs;
pub(crate) mod templates;
pub(crate) mod token_checks;
pub(crate) mod unmatched;
