//! Table `platform_admin_sessions`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_auth::RefreshState;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{platform_admin_sessions as sessions, platform_admins};
use uuid::Uuid;

use crate::domain::admin::{AdminSession, LiveAdminSession, Which};

/// A session to be added; its refresh token is hashed.
#[derive(Insertable)]
#[diesel(table_name = sessions)]
pub(crate) struct NewAdminSession {
    pub(crate) session_id: Uuid,
    pub(crate) admin_id: Uuid,
    pub(crate) refresh_token_hash: Vec<u8>,
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) rotated_at: DateTime<Utc>,
    pub(crate) idle_expires_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    session_id: Uuid,
    admin_id: Uuid,
    refresh_token_hash: Vec<u8>,
    previous_refresh_token_hash: Option<Vec<u8>>,
    rotated_at: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<SessionRow> for AdminSession {
    fn from(row: SessionRow) -> Self {
        Self {
            session_id: row.session_id,
            admin_id: row.admin_id,
            refresh: RefreshState {
                current_hash: row.refresh_token_hash,
                previous_hash: row.previous_refresh_token_hash,
                rotated_at: row.rotated_at,
                idle_expires_at: row.idle_expires_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
            },
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct LiveRow {
    session_id: Uuid,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    user_agent: Option<String>,
}

impl From<LiveRow> for LiveAdminSession {
    fn from(row: LiveRow) -> Self {
        Self {
            session_id: row.session_id,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            user_agent: row.user_agent,
        }
    }
}

/// Adds a session.
pub(crate) fn insert(tx: &mut Tx<'_>, session: &NewAdminSession) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values(session)
        .execute(tx.conn())?;
    Ok(())
}

/// Whether the administrator of a session that lives has a second factor; nothing when it does not
/// live, or its administrator is not active.
pub(crate) fn find_enrolment(
    tx: &mut Tx<'_>,
    session_id: Uuid,
    admin_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<bool>, DbError> {
    Ok(sessions::table
        .inner_join(platform_admins::table)
        .filter(sessions::session_id.eq(session_id))
        .filter(sessions::admin_id.eq(admin_id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::idle_expires_at.gt(now))
        .filter(platform_admins::is_active)
        .select(platform_admins::totp_confirmed_at.is_not_null())
        .first(tx.conn())
        .optional()?)
}

/// A session, locked until the end of the transaction: concurrent refreshes wait for each other.
pub(crate) fn lock(tx: &mut Tx<'_>, session_id: Uuid) -> Result<Option<AdminSession>, DbError> {
    Ok(sessions::table
        .find(session_id)
        .select(SessionRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?
        .map(AdminSession::from))
}

/// Puts the successor's hash in the place of the current one.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    session: &AdminSession,
    successor_hash: &[u8],
    now: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(sessions::table.find(session.session_id))
        .set((
            sessions::refresh_token_hash.eq(successor_hash),
            sessions::previous_refresh_token_hash.eq(&session.refresh.current_hash),
            sessions::rotated_at.eq(now),
            sessions::last_used_at.eq(now),
            sessions::idle_expires_at.eq(idle_expires_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// An administrator's sessions that are neither ended nor over, the latest used first.
pub(crate) fn list_live(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<LiveAdminSession>, DbError> {
    let rows: Vec<LiveRow> = sessions::table
        .filter(sessions::admin_id.eq(admin_id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::idle_expires_at.gt(now))
        .order(sessions::last_used_at.desc())
        .select(LiveRow::as_select())
        .load(tx.conn())?;
    Ok(rows.into_iter().map(LiveAdminSession::from).collect())
}

/// Ends an administrator's sessions that are not ended yet; answers how many.
pub(crate) fn end(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    which: Which,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let (one, all_but) = match which {
        Which::One(session) => (Some(session), None),
        Which::AllBut(session) => (None, Some(session)),
        Which::All => (None, None),
    };
    // Diesel cannot box the condition of an update: the ids of the rows come first.
    let mut live = sessions::table
        .filter(sessions::admin_id.eq(admin_id))
        .filter(sessions::revoked_at.is_null())
        .select(sessions::session_id)
        .into_boxed();
    if let Some(session) = one {
        live = live.filter(sessions::session_id.eq(session));
    }
    if let Some(session) = all_but {
        live = live.filter(sessions::session_id.ne(session));
    }
    let ids: Vec<Uuid> = live.load(tx.conn())?;
    Ok(diesel::update(
        sessions::table
            .filter(sessions::session_id.eq_any(&ids))
            .filter(sessions::revoked_at.is_null()),
    )
    .set((
        sessions::revoked_at.eq(now),
        sessions::revoke_reason.eq(reason),
    ))
    .execute(tx.conn())?)
}

/// Forgets sessions that were over by time before `before`, ended or not; answers how many.
pub(crate) fn delete_over(tx: &mut Tx<'_>, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(
        diesel::delete(sessions::table.filter(sessions::expires_at.lt(before)))
            .execute(tx.conn())?,
    )
}
