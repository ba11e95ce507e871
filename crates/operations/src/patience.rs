//! Work that wants locks which others hold: it asks for them briefly, gives way, and asks again.
//!
//! Who waits long for a lock makes everybody wait who comes after; so each try is short, and between
//! two the others get on.

use std::{
    fmt::Display,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use diesel::{
    ConnectionResult, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_types::{Integer, Nullable, Text},
};

use crate::OperationError;

const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// How long work may wait for others, and others for it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a lock, in one try; not zero.
    pub lock_timeout: Duration,
    /// For one statement; zero: without end.
    pub statement_timeout: Duration,
    /// For this process to go on in a transaction; zero: without end.
    pub idle_timeout: Duration,
    /// From the first try to the begin of the last one.
    pub retry_for: Duration,
}

impl Limits {
    fn set(&self, conn: &mut PgConnection) -> QueryResult<()> {
        conn.batch_execute(&format!(
            "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}",
            self.lock_timeout.as_millis().max(1),
            self.statement_timeout.as_millis(),
            self.idle_timeout.as_millis()
        ))
    }
}

/// Does `work`, again after a rest when a lock was in its way, until it is done or `limits` are.
///
/// `work` leaves nothing behind when it fails: it is a transaction. `conn` is outside of one and keeps
/// the limits as its settings. `another` connects a second time; that session sees who is waited for,
/// which the server forgets with the wait. `tell` is told of each wait, and of who holds the lock: by
/// application name, user, begin and process, never by what they asked.
///
/// # Errors
/// Those of `work`; [`OperationError::Locked`] when a lock was in the way until the end.
pub fn patiently<T, E: From<OperationError> + Display>(
    conn: &mut PgConnection,
    limits: &Limits,
    another: &(dyn Fn() -> ConnectionResult<PgConnection> + Sync),
    mut tell: impl FnMut(&str),
    mut work: impl FnMut(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let pid = prepare(conn, limits).map_err(OperationError::from)?;
    let deadline = Instant::now() + limits.retry_for;
    let mut rest = FIRST_REST;
    loop {
        let (done, holder) = watched(pid, limits.lock_timeout, another, || work(conn));
        let error = match done {
            Err(error) if is_in_the_way(&error) => error,
            done => return done,
        };
        let holder = holder.unwrap_or_else(|| "somebody unseen".to_owned());
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(OperationError::Locked {
                holder,
                error: format!("{error:#}"),
            }
            .into());
        }
        let jittered = rest.mul_f64(f64::midpoint(1.0, rand::random())).min(left);
        tell(&format!(
            "a lock is held by {holder}; trying again in {} ms, for {} s more",
            jittered.as_millis(),
            left.as_secs()
        ));
        std::thread::sleep(jittered);
        rest = (rest * 2).min(LONGEST_REST);
    }
}

/// Whether a lock that somebody holds, or holds while waiting for ours, ended it: SQLSTATE 55P03 and
/// 40P01. Diesel keeps the message and drops the SQLSTATE; the owner's messages are English by
/// `deploy/postgres/roles.sql`, a superuser's by `portalctl`'s connection.
fn is_in_the_way(error: &impl Display) -> bool {
    let text = format!("{error:#}");
    [
        "due to lock timeout",
        "could not obtain lock",
        "deadlock detected",
    ]
    .iter()
    .any(|known| text.contains(known))
}

fn prepare(conn: &mut PgConnection, limits: &Limits) -> QueryResult<i32> {
    limits.set(conn)?;
    let session: Session = diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(conn)?;
    Ok(session.pid)
}

/// Does `work`, and gives who was last seen in the way of the session `pid`.
fn watched<T>(
    pid: i32,
    lock_timeout: Duration,
    another: &(dyn Fn() -> ConnectionResult<PgConnection> + Sync),
    work: impl FnOnce() -> T,
) -> (T, Option<String>) {
    std::thread::scope(|scope| {
        let (over, is_over) = channel();
        let watch = scope.spawn(move || watch(pid, lock_timeout / 4, another, &is_over));
        // Work that panics drops its end, too, and the watch ends.
        let over: Sender<()> = over;
        let done = work();
        drop(over);
        (done, watch.join().unwrap_or_default())
    })
}

/// Looks every so often until the work is over. Work that is short is never looked at.
fn watch(
    pid: i32,
    every: Duration,
    another: &(dyn Fn() -> ConnectionResult<PgConnection> + Sync),
    is_over: &Receiver<()>,
) -> Option<String> {
    let every = every.clamp(Duration::from_millis(10), Duration::from_secs(1));
    let mut conn = None;
    let mut seen = None;
    while is_over.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        // Without a second session the work goes on; who is in its way has no name then.
        if conn.is_none() {
            conn = another().ok();
        }
        let now = conn.as_mut().map(|conn| blockers(conn, pid));
        match now {
            Some(Ok(Some(holder))) => seen = Some(holder),
            Some(Err(_)) => conn = None,
            _ => {}
        }
    }
    seen
}

/// Since when is told of sessions of the same role, or to a member of `pg_read_all_stats`.
fn blockers(conn: &mut PgConnection, pid: i32) -> QueryResult<Option<String>> {
    let found: Blockers = diesel::sql_query(
        "SELECT string_agg(format('%s, user %s, %s(pid %s)', \
             coalesce(nullif(b.application_name, ''), 'an application without a name'), \
             coalesce(b.usename, '?'), \
             'in a transaction since ' || to_char(b.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC ', \
             b.pid), '; ' ORDER BY b.pid) AS holder \
         FROM pg_stat_activity a \
         CROSS JOIN LATERAL unnest(CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) END) AS k (pid) \
         JOIN pg_stat_activity b ON b.pid = k.pid WHERE a.pid = $1",
    )
    .bind::<Integer, _>(pid)
    .get_result(conn)?;
    Ok(found.holder)
}

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

#[derive(QueryableByName)]
struct Blockers {
    #[diesel(sql_type = Nullable<Text>)]
    holder: Option<String>,
}
