//! Lists of messages: filters, pages that stay what they were, walls.

use portal_sandbox::magic_recipient;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::World;

async fn list(world: &World, token: &str, query: &str) -> (StatusCode, Value) {
    let path = format!("/api/messages{query}");
    world.call(Method::GET, token, &path, None).await
}

async fn ids(world: &World, token: &str, query: &str) -> (Vec<String>, Option<String>) {
    let (status, answer) = list(world, token, query).await;
    assert_eq!(status, StatusCode::OK, "{query}: {answer}");
    let messages = answer["messages"].as_array().unwrap();
    let ids = messages
        .iter()
        .map(|message| message["message_id"].as_str().unwrap().to_owned());
    let next = answer["next_cursor"].as_str().map(str::to_owned);
    (ids.collect(), next)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_in_pages_that_later_messages_do_not_move() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(world.send(&token, &format!("+1555000{n}")).await);
    }
    sent.reverse();
    world
        .send(&world.sisters.token("globex"), "+15550001")
        .await;

    let (first, next) = ids(&world, &token, "?limit=2").await;
    assert_eq!(first, sent[..2]);
    let cursor = next.unwrap();
    let newest = world.send(&token, "+15550009").await;
    let (second, next) = ids(&world, &token, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(second, sent[2..4]);
    let cursor = next.unwrap();
    let (last, next) = ids(&world, &token, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((last.as_slice(), next), (&sent[4..], None));
    // Exactly one page is no reason for another.
    let (all, next) = ids(&world, &token, "?limit=6").await;
    assert_eq!(
        (all[0].as_str(), all.len(), next),
        (newest.as_str(), 6, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_pick_by_recipient_state_conversation_and_time() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let failing = magic_recipient("100", 0);
    let failed = world.send(&token, &failing).await;
    world.reaches(&token, &failed, "failed").await;
    let good = world.send(&token, "+1234567890").await;
    let shown = world.reaches(&token, &good, "read").await;
    let conversation = shown["conversation_id"].as_str().unwrap();
    let at = shown["accepted_at"].as_str().unwrap();
    for (query, expected) in [
        ("?to=1234567890".to_owned(), vec![&good]),
        ("?to=%2B1%20234%20567-890".to_owned(), vec![&good]),
        ("?to=%2B19999999".to_owned(), vec![]),
        ("?to=US.13491208655302741918".to_owned(), vec![]),
        ("?status=failed".to_owned(), vec![&failed]),
        ("?status=read&to=1234567890".to_owned(), vec![&good]),
        (format!("?conversation_id={conversation}"), vec![&good]),
        (format!("?since={at}"), vec![&good]),
        (format!("?until={at}"), vec![&failed]),
        ("?since=2100-01-01T00:00:00Z".to_owned(), vec![]),
        (String::new(), vec![&good, &failed]),
    ] {
        let (found, _) = ids(&world, &token, &query).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let (_, answer) = list(&world, &token, "?to=1234567890").await;
    let message = &answer["messages"][0];
    for field in [
        "to", "from", "type", "status", "wamid", "text", "payload", "trace_id",
    ] {
        assert_eq!(message[field], shown[field], "{field}");
    }
    assert!(message.get("attempts").is_none() && message.get("history").is_none());

    for (bad, field) in [
        ("?to=abc", "to"),
        ("?status=gone", "status"),
        ("?limit=101", "limit"),
        ("?limit=0", "limit"),
        ("?cursor=%21", "cursor"),
        ("?since=yesterday", "since"),
        ("?conversation_id=1", "conversation_id"),
        ("?colour=red", "colour"),
    ] {
        let (status, answer) = list(&world, &token, bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(
            answer["error"]["details"][0]["field"], field,
            "{bad}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_end_at_the_tenants_wall_and_at_the_keys_scope() {
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let id = world.send(&acme, "+1234567890").await;
    let globex = world.sisters.token_as(Role::Admin, "globex");
    let (_, shown) = world.get(&acme, &id).await;
    let conversation = shown["conversation_id"].as_str().unwrap();
    for query in [
        "",
        "?to=1234567890",
        &format!("?conversation_id={conversation}"),
    ] {
        assert_eq!(ids(&world, &globex, query).await.0, [""; 0], "{query}");
    }
    let (_, reader) = world.sisters.api_key("acme", &["messages:read"]);
    assert_eq!(ids(&world, &reader, "").await.0, [id]);
    let (_, sender) = world.sisters.api_key("acme", &["messages:send"]);
    let (status, answer) = list(&world, &sender, "?limit=0").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
}
