//! Two tenants, seen by SQL with the service's own role.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use portal_test_harness::ServiceRole;

use crate::world::{World, ok, whatsapp_body, with_world};

const TABLES: [&str; 9] = [
    "tenants",
    "tenant_whatsapp_config",
    "tenant_whatsapp_numbers",
    "whatsapp_signups",
    "tenant_credentials",
    "tenant_role_mappings",
    "tenant_api_keys",
    "outbox_events",
    "audit_log",
];

#[tokio::test]
async fn the_services_role_sees_one_tenant_at_a_time() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        ok(admin.put_whatsapp("globex", whatsapp_body(2)).await, 200).await;
        for tenant in ["acme_corp", "globex"] {
            world.db.execute(&format!(
                "INSERT INTO whatsapp_signups (signup_id, tenant_id, waba_id, created_by) \
                 VALUES (gen_random_uuid(), '{tenant}', '1', 'x');
                 INSERT INTO tenant_credentials (credential_id, tenant_id, kind, region, client_id)
                 VALUES (gen_random_uuid(), '{tenant}', 'genesys', 'r', 'c');
                 INSERT INTO tenant_role_mappings (mapping_id, tenant_id, genesys_role, portal_role)
                 VALUES (gen_random_uuid(), '{tenant}', 'r', 'admin');
                 INSERT INTO tenant_api_keys
                 (key_id, tenant_id, name, prefix, key_hash, created_by)
                 VALUES (gen_random_uuid(), '{tenant}', 'k', 'sk_', sha256('{tenant}'), 'x')"
            ));
        }

        let role = ServiceRole::Tenant;
        for table in TABLES {
            let tenants = format!("SELECT DISTINCT tenant_id FROM {table} ORDER BY 1");
            for tenant in ["acme_corp", "globex"] {
                let seen = world.db.query_as(role, Some(tenant), &tenants).unwrap();
                assert_eq!(seen, [tenant], "{table}");
            }
            let seen = world.db.query_as(role, None, &tenants).unwrap();
            assert!(seen.is_empty(), "{table} without a tenant: {seen:?}");
        }
    })
    .await;
}

/// Runs one statement as the service's role with `tenant` set; answers the number of rows.
fn execute(world: &World, tenant: &str, sql: &str) -> Result<usize, diesel::result::Error> {
    let mut conn = PgConnection::establish(&world.db.url(ServiceRole::Tenant)).unwrap();
    conn.batch_execute(&format!("BEGIN; SET LOCAL app.tenant_id = '{tenant}'"))
        .unwrap();
    let rows = diesel::sql_query(sql).execute(&mut conn)?;
    conn.batch_execute("COMMIT").unwrap();
    Ok(rows)
}

#[tokio::test]
async fn the_services_role_changes_one_tenant_at_a_time() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("globex", whatsapp_body(2)).await, 200).await;
        let rename = "UPDATE tenants SET name = 'x'";
        assert_eq!(execute(world, "acme_corp", rename).unwrap(), 1, "its own");
        let rename = "UPDATE tenants SET name = 'x' WHERE tenant_id = 'globex'";
        assert_eq!(execute(world, "acme_corp", rename).unwrap(), 0);
        let remove = "DELETE FROM tenant_whatsapp_config";
        assert_eq!(execute(world, "acme_corp", remove).unwrap(), 0);
        for (what, sql) in [
            ("insert for another", "INSERT INTO tenants (tenant_id, name) VALUES ('third', 'x')"),
            ("hand over", "UPDATE tenants SET tenant_id = 'third'"),
            ("forge an event", "INSERT INTO outbox_events (event_id, service, tenant_id, exchange, \
              routing_key, subject, payload) VALUES (gen_random_uuid(), 'tenant_service', 'globex', \
              'e', 'k', 's', '{}')"),
            ("another service's event", "INSERT INTO outbox_events (event_id, service, tenant_id, \
              exchange, routing_key, subject, payload) VALUES (gen_random_uuid(), \
              'agent_portal_service', 'acme_corp', 'e', 'k', 's', '{}')"),
            ("rewrite history", "UPDATE audit_log SET action = 'x'"),
            ("erase history", "DELETE FROM audit_log"),
            ("delete for good", "DELETE FROM tenants"),
        ] {
            assert!(execute(world, "acme_corp", sql).is_err(), "{what}");
        }
        let names = "SELECT name FROM tenants ORDER BY tenant_id";
        assert_eq!(world.db.query(names), ["x", "Globex"]);
    })
    .await;
}

#[tokio::test]
async fn other_services_do_not_see_our_tables() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        for role in [ServiceRole::AgentPortal, ServiceRole::Outbound] {
            for table in [
                "tenant_whatsapp_config",
                "tenant_credentials",
                "tenant_role_mappings",
                "tenant_api_keys",
                "platform_admins",
            ] {
                let count = format!("SELECT count(*) FROM {table}");
                assert!(
                    world.db.query_as(role, Some("acme_corp"), &count).is_err(),
                    "{table}"
                );
            }
        }
        let keys = "SELECT count(*) FROM signing_keys";
        let seen = world
            .db
            .query_as(ServiceRole::AgentPortal, None, keys)
            .unwrap();
        assert_eq!(seen, ["0"], "our signing key is not theirs");
    })
    .await;
}
