//! SQL, and only SQL. Every function runs in the transaction that it is given; those that look
//! across tenants end in `_any_tenant`.

pub(crate) mod acceptance;
pub(crate) mod amendments;
pub(crate) mod contacts;
pub(crate) mod dead_letters;
pub(crate) mod delivery;
pub(crate) mod evidence;
pub(crate) mod holds;
pub(crate) mod idempotency;
pub(crate) mod inbound;
pub(crate) mod intake;
pub(crate) mod lanes;
pub(crate) mod media;
pub(crate) mod message_list;
pub(crate) mod messages;
pub(crate) mod notices;
pub(crate) mod numbers;
pub(crate) mod outcomes;
pub(crate) mod policies;
pub(crate) mod preview;
pub(crate) mod reports;
pub(crate) mod sweep;
pub(crate) mod template_syncs;
pub(crate) mod templates;
pub(crate) mod token_checks;
pub(crate) mod trace;
pub(crate) mod unmatched;
pub(crate) mod webhook_secrets;

use portal_db::Tx;

/// The tenant that the transaction runs for, as its rows write it.
fn tenant_of(tx: &Tx<'_>) -> String {
    tx.tenant().map_or("", |tenant| tenant.as_str()).to_owned()
}
