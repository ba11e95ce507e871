//! The copy: in batches, each of which commits how far it came.

use std::time::Duration;

use diesel::{
    ConnectionResult, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Uuid as SqlUuid},
};
use portal_operations::{Limits, patiently};
use uuid::Uuid;

use crate::{
    MigrationError, ledger, place,
    query::{self, Word},
    source::{Source, Which},
    tables::LEDGER_INDEX,
};

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
        conn.batch_execute(LEDGER_INDEX)?;
        conn.batch_execute("ANALYZE __legacy_ledger")?;
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
        conn.batch_execute("ANALYZE __legacy_ledger")?;
        Ok(())
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
        sql_query(sql)
            .bind::<Text, _>(tenant)
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
            rows += sql_query(sql)
                .bind::<Text, _>(tenant)
                .bind::<Array<Text>, _>(keys)
                .execute(conn)?;
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
        let page: Page = sql_query(place::NEXT_CONVERSATIONS)
            .bind::<Text, _>(tenant)
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(i64::from(self.pace.batch))
            .get_result(conn)?;
        let Some(last) = page.value else {
            return Ok((0, None));
        };
        let range = place::Conversations::Range;
        let contacts = place::contacts(&self.source, range);
        for sql in [Some(place::conversations(range)), contacts]
            .into_iter()
            .flatten()
        {
            sql_query(sql)
                .bind::<Text, _>(tenant)
                .bind::<SqlUuid, _>(after)
                .bind::<SqlUuid, _>(last.parse::<Uuid>().unwrap_or(Uuid::max()))
                .execute(conn)?;
        }
        let is_last = page.rows < i64::from(self.pace.batch);
        Ok((page.rows, (!is_last).then_some(last)))
    }

    /// A transaction. It does not wait for the disk: what a crash of the server takes back, it takes back
    /// with the note of how far the copy was.
    pub(crate) fn batch<T>(
        &self,
        conn: &mut PgConnection,
        mut work: impl FnMut(&mut PgConnection) -> Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        let pace = self.pace;
        let done = patiently(conn, &pace.limits, pace.another, pace.tell_wait, |conn| {
            conn.build_transaction().run(|conn| {
                conn.batch_execute("SET LOCAL synchronous_commit = off")?;
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
