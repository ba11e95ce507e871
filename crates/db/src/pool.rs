//! The pool and the two doors.

use std::{sync::Arc, time::Duration};

use diesel::{
    Connection as _,
    connection::SimpleConnection as _,
    pg::PgConnection,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
};
use opentelemetry::{KeyValue, metrics::Histogram};
use portal_types::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, time::Instant};
use tracing::Instrument as _;

use crate::{DbError, Scope};

/// How to reach the database and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// A `postgres://` URL with the service's own role.
    pub url: SecretString,
    /// Connections at the most.
    pub pool_size: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
}

/// A pool of connections, used only through [`Db::read`] and [`Db::write`].
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    // As many permits as connections: waiting costs a future and not a blocked thread.
    permits: Arc<Semaphore>,
    acquire_timeout: Duration,
    duration: Histogram<f64>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("pool", &self.pool.state())
            .finish_non_exhaustive()
    }
}

/// A running transaction. State changes, outbox and audit rows take one, so that the compiler
/// proves that they are committed together.
pub struct Tx<'a> {
    conn: &'a mut PgConnection,
    scope: &'a Scope,
}

impl Tx<'_> {
    /// The connection, for diesel's queries.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.conn
    }

    /// The tenant that the transaction runs for, if it runs for one.
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self.scope {
            Scope::Tenant(tenant) => Some(tenant),
            Scope::Service | Scope::CrossTenant(_) => None,
        }
    }

    /// As [`Tx::tenant`], for work that is a tenant's: a transaction without one is refused.
    pub fn own_tenant(&self) -> Result<TenantId, DbError> {
        self.tenant()
            .cloned()
            .ok_or_else(|| DbError::Corrupt("a transaction without tenant".to_owned()))
    }

    /// Goes on for another tenant within the same transaction, and comes back: for what must become
    /// of several tenants or of none. What is done meanwhile stands within that tenant's walls, and
    /// its audit entries are that tenant's.
    pub fn for_tenant<T, E: From<DbError>>(
        &mut self,
        tenant: &TenantId,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let scope = Scope::Tenant(tenant.clone());
        self.enter(&scope)?;
        let result = work(&mut Tx {
            conn: self.conn,
            scope: &scope,
        })?;
        self.enter(self.scope)?;
        Ok(result)
    }

    fn enter(&mut self, scope: &Scope) -> Result<(), DbError> {
        let sql = scope.enter_sql();
        // Not to stay where the last one was.
        let sql = sql.unwrap_or_else(|| "SET LOCAL app.tenant_id = ''".to_owned());
        self.conn.batch_execute(&sql).map_err(DbError::from)
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl Db {
    /// Makes the pool. Does not connect: a service starts, not ready, before its database does.
    pub fn new(options: &DbOptions) -> Self {
        let manager = ConnectionManager::new(options.url.expose_secret());
        let pool = Pool::builder()
            .max_size(options.pool_size)
            .min_idle(Some(1))
            .connection_timeout(options.acquire_timeout)
            .connection_customizer(Box::new(Settings {
                statement_timeout: options.statement_timeout,
                application_name: options.application_name,
            }))
            .error_handler(Box::new(LogErrors))
            .build_unchecked(manager);
        Self {
            pool,
            permits: Arc::new(Semaphore::new(options.pool_size as usize)),
            acquire_timeout: options.acquire_timeout,
            duration: opentelemetry::global::meter("portal-db")
                .f64_histogram("db.transaction.duration")
                .with_unit("s")
                .with_description(
                    "Duration of named transactions, waiting for a connection included",
                )
                .build(),
        }
    }

    /// Runs a read-only transaction.
    ///
    /// `name` appears in spans and metrics; `work` must not do anything but SQL. A caller that goes
    /// away does not stop a transaction that has begun.
    pub async fn read<T, E>(
        &self,
        name: &'static str,
        scope: impl Into<Scope>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.run(name, Access::Read, scope.into(), work).await
    }

    /// Runs a transaction: committed when `work` returns `Ok`, rolled back otherwise.
    pub async fn write<T, E>(
        &self,
        name: &'static str,
        scope: impl Into<Scope>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.run(name, Access::Write, scope.into(), work).await
    }

    /// Asks the server for an answer.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.read("ping", Scope::Service, |tx| {
            tx.conn().batch_execute("SELECT 1").map_err(DbError::from)
        })
        .await
    }

    async fn run<T, E>(
        &self,
        name: &'static str,
        access: Access,
        scope: Scope,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let started = Instant::now();
        let span = tracing::debug_span!("db.transaction", db.operation.name = name);
        let result = async {
            let permits = Arc::clone(&self.permits);
            let permit = tokio::time::timeout(self.acquire_timeout, permits.acquire_owned())
                .await
                .map_err(|_elapsed| DbError::Busy)?
                .map_err(|closed| DbError::Other(Box::new(closed)))?;
            let pool = self.pool.clone();
            let span = tracing::Span::current();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                span.in_scope(|| {
                    let mut conn = pool.get().map_err(DbError::from)?;
                    transact(&mut conn, access, &scope, work)
                })
            })
            .await
            .map_err(|join| DbError::Other(Box::new(join)))?
        }
        .instrument(span)
        .await;
        let outcome = if result.is_ok() { "ok" } else { "error" };
        self.duration.record(
            started.elapsed().as_secs_f64(),
            &[
                KeyValue::new("name", name),
                KeyValue::new("outcome", outcome),
            ],
        );
        result
    }
}

fn transact<T, E: From<DbError>>(
    conn: &mut PgConnection,
    access: Access,
    scope: &Scope,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    /// Carries the caller's error through diesel's transaction, which wants to add its own.
    enum Failure<E> {
        Diesel(diesel::result::Error),
        Work(E),
    }
    impl<E> From<diesel::result::Error> for Failure<E> {
        fn from(error: diesel::result::Error) -> Self {
            Self::Diesel(error)
        }
    }

    let body = |conn: &mut PgConnection| {
        if matches!(access, Access::Read) {
            conn.batch_execute("SET TRANSACTION READ ONLY")?;
        }
        if let Some(sql) = scope.enter_sql() {
            conn.batch_execute(&sql)?;
        }
        work(&mut Tx { conn, scope }).map_err(Failure::Work)
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that begins transactions"
    )]
    let result = conn.transaction(body);
    result.map_err(|failure| match failure {
        Failure::Diesel(error) => E::from(DbError::from(error)),
        Failure::Work(error) => error,
    })
}

#[derive(Debug)]
struct Settings {
    statement_timeout: Duration,
    application_name: &'static str,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let statement_ms = self.statement_timeout.as_millis();
        conn.batch_execute(&format!(
            "SET application_name = '{}'; SET statement_timeout = {statement_ms}; \
             SET lock_timeout = {statement_ms}; SET idle_in_transaction_session_timeout = 60000; \
             SET timezone = 'UTC'",
            self.application_name,
        ))
        .map_err(diesel::r2d2::Error::QueryError)
    }
}

#[derive(Debug)]
struct LogErrors;

impl<E: std::error::Error> r2d2::HandleError<E> for LogErrors {
    fn handle_error(&self, error: E) {
        tracing::warn!(error = %error, "the database pool could not open a connection");
    }
}
