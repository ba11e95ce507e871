//! Two tenants see nothing of each other, by API and by SQL.

use portal_test_harness::ServiceRole;
use reqwest::StatusCode;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_message_does_not_exist() {
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let globex = world.sisters.token("globex");
    let id = world.send(&acme, "+1234567890").await;
    world.reaches(&acme, &id, "read").await;
    let (status, answer) = world.get(&globex, &id).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(answer["error"]["code"], "MESSAGE_NOT_FOUND");
    let unknown = world.get(&globex, &uuid::Uuid::now_v7().to_string()).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    assert_eq!(
        unknown.1["error"], answer["error"],
        "foreign and unknown are told alike"
    );
    assert_eq!(
        world.get(&globex, "not-an-id").await.0,
        StatusCode::BAD_REQUEST
    );

    let tables = [
        "messages",
        "message_attempts",
        "message_status_events",
        "outbox_events",
        "sending_holds",
        "idempotency_keys",
    ];
    for table in tables {
        let count = |tenant| {
            let sql = format!("SELECT count(*) FROM {table}");
            world
                .db
                .query_as(ServiceRole::Outbound, tenant, &sql)
                .unwrap()
        };
        assert_eq!(count(Some("globex")), ["0"], "{table}");
        assert_eq!(count(None), ["0"], "{table}");
    }
    let own = world.db.query_as(
        ServiceRole::Outbound,
        Some("acme"),
        "SELECT message_id FROM messages",
    );
    assert_eq!(own.unwrap(), [id]);
    // Of the sisters' tables only whether somebody may go on.
    for foreign in [
        "name FROM tenants",
        "1 FROM tenant_whatsapp_config",
        "1 FROM tenant_api_keys",
        "name FROM genesys_users",
        "refresh_token_hash FROM genesys_user_sessions",
    ] {
        let sql = format!("SELECT {foreign}");
        assert!(
            world
                .db
                .query_as(ServiceRole::Outbound, Some("acme"), &sql)
                .is_err(),
            "{foreign}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_contact_of_two_tenants_is_two_conversations_on_two_numbers() {
    let world = World::start().await;
    let mut conversations = Vec::new();
    for tenant in ["acme", "globex"] {
        let token = world.sisters.token(tenant);
        let id = world.send(&token, "+1234567890").await;
        let message = world.reaches(&token, &id, "read").await;
        conversations.push(message["conversation_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(conversations[0], conversations[1]);
    let mut used: Vec<_> = world
        .sandbox
        .journal()
        .graph_messages()
        .into_iter()
        .map(|call| (call.token_name.unwrap(), call.phone_number_id))
        .collect();
    used.sort();
    let expected = [
        (
            "acme".to_owned(),
            portal_sandbox::seed::ACME_PHONE_NUMBER_ID.to_owned(),
        ),
        (
            "globex".to_owned(),
            portal_sandbox::seed::GLOBEX_PHONE_NUMBER_ID.to_owned(),
        ),
    ];
    assert_eq!(used, expected);
}
