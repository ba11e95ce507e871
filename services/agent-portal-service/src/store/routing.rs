//! `user_presence` and what `conversation_settings` say of routing.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    conversation_settings as settings, genesys_users as users, user_presence,
};
use portal_types::{TenantId, UserId};
use uuid::Uuid;

use crate::domain::{Candidate, ConversationRules, PRESENCE_LASTS};

/// All who decide who holds a tenant's conversations by rule take turns, before any row.
pub(crate) fn take_turn(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('routing ' || $1, 0))")
        .bind::<Text, _>(tenant.as_str())
        .execute(tx.conn())?;
    Ok(())
}

fn word<T: std::str::FromStr>(word: &str, column: &str) -> Result<T, DbError> {
    word.parse()
        .map_err(|_word| DbError::Corrupt(column.to_owned()))
}

/// How the tenant wants its conversations kept and given.
pub(crate) fn rules(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<ConversationRules, DbError> {
    let row: Option<(String, String, String, i32, String, Option<i32>)> = settings::table
        .filter(settings::tenant_id.eq(tenant.as_str()))
        .select((
            settings::reopen_as,
            settings::assignment,
            settings::routing,
            settings::default_capacity,
            settings::on_absence,
            settings::retention_days,
        ))
        .first(tx.conn())
        .optional()?;
    let Some((reopen_as, assignment, routing, default_capacity, on_absence, retention_days)) = row
    else {
        return Ok(ConversationRules::default());
    };
    Ok(ConversationRules {
        reopen_as: word(&reopen_as, "conversation_settings.reopen_as")?,
        assignment: word(&assignment, "conversation_settings.assignment")?,
        routing: word(&routing, "conversation_settings.routing")?,
        default_capacity,
        on_absence: word(&on_absence, "conversation_settings.on_absence")?,
        retention_days,
    })
}

/// Writes them.
pub(crate) fn save_rules(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    rules: ConversationRules,
) -> Result<(), DbError> {
    let values = (
        settings::reopen_as.eq(<&str>::from(rules.reopen_as)),
        settings::assignment.eq(<&str>::from(rules.assignment)),
        settings::routing.eq(<&str>::from(rules.routing)),
        settings::default_capacity.eq(rules.default_capacity),
        settings::on_absence.eq(<&str>::from(rules.on_absence)),
        settings::retention_days.eq(rules.retention_days),
        // Another limit finds others.
        settings::retained_on.eq(None::<chrono::NaiveDate>),
        settings::updated_at.eq(diesel::dsl::now),
    );
    diesel::insert_into(settings::table)
        .values((settings::tenant_id.eq(tenant.as_str()), values))
        .on_conflict(settings::tenant_id)
        .do_update()
        .set(values)
        .execute(tx.conn())?;
    Ok(())
}

/// Somebody's part in the work.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct AtWork {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) user_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Text)]
    pub(crate) role: String,
    /// What counts: what the person said, while it is fresh and a session lives.
    #[diesel(sql_type = Text)]
    pub(crate) presence: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) since: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) seen_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) capacity: Option<i32>,
    #[diesel(sql_type = BigInt)]
    pub(crate) load: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_given_at: Option<DateTime<Utc>>,
}

/// $1 is since when a word is fresh, $2 is now.
const HOLDS: &str = "p.seen_at > $1 AND EXISTS (SELECT FROM genesys_user_sessions s \
    WHERE s.tenant_id = p.tenant_id AND s.user_id = p.user_id AND s.revoked_at IS NULL \
      AND s.idle_expires_at > $2 AND s.expires_at > $2)";

const LOAD: &str = "(SELECT count(*) FROM conversations c WHERE c.tenant_id = u.tenant_id \
    AND c.assigned_to = u.user_id AND c.status = 'open' AND c.merged_into IS NULL)";

