//! Entries of the audit log and their hashes, in our own words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use portal_auth::sha256;
use uuid::Uuid;

/// The head that a chain has by its own table.
#[derive(QueryableByName)]
pub(crate) struct Head {
    #[diesel(sql_type = BigInt)]
    pub(crate) seq: i64,
    #[diesel(sql_type = Binary)]
    pub(crate) head: Vec<u8>,
}

#[derive(QueryableByName)]
struct ChainRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    seq: Option<i64>,
    #[diesel(sql_type = Nullable<Binary>)]
    head: Option<Vec<u8>>,
}

impl Head {
    /// All chains, also those whose head somebody took away; the platform's has no name.
    pub(crate) fn all(conn: &mut PgConnection) -> QueryResult<BTreeMap<String, Option<Self>>> {
        let rows: Vec<ChainRow> = diesel::sql_query(
            "SELECT chain::text AS name, c.seq, c.head FROM audit_chains c \
             FULL JOIN (SELECT DISTINCT coalesce(tenant_id, '') AS chain FROM audit_log) l \
             USING (chain)",
        )
        .load(conn)?;
        let head = |row: ChainRow| {
            let head = row.seq.zip(row.head).map(|(seq, head)| Self { seq, head });
            (row.name, head)
        };
        Ok(rows.into_iter().map(head).collect())
    }
}

/// An entry as it is stored.
#[derive(QueryableByName)]
pub(crate) struct Line {
    #[diesel(sql_type = BigInt)]
    pub(crate) seq: i64,
    #[diesel(sql_type = SqlUuid)]
    pub(crate) audit_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    service: String,
    #[diesel(sql_type = Nullable<Text>)]
    tenant_id: Option<String>,
    #[diesel(sql_type = Text)]
    actor_kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    actor_id: Option<String>,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Text)]
    outcome: String,
    /// As PostgreSQL writes it: its own order of keys is part of what is hashed.
    #[diesel(sql_type = Text)]
    details: String,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    traceparent: Option<String>,
    #[diesel(sql_type = Binary)]
    pub(crate) prev_hash: Vec<u8>,
    #[diesel(sql_type = Binary)]
    pub(crate) entry_hash: Vec<u8>,
}

impl Line {
    /// Entries of a chain that come after a number, in their order.
    pub(crate) fn after(
        conn: &mut PgConnection,
        chain: &str,
        seq: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        const COLUMNS: &str = "seq, audit_id, occurred_at, service, tenant_id, actor_kind, actor_id, \
             action, target, outcome, details::text AS details, request_id, traceparent, prev_hash, \
             entry_hash";
        // Each form has an index; `IS NOT DISTINCT FROM` would have none.
        let of = if chain.is_empty() {
            "tenant_id IS NULL AND $1 = ''"
        } else {
            "tenant_id = $1"
        };
        diesel::sql_query(format!(
            "SELECT {COLUMNS} FROM audit_log WHERE {of} AND seq > $2 ORDER BY seq LIMIT $3"
        ))
        .bind::<Text, _>(chain)
        .bind::<BigInt, _>(seq)
        .bind::<BigInt, _>(limit)
        .load(conn)
    }

    /// What its hash should be.
    pub(crate) fn hash(&self) -> Vec<u8> {
        let (seq, id) = (self.seq.to_string(), self.audit_id.to_string());
        let micros = self.occurred_at.timestamp_micros().to_string();
        let mut content = self.prev_hash.clone();
        for value in [
            Some(seq.as_str()),
            Some(&id),
            Some(&micros),
            Some(&self.service),
            self.tenant_id.as_deref(),
            Some(&self.actor_kind),
            self.actor_id.as_deref(),
            Some(&self.action),
            self.target.as_deref(),
            Some(&self.outcome),
            Some(&self.details),
            self.request_id.as_deref(),
            self.traceparent.as_deref(),
        ] {
            field(&mut content, value);
        }
        sha256(content).to_vec()
    }
}

/// A field's length in bytes and itself, so that no two entries make the same text.
fn field(content: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => {
            content.extend_from_slice(format!("{}:", value.len()).as_bytes());
            content.extend_from_slice(value.as_bytes());
        }
        None => content.push(b'-'),
    }
    content.push(b';');
}
