//! A contact is exported and erased; nothing brings it back but a new message.

use portal_test_harness::eventually;
use portal_types::{ConversationId, Role, TenantId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    conversations::{Colleague, NUMBER, Team, conversation, has_unread, look, write},
    world::{World, answer},
};

const CONTACT: &str = "+491705550123";
const OTHER: &str = "+491705550124";
const TEXT: &str = "zanzibar";

async fn erase(world: &World, who: &Colleague, contact: &str, query: &str) -> (StatusCode, Value) {
    let id = conversation(contact);
    let url = format!("{}/api/conversations/{id}/erase{query}", world.api);
    answer(world.http.post(url).bearer_auth(&who.token)).await
}

/// Answers where the receipt is.
async fn erase_whole(world: &World, admin: &Colleague) -> String {
    let (status, begun) = erase(world, admin, CONTACT, "").await;
    assert_eq!(
        (status, &begun["status"]),
        (StatusCode::ACCEPTED, &json!("pending"))
    );
    let (_, again) = erase(world, admin, CONTACT, "").await;
    assert_eq!(again["erasure_id"], begun["erasure_id"]);
    // As outbound-message-service does when it is done.
    world.db.execute(
        "UPDATE erasures SET sent_counts = '{\"messages\": 3}', sent_done_at = now() - interval '1 minute'",
    );
    let path = format!("/erasures/{}", begun["erasure_id"].as_str().unwrap());
    let receipt = eventually("the contact to be erased", async || {
        let (_, found) = look(world, admin, &path).await;
        (found["status"] == "completed").then_some(found)
    })
    .await;
    assert_eq!(receipt["counts"]["messages"], 3);
    assert_eq!(receipt["counts"]["conversation_messages"], 1);
    assert_eq!(receipt["receipt_hash"].as_str().unwrap().len(), 64);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_erases_is_gone_from_every_table_and_stays_so() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let admin = team.join("Admin", Role::Admin);
    let boss = team.join("Boss", Role::Supervisor);
    let event = write(&world, CONTACT, TEXT).await;
    has_unread(&world, &admin, CONTACT, 1).await;
    write(&world, OTHER, "something else").await;
    has_unread(&world, &admin, OTHER, 1).await;

    for path in ["erase", "erase?dry_run=true"] {
        let url = format!("/api/conversations/{}/{path}", conversation(CONTACT));
        let (status, _) = world.call(Method::POST, &url, &boss.token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let export = format!(
        "{}/api/conversations/{}/export",
        world.api,
        conversation(CONTACT)
    );
    let get = |who: &Colleague| world.http.get(&export).bearer_auth(&who.token).send();
    assert_eq!(get(&boss).await.unwrap().status(), StatusCode::FORBIDDEN);
    let lines = get(&admin).await.unwrap().text().await.unwrap();
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["kind"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["contact", "conversation", "message", "action"]);
    assert!(
        lines.contains(TEXT) && !lines.contains("something else"),
        "{lines}"
    );

    let (status, preview) = erase(&world, &admin, CONTACT, "?dry_run=true").await;
    assert_eq!(
        (status, &preview["status"]),
        (StatusCode::OK, &json!("would_erase"))
    );
    let counts = json!({"conversations": 1, "conversation_messages": 1});
    assert_eq!(preview["counts"], counts);
    assert!(
        !world.db.tables_with(TEXT).is_empty(),
        "the search finds what is there"
    );

    let path = erase_whole(&world, &admin).await;
    assert_eq!(look(&world, &boss, &path).await.0, StatusCode::FORBIDDEN);
    let stranger = team.join_of("globex_inc", "Eve", Role::Admin);
    assert_eq!(
        look(&world, &stranger, &path).await.0,
        StatusCode::NOT_FOUND
    );

    // What was told of it comes late, and then the contact writes anew.
    world.publish_body("message.received", &event).await;
    let mut late = event.clone();
    late["id"] = json!(uuid::Uuid::now_v7());
    world.publish_body("message.received", &late).await;
    write(&world, OTHER, "one more").await;
    has_unread(&world, &admin, OTHER, 2).await;
    for needle in [TEXT, CONTACT.trim_start_matches('+')] {
        assert_eq!(world.db.tables_with(needle), [""; 0], "{needle}");
    }
    assert_eq!(
        look(&world, &admin, &format!("/{}", conversation(CONTACT)))
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    write(&world, CONTACT, "a new life").await;
    let found = has_unread(&world, &admin, CONTACT, 1).await;
    assert_eq!(found["last_message"], "a new life");
}

/// The contact wrote so many days ago.
async fn wrote(world: &World, tenant: &str, contact: &str, text: &str, days: i64) -> Value {
    let at = chrono::Utc::now() - chrono::Duration::days(days);
    let seconds = u64::try_from(at.timestamp()).unwrap();
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
    let of = TenantId::parse(tenant).unwrap();
    let data = json!({
        "wamid": format!("wamid.{id}"), "tenant_id": tenant, "from": contact, "contact_name": "Ada",
        "conversation_id": ConversationId::of(&of, NUMBER, contact), "type": "text",
        "payload": {"text": {"body": text}}, "inbound_id": id, "phone_number_id": NUMBER,
        "wa_id": contact.trim_start_matches('+'), "sent_at": at,
        "window_expires_at": at + chrono::Duration::hours(24),
    });
    let event = json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": "/services/outbound-message-service",
        "type": "com.agentportal.message.received.v1", "subject": "s", "time": chrono::Utc::now(),
        "tenantid": tenant, "data": data,
    });
    world.publish_body("message.received", &event).await;
    event
}

async fn keep_for(world: &World, admin: &Colleague, days: Value) -> (StatusCode, Value) {
    let change = world
        .http
        .patch(format!("{}/api/organization/conversation-rules", world.api))
        .bearer_auth(&admin.token)
        .json(&json!({"retention_days": days}));
    answer(change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_when_the_organization_has_kept_them_for_long_enough() {
    const AGED: &str = "agedword";
    const RECENT: &str = "recentword";
    let world = World::start().await;
    world.consumers_are_up().await;
    let team = Team::of(&world);
    let admin = team.join("Admin", Role::Admin);
    let stranger = team.join_of("globex_inc", "Eve", Role::Admin);
    let late = wrote(&world, "acme_corp", CONTACT, AGED, 10).await;
    wrote(&world, "acme_corp", CONTACT, RECENT, 2).await;
    wrote(&world, "acme_corp", OTHER, AGED, 10).await;
    wrote(&world, "globex_inc", CONTACT, "foreignword", 10).await;
    has_unread(&world, &admin, CONTACT, 2).await;
    has_unread(&world, &admin, OTHER, 1).await;
    eventually("the other tenant's message to be kept", async || {
        let (_, list) = look(&world, &stranger, "").await;
        (list["conversations"].as_array()?.len() == 1).then_some(())
    })
    .await;

    for bad in [json!(0), json!(3_651), json!("x")] {
        let (status, body) = keep_for(&world, &admin, bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let (status, rules) = keep_for(&world, &admin, json!(7)).await;
    assert_eq!(
        (status, &rules["retention_days"]),
        (StatusCode::OK, &json!(7))
    );
    let begun = eventually("old messages to be found", async || {
        world
            .db
            .query("SELECT erasure_id FROM erasures WHERE reason = 'retention'")
            .pop()
    })
    .await;
    // As outbound-message-service does when it is done.
    world.db.execute(
        "UPDATE erasures SET sent_counts = '{\"messages\": 0}', sent_done_at = now() - interval '1 minute'",
    );
    eventually("nothing older to be left", async || {
        let days = world.db.query(
            "SELECT tenant_id FROM conversation_settings \
             WHERE retained_on = (now() AT TIME ZONE 'UTC')::date",
        );
        (days == ["acme_corp"]).then_some(())
    })
    .await;
    assert_eq!(world.db.tables_with(AGED), [""; 0]);
    assert!(!world.db.tables_with(RECENT).is_empty());
    assert!(!world.db.tables_with("foreignword").is_empty());
    let (_, left) = look(&world, &admin, "").await;
    let left = left["conversations"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["unread_count"], 1);
    assert_eq!(left[0]["last_message"], RECENT);
    let (_, receipt) = look(&world, &admin, &format!("/erasures/{begun}")).await;
    assert_eq!(
        (&receipt["status"], &receipt["requested_by"]),
        (&json!("completed"), &Value::Null)
    );
    assert_eq!(receipt["counts"]["conversation_messages"], 2);
    assert_eq!(
        look(&world, &stranger, &format!("/erasures/{begun}"))
            .await
            .0,
        StatusCode::NOT_FOUND
    );

    // What is told late of an old message does not bring it back.
    world.publish_body("message.received", &late).await;
    let mut again = late;
    again["id"] = json!(Uuid::now_v7());
    world.publish_body("message.received", &again).await;
    wrote(&world, "acme_corp", OTHER, "marker", 0).await;
    has_unread(&world, &admin, OTHER, 1).await;
    assert_eq!(world.db.tables_with(AGED), [""; 0]);
}
