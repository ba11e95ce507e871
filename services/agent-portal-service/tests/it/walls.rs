//! Two tenants: neither sees anything of the other, by the API or by SQL.

use portal_sandbox::seed;
use portal_test_harness::ServiceRole;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_see_nothing_of_each_other_by_the_api() {
    let world = World::start().await;
    let acme = world.sign_in(seed::ACME_ADMIN).await;
    let globex = world.sign_in(seed::GLOBEX_ADMIN).await;
    let (_, sessions) = world
        .call(Method::GET, "/api/agents/auth/sessions", &globex.access)
        .await;
    let theirs = sessions["sessions"][0]["session_id"]
        .as_str()
        .unwrap()
        .to_owned();

    let (_, mine) = world
        .call(Method::GET, "/api/agents/auth/sessions", &acme.access)
        .await;
    assert_eq!(mine["total"], 1);
    assert!(!mine.to_string().contains(&theirs));
    // Foreign and unknown are the same answer.
    for id in [theirs, uuid::Uuid::now_v7().to_string()] {
        let path = format!("/api/agents/auth/sessions/{id}");
        let (status, body) = world.call(Method::DELETE, &path, &acme.access).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["error"]["code"], "SESSION_NOT_FOUND");
    }
    let of = async |path: &str, token: &str| -> Value {
        let (status, body) = world.call(Method::GET, path, token).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    for (person, tenant, other) in [
        (&acme, "acme_corp", "globex_inc"),
        (&globex, "globex_inc", "acme_corp"),
    ] {
        for path in ["/api/agents/profile", "/api/agents/whatsapp/status"] {
            let body = of(path, &person.access).await.to_string();
            assert!(
                body.contains(tenant) && !body.contains(other),
                "{path}: {body}"
            );
        }
    }
    let (_, body) = world
        .call(Method::POST, "/api/agents/auth/logout-all", &acme.access)
        .await;
    assert_eq!(body["sessionCount"], 1);
    of("/api/agents/profile", &globex.access).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_see_nothing_of_each_other_by_sql() {
    let world = World::start().await;
    world.sign_in(seed::ACME_AGENT).await;
    world.sign_in(seed::GLOBEX_AGENT).await;
    let tables = [
        "genesys_users",
        "genesys_user_sessions",
        "outbox_events",
        "audit_log",
    ];
    let see =
        |tenant: Option<&str>, sql: &str| world.db.query_as(ServiceRole::AgentPortal, tenant, sql);
    for table in tables {
        let tenants = format!(
            "SELECT DISTINCT tenant_id FROM {table} WHERE tenant_id IS NOT NULL ORDER BY 1"
        );
        assert_eq!(
            world.db.query(&tenants),
            ["acme_corp", "globex_inc"],
            "{table}"
        );
        assert_eq!(
            see(Some("acme_corp"), &tenants).unwrap(),
            ["acme_corp"],
            "{table}"
        );
        assert_eq!(
            see(Some("globex_inc"), &tenants).unwrap(),
            ["globex_inc"],
            "{table}"
        );
        assert_eq!(see(Some("initech"), &tenants).unwrap(), [""; 0], "{table}");
        assert_eq!(see(None, &tenants).unwrap(), [""; 0], "{table}");
    }
    // Nor can anything be written into the other's rows.
    let write = |tenant: &str, sql: &str| {
        use diesel::connection::SimpleConnection as _;
        let mut conn = connect(&world.db.url(ServiceRole::AgentPortal));
        conn.batch_execute(&format!(
            "BEGIN; SET LOCAL app.tenant_id = '{tenant}'; {sql}; COMMIT"
        ))
    };
    let steal = "UPDATE genesys_users SET role = 'admin'";
    write(
        "acme_corp",
        &format!("{steal} WHERE tenant_id = 'globex_inc'"),
    )
    .unwrap();
    assert_eq!(
        world.db.query("SELECT DISTINCT role FROM genesys_users"),
        ["agent"]
    );
    let plant = "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
                 VALUES (gen_random_uuid(), 'globex_inc', 'o', 'u', 'n')";
    assert!(write("acme_corp", plant).is_err());
    write("globex_inc", plant).unwrap();
    // What belongs to other services is not there for us at all, but for a tenant's own status.
    for foreign in [
        "name FROM tenants",
        "1 FROM tenant_whatsapp_config",
        "1 FROM tenant_credentials",
        "1 FROM messages",
        "1 FROM platform_admins",
    ] {
        assert!(
            see(Some("acme_corp"), &format!("SELECT {foreign}")).is_err(),
            "{foreign}"
        );
    }
    assert_eq!(
        see(Some("acme_corp"), "SELECT tenant_id FROM tenants").unwrap(),
        ["acme_corp"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_across_tenants_show_ids_alone() {
    let world = World::start().await;
    world.sign_in(seed::ACME_AGENT).await;
    let as_role = |role: &str, sql: &str| {
        use diesel::connection::SimpleConnection as _;
        let mut conn = connect(&world.db.url(ServiceRole::AgentPortal));
        conn.batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}; {sql}; COMMIT"))
    };
    for (role, table, seen, hidden) in [
        (
            "session_sweeper",
            "genesys_user_sessions",
            "tenant_id, session_id, revoked_at, idle_expires_at",
            &[
                "refresh_token_hash",
                "genesys_access_token",
                "user_agent",
                "user_id",
            ][..],
        ),
        (
            "portal_identity",
            "genesys_users",
            "tenant_id, genesys_user_id",
            &["name", "genesys_email", "role", "user_id"],
        ),
    ] {
        as_role(role, &format!("SELECT {seen} FROM {table}")).unwrap();
        for column in hidden {
            let refused = as_role(role, &format!("SELECT {column} FROM {table}"));
            assert!(refused.is_err(), "{role} {column}");
        }
        assert!(
            as_role(role, &format!("DELETE FROM {table}")).is_err(),
            "{role}"
        );
    }
}

fn connect(url: &str) -> diesel::PgConnection {
    diesel::Connection::establish(url).unwrap()
}
