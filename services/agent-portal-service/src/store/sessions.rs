//! `genesys_user_sessions`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_auth::RefreshState;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::genesys_user_sessions as sessions;
use portal_types::{SessionId, TenantId, UserId};
use uuid::Uuid;

use crate::domain::{LiveSession, RevokeReason, Session};

/// A session to be added. Tokens of Genesys are sealed, ours is hashed.
#[derive(Insertable)]
#[diesel(table_name = sessions)]
pub(crate) struct NewSession {
    /// The session.
    pub(crate) session_id: Uuid,
    /// Its tenant.
    pub(crate) tenant_id: String,
    /// Whose it is.
    pub(crate) user_id: Uuid,
    /// SHA-256 of the first refresh token's secret.
    pub(crate) refresh_token_hash: Vec<u8>,
    /// When the first refresh token was made.
    pub(crate) rotated_at: DateTime<Utc>,
    /// The region that the Genesys tokens belong to.
    pub(crate) genesys_region: String,
    /// Sealed.
    pub(crate) genesys_access_token: Vec<u8>,
    /// Sealed.
    pub(crate) genesys_refresh_token: Option<Vec<u8>>,
    /// When the Genesys access token ends.
    pub(crate) genesys_token_expires_at: DateTime<Utc>,
    /// When the Genesys access token came.
    pub(crate) genesys_token_issued_at: DateTime<Utc>,
    /// The tenant's own OAuth client that the Genesys tokens belong to.
    pub(crate) genesys_client_id: Option<String>,
    /// When Genesys vouched for the person.
    pub(crate) genesys_checked_at: DateTime<Utc>,
    /// What the browser called itself.
    pub(crate) user_agent: Option<String>,
    /// The sign-in.
    pub(crate) created_at: DateTime<Utc>,
    /// The sign-in.
    pub(crate) last_used_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub(crate) idle_expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub(crate) expires_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    session_id: Uuid,
    tenant_id: String,
    user_id: Uuid,
    refresh_token_hash: Vec<u8>,
    previous_refresh_token_hash: Option<Vec<u8>>,
    generation: i32,
    rotated_at: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<SessionRow> for Session {
    type Error = DbError;

    fn try_from(row: SessionRow) -> Result<Self, DbError> {
        let tenant_id = TenantId::parse(&row.tenant_id)
            .map_err(|_form| DbError::Corrupt("genesys_user_sessions.tenant_id".to_owned()))?;
        Ok(Self {
            session_id: row.session_id.into(),
            tenant_id,
            user_id: row.user_id.into(),
            generation: row.generation,
            refresh: RefreshState {
                current_hash: row.refresh_token_hash,
                previous_hash: row.previous_refresh_token_hash,
                rotated_at: row.rotated_at,
                idle_expires_at: row.idle_expires_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
            },
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct LiveSessionRow {
    session_id: Uuid,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    user_agent: Option<String>,
}

impl From<LiveSessionRow> for LiveSession {
    fn from(row: LiveSessionRow) -> Self {
        Self {
            session_id: row.session_id.into(),
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            user_agent: row.user_agent,
        }
    }
}

/// A session that was just ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedSession {
    /// The session.
    pub(crate) session_id: SessionId,
    /// Whose it was.
    pub(crate) user_id: UserId,
    /// The region that its Genesys token belongs to.
    pub(crate) genesys_region: String,
    /// The sealed Genesys access token, to be revoked there.
    pub(crate) genesys_access_token: Option<Vec<u8>>,
}

/// Which sessions of a tenant to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// This one.
    One(SessionId),
    /// This one, if it is the user's.
    OneOf(UserId, SessionId),
    /// All of the user.
    OfUser(UserId),
    /// All that began up to this moment.
    BegunUntil(DateTime<Utc>),
    /// This one, if it is over by time at this moment.
    Overdue(SessionId, DateTime<Utc>),
}

/// Adds a session.
pub(crate) fn insert_session(tx: &mut Tx<'_>, session: &NewSession) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values(session)
        .execute(tx.conn())?;
    Ok(())
}

/// The session, locked until the end of the transaction.
pub(crate) fn lock_session(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
) -> Result<Option<Session>, DbError> {
    sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::session_id.eq(session_id.as_uuid()))
        .select(SessionRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?
        .map(Session::try_from)
        .transpose()
}

/// Takes the turn to ask Genesys about the session's person; false when somebody asked after
/// `before`.
pub(crate) fn claim_check(
    tx: &mut Tx<'_>,
    session: &Session,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let due = sessions::genesys_checked_at
        .is_null()
        .or(sessions::genesys_checked_at.lt(before));
    let rows = diesel::update(
        sessions::table
            .filter(sessions::tenant_id.eq(session.tenant_id.as_str()))
            .filter(sessions::session_id.eq(session.session_id.as_uuid()))
            .filter(due),
    )
    .set(sessions::genesys_checked_at.eq(now))
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Sets when Genesys is taken to have vouched for the session's person.
pub(crate) fn set_checked_at(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
    checked_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::session_id.eq(session_id.as_uuid()));
    diesel::update(row)
        .set(sessions::genesys_checked_at.eq(checked_at))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts the successor's hash in the place of the current one.
pub(crate) fn rotate_session(
    tx: &mut Tx<'_>,
    session: &Session,
    successor_hash: &[u8],
    now: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = sessions::table
        .filter(sessions::tenant_id.eq(session.tenant_id.as_str()))
        .filter(sessions::session_id.eq(session.session_id.as_uuid()));
    diesel::update(row)
        .set((
            sessions::refresh_token_hash.eq(successor_hash),
            sessions::previous_refresh_token_hash.eq(&session.refresh.current_hash),
            sessions::generation.eq(session.generation + 1),
            sessions::rotated_at.eq(now),
            sessions::last_used_at.eq(now),
            sessions::idle_expires_at.eq(idle_expires_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The user's sessions that are neither ended nor over, the latest first.
pub(crate) fn list_live_sessions(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    user_id: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<LiveSession>, DbError> {
    let rows: Vec<LiveSessionRow> = sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::user_id.eq(user_id.as_uuid()))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::idle_expires_at.gt(now))
        .order(sessions::last_used_at.desc())
        .select(LiveSessionRow::as_select())
        .load(tx.conn())?;
    Ok(rows.into_iter().map(LiveSession::from).collect())
}

/// Ends sessions that are not ended yet and answers them; the tokens of Genesys leave the table.
pub(crate) fn end_sessions(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    which: Which,
    reason: RevokeReason,
    now: DateTime<Utc>,
) -> Result<Vec<EndedSession>, DbError> {
    type Ended = (Uuid, Uuid, String, Option<Vec<u8>>);
    let mut live = sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::revoked_at.is_null())
        .select((
            sessions::session_id,
            sessions::user_id,
            sessions::genesys_region,
            sessions::genesys_access_token,
        ))
        .into_boxed();
    live = match which {
        Which::One(session_id) => live.filter(sessions::session_id.eq(session_id.as_uuid())),
        Which::OneOf(user_id, session_id) => live
            .filter(sessions::user_id.eq(user_id.as_uuid()))
            .filter(sessions::session_id.eq(session_id.as_uuid())),
        Which::OfUser(user_id) => live.filter(sessions::user_id.eq(user_id.as_uuid())),
        Which::BegunUntil(moment) => live.filter(sessions::created_at.le(moment)),
        Which::Overdue(session_id, moment) => live
            .filter(sessions::session_id.eq(session_id.as_uuid()))
            .filter(sessions::idle_expires_at.le(moment)),
    };
    // What is read here may be ended by somebody else before it is written: the update looks again
    // and answers what it really ended.
    let found: Vec<Ended> = live.load(tx.conn())?;
    let ids: Vec<Uuid> = found.iter().map(|(id, ..)| *id).collect();
    let ended: Vec<Uuid> = diesel::update(
        sessions::table
            .filter(sessions::tenant_id.eq(tenant_id.as_str()))
            .filter(sessions::session_id.eq_any(&ids))
            .filter(sessions::revoked_at.is_null()),
    )
    .set((
        sessions::revoked_at.eq(now),
        sessions::revoke_reason.eq(reason.as_str()),
        sessions::genesys_access_token.eq(None::<Vec<u8>>),
        sessions::genesys_refresh_token.eq(None::<Vec<u8>>),
    ))
    .returning(sessions::session_id)
    .get_results(tx.conn())?;
    Ok(found
        .into_iter()
        .filter(|(id, ..)| ended.contains(id))
        .map(
            |(session_id, user_id, genesys_region, token)| EndedSession {
                session_id: session_id.into(),
                user_id: user_id.into(),
                genesys_region,
                genesys_access_token: token,
            },
        )
        .collect())
}

/// Sessions that were ended after `after`, of all tenants: their ids go to the revocation list.
pub(crate) fn list_ended_after_any_tenant(
    tx: &mut Tx<'_>,
    after: DateTime<Utc>,
) -> Result<Vec<SessionId>, DbError> {
    let ids: Vec<Uuid> = sessions::table
        .filter(sessions::revoked_at.gt(after))
        .select(sessions::session_id)
        .load(tx.conn())?;
    Ok(ids.into_iter().map(SessionId::from).collect())
}

/// Sessions that are over by time and not ended yet, of all tenants.
pub(crate) fn list_overdue_any_tenant(
    tx: &mut Tx<'_>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(TenantId, SessionId)>, DbError> {
    let rows: Vec<(String, Uuid)> = sessions::table
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::idle_expires_at.lt(now))
        .order(sessions::idle_expires_at)
        .limit(limit)
        .select((sessions::tenant_id, sessions::session_id))
        .load(tx.conn())?;
    rows.into_iter().map(located).collect()
}

/// Sessions that were ended before `before`, of all tenants.
pub(crate) fn list_ended_before_any_tenant(
    tx: &mut Tx<'_>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(TenantId, SessionId)>, DbError> {
    let rows: Vec<(String, Uuid)> = sessions::table
        .filter(sessions::revoked_at.lt(before))
        .order(sessions::revoked_at)
        .limit(limit)
        .select((sessions::tenant_id, sessions::session_id))
        .load(tx.conn())?;
    rows.into_iter().map(located).collect()
}

fn located((tenant, session): (String, Uuid)) -> Result<(TenantId, SessionId), DbError> {
    let tenant = TenantId::parse(&tenant)
        .map_err(|_form| DbError::Corrupt("genesys_user_sessions.tenant_id".to_owned()))?;
    Ok((tenant, session.into()))
}

/// Forgets an ended session.
pub(crate) fn delete_ended_session(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
) -> Result<(), DbError> {
    diesel::delete(
        sessions::table
            .filter(sessions::tenant_id.eq(tenant_id.as_str()))
            .filter(sessions::session_id.eq(session_id.as_uuid()))
            .filter(sessions::revoked_at.is_not_null()),
    )
    .execute(tx.conn())?;
    Ok(())
}
