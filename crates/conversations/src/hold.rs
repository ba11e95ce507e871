//! What people do with a conversation that is locked: who holds it, whether it is open, what was read.
//! Each leaves the row as it is then. Who may do it is decided before.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::conversation_assignments as assignments;
use portal_types::{TenantId, UserId};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::{
    merge::note,
    rows::{self, ConversationRow},
    state,
};

/// Why somebody holds a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// Took it.
    Taken,
    /// Was given it.
    Transferred,
    /// A rule gave it.
    Automatic,
    /// Genesys' routing gave it.
    Genesys,
}

/// How somebody's hold ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum End {
    /// Nobody holds it then.
    Released,
    /// Somebody else holds it then.
    Transferred,
    /// It is closed then.
    Closed,
}

/// Who does something, why and when.
#[derive(Debug, Clone, Copy)]
pub struct Doing<'a> {
    /// The person; nobody where a rule does it.
    pub by: Option<UserId>,
    /// The reason that was given.
    pub reason: Option<&'a str>,
    /// When.
    pub at: DateTime<Utc>,
}

impl ConversationRow {
    /// Gives it to somebody; nobody holds it.
    ///
    /// # Errors
    /// When the database fails, or somebody holds it.
    pub fn give(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        user: UserId,
        cause: Cause,
        doing: Doing<'_>,
    ) -> Result<(), DbError> {
        diesel::insert_into(assignments::table)
            .values((
                assignments::assignment_id.eq(Uuid::now_v7()),
                assignments::tenant_id.eq(tenant.as_str()),
                assignments::conversation_id.eq(self.conversation_id.as_uuid()),
                assignments::user_id.eq(user.as_uuid()),
                assignments::cause.eq(<&str>::from(cause)),
                assignments::assigned_by.eq(doing.by.map(UserId::as_uuid)),
                assignments::reason.eq(doing.reason),
                assignments::episode.eq(self.episode),
                assignments::assigned_at.eq(doing.at),
            ))
            .execute(tx.conn())?;
        self.assigned_to = Some(user.as_uuid());
        self.assigned_at = Some(doing.at);
        self.version += 1;
        self.keep(tx, tenant)
    }

    /// Takes it from who holds it, if anybody does; answers who that was.
    fn take_away(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        end: End,
        doing: Doing<'_>,
    ) -> Result<Option<UserId>, DbError> {
        let active = assignments::table
            .filter(assignments::tenant_id.eq(tenant.as_str()))
            .filter(assignments::conversation_id.eq(self.conversation_id.as_uuid()))
            .filter(assignments::status.eq("active"));
        diesel::update(active)
            .set((
                assignments::status.eq(<&str>::from(end)),
                assignments::ended_at.eq(doing.at),
                assignments::ended_by.eq(doing.by.map(UserId::as_uuid)),
                assignments::end_reason.eq(doing.reason),
            ))
            .execute(tx.conn())?;
        self.assigned_at = None;
        self.free_since = Some(doing.at);
        Ok(self.assigned_to.take().map(UserId::from))
    }

