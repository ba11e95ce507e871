//! Events about a tenant's token; those about messages are made where their state changes.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext,
    catalogue::{EventData, TenantWhatsappTokenInvalid, TenantWhatsappTokenRestored},
    outbox_event,
};
use portal_types::TenantId;

use super::SOURCE;

/// Meta refuses the tenant's token.
pub(crate) fn token_invalid(
    tx: &mut Tx<'_>,
    waba_id: &str,
    error_code: Option<i64>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant_id = tenant(tx)?;
    let waba_id = waba_id.to_owned();
    append(
        tx,
        &TenantWhatsappTokenInvalid {
            tenant_id,
            waba_id,
            error_code,
        },
        at,
    )
}

/// Meta takes the tenant's token again.
pub(crate) fn token_restored(
    tx: &mut Tx<'_>,
    waba_id: &str,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant_id = tenant(tx)?;
    let waba_id = waba_id.to_owned();
    append(
        tx,
        &TenantWhatsappTokenRestored {
            tenant_id,
            waba_id,
            error_code: None,
        },
        at,
    )
}

fn tenant(tx: &Tx<'_>) -> Result<TenantId, DbError> {
    tx.tenant()
        .cloned()
        .ok_or_else(|| DbError::Corrupt("a transaction without tenant".to_owned()))
}

fn append<E: EventData>(tx: &mut Tx<'_>, event: &E, at: DateTime<Utc>) -> Result<(), DbError> {
    let row = outbox_event(
        SOURCE,
        &tenant(tx)?,
        &EventContext::current(None),
        at,
        event,
    )?;
    outbox::append(tx, &[row])
}
