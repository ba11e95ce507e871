//! Contacts who stopped marketing get none: at every door, in a dry run, and when it becomes due.

use portal_sandbox::{magic_recipient, seed};
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    accepting::call,
    meta::{entry, of_number, tell},
    templates::world_with_templates,
    world::World,
};

const CONTACT: &str = "+1234567000";

/// The contact's choice, as Meta tells it.
async fn choose(world: &World, person: Value, value: &str, at: i64) {
    let mut choice = json!({"category": "marketing_messages", "value": value,
        "detail": "d", "timestamp": at});
    let shown = person.as_object().unwrap().clone();
    choice.as_object_mut().unwrap().extend(shown);
    let change = of_number(
        seed::ACME_PHONE_NUMBER_ID,
        &json!({"user_preferences": [choice]}),
    );
    tell(
        world,
        &[entry(seed::ACME_WABA_ID, "user_preferences", &change)],
    )
    .await;
}

fn coupon(to: &str) -> Value {
    json!({"to": to, "template_name": "coupon", "language": "en_US",
        "parameters": ["25%"], "buttons": [{"index": 0, "coupon_code": "SAVE25"}]})
}

/// The same with all values as Meta has them.
fn whole(to: &str) -> Value {
    json!({"to": to, "type": "template", "template": {
        "name": "coupon", "language": {"code": "en_US"}, "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "25%"}]},
            {"type": "button", "sub_type": "copy_code", "index": "0",
             "parameters": [{"type": "coupon_code", "coupon_code": "SAVE25"}]}]}})
}

fn utility(to: &str) -> Value {
    json!({"to": to, "template_name": "hello_world", "language": "en_US"})
}