/// The part of active people in the work, by name; of one person, if one is given.
pub(crate) fn at_work(
    tx: &mut Tx<'_>,
    user: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Vec<AtWork>, DbError> {
    let sql = format!(
        "SELECT u.user_id, u.name, u.role, p.since, p.seen_at, p.capacity, p.last_given_at, {LOAD} AS load, \
            CASE WHEN {HOLDS} THEN p.presence ELSE 'offline' END AS presence \
         FROM genesys_users u LEFT JOIN user_presence p ON p.tenant_id = u.tenant_id AND p.user_id = u.user_id \
         WHERE u.tenant_id = app_tenant_id() AND u.is_active AND ($3 IS NULL OR u.user_id = $3) \
         ORDER BY u.name, u.user_id"
    );
    Ok(diesel::sql_query(sql)
        .bind::<Timestamptz, _>(now - PRESENCE_LASTS)
        .bind::<Timestamptz, _>(now)
        .bind::<Nullable<SqlUuid>, _>(user.map(UserId::as_uuid))
        .load(tx.conn())?)
}

/// Notes what somebody said, which is fresh then. What is new begins now.
pub(crate) fn say(
    tx: &mut Tx<'_>,
    user: UserId,
    presence: &str,
    is_new: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO user_presence (tenant_id, user_id, presence, since, seen_at) \
         VALUES (app_tenant_id(), $1, $2, $3, $3) \
         ON CONFLICT (tenant_id, user_id) DO UPDATE SET presence = excluded.presence, \
            seen_at = greatest(user_presence.seen_at, excluded.seen_at), \
            since = CASE WHEN $4 THEN excluded.since ELSE user_presence.since END",
    )
    .bind::<SqlUuid, _>(user.as_uuid())
    .bind::<Text, _>(presence)
    .bind::<Timestamptz, _>(now)
    .bind::<Bool, _>(is_new)
    .execute(tx.conn())?;
    Ok(())
}

/// Gives somebody a capacity, or takes it back.
pub(crate) fn set_capacity(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
    capacity: Option<i32>,
) -> Result<(), DbError> {
    diesel::insert_into(user_presence::table)
        .values((
            user_presence::tenant_id.eq(tenant.as_str()),
            user_presence::user_id.eq(user.as_uuid()),
            user_presence::capacity.eq(capacity),
        ))
        .on_conflict((user_presence::tenant_id, user_presence::user_id))
        .do_update()
        .set(user_presence::capacity.eq(capacity))
        .execute(tx.conn())?;
    Ok(())
}

/// Those whose word does not hold any more are offline from now on; answers who.
pub(crate) fn lapse(tx: &mut Tx<'_>, now: DateTime<Utc>) -> Result<Vec<UserId>, DbError> {
    let sql = format!(
        "UPDATE user_presence p SET presence = 'offline', since = $2 \
         WHERE p.tenant_id = app_tenant_id() AND p.presence <> 'offline' \
           AND NOT coalesce({HOLDS}, false) RETURNING p.user_id"
    );
    let rows: Vec<Id> = diesel::sql_query(sql)
        .bind::<Timestamptz, _>(now - PRESENCE_LASTS)
        .bind::<Timestamptz, _>(now)
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    #[diesel(column_name = user_id)]
    id: Uuid,
}

/// Open conversations of people who are absent, in the order of ids: all, or those that nobody of the
/// organization answered since the person got them.
pub(crate) fn held_by_absent(
    tx: &mut Tx<'_>,
    answered_too: bool,
    limit: i64,
) -> Result<Vec<Uuid>, DbError> {
    #[derive(QueryableByName)]
    struct Held {
        #[diesel(sql_type = SqlUuid)]
        conversation_id: Uuid,
    }
    let rows: Vec<Held> = diesel::sql_query(
        "SELECT c.conversation_id FROM user_presence p \
         JOIN conversations c ON c.tenant_id = p.tenant_id AND c.assigned_to = p.user_id \
         WHERE p.tenant_id = app_tenant_id() AND p.presence IN ('away', 'offline') AND p.seen_at IS NOT NULL \
           AND c.status = 'open' AND c.merged_into IS NULL AND c.assigned_at <= p.since \
           AND ($1 OR (c.first_inbound_at IS NOT NULL AND NOT EXISTS (SELECT FROM conversation_messages m \
             WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.conversation_id \
               AND m.direction = 'outbound' AND m.shown AND m.occurred_at >= c.assigned_at))) \
         ORDER BY c.conversation_id LIMIT $2",
    )
    .bind::<Bool, _>(answered_too)
    .bind::<BigInt, _>(limit)
    .load(tx.conn())?;
    Ok(rows.into_iter().map(|row| row.conversation_id).collect())
}

