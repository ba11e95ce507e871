//! What legacy writers did since the copy began: each row that they changed is read anew.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    MigrationError,
    copy::Copy,
    ledger, place,
    query::{self, Kept, Target, Value, Word},
    source::Which,
};

#[derive(QueryableByName)]
struct Change {
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
}

/// What was drained.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Drained {
    /// Changes of rows; more than one of a row count each.
    pub(crate) changes: i64,
    /// Whether accounts of WhatsApp, or whose they are, are among them.
    pub(crate) accounts: bool,
    /// Whether the log may have had more than these.
    is_full: bool,
}

impl Copy<'_> {
    /// Until all is read that was there when a batch began: with writers that never rest the log is never
    /// seen empty.
    pub(crate) fn drain(&self, conn: &mut PgConnection) -> Result<Drained, MigrationError> {
        let mut total = Drained::default();
        loop {
            let drained = self.batch(conn, |conn| Ok(self.drain_batch(conn)?))?;
            total.changes += drained.changes;
            total.accounts |= drained.accounts;
            if drained.changes > 0 {
                (self.pace.tell)("follow changes", total.changes);
            }
            if !drained.is_full {
                return Ok(total);
            }
        }
    }

    /// A change is seen here once its transaction has committed, and the row is read after that: what is
    /// read is never older than the change.
    pub(crate) fn drain_batch(&self, conn: &mut PgConnection) -> QueryResult<Drained> {
        let changes: Vec<Change> = sql_query(
            "DELETE FROM __legacy_changes WHERE change_id IN (SELECT change_id FROM __legacy_changes \
             ORDER BY change_id LIMIT $1) RETURNING subject, key",
        )
        .bind::<BigInt, _>(i64::from(self.pace.batch))
        .load(conn)?;
        let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        // A table that was emptied comes back as the keys that it had.
        let is_full = changes.len() >= usize::try_from(self.pace.batch).unwrap_or(usize::MAX)
            || changes.iter().any(|change| change.key.is_none());
        for change in &changes {
            match &change.key {
                Some(key) => {
                    keys.entry(&change.subject).or_default().insert(key);
                }
                None => truncated(conn, &change.subject)?,
            }
        }
        let of = |subject: &str| -> Vec<String> {
            let found = keys.get(subject).into_iter().flatten();
            found.map(|key| (*key).to_owned()).collect()
        };
        let mut agents = of("agents");
        agents.extend(self.drain_tenants(conn, &of("tenants"))?);
        let mut assignments = of("assignments");
        assignments.extend(self.drain_agents(conn, &agents)?);
        self.reread(conn, "sessions", &of("sessions"))?;
        self.drain_assignments(conn, &assignments)?;
        Ok(Drained {
            changes: i64::try_from(changes.len()).unwrap_or(i64::MAX),
            accounts: ["agents", "accounts", "organization_accounts"]
                .iter()
                .any(|subject| keys.contains_key(subject)),
            is_full,
        })
    }

    /// Brings the rows' places in the ledger up to date; gives the former ones and the present ones.
    fn reread(
        &self,
        conn: &mut PgConnection,
        subject: &str,
        keys: &[String],
    ) -> QueryResult<(Vec<Target>, Vec<Target>)> {
        let (Some(fill), Some(table)) = (
            ledger::fill(&self.source, subject, Which::Keys),
            self.source.table(subject),
        ) else {
            return Ok((Vec::new(), Vec::new()));
        };
        if keys.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let before = targets(conn, subject, keys)?;
        let (key, kind) = (
            self.source.column(subject, "key"),
            self.source.key_type(subject),
        );
        sql_query(format!(
            "DELETE FROM __legacy_ledger l WHERE l.subject = '{subject}' AND l.key = ANY ($1) \
             AND NOT EXISTS (SELECT FROM {table} a WHERE a.{key} = l.key::{kind})"
        ))
        .bind::<Array<Text>, _>(keys)
        .execute(conn)?;
        sql_query(fill).bind::<Array<Text>, _>(keys).execute(conn)?;
        let after = targets(conn, subject, keys)?;
        Ok((before, after))
    }

    /// Gives the keys of agents that had no tenant before, and have one now.
    fn drain_tenants(&self, conn: &mut PgConnection, keys: &[String]) -> QueryResult<Vec<String>> {
        let (before, after) = self.reread(conn, "tenants", keys)?;
        for tenant in after.iter().filter_map(|row| row.tenant_id.as_deref()) {
            query::enter(conn, tenant)?;
            self.place_tenant(conn, tenant)?;
        }
        let stays: BTreeSet<_> = after.iter().map(|row| &row.key).collect();
        for gone in before.iter().filter(|row| !stays.contains(&row.key)) {
            let tenant = gone.tenant_id.as_deref().unwrap_or_default();
            query::enter(conn, tenant)?;
            sql_query(
                "UPDATE tenants SET status = 'deleted', deleted_at = now(), updated_at = now() \
                 WHERE tenant_id = $1",
            )
            .bind::<Text, _>(tenant)
            .execute(conn)?;
        }
        let is_new = |row: &&Target| !before.iter().any(|was| was.key == row.key);
        let new: Vec<_> = after
            .iter()
            .filter(is_new)
            .map(|row| row.key.clone())
            .collect();
        self.keys_of(conn, "agents", "tenant", &new)
    }

    /// Keys of the subject's legacy rows that refer to one of `whose`.
    fn keys_of(
        &self,
        conn: &mut PgConnection,
        subject: &str,
        meaning: &str,
        whose: &[String],
    ) -> QueryResult<Vec<String>> {
        let Some(table) = self.source.table(subject).filter(|_| !whose.is_empty()) else {
            return Ok(Vec::new());
        };
        let (key, column) = (
            self.source.key(subject),
            self.source.column(subject, meaning),
        );
        let found: Vec<Word> = sql_query(format!(
            "SELECT {key} AS value FROM {table} a WHERE a.{column}::text = ANY ($1)"
        ))
        .bind::<Array<Text>, _>(whose)
        .load(conn)?;
        Ok(found.into_iter().filter_map(|word| word.value).collect())
    }

    /// Gives the keys of assignments whose agent is another person now, or nobody.
    fn drain_agents(&self, conn: &mut PgConnection, keys: &[String]) -> QueryResult<Vec<String>> {
        let (before, after) = self.reread(conn, "agents", keys)?;
        let mut assignments = Vec::new();
        for gone in before.iter().filter(|row| !after.contains(row)) {
            let (Some(tenant), Some(user)) = (&gone.tenant_id, gone.id) else {
                continue;
            };
            let moved = after.iter().find(|row| row.key == gone.key);
            if moved.is_some_and(|row| row.tenant_id.as_ref() == Some(tenant)) {
                continue;
            }
            assignments.extend(drop_agent(conn, tenant, user)?);
        }
        let mut of_tenants: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in &after {
            if let Some(tenant) = &row.tenant_id {
                of_tenants.entry(tenant).or_default().push(row.key.clone());
            }
        }
        for (tenant, keys) in of_tenants {
            query::enter(conn, tenant)?;
            self.place_agents(conn, tenant, &keys)?;
        }
        let placed = targets(conn, "agents", keys)?;
        // Whose Genesys user was there already leaves no placeholder behind.
        for row in after.iter().filter(|row| !placed.contains(row)) {
            if let (Some(tenant), Some(user)) = (&row.tenant_id, row.id) {
                drop_agent(conn, tenant, user)?;
            }
        }
        let is_changed = |key: &&String| {
            let was = before.iter().find(|row| row.key == **key);
            was != placed.iter().find(|row| row.key == **key)
        };
        let (known, new): (Vec<_>, Vec<_>) = keys
            .iter()
            .filter(is_changed)
            .cloned()
            .partition(|key| before.iter().any(|row| row.key == *key));
        assignments.extend(self.keys_of(conn, "assignments", "agent", &known)?);
        assignments.extend(self.orphans_of(conn, &new)?);
        Ok(assignments)
    }

    /// Keys of assignments of these agents, which were read when the agents were not there yet. The legacy
    /// table need not have an index by agents.
    fn orphans_of(&self, conn: &mut PgConnection, agents: &[String]) -> QueryResult<Vec<String>> {
        let source = &self.source;
        let Some(table) = source.table("assignments").filter(|_| !agents.is_empty()) else {
            return Ok(Vec::new());
        };
        let (key, kind) = (
            source.column("assignments", "key"),
            source.key_type("assignments"),
        );
        let agent = source.column("assignments", "agent");
        let found: Vec<Word> = sql_query(format!(
            "SELECT l.key::text AS value FROM __legacy_ledger l JOIN {table} a ON a.{key} = l.key::{kind} \
             WHERE l.subject = 'assignments' AND l.tenant_id IS NULL AND a.{agent}::text = ANY ($1)"
        ))
        .bind::<Array<Text>, _>(agents)
        .load(conn)?;
        Ok(found.into_iter().filter_map(|word| word.value).collect())
    }

    fn drain_assignments(&self, conn: &mut PgConnection, keys: &[String]) -> QueryResult<()> {
        let (before, after) = self.reread(conn, "assignments", keys)?;
        let mut touched: BTreeMap<&str, (BTreeSet<Uuid>, BTreeSet<Uuid>)> = BTreeMap::new();
        for row in before.iter().chain(&after) {
            if let (Some(tenant), Some(conversation)) = (&row.tenant_id, row.conversation_id) {
                let (conversations, assignments) = touched.entry(tenant).or_default();
                conversations.insert(conversation);
                assignments.extend(row.id);
            }
        }
        for (tenant, (conversations, assignments)) in touched {
            let conversations: Vec<_> = conversations.into_iter().collect();
            let assignments: Vec<_> = assignments.into_iter().collect();
            query::enter(conn, tenant)?;
            let these = place::Conversations::These;
            let clear = place::CLEAR_CONVERSATIONS.to_owned();
            let drop_empty = place::DROP_EMPTY_CONVERSATIONS.to_owned();
            let values = vec![
                Value::Text(tenant),
                Value::Ids(&conversations),
                Value::Ids(&assignments),
            ];
            for sql in [
                Some(clear),
                Some(place::conversations(these)),
                place::contacts(&self.source, these),
                Some(drop_empty),
            ]
            .into_iter()
            .flatten()
            {
                Kept::new(&sql, values.clone()).execute(conn)?;
            }
        }
        Ok(())
    }
}

