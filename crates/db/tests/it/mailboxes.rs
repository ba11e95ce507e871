//! Outbox, relay lease, inbox, audit.

use portal_db::{
    CrossTenantPath, DbError, Scope,
    audit::{self, Actor, AuditEntry, Outcome},
    inbox,
    outbox::{self, NewOutboxEvent},
};
use portal_test_harness::{ServiceRole, TestDb};
use uuid::Uuid;

use crate::doors::{connect, tenant};

const RELAY: Scope = Scope::CrossTenant(CrossTenantPath::Relay);

fn event(service: &'static str, tenant: &str, key: &str) -> NewOutboxEvent {
    NewOutboxEvent {
        event_id: Uuid::now_v7(),
        service,
        tenant_id: tenant.to_owned(),
        exchange: "agent-portal.events",
        routing_key: key.to_owned(),
        subject: "subject".to_owned(),
        payload: serde_json::json!({"key": key}),
        traceparent: None,
    }
}

#[tokio::test]
async fn a_relay_publishes_its_own_services_events_of_all_tenants_in_order() {
    let test_db = TestDb::new();
    let tenants = connect(&test_db, ServiceRole::Tenant);
    let outbound = connect(&test_db, ServiceRole::Outbound);
    for (name, key) in [("acme", "one"), ("globex", "two"), ("acme", "three")] {
        tenants
            .write("append", &tenant(name), move |tx| {
                outbox::append(tx, &[event("tenant_service", name, key)])
            })
            .await
            .unwrap();
    }
    outbound
        .write("append", &tenant("acme"), |tx| {
            outbox::append(tx, &[event("outbound_message_service", "acme", "other")])
        })
        .await
        .unwrap();

    let waiting = tenants
        .read("list", RELAY, |tx| {
            outbox::list_unpublished_any_tenant(tx, "tenant_service", 10)
        })
        .await
        .unwrap();
    let keys: Vec<_> = waiting
        .iter()
        .map(|event| event.routing_key.as_str())
        .collect();
    assert_eq!(keys, ["one", "two", "three"]);
    // The other service's rows are not there for this login, whatever it asks for.
    let foreign = tenants
        .read("list", RELAY, |tx| {
            outbox::list_unpublished_any_tenant(tx, "outbound_message_service", 10)
        })
        .await
        .unwrap();
    assert!(foreign.is_empty());

    let first = waiting[0].event_id;
    let left = tenants
        .write("mark", RELAY, move |tx| {
            outbox::mark_published_any_tenant(tx, &[first])?;
            outbox::backlog_any_tenant(tx, "tenant_service")
        })
        .await
        .unwrap();
    assert_eq!(left.0, 2);
}

#[tokio::test]
async fn an_event_under_a_false_name_is_refused() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    for forged in [
        event("outbound_message_service", "acme", "k"),
        event("tenant_service", "globex", "k"),
    ] {
        let result = db
            .write("forge", &tenant("acme"), move |tx| {
                outbox::append(tx, &[forged])
            })
            .await;
        assert!(matches!(result, Err(DbError::Other(_))), "{result:?}");
    }
}

#[tokio::test]
async fn one_relay_at_a_time_has_the_lease() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let hold = |who| {
        db.write("lease", RELAY, move |tx| {
            outbox::hold_relay_lease(tx, "tenant_service", who, 60)
        })
    };
    assert!(hold(a).await.unwrap());
    assert!(!hold(b).await.unwrap());
    assert!(hold(a).await.unwrap(), "its holder may prolong it");
    db.write("release", RELAY, move |tx| {
        outbox::release_relay_lease(tx, a)
    })
    .await
    .unwrap();
    assert!(hold(b).await.unwrap());
}

#[tokio::test]
async fn an_event_is_new_once_for_each_consumer() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::AgentPortal);
    let id = Uuid::now_v7();
    let note = |consumer: &'static str| {
        db.write("inbox", Scope::Service, move |tx| {
            inbox::first_time(tx, consumer, id)
        })
    };
    assert!(note("a").await.unwrap());
    assert!(!note("a").await.unwrap());
    assert!(note("b").await.unwrap());
}

#[tokio::test]
async fn the_audit_log_takes_rows_and_gives_none_back_to_change() {
    let test_db = TestDb::new();
    let db = connect(&test_db, ServiceRole::Tenant);
    db.write("audit", &tenant("acme"), |tx| {
        audit::append(
            tx,
            &AuditEntry {
                service: "tenant_service",
                actor: Actor::PlatformAdmin("admin".to_owned()),
                action: "tenant.create",
                target: Some("acme".to_owned()),
                outcome: Outcome::Succeeded,
                details: serde_json::json!({}),
                request_id: None,
            },
        )
    })
    .await
    .unwrap();
    assert_eq!(
        test_db.query("SELECT tenant_id || action FROM audit_log"),
        ["acmetenant.create"]
    );
    for privilege in ["UPDATE", "DELETE", "TRUNCATE"] {
        let granted = test_db.query(&format!(
            "SELECT has_any_column_privilege(r, 'audit_log', 'UPDATE') \
                 OR has_table_privilege(r, 'audit_log', '{privilege}') \
             FROM unnest(ARRAY['tenant_service', 'agent_portal_service', 'outbound_message_service']) r"
        ));
        assert_eq!(granted, ["false"; 3], "{privilege}");
    }
}
