//! The copy: in batches, each of which commits how far it came.

use std::time::Duration;

use diesel::{
    ConnectionResult, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use portal_operations::{Limits, patiently};
use uuid::Uuid;

use crate::{
    MigrationError, ledger, place,
    query::{self, Kept, Value, Word},
    source::{Source, Which},
    tables::LEDGER_INDEX,
};

const ANALYZE: &str = "ANALYZE __legacy_ledger";

/// How fast the copy goes, how it waits for others, and who hears how far it is.
pub struct Pace<'a> {
    /// How a batch waits for locks.
    pub limits: Limits,
    /// Connects a second time, to see who is waited for.
    pub another: &'a (dyn Fn() -> ConnectionResult<PgConnection> + Sync),
    /// Hears of waits.
    pub tell_wait: &'a dyn Fn(&str),
    /// Rows of one transaction, more or less.
    pub batch: u32,
    /// To rest after each batch.
    pub pause: Duration,
    /// Hears of the stage and of the rows that were done in it, after each batch.
    pub tell: &'a dyn Fn(&str, i64),
}

/// The copy of one legacy database.
pub(crate) struct Copy<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) pace: &'a Pace<'a>,
}

/// How far a stage is.
#[derive(Debug, Default, QueryableByName)]
struct Progress {
    #[diesel(sql_type = Nullable<Text>)]
    tenant_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    cursor: Option<String>,
    #[diesel(sql_type = Bool)]
    is_done: bool,
}

#[derive(QueryableByName)]
struct Page {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

impl Copy<'_> {
    /// The tenants and their people.
    pub(crate) fn people(&self, conn: &mut PgConnection) -> Result<(), MigrationError> {
        self.fill(conn, "tenants")?;
        self.place(conn, "place tenants", |conn, tenant, _| {
            self.place_tenant(conn, tenant)?;
            Ok((1, None))
        })?;
        self.fill(conn, "agents")?;
        self.place(conn, "place agents", |conn, tenant, _| {
            self.place_agents(conn, tenant, &[])
                .map(|rows| (rows, None))
        })
    }

    /// Sessions, in the ledger alone, and conversations with who had them.
    pub(crate) fn conversations(&self, conn: &mut PgConnection) -> Result<(), MigrationError> {
        self.fill(conn, "sessions")?;
        self.fill(conn, "assignments")?;
        self.tend(conn, LEDGER_INDEX)?;
        self.tend(conn, ANALYZE)?;
        self.place(conn, "place conversations", |conn, tenant, cursor| {
            self.place_page(conn, tenant, cursor)
        })
    }

    fn fill(&self, conn: &mut PgConnection, subject: &str) -> Result<(), MigrationError> {
        let (Some(fill), Some(next)) = (
            ledger::fill(&self.source, subject, Which::Range),
            self.source.next(subject),
        ) else {
            return Ok(());
        };
        let stage = format!("read {subject}");
        let mut rows = 0;
        while let Some(read) = self.batch(conn, |conn| {
            let before = progress(conn, &stage)?;
            if before.is_done {
                return Ok(None);
            }
            let last = sql_query(&next)
                .bind::<Nullable<Text>, _>(&before.cursor)
                .bind::<BigInt, _>(i64::from(self.pace.batch))
                .get_results::<Word>(conn)?;
            let Some(last) = last.into_iter().next().and_then(|word| word.value) else {
                note(
                    conn,
                    &stage,
                    &Progress {
                        is_done: true,
                        ..before
                    },
                )?;
                return Ok(None);
            };
            let rows = sql_query(&fill)
                .bind::<Nullable<Text>, _>(&before.cursor)
                .bind::<Text, _>(&last)
                .execute(conn)?;
            note(
                conn,
                &stage,
                &Progress {
                    cursor: Some(last),
                    ..before
                },
            )?;
            Ok(Some(i64::try_from(rows).unwrap_or(i64::MAX)))
        })? {
            rows += read;
            (self.pace.tell)(&stage, rows);
        }
        self.tend(conn, ANALYZE)
    }

    /// Does `sql` to the ledger. Nobody but the server's own upkeep may be in the way, and that yields to
    /// who waits for more than a second.
    fn tend(&self, conn: &mut PgConnection, sql: &str) -> Result<(), MigrationError> {
        let sql = format!("SET LOCAL lock_timeout = 0; {sql}");
        self.batch(conn, |conn| Ok(conn.batch_execute(&sql)?))
    }

