//! Finding the message that Meta reports on. One post may speak of several tenants, so this looks
//! across them, and sees ids only.

use diesel::prelude::*;
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::messages;
use portal_types::TenantId;
use uuid::Uuid;

/// The one who may.
pub(crate) const ROUTER: Scope = Scope::CrossTenant(CrossTenantPath::WebhookRouter);

/// A message that a report is about.
pub(crate) struct Route {
    pub(crate) message_id: Uuid,
    pub(crate) tenant: TenantId,
    pub(crate) phone_number_id: String,
}

type RouteRow = (Uuid, String, String);

/// The message with this id.
pub(crate) fn find_by_id_any_tenant(
    tx: &mut Tx<'_>,
    message_id: Uuid,
) -> Result<Option<Route>, DbError> {
    let row: Option<RouteRow> = messages::table
        .find(message_id)
        .select((
            messages::message_id,
            messages::tenant_id,
            messages::phone_number_id,
        ))
        .first(tx.conn())
        .optional()?;
    row.map(Route::try_from).transpose()
}

/// The message that was sent from this number and got this wamid.
pub(crate) fn find_by_wamid_any_tenant(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    wamid: &str,
) -> Result<Option<Route>, DbError> {
    let row: Option<RouteRow> = messages::table
        .filter(
            messages::wamid
                .eq(wamid)
                .and(messages::phone_number_id.eq(phone_number_id)),
        )
        .select((
            messages::message_id,
            messages::tenant_id,
            messages::phone_number_id,
        ))
        .first(tx.conn())
        .optional()?;
    row.map(Route::try_from).transpose()
}

impl TryFrom<RouteRow> for Route {
    type Error = DbError;

    fn try_from((message_id, tenant, phone_number_id): RouteRow) -> Result<Self, DbError> {
        let tenant = TenantId::parse(&tenant)
            .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))?;
        Ok(Self {
            message_id,
            tenant,
            phone_number_id,
        })
    }
}
