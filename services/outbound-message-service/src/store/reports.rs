//! Finding whose the things are that Meta tells of. One post may speak of several tenants, so this
//! looks across them, and sees ids only.

use diesel::prelude::*;
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::{messages, tenant_whatsapp_config, tenant_whatsapp_numbers};
use portal_types::TenantId;
use uuid::Uuid;

/// The one who may.
pub(crate) const ROUTER: Scope = Scope::CrossTenant(CrossTenantPath::WebhookRouter);

/// A message that a report is about.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) message_id: Uuid,
    pub(crate) tenant: TenantId,
    pub(crate) phone_number_id: String,
    pub(crate) wamid: Option<String>,
}

/// A number of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct NumberRoute {
    pub(crate) tenant: TenantId,
    pub(crate) phone_number_id: String,
    pub(crate) waba_id: String,
    pub(crate) display_phone_number: String,
}

type RouteRow = (Uuid, String, String, Option<String>);

/// The messages with these ids, and those with these wamids.
pub(crate) fn list_messages_any_tenant(
    tx: &mut Tx<'_>,
    ids: &[Uuid],
    wamids: &[String],
) -> Result<Vec<Route>, DbError> {
    let columns = (
        messages::message_id,
        messages::tenant_id,
        messages::phone_number_id,
        messages::wamid,
    );
    // Two statements: of one with OR, PostgreSQL would not use both indexes.
    let mut rows: Vec<RouteRow> = Vec::new();
    if !ids.is_empty() {
        rows.extend(
            messages::table
                .filter(messages::message_id.eq_any(ids))
                .select(columns)
                .load::<RouteRow>(tx.conn())?,
        );
    }
    if !wamids.is_empty() {
        rows.extend(
            messages::table
                .filter(messages::wamid.eq_any(wamids))
                .select(columns)
                .load::<RouteRow>(tx.conn())?,
        );
    }
    rows.into_iter().map(Route::try_from).collect()
}

/// The numbers with these ids, and all numbers of these business accounts.
pub(crate) fn list_numbers_any_tenant(
    tx: &mut Tx<'_>,
    phone_number_ids: &[String],
    waba_ids: &[String],
) -> Result<Vec<NumberRoute>, DbError> {
    let rows: Vec<(String, String, String, String)> = tenant_whatsapp_numbers::table
        .inner_join(
            tenant_whatsapp_config::table
                .on(tenant_whatsapp_config::config_id.eq(tenant_whatsapp_numbers::config_id)),
        )
        .filter(
            tenant_whatsapp_numbers::phone_number_id
                .eq_any(phone_number_ids)
                .or(tenant_whatsapp_config::waba_id.eq_any(waba_ids)),
        )
        .select((
            tenant_whatsapp_numbers::tenant_id,
            tenant_whatsapp_numbers::phone_number_id,
            tenant_whatsapp_config::waba_id,
            tenant_whatsapp_numbers::display_phone_number,
        ))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(tenant, phone_number_id, waba_id, display_phone_number)| {
            Ok(NumberRoute {
                tenant: tenant_id(&tenant)?,
                phone_number_id,
                waba_id,
                display_phone_number,
            })
        })
        .collect()
}

impl TryFrom<RouteRow> for Route {
    type Error = DbError;

    fn try_from((message_id, tenant, phone_number_id, wamid): RouteRow) -> Result<Self, DbError> {
        Ok(Self {
            message_id,
            tenant: tenant_id(&tenant)?,
            phone_number_id,
            wamid,
        })
    }
}

fn tenant_id(stored: &str) -> Result<TenantId, DbError> {
    TenantId::parse(stored).map_err(|_invalid| DbError::Corrupt("tenant_id".to_owned()))
}
