//! What contacts write: every type, once, in the right conversation, with its window.

use chrono::Utc;
use portal_sandbox::seed;
use portal_test_harness::{EventListener, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    meta::{Person, SHEENA, all_applied, entry, inbound, of_number, tell, tell_only, text},
    world::World,
};

const ACME: &str = seed::ACME_PHONE_NUMBER_ID;
const GLOBEX: &str = seed::GLOBEX_PHONE_NUMBER_ID;
const AT: i64 = 1_750_000_000;

/// The contents of every type of the Cloud API, and of some that nobody has heard of.
fn contents() -> Vec<Value> {
    let file = |kind: &str, extra: Value| {
        let mut content = json!({"id": "1013859600285441", "mime_type": "x/y", "sha256": "c2hh"});
        let fields = extra.as_object().unwrap().clone();
        content.as_object_mut().unwrap().extend(fields);
        json!({"type": kind, kind: content})
    };
    let interactive = |kind: &str, reply: Value| {
        json!({"type": "interactive", "context": {"from": "1", "id": "wamid.asked"},
            "interactive": {"type": kind, kind: reply}})
    };
    vec![
        json!({"type": "text", "text": {"body": "Hello"}, "context": {"forwarded": true}}),
        file("image", json!({"caption": "c"})),
        file("video", json!({})),
        file("audio", json!({"voice": true})),
        file("document", json!({"filename": "f.pdf"})),
        file("sticker", json!({"animated": false})),
        json!({"type": "location", "location": {"latitude": 1.5, "longitude": -2.5}}),
        json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.orphan", "emoji": "\u{1f600}"}}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.orphan"}}),
        interactive("button_reply", json!({"id": "b", "title": "B"})),
        interactive("list_reply", json!({"id": "l", "title": "L"})),
        interactive(
            "nfm_reply",
            json!({"name": "flow", "body": "Sent", "response_json": "{}"}),
        ),
        interactive("call_permission_reply", json!({"response": "accept"})),
        json!({"type": "button", "button": {"payload": "p", "text": "Yes"}, "context": {"id": "wamid.t"}}),
        json!({"type": "order", "order": {"catalog_id": "c", "product_items": []}}),
        json!({"type": "edit", "edit": {"original_message_id": "wamid.orphan",
            "message": {"type": "text", "text": {"body": "New"}}}}),
        json!({"type": "revoke", "revoke": {"original_message_id": "wamid.orphan"}}),
        json!({"type": "unsupported", "unsupported": {"type": "poll"},
            "errors": [{"code": 131_051, "title": "Message type unknown"}]}),
        json!({"type": "image", "errors": [{"code": 131_052, "title": "Media too large"}]}),
        json!({"type": "hologram", "hologram": {"beam": 7}}),
        json!({"type": "text", "text": {"body": "nul \u{0} inside"}}),
    ]
}

