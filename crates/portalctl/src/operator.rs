//! What an operator changes is in the audit log, in the same transaction.

use diesel::{PgConnection, prelude::*};
use portal_db_schema::schema::audit_log;
use serde_json::Value;
use uuid::Uuid;

/// Adds an entry of the platform.
pub(crate) fn audit(
    conn: &mut PgConnection,
    action: &str,
    target: &impl ToString,
    details: &Value,
) -> QueryResult<()> {
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::audit_id.eq(Uuid::now_v7()),
            audit_log::service.eq("portalctl"),
            audit_log::actor_kind.eq("operator"),
            audit_log::action.eq(action),
            audit_log::target.eq(target.to_string()),
            audit_log::outcome.eq("succeeded"),
            audit_log::details.eq(details),
        ))
        .execute(conn)
        .map(drop)
}
