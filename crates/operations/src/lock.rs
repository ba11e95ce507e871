//! One operation at a time.

use std::time::{Duration, Instant};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    sql_types::{Bool, Nullable, Text},
};

use crate::OperationError;

/// One number for all operations on a database, of all releases.
const KEY: i64 = 0x0061_6765_6e74_7001;

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Nullable<Text>)]
    holder: Option<String>,
}

/// Takes the lock for the session.
pub(crate) fn take(
    conn: &mut PgConnection,
    wait: Duration,
    tell: impl FnOnce(&str),
) -> Result<(), OperationError> {
    let deadline = Instant::now() + wait;
    let mut tell = Some(tell);
    loop {
        let lock: Taken = diesel::sql_query(format!("SELECT pg_try_advisory_lock({KEY}) AS taken"))
            .get_result(conn)?;
        if lock.taken {
            return Ok(());
        }
        let holder = holder(conn)?;
        if Instant::now() >= deadline {
            return Err(OperationError::Busy { holder });
        }
        if let Some(tell) = tell.take() {
            tell(&holder);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Numbers of advisory locks are a database's own.
fn holder(conn: &mut PgConnection) -> Result<String, OperationError> {
    let found: Holder = diesel::sql_query(format!(
        "SELECT string_agg(format('%s from %s since %s (pid %s)', coalesce(a.application_name, 'somebody'), \
             coalesce(host(a.client_addr), 'a local socket'), a.backend_start::timestamptz(0), a.pid), ', ') AS holder \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
           AND (l.classid::bigint << 32 | l.objid::bigint) = {KEY}"
    ))
    .get_result(conn)?;
    Ok(found.holder.unwrap_or_else(|| "somebody".to_owned()))
}

/// Frees the lock; a connection that is gone has freed it already.
pub(crate) fn release(conn: &mut PgConnection) {
    let freed = diesel::sql_query(format!("SELECT pg_advisory_unlock({KEY})")).execute(conn);
    drop(freed);
}