/// Those who can be given conversations. They stay active, and nobody else gives them any, until the
/// transaction ends.
pub(crate) fn lock_candidates(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    default_capacity: i32,
) -> Result<Vec<Candidate>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        user_id: Uuid,
        #[diesel(sql_type = BigInt)]
        load: i64,
        #[diesel(sql_type = Integer)]
        capacity: i32,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        last_given_at: Option<DateTime<Utc>>,
    }
    let available: Vec<Uuid> = users::table
        .inner_join(
            user_presence::table.on(user_presence::tenant_id
                .eq(users::tenant_id)
                .and(user_presence::user_id.eq(users::user_id))),
        )
        .filter(users::tenant_id.eq(tenant.as_str()))
        .filter(user_presence::presence.eq("available"))
        .select(users::user_id)
        .load(tx.conn())?;
    let locked: Vec<Uuid> = users::table
        .filter(users::tenant_id.eq(tenant.as_str()))
        .filter(users::user_id.eq_any(available))
        .filter(users::is_active)
        .order(users::user_id)
        .for_no_key_update()
        .select(users::user_id)
        .load(tx.conn())?;
    // After the locks: what others gave them is counted.
    let sql = format!(
        "SELECT u.user_id, coalesce(u.capacity, $2) AS capacity, u.last_given_at, {LOAD} AS load \
         FROM user_presence u WHERE u.tenant_id = app_tenant_id() AND u.user_id = ANY ($1)"
    );
    let rows: Vec<Row> = diesel::sql_query(sql)
        .bind::<diesel::sql_types::Array<SqlUuid>, _>(locked)
        .bind::<Integer, _>(default_capacity)
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            user: row.user_id.into(),
            load: row.load,
            capacity: row.capacity,
            last_given_at: row.last_given_at,
        })
        .collect())
}

/// Conversations that wait, the longest waiting first, each with who gave it away last.
pub(crate) fn waiting(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<(Uuid, Option<UserId>)>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        conversation_id: Uuid,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        last: Option<Uuid>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT c.conversation_id, l.user_id AS last FROM conversations c LEFT JOIN LATERAL ( \
            SELECT a.user_id FROM conversation_assignments a WHERE a.tenant_id = c.tenant_id \
              AND a.conversation_id = c.conversation_id AND a.status = 'released' \
              AND a.episode = c.episode ORDER BY a.assigned_at DESC LIMIT 1) l ON true \
         WHERE c.tenant_id = app_tenant_id() AND c.waiting_since IS NOT NULL \
         ORDER BY c.waiting_since, c.conversation_id LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|row| (row.conversation_id, row.last.map(UserId::from)))
        .collect())
}

/// Notes that somebody got one by the rule.
pub(crate) fn note_given(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = user_presence::table
        .filter(user_presence::tenant_id.eq(tenant.as_str()))
        .filter(user_presence::user_id.eq(user.as_uuid()));
    diesel::update(row)
        .set(user_presence::last_given_at.eq(at))
        .execute(tx.conn())?;
    Ok(())
}

/// Tenants whose conversations are given by rule.
pub(crate) fn list_automatic_any_tenant(tx: &mut Tx<'_>) -> Result<Vec<TenantId>, DbError> {
    let rows: Vec<String> = settings::table
        .filter(settings::assignment.eq("automatic"))
        .select(settings::tenant_id)
        .load(tx.conn())?;
    rows.iter()
        .map(|row| word(row, "conversation_settings.tenant_id"))
        .collect()
}

/// The person whom Genesys knows by this id.
pub(crate) fn find_by_genesys(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    genesys_user_id: &str,
) -> Result<Option<UserId>, DbError> {
    let id: Option<Uuid> = users::table
        .filter(users::tenant_id.eq(tenant.as_str()))
        .filter(users::genesys_user_id.eq(genesys_user_id))
        .select(users::user_id)
        .first(tx.conn())
        .optional()?;
    Ok(id.map(UserId::from))
}
