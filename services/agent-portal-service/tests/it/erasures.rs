//! A contact is exported and erased; nothing brings it back but a new message.

use portal_test_harness::eventually;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    conversations::{Colleague, Team, conversation, has_unread, look, write},
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
