//! SQL, and only SQL. Every function runs in the transaction that it is given; those that look
//! across tenants end in `_any_tenant`.

/// SQL: whether the customer service window of a contact (`contact_windows w`) with a number
/// (`sending_numbers n`) is known to be closed.
///
/// Windows are counted by Meta's clock and ours, so five minutes are let pass. A number that has not
/// been tracked for the length of a window may have heard of the contact before.
macro_rules! window_is_closed {
    () => {
        "CASE WHEN w.expires_at IS NULL THEN n.tracked_since < now() - interval '24 hours' \
             ELSE w.expires_at < now() - interval '5 minutes' END"
    };
}

/// SQL: whether a contact, in the form of a recipient, wants no marketing of a tenant.
macro_rules! has_stopped_marketing {
    ($tenant:literal, $contact:literal) => {
        concat!(
            "EXISTS (SELECT FROM contact_preferences c WHERE c.tenant_id = ",
            $tenant,
            " AND c.contact = ",
            $contact,
            " AND c.category = 'marketing_messages' AND c.value = 'stop')"
        )
    };
}

pub(crate) mod acceptance;
pub(crate) mod amendments;
pub(crate) mod contacts;
pub(crate) mod dead_letters;
pub(crate) mod delivery;
pub(crate) mod erasures;
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