async fn send(world: &World, path: &str, body: &Value) -> (StatusCode, Value) {
    let token = world.sisters.token("acme");
    let (status, _, answer) = call(world, &token, path, None, body).await;
    (status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_who_stopped_marketing_gets_none_until_it_is_resumed() {
    let world = world_with_templates().await;
    let person = json!({"wa_id": "1234567000", "user_id": "US.7000"});
    choose(&world, person.clone(), "stop", 1_750_000_000).await;
    for to in [CONTACT, "US.7000"] {
        for (path, body) in [("/send/template", coupon(to)), ("", whole(to))] {
            let (status, answer) = send(&world, path, &body).await;
            assert_eq!(status, StatusCode::CONFLICT, "{answer}");
            assert_eq!(answer["error"]["code"], "MARKETING_STOPPED");
            let (_, dry) = send(&world, &format!("{path}?dry_run=true"), &body).await;
            assert_eq!(dry["errors"], json!([answer["error"]]), "{dry}");
            assert_eq!(dry["template"]["category"], "MARKETING");
        }
    }
    // Also when it is for later, and as one of many; whoever did not stop it gets it.
    let mut later = coupon(CONTACT);
    later["send_at"] = json!(chrono::Utc::now() + chrono::Duration::hours(1));
    let (status, _) = send(&world, "/send/template", &later).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let rows = json!({"messages": [whole(CONTACT), whole("+1234567001")]});
    let (_, answer) = send(&world, "/bulk", &rows).await;
    assert_eq!(
        answer["results"][0]["error"]["code"], "MARKETING_STOPPED",
        "{answer}"
    );
    assert_eq!(answer["results"][1]["status"], "accepted");
    let (status, answer) = send(&world, "/send/template", &utility(CONTACT)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "no marketing: {answer}");

    // An older choice that comes late changes nothing; a newer one does.
    choose(&world, person.clone(), "resume", 1_749_999_999).await;
    let (status, _) = send(&world, "/send/template", &coupon(CONTACT)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    choose(&world, person, "resume", 1_750_000_001).await;
    let (status, answer) = send(&world, "/send/template", &coupon(CONTACT)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_contact_is_another() {
    let world = world_with_templates().await;
    choose(
        &world,
        json!({"wa_id": "1234567000"}),
        "stop",
        1_750_000_000,
    )
    .await;
    let globex = world.sisters.token("globex");
    eventually("globex's templates to be read", async || {
        let path = "/send/template?dry_run=true";
        let (_, _, answer) = call(&world, &globex, path, None, &coupon(CONTACT)).await;
        (answer["template"]["category"] == "MARKETING").then_some(())
    })
    .await;
    let body = coupon(CONTACT);
    let (status, _, answer) = call(&world, &globex, "/send/template", None, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_tells_by_a_failure_is_a_choice_too() {
    let world = world_with_templates().await;
    let told = world.listen("contact.preference_changed").await;
    let token = world.sisters.token("acme");
    let contact = magic_recipient("050", 0);
    let (status, answer) = send(&world, "/send/template", &coupon(&contact)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let id = answer["message_id"].as_str().unwrap();
    let failed = world.reaches(&token, id, "failed").await;
    assert_eq!(failed["error"]["code"], 131_050);
    let event = told.next().await.envelope;
    assert_eq!(
        (&event["data"]["contact"], &event["data"]["value"]),
        (&json!(contact), &json!("stop"))
    );
    let (status, answer) = send(&world, "/send/template", &coupon(&contact)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer["error"]["code"], "MARKETING_STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_after_the_contact_stopped_fails_before_meta_is_asked() {
    let world = world_with_templates().await;
    let token = world.sisters.token("acme");
    let at = chrono::Utc::now() + chrono::Duration::hours(1);
    let mut ids = Vec::new();
    for (path, mut body) in [
        ("/send/template", coupon(CONTACT)),
        ("/send/template", utility(CONTACT)),
        ("/send/template", coupon("+1234567001")),
    ] {
        body["send_at"] = json!(at);
        let (status, answer) = send(&world, path, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        ids.push(answer["message_id"].as_str().unwrap().to_owned());
    }
    choose(
        &world,
        json!({"wa_id": "1234567000"}),
        "stop",
        1_750_000_000,
    )
    .await;
    let failures = world.listen("message.failed").await;
    world
        .db
        .execute("UPDATE messages SET next_attempt_at = now() WHERE status = 'scheduled'");
    let failed = world.reaches(&token, &ids[0], "failed").await;
    assert_eq!(failed["error"]["class"], "marketing_stopped", "{failed}");
    assert_eq!(failed["attempts"], json!([]), "Meta was not asked");
    let event = failures.next().await.envelope;
    assert_eq!(event["data"]["error"]["class"], "marketing_stopped");
    for id in &ids[1..] {
        world.reaches(&token, id, "read").await;
    }
    assert_eq!(world.sandbox.journal().graph_messages().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_looked_at_again_when_its_message_is_due() {
    let world = world_with_templates().await;
    let token = world.sisters.token("acme");
    let at = chrono::Utc::now() + chrono::Duration::hours(1);
    let mut ids = Vec::new();
    for mut body in [
        json!({"to": CONTACT, "template_name": "order_update", "language": "en_US",
               "parameters": ["4711", "Monday"]}),
        json!({"to": CONTACT, "template_name": "order_update", "language": "de",
               "parameters": ["4711", "Montag"]}),
        coupon(CONTACT),
        utility(CONTACT),
    ] {
        body["send_at"] = json!(at);
        let (status, answer) = send(&world, "/send/template", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        ids.push(answer["message_id"].as_str().unwrap().to_owned());
    }
    // As readings and webhooks write it: one is paused, one gone, and one has another variable.
    world.db.execute(
        "UPDATE message_templates SET status = 'PAUSED' \
             WHERE tenant_id = 'acme' AND name = 'order_update' AND language = 'en_US'; \
         UPDATE message_templates SET gone_at = now() \
             WHERE tenant_id = 'acme' AND name = 'coupon'; \
         UPDATE message_templates SET components = \
             '[{\"type\": \"BODY\", \"text\": \"Bestellung {{1}}\"}]' \
             WHERE tenant_id = 'acme' AND name = 'order_update' AND language = 'de'; \
         UPDATE template_syncs SET version = version + 1 WHERE tenant_id = 'acme'",
    );
    eventually("the changes to be known", async || {
        let probe = "/send/template?dry_run=true";
        let (_, answer) = send(&world, probe, &coupon(CONTACT)).await;
        (answer["ok"] == false).then_some(())
    })
    .await;
    world
        .db
        .execute("UPDATE messages SET next_attempt_at = now() WHERE status = 'scheduled'");
    for (id, why) in ids
        .iter()
        .zip(["is paused", "must have 1", "is not a template"])
    {
        let failed = world.reaches(&token, id, "failed").await;
        assert_eq!(failed["error"]["class"], "template_unusable", "{failed}");
        let details = failed["error"]["details"].as_str().unwrap();
        assert!(details.contains(why), "{details}");
        assert_eq!(failed["attempts"], json!([]), "Meta was not asked");
    }
    world.reaches(&token, &ids[3], "read").await;
    assert_eq!(world.sandbox.journal().graph_messages().len(), 1);
}