/// Takes a person out of what was migrated; gives the keys of the assignments that the person had.
fn drop_agent(conn: &mut PgConnection, tenant: &str, user: Uuid) -> QueryResult<Vec<String>> {
    let had: Vec<Word> = sql_query(
        "SELECT key::text AS value FROM __legacy_ledger WHERE subject = 'assignments' \
         AND tenant_id = $1 AND user_id = $2",
    )
    .bind::<Text, _>(tenant)
    .bind::<SqlUuid, _>(user)
    .load(conn)?;
    query::enter(conn, tenant)?;
    for sql in place::DROP_AGENT {
        sql_query(sql)
            .bind::<Text, _>(tenant)
            .bind::<SqlUuid, _>(user)
            .execute(conn)?;
    }
    Ok(had.into_iter().filter_map(|word| word.value).collect())
}

fn truncated(conn: &mut PgConnection, subject: &str) -> QueryResult<()> {
    sql_query(
        "INSERT INTO __legacy_changes (subject, key) SELECT subject, key FROM __legacy_ledger WHERE subject = $1",
    )
    .bind::<Text, _>(subject)
    .execute(conn)
    .map(drop)
}

fn targets(conn: &mut PgConnection, subject: &str, keys: &[String]) -> QueryResult<Vec<Target>> {
    sql_query(
        "SELECT key, tenant_id, target_id AS id, conversation_id FROM __legacy_ledger \
         WHERE subject = $1 AND key = ANY ($2) ORDER BY key",
    )
    .bind::<Text, _>(subject)
    .bind::<Array<Text>, _>(keys)
    .load(conn)
}