async fn received(world: &World, id: &str) -> (StatusCode, Value) {
    let token = world.sisters.token("acme");
    let url = format!("{}/api/messages/received/{id}", world.url);
    let response = world.http.get(url).bearer_auth(token).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The data of the next event.
async fn next(events: &EventListener) -> Value {
    events.next().await.envelope["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_kept_as_it_came_and_told_of_once() {
    let world = World::start().await;
    let events = world.listen("message.received").await;
    let contents = contents();
    let entries: Vec<Value> = (AT..)
        .zip(&contents)
        .map(|(at, content)| inbound(ACME, SHEENA, &format!("wamid.{at}"), at, content))
        .collect();
    // Backwards and three times: once as one post, once as another, once as many.
    let backwards: Vec<Value> = entries.iter().rev().cloned().collect();
    tell(&world, &backwards).await;
    tell(&world, &entries).await;
    for entry in &entries {
        tell_only(&world, std::slice::from_ref(entry)).await;
    }
    all_applied(&world).await;
    let mut conversation = Value::Null;
    for (at, content) in (AT..).zip(&contents) {
        let data = next(&events).await;
        assert_eq!(
            data["wamid"],
            format!("wamid.{at}"),
            "in the order of writing"
        );
        assert_eq!(data["type"], content["type"]);
        assert_eq!(data["tenant_id"], "acme");
        assert_eq!(
            (&data["from"], &data["contact_name"]),
            (&json!("+16505551234"), &json!("Sheena"))
        );
        let kind = content["type"].as_str().unwrap();
        if !content.to_string().contains("\\u0000") {
            assert_eq!(data["payload"][kind], content[kind], "{data}");
            assert_eq!(data["payload"]["errors"], content["errors"]);
        }
        let original = content.pointer("/edit/original_message_id");
        let original = original.or_else(|| content.pointer("/revoke/original_message_id"));
        let original = original.or_else(|| content.pointer("/reaction/message_id"));
        assert_eq!(data.get("refers_to"), original, "{data}");
        assert_eq!(data.get("context_wamid"), content.pointer("/context/id"));
        if conversation.is_null() {
            conversation = data["conversation_id"].clone();
        }
        assert_eq!(
            data["conversation_id"], conversation,
            "one person, one conversation"
        );

        let (status, kept) = received(&world, data["inbound_id"].as_str().unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{kept}");
        assert_eq!(kept["payload"]["type"], content["type"]);
        assert_eq!(kept["payload"]["from"], "16505551234", "as Meta sent it");
        assert_eq!(
            kept["media_id"].as_str(),
            content[kind]["id"]
                .as_str()
                .filter(|_| kind != "interactive")
        );
        let (_, by_wamid) = received(&world, kept["wamid"].as_str().unwrap()).await;
        assert_eq!(by_wamid, kept);
    }
    assert!(events.poll().await.is_none(), "each is told of once");
    let count = "SELECT count(*) FROM inbound_messages";
    assert_eq!(world.db.query(count), [contents.len().to_string()]);
    // A message of another tenant, and none at all, are told alike.
    let url = format!("{}/api/messages/received/wamid.{AT}", world.url);
    let globex = world
        .http
        .get(url)
        .bearer_auth(world.sisters.token("globex"));
    assert_eq!(globex.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_stay_out_of_events_where_the_deployment_wants_it() {
    let world = World::start_with(&[("EVENTS__INCLUDE_CONTENT", "false")]).await;
    let events = world.listen("message.*").await;
    let echo = json!({"message_echoes": [{"id": "wamid.echo", "to": "16505551234", "from": "1",
        "timestamp": AT.to_string(), "type": "text", "text": {"body": "Is anybody there?"}}]});
    tell(
        &world,
        &[
            text(ACME, SHEENA, "wamid.a", AT),
            entry(
                seed::ACME_WABA_ID,
                "smb_message_echoes",
                &of_number(ACME, &echo),
            ),
        ],
    )
    .await;
    for _ in 0..2 {
        let event = events.next().await;
        assert!(!event.envelope.to_string().contains("anybody"), "{event:?}");
    }
    let (_, kept) = received(&world, "wamid.a").await;
    assert_eq!(
        kept["text"], "Is anybody there?",
        "the organization may read it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_number_is_found_again() {
    let world = World::start().await;
    let events = world.listen("message.received").await;
    let hidden = Person {
        wa_id: None,
        ..SHEENA
    };
    let stranger = Person {
        wa_id: None,
        user_id: Some("US.7"),
        name: "Nobody",
    };
    let changed = Person {
        wa_id: None,
        user_id: Some("US.8"),
        name: "Nobody",
    };
    // Nothing is known of Sheena yet but in the same post.
    tell(
        &world,
        &[
            text(ACME, SHEENA, "wamid.1", AT),
            text(ACME, hidden, "wamid.2", AT + 1),
        ],
    )
    .await;
    tell(
        &world,
        &[
            text(ACME, hidden, "wamid.3", AT + 2),
            text(ACME, stranger, "wamid.4", AT + 3),
        ],
    )
    .await;
    // A stranger gets another user id, and is still the same stranger.
    let renamed = json!({"type": "system", "system": {"type": "user_changed_user_id",
        "user_id": "US.8", "previous_user_id": "US.7"}});
    tell(
        &world,
        &[inbound(ACME, stranger, "wamid.5", AT + 4, &renamed)],
    )
    .await;
    tell(&world, &[text(ACME, changed, "wamid.6", AT + 5)]).await;
    let mut found = Vec::new();
    for _ in 0..6 {
        let data = next(&events).await;
        found.push((
            data["wamid"].clone(),
            data["from"].clone(),
            data["conversation_id"].clone(),
        ));
    }
    let from: Vec<_> = found
        .iter()
        .map(|(_, from, _)| from.as_str().unwrap())
        .collect();
    let sheena = "+16505551234";
    assert_eq!(from, [sheena, sheena, sheena, "US.7", "US.7", "US.7"]);
    assert_eq!(found[0].2, found[2].2);
    assert_eq!(found[3].2, found[5].2);
    assert_ne!(found[0].2, found[3].2);
    // A change of number is an alias of the new pair, and the old one stands.
    let moved = json!({"type": "system", "system": {"type": "user_changed_number",
        "wa_id": "16505559999", "user_id": "US.9", "previous_user_id": "US.13491208655302741918"}});
    let old = Person {
        user_id: None,
        ..SHEENA
    };
    tell(&world, &[inbound(ACME, old, "wamid.7", AT + 6, &moved)]).await;
    let aliases = "SELECT user_id || ' ' || contact || ' ' || source || coalesce(' ' || previous_contact, '') \
        FROM contact_aliases WHERE user_id IN ('US.9', 'US.13491208655302741918', 'US.8') ORDER BY user_id";
    assert_eq!(
        world.db.query(aliases),
        [
            "US.13491208655302741918 +16505551234 message",
            "US.8 US.7 user_id_change",
            "US.9 +16505559999 number_change +16505551234",
        ]
    );
}

async fn windows(world: &World, to: &str) -> (StatusCode, Value) {
    let url = format!("{}/api/messages/windows", world.url);
    let request = world.http.get(url).query(&[("to", to)]);
    let response = request
        .bearer_auth(world.sisters.token("acme"))
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_follows_the_contacts_own_last_message() {
    let world = World::start().await;
    let now = Utc::now().timestamp();
    let last = async |to: &str| {
        let (_, view) = windows(&world, to).await;
        let at = view["windows"][0]["last_inbound_at"].as_str()?.to_owned();
        Some(
            chrono::DateTime::parse_from_rfc3339(&at)
                .unwrap()
                .timestamp(),
        )
    };
    assert_eq!(last("+16505551234").await, None);
    // Late, and then even later: only the latest of the contact's own times counts.
    tell(&world, &[text(ACME, SHEENA, "wamid.1", now - 90_000)]).await;
    assert_eq!(last("+16505551234").await, Some(now - 90_000));
    assert_eq!(
        windows(&world, "+16505551234").await.1["windows"][0]["open"],
        false
    );
    tell(&world, &[text(ACME, SHEENA, "wamid.2", now - 100)]).await;
    tell(&world, &[text(ACME, SHEENA, "wamid.3", now - 5000)]).await;
    assert_eq!(
        last("16505551234").await,
        Some(now - 100),
        "as conversations carry the number"
    );
    assert_eq!(
        last("US.13491208655302741918").await,
        Some(now - 100),
        "by user id, too"
    );
    let (_, view) = windows(&world, "+16505551234").await;
    assert_eq!(view["windows"][0]["open"], true, "{view}");
    assert_eq!(view["windows"][0]["phone_number_id"], ACME);
    // What Meta says of a person, and what was written on the organization's phone, opens nothing.
    let system =
        json!({"type": "system", "system": {"type": "customer_identity_changed", "body": "b"}});
    let echo = json!({"message_echoes": [{"id": "wamid.e", "to": "16505551234", "from": "1",
        "timestamp": now.to_string(), "type": "text", "text": {"body": "b"}}]});
    tell(
        &world,
        &[
            inbound(ACME, SHEENA, "wamid.4", now, &system),
            entry(
                seed::ACME_WABA_ID,
                "smb_message_echoes",
                &of_number(ACME, &echo),
            ),
        ],
    )
    .await;
    assert_eq!(last("+16505551234").await, Some(now - 100));
    // A call does; what pretends to come from tomorrow comes from now.
    let call = json!({"calls": [{"id": "c", "from": "16505551234", "event": "connect",
        "direction": "USER_INITIATED", "timestamp": (now - 50).to_string()}]});
    tell(
        &world,
        &[entry(seed::ACME_WABA_ID, "calls", &of_number(ACME, &call))],
    )
    .await;
    assert_eq!(last("+16505551234").await, Some(now - 50));
    tell(&world, &[text(ACME, SHEENA, "wamid.5", now + 86_400)]).await;
    assert!(last("+16505551234").await.unwrap() <= Utc::now().timestamp());

    let other = world.http.get(format!(
        "{}/api/messages/windows?to=%2B16505551234",
        world.url
    ));
    let other = other
        .bearer_auth(world.sisters.token("globex"))
        .send()
        .await
        .unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["windows"], json!([]));
    assert_eq!(windows(&world, "nobody").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_post_of_several_tenants_reaches_each_and_a_strangers_number_waits() {
    let world = World::start().await;
    let events = world.listen("message.received").await;
    tell_only(
        &world,
        &[
            text(ACME, SHEENA, "wamid.same", AT),
            text(GLOBEX, SHEENA, "wamid.same", AT),
            text("999", SHEENA, "wamid.later", AT),
            text(
                ACME,
                Person {
                    wa_id: None,
                    user_id: None,
                    name: "",
                },
                "wamid.nobody",
                AT,
            ),
        ],
    )
    .await;
    let (first, second) = (next(&events).await, next(&events).await);
    let mut tenants = [
        first["tenant_id"].as_str().unwrap(),
        second["tenant_id"].as_str().unwrap(),
    ];
    tenants.sort_unstable();
    assert_eq!(tenants, ["acme", "globex"]);
    assert_ne!(first["conversation_id"], second["conversation_id"]);
    // Nobody has the third number yet; the post waits for it and tells nothing twice.
    let state = "SELECT state FROM webhook_intake";
    assert_eq!(world.db.query(state), ["pending"]);
    world.db.execute(
        "INSERT INTO tenant_whatsapp_numbers (tenant_id, phone_number_id, config_id, display_phone_number) \
         SELECT 'globex', '999', config_id, '999' FROM tenant_whatsapp_config WHERE tenant_id = 'globex'",
    );
    world
        .db
        .execute("UPDATE webhook_intake SET next_attempt_at = now()");
    let third = next(&events).await;
    assert_eq!(
        (&third["wamid"], &third["tenant_id"]),
        (&json!("wamid.later"), &json!("globex"))
    );
    // Whoever wrote the fourth is not said: the post is kept for people to look at.
    eventually("the post to be settled", async || {
        (world.db.query(state) == ["unreadable"]).then_some(())
    })
    .await;
    assert!(events.poll().await.is_none());
    let rows =
        "SELECT tenant_id || ' ' || count(*) FROM inbound_messages GROUP BY tenant_id ORDER BY 1";
    assert_eq!(world.db.query(rows), ["acme 1", "globex 2"]);
}