    /// Does `work` for each tenant, page by page: it is given the tenant and where its last page ended,
    /// and gives the rows and where this one ends, or none after the tenant's last.
    fn place(
        &self,
        conn: &mut PgConnection,
        stage: &str,
        work: impl Fn(&mut PgConnection, &str, Option<&str>) -> QueryResult<(i64, Option<String>)>,
    ) -> Result<(), MigrationError> {
        let mut rows = 0;
        loop {
            let (done, is_done) = self.batch(conn, |conn| {
                let mut at = progress(conn, stage)?;
                let mut done = 0;
                while !at.is_done && done < i64::from(self.pace.batch) {
                    if at.cursor.is_none() {
                        let Some(tenant) = next_tenant(conn, at.tenant_id.as_deref())? else {
                            at.is_done = true;
                            break;
                        };
                        at.tenant_id = Some(tenant);
                    }
                    let tenant = at.tenant_id.clone().unwrap_or_default();
                    query::enter(conn, &tenant)?;
                    let (rows, cursor) = work(conn, &tenant, at.cursor.as_deref())?;
                    done += rows.max(1);
                    at.cursor = cursor;
                }
                note(conn, stage, &at)?;
                Ok((done, at.is_done))
            })?;
            rows += done;
            if done > 0 {
                (self.pace.tell)(stage, rows);
            }
            if is_done {
                return Ok(());
            }
        }
    }

    pub(crate) fn place_tenant(&self, conn: &mut PgConnection, tenant: &str) -> QueryResult<()> {
        let Some(sql) = place::tenant(&self.source) else {
            return Ok(());
        };
        Kept::new(&sql, vec![Value::Text(tenant)])
            .execute(conn)
            .map(drop)
    }

    /// Those of `keys`, or all when there are none.
    pub(crate) fn place_agents(
        &self,
        conn: &mut PgConnection,
        tenant: &str,
        keys: &[String],
    ) -> QueryResult<i64> {
        let Some(sql) = place::agents(&self.source) else {
            return Ok(0);
        };
        let mut rows = 0;
        for sql in [place::MERGE_AGENTS, &sql] {
            rows += Kept::new(sql, vec![Value::Text(tenant), Value::Texts(keys)]).execute(conn)?;
        }
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }

    fn place_page(
        &self,
        conn: &mut PgConnection,
        tenant: &str,
        cursor: Option<&str>,
    ) -> QueryResult<(i64, Option<String>)> {
        let after = cursor.and_then(|id| id.parse().ok()).unwrap_or(Uuid::nil());
        let most = i64::from(self.pace.batch);
        let from = [Value::Text(tenant), Value::Id(after)];
        let page: Page = Kept::new(
            place::NEXT_CONVERSATIONS,
            [&from[..], &[Value::Number(most)]].concat(),
        )
        .get_result(conn)?;
        let Some(last) = page.value else {
            return Ok((0, None));
        };
        let to = Value::Id(last.parse().unwrap_or(Uuid::max()));
        let range = place::Conversations::Range;
        let contacts = place::contacts(&self.source, range);
        for sql in [Some(place::conversations(range)), contacts]
            .into_iter()
            .flatten()
        {
            Kept::new(&sql, [&from[..], &[to]].concat()).execute(conn)?;
        }
        let is_last = page.rows < most;
        Ok((page.rows, (!is_last).then_some(last)))
    }

    /// A transaction. It does not wait for the disk: what a crash of the server takes back, it takes back
    /// with the note of how far the copy was. Plans are kept, and were made when the tables were small:
    /// they do without reading whole ones.
    pub(crate) fn batch<T>(
        &self,
        conn: &mut PgConnection,
        mut work: impl FnMut(&mut PgConnection) -> Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        let pace = self.pace;
        let done = patiently(conn, &pace.limits, pace.another, pace.tell_wait, |conn| {
            conn.build_transaction().run(|conn| {
                conn.batch_execute(
                    "SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off",
                )?;
                work(conn)
            })
        })?;
        std::thread::sleep(self.pace.pause);
        Ok(done)
    }
}

fn progress(conn: &mut PgConnection, stage: &str) -> QueryResult<Progress> {
    let found =
        sql_query("SELECT tenant_id, cursor, is_done FROM __legacy_progress WHERE stage = $1")
            .bind::<Text, _>(stage)
            .get_results::<Progress>(conn)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

fn note(conn: &mut PgConnection, stage: &str, at: &Progress) -> QueryResult<()> {
    sql_query(
        "INSERT INTO __legacy_progress (stage, tenant_id, cursor, is_done) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (stage) DO UPDATE SET tenant_id = excluded.tenant_id, cursor = excluded.cursor, \
             is_done = excluded.is_done",
    )
    .bind::<Text, _>(stage)
    .bind::<Nullable<Text>, _>(&at.tenant_id)
    .bind::<Nullable<Text>, _>(&at.cursor)
    .bind::<Bool, _>(at.is_done)
    .execute(conn)
    .map(drop)
}

fn next_tenant(conn: &mut PgConnection, after: Option<&str>) -> QueryResult<Option<String>> {
    let next: Word = sql_query(
        "SELECT min(key) AS value FROM __legacy_ledger WHERE subject = 'tenants' AND verdict = 'migrated' \
         AND ($1 IS NULL OR key > $1)",
    )
    .bind::<Nullable<Text>, _>(after)
    .get_result(conn)?;
    Ok(next.value)
}