    /// Nobody holds it any more; answers who did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        doing: Doing<'_>,
    ) -> Result<Option<UserId>, DbError> {
        let holder = self.take_away(tx, tenant, End::Released, doing)?;
        self.version += 1;
        self.keep(tx, tenant)?;
        Ok(holder)
    }

    /// Nobody holds it any more, and its contact waits as long as before: no fault of the contact's.
    /// Answers who held it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_back(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        doing: Doing<'_>,
    ) -> Result<Option<UserId>, DbError> {
        let free_since = self.free_since;
        let holder = self.take_away(tx, tenant, End::Released, doing)?;
        self.free_since = free_since;
        self.version += 1;
        self.keep(tx, tenant)?;
        Ok(holder)
    }

    /// Somebody else holds it; answers who did before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn transfer(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        to: UserId,
        cause: Cause,
        doing: Doing<'_>,
    ) -> Result<Option<UserId>, DbError> {
        let holder = self.take_away(tx, tenant, End::Transferred, doing)?;
        self.give(tx, tenant, to, cause, doing)?;
        Ok(holder)
    }

    /// Closes it; answers who held it. What comes from its contact later opens it again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        doing: Doing<'_>,
    ) -> Result<Option<UserId>, DbError> {
        let holder = self.take_away(tx, tenant, End::Closed, doing)?;
        self.mark(tx, CLOSED, i64::MAX)?;
        "closed".clone_into(&mut self.status);
        self.closed_at = Some(doing.at);
        self.free_since = None;
        self.first_inbound_at = None;
        self.version += 1;
        self.tell(tx, tenant, "closed", doing)?;
        self.keep(tx, tenant)?;
        Ok(holder)
    }

    /// Opens it again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reopen(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        doing: Doing<'_>,
    ) -> Result<(), DbError> {
        "open".clone_into(&mut self.status);
        self.closed_at = None;
        self.free_since = Some(doing.at);
        self.version += 1;
        self.tell(tx, tenant, "reopened", doing)?;
        self.keep(tx, tenant)
    }

    /// Everything that is here was read, or what came no later than `up_to`, a message of it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn read(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        up_to: Option<Uuid>,
    ) -> Result<(), DbError> {
        use portal_db_schema::schema::conversation_messages as entries;
        let seq = match up_to {
            None => i64::MAX,
            Some(entry) => entries::table
                .filter(entries::tenant_id.eq(tenant.as_str()))
                .filter(entries::entry_id.eq(entry))
                .filter(entries::conversation_id.eq(self.conversation_id.as_uuid()))
                .select(entries::seq)
                .first::<Option<i64>>(tx.conn())
                .optional()?
                .flatten()
                .ok_or(DbError::NotFound)?,
        };
        self.mark(tx, READ, seq)?;
        self.look_again(tx, tenant)
    }

    fn mark(&self, tx: &mut Tx<'_>, statement: &str, up_to: i64) -> Result<(), DbError> {
        diesel::sql_query(statement)
            .bind::<sql_types::Uuid, _>(self.conversation_id.as_uuid())
            .bind::<sql_types::BigInt, _>(up_to)
            .execute(tx.conn())?;
        Ok(())
    }

    fn tell(
        &self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        action: &str,
        doing: Doing<'_>,
    ) -> Result<(), DbError> {
        let by = doing.by.map(UserId::as_uuid);
        note(tx, tenant, self, action, by, None, doing.reason, doing.at)
    }

    /// Writes it, when nothing of it changed but what [`ConversationRow::name_genesys`] notes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn save(&self, tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
        rows::save(tx, tenant, self)
    }

    fn keep(&mut self, tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
        rows::save(tx, tenant, self)?;
        self.look_again(tx, tenant)
    }

    fn look_again(&mut self, tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
        let id = self.conversation_id.as_uuid();
        state::refresh(tx, tenant, &[id])?;
        *self = rows::list(tx, tenant, &[id])?
            .pop()
            .ok_or(DbError::NotFound)?;
        Ok(())
    }
}

/// Ids are greater the later a message was written, and messages may come in another order: the last to
/// come is not always the one with the greatest id.
const READ: &str = "UPDATE conversation_threads t SET read_seq = greatest(t.read_seq, m.seq), \
        read_entry_id = greatest(t.read_entry_id, m.entry_id) \
    FROM conversation_threads o CROSS JOIN LATERAL ( \
        SELECT max(e.seq) AS seq, (array_agg(e.entry_id ORDER BY e.entry_id DESC))[1] AS entry_id \
        FROM conversation_messages e WHERE e.tenant_id = o.tenant_id AND e.thread_id = o.thread_id \
          AND e.direction = 'inbound' AND e.shown AND e.seq > o.read_seq AND e.seq <= $2) m \
    WHERE o.tenant_id = app_tenant_id() AND o.conversation_id = $1 AND m.seq IS NOT NULL \
      AND t.tenant_id = o.tenant_id AND t.thread_id = o.thread_id";

const CLOSED: &str = "UPDATE conversation_threads t SET closed_seq = greatest(t.closed_seq, m.seq), \
        closed_entry_id = greatest(t.closed_entry_id, m.entry_id) \
    FROM conversation_threads o CROSS JOIN LATERAL ( \
        SELECT max(e.seq) AS seq, (array_agg(e.entry_id ORDER BY e.entry_id DESC))[1] AS entry_id \
        FROM conversation_messages e WHERE e.tenant_id = o.tenant_id AND e.thread_id = o.thread_id \
          AND e.direction = 'inbound' AND e.shown AND e.seq > o.closed_seq AND e.seq <= $2) m \
    WHERE o.tenant_id = app_tenant_id() AND o.conversation_id = $1 AND m.seq IS NOT NULL \
      AND t.tenant_id = o.tenant_id AND t.thread_id = o.thread_id";
