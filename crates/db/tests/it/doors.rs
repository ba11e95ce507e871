//! `Db::read` and `Db::write`.

use std::time::Duration;

use diesel::{connection::SimpleConnection as _, prelude::*};
use portal_db::{CrossTenantPath, Db, DbError, DbOptions, SchemaState, Scope};
use portal_db_schema::schema::tenants;
use portal_test_harness::{ServiceRole, TestDb};
use portal_types::TenantId;

pub(crate) fn connect(db: &TestDb, role: ServiceRole) -> Db {
    Db::new(&DbOptions {
        url: db.url(role).into(),
        pool_size: 2,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_millis(500),
        application_name: "test",
    })
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) async fn create_tenant(db: &Db, id: &str) -> Result<(), DbError> {
    let id = tenant(id);
    db.write("create", &id.clone(), move |tx| {
        diesel::insert_into(tenants::table)
            .values((tenants::tenant_id.eq(id.as_str()), tenants::name.eq("name")))
            .execute(tx.conn())?;
        Ok(())
    })
    .await
}

async fn visible(db: &Db, scope: impl Into<Scope>) -> Result<Vec<String>, DbError> {
    db.read("list", scope, |tx| {
        Ok(tenants::table
            .select(tenants::tenant_id)
            .order(tenants::tenant_id)
            .load(tx.conn())?)
    })
    .await
}

#[tokio::test]
async fn a_transaction_sees_the_rows_of_its_scope_and_no_others() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    create_tenant(&db, "acme").await.unwrap();
    create_tenant(&db, "globex").await.unwrap();

    assert_eq!(visible(&db, &tenant("acme")).await.unwrap(), ["acme"]);
    assert_eq!(visible(&db, &tenant("initech")).await.unwrap(), [""; 0]);
    assert_eq!(visible(&db, Scope::Service).await.unwrap(), [""; 0]);
    let directory = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    assert_eq!(visible(&db, directory).await.unwrap(), ["acme", "globex"]);
    // The path's role ended with its transaction, on every connection of the pool.
    for _ in 0..4 {
        assert_eq!(visible(&db, Scope::Service).await.unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn nobody_writes_for_another_tenant_or_enters_a_path_that_is_not_theirs() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    let foreign: Result<(), DbError> = db
        .write("foreign", &tenant("acme"), |tx| {
            diesel::insert_into(tenants::table)
                .values((tenants::tenant_id.eq("globex"), tenants::name.eq("name")))
                .execute(tx.conn())?;
            Ok(())
        })
        .await;
    assert!(matches!(foreign, Err(DbError::Other(_))), "{foreign:?}");
    let outbound = connect(&test_db, ServiceRole::Outbound);
    let refused = visible(
        &outbound,
        Scope::CrossTenant(CrossTenantPath::TenantDirectory),
    )
    .await;
    assert!(matches!(refused, Err(DbError::Other(_))), "{refused:?}");
}

#[tokio::test]
async fn errors_become_facts() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    create_tenant(&db, "acme").await.unwrap();
    let twice = create_tenant(&db, "acme").await.unwrap_err();
    assert!(twice.is_unique("tenants_pkey"), "{twice:?}");

    let slow: DbError = db
        .read("slow", Scope::Service, |tx| {
            tx.conn()
                .batch_execute("SELECT pg_sleep(30)")
                .map_err(DbError::from)
        })
        .await
        .unwrap_err();
    assert!(matches!(slow, DbError::Timeout(_)), "{slow:?}");

    let read_only: DbError = db
        .read("writes", &tenant("acme"), |tx| {
            diesel::update(tenants::table)
                .set(tenants::name.eq("other"))
                .execute(tx.conn())
                .map(drop)
                .map_err(DbError::from)
        })
        .await
        .unwrap_err();
    assert!(matches!(read_only, DbError::Other(_)), "{read_only:?}");

    // A connection that the server ends is replaced: the next call works again.
    let killed: DbError = db
        .read("killed", Scope::Service, |tx| {
            tx.conn()
                .batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")
                .map_err(DbError::from)
        })
        .await
        .unwrap_err();
    assert!(killed.is_transient(), "{killed:?}");
    db.ping().await.unwrap();
}

#[tokio::test]
async fn a_failed_transaction_leaves_nothing() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    let result: Result<(), anyhow::Error> = db
        .write("fails", &tenant("acme"), |tx| {
            diesel::insert_into(tenants::table)
                .values((tenants::tenant_id.eq("acme"), tenants::name.eq("name")))
                .execute(tx.conn())?;
            anyhow::bail!("after the insert")
        })
        .await;
    assert_eq!(result.unwrap_err().to_string(), "after the insert");
    assert_eq!(test_db.query("SELECT tenant_id FROM tenants"), [""; 0]);
}

#[tokio::test]
async fn the_schema_is_behind_until_it_is_migrated() {
    let empty = TestDb::unmigrated();
    let state = connect(&empty, ServiceRole::Outbound)
        .schema_state()
        .await
        .unwrap();
    assert_eq!(
        state,
        SchemaState::Behind(portal_db_schema::migration_versions().unwrap())
    );

    let migrated = TestDb::new();
    for role in [
        ServiceRole::Tenant,
        ServiceRole::AgentPortal,
        ServiceRole::Outbound,
    ] {
        assert_eq!(
            connect(&migrated, role).schema_state().await.unwrap(),
            SchemaState::Current
        );
    }
}
