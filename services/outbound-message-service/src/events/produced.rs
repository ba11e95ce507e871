//! Events about a tenant's token; those about messages are made where their state changes.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext,
    catalogue::{EventData, TenantWhatsappTokenInvalid, TenantWhatsappTokenRestored},
    outbox_event,
};

use super::SOURCE;

/// Meta refuses the tenant's token.
pub(crate) fn token_invalid(
    tx: &mut Tx<'_>,
    waba_id: &str,
    error_code: Option<i64>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant_id = tx.own_tenant()?;
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
    let tenant_id = tx.own_tenant()?;
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

fn append<E: EventData>(tx: &mut Tx<'_>, event: &E, at: DateTime<Utc>) -> Result<(), DbError> {
    let row = outbox_event(
        SOURCE,
        &tx.own_tenant()?,
        &EventContext::current(None),
        at,
        event,
    )?;
    outbox::append(tx, &[row])
}
