//! Reading what contacts wrote.

use portal_db::{Db, DbError};
use portal_types::TenantId;
use uuid::Uuid;

use crate::store::{
    contacts::{self, WindowRow},
    inbound::{self, InboundRow},
};

/// The tenant's message with this id of ours, or with this wamid.
pub(crate) async fn find(
    db: &Db,
    tenant: &TenantId,
    id: String,
) -> Result<Option<InboundRow>, DbError> {
    db.read("received.find", tenant, move |tx| {
        match Uuid::try_parse(&id) {
            Ok(id) => inbound::find(tx, id),
            Err(_not_ours) => inbound::find_by_wamid(tx, &id),
        }
    })
    .await
}

/// The windows of a contact with the tenant's numbers.
pub(crate) async fn windows(
    db: &Db,
    tenant: &TenantId,
    contact: String,
) -> Result<Vec<WindowRow>, DbError> {
    db.read("received.windows", tenant, move |tx| {
        contacts::list_windows(tx, &contact)
    })
    .await
}
