//! Table `platform_admin_sessions`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{platform_admin_sessions as sessions, platform_admins};
use uuid::Uuid;

/// A session to be added; its refresh token is hashed.
#[derive(Insertable)]
#[diesel(table_name = sessions)]
pub(crate) struct NewAdminSession {
    pub(crate) session_id: Uuid,
    pub(crate) admin_id: Uuid,
    pub(crate) refresh_token_hash: Vec<u8>,
    pub(crate) idle_expires_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Adds a session.
pub(crate) fn insert(tx: &mut Tx<'_>, session: &NewAdminSession) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values(session)
        .execute(tx.conn())?;
    Ok(())
}

/// Whether the session lives, of an administrator who is active.
pub(crate) fn lives(
    tx: &mut Tx<'_>,
    session_id: Uuid,
    admin_id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let living = sessions::table
        .inner_join(platform_admins::table)
        .filter(sessions::session_id.eq(session_id))
        .filter(sessions::admin_id.eq(admin_id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .filter(platform_admins::is_active)
        .select(sessions::session_id);
    Ok(diesel::select(diesel::dsl::exists(living)).get_result(tx.conn())?)
}
