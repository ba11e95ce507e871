//! Templates of tenants' accounts and their tokens, as Meta has them.

use chrono::Utc;
use portal_sandbox::{TokenState, seed};
use portal_test_harness::eventually;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    meta::{post, sign},
    world::World,
};

const ON: [(&str, &str); 1] = [("TEMPLATES__ENABLED", "true")];

async fn ask(world: &World, method: Method, token: &str, path: &str) -> (StatusCode, Value) {
    let request = world.http.request(method, format!("{}{path}", world.url));
    let response = request.bearer_auth(token).send().await.unwrap();
    let status = response.status();
    (status, response.json().await.unwrap())
}

async fn list(world: &World, query: &str) -> Value {
    let token = world.sisters.token("acme");
    let (status, body) = ask(
        world,
        Method::GET,
        &token,
        &format!("/api/templates{query}"),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

/// The world with acme's templates read.
pub(crate) async fn world_with_templates() -> World {
    let world = World::start_with(&ON).await;
    read_by(&world, "acme").await;
    world
}

async fn read_by(world: &World, tenant: &str) {
    let token = world.sisters.token(tenant);
    eventually("the templates to be read", async || {
        let (_, body) = ask(world, Method::GET, &token, "/api/templates").await;
        (body["sync"]["status"] == "done").then_some(())
    })
    .await;
}

async fn sync(world: &World) -> Value {
    let token = world.sisters.token_as(Role::Supervisor, "acme");
    let (status, body) = ask(world, Method::POST, &token, "/api/templates/sync").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn post_signed(world: &World, body: &str) {
    let signature = sign(seed::APP_SECRET, body);
    assert_eq!(post(world, body, Some(&signature)).await, StatusCode::OK);
}

fn names(body: &Value) -> Vec<&str> {
    let items = body["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

fn status_webhook(name: &str, event: &str, id: u64, at: i64) -> String {
    json!({"object": "whatsapp_business_account", "entry": [{
        "id": seed::ACME_WABA_ID, "time": at, "changes": [{
            "field": "message_template_status_update",
            "value": {"event": event, "message_template_id": id, "message_template_name": name,
                      "message_template_language": "en-US", "reason": null}}]}]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_read_and_listed_with_what_a_send_must_give() {
    let world = world_with_templates().await;
    let all = list(&world, "?limit=100").await;
    assert_eq!(
        all["sync"]["total"],
        world.sandbox.templates(seed::ACME_WABA_ID).len()
    );
    let found = names(&all);
    assert!(
        found.contains(&"order_update") && !found.contains(&"paused_promo"),
        "{found:?}"
    );
    assert_eq!(all["total"], found.len());

    let one = list(&world, "?limit=1&offset=1").await;
    assert_eq!(
        (names(&one), &one["total"]),
        (vec![found[1]], &all["total"])
    );
    assert_eq!(
        names(&list(&world, "?q=ORDER_up").await),
        ["order_update", "order_update"]
    );
    assert_eq!(names(&list(&world, "?q=order%25").await), [""; 0]);
    let german = list(&world, "?language=de&category=utility").await;
    assert_eq!(names(&german), ["hello_world", "order_update"]);
    assert_eq!(
        names(&list(&world, "?status=paused").await),
        ["paused_promo"]
    );
    let any = list(&world, "?status=any&limit=100").await;
    assert_eq!(any["total"], all["sync"]["total"]);

    let token = world.sisters.token("acme");
    let path = "/api/templates/order_update";
    let (_, template) = ask(&world, Method::GET, &token, path).await;
    let languages = template["languages"].as_array().unwrap();
    assert_eq!(
        (&languages[0]["language"], &languages[1]["language"]),
        (&json!("de"), &json!("en_US"))
    );
    let schema = &languages[1]["schema"];
    assert_eq!(schema["parameter_format"], "positional");
    assert_eq!(schema["body"]["variables"][0]["name"], "1");
    assert_eq!(schema["body"]["variables"][0]["example"], "4711");
    assert_eq!(languages[1]["needs_parameters"], true);
    let (_, german) = ask(&world, Method::GET, &token, &format!("{path}?language=de")).await;
    assert_eq!(german["languages"].as_array().unwrap().len(), 1);
    for missing in [
        "/api/templates/none",
        "/api/templates/order_update?language=fr",
    ] {
        let (status, body) = ask(&world, Method::GET, &token, missing).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("TEMPLATE_NOT_FOUND"))
        );
    }
    let (status, body) = ask(&world, Method::GET, &token, "/api/templates?limit=101").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("VALIDATION_FAILED"))
    );
    // The first reading is no news.
    let told = "SELECT count(*) FROM outbox_events WHERE routing_key = 'template.status_changed'";
    assert_eq!(world.db.query(told), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_sees_its_own_and_keys_need_their_scope() {
    let world = world_with_templates().await;
    read_by(&world, "globex").await;
    world
        .db
        .execute("DELETE FROM message_templates WHERE tenant_id = 'acme' AND name = 'coupon'");
    let (_, key) = world.sisters.api_key("globex", &["templates:read"]);
    let (status, _) = ask(&world, Method::GET, &key, "/api/templates/coupon").await;
    assert_eq!(status, StatusCode::OK);
    let (_, own) = world.sisters.api_key("acme", &["templates:read"]);
    let (status, _) = ask(&world, Method::GET, &own, "/api/templates/coupon").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, other) = world.sisters.api_key("acme", &["messages:read"]);
    for path in ["/api/templates", "/api/templates/coupon"] {
        let (status, body) = ask(&world, Method::GET, &other, path).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("SCOPE_MISSING"))
        );
    }
    world
        .sisters
        .change("acme", |profile| profile.whatsapp = None);
    world
        .publish(
            "tenant.updated",
            "acme",
            json!({"tenant_id": "acme", "name": "n", "status": "active", "changed": []}),
        )
        .await;
    eventually("the configuration to be gone", async || {
        let (status, body) = ask(&world, Method::GET, &own, "/api/templates").await;
        (status == StatusCode::CONFLICT && body["error"]["code"] == "WHATSAPP_NOT_CONFIGURED")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_has_them_read_now_and_hears_what_changed() {
    let world = world_with_templates().await;
    let agent = world.sisters.token("acme");
    let (status, _) = ask(&world, Method::POST, &agent, "/api/templates/sync").await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let same = sync(&world).await;
    assert_eq!(
        (&same["status"], &same["updated"], &same["removed"]),
        (&json!("done"), &json!(0), &json!(0))
    );
    let events = world.listen("template.status_changed").await;
    let waba = format!(
        "{}/v25.0/{}/message_templates",
        world.sandbox.base_url(),
        seed::ACME_WABA_ID
    );
    let deleted = world
        .http
        .delete(format!("{waba}?name=coupon"))
        .bearer_auth(seed::ACME_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    let changed = sync(&world).await;
    assert_eq!(
        (&changed["status"], &changed["removed"]),
        (&json!("done"), &json!(1))
    );
    let event = events.next().await;
    assert_eq!(
        event.envelope["data"],
        json!({"tenant_id": "acme", "name": "coupon", "language": "en_US", "status": "DELETED", "reason": null})
    );
    assert!(!names(&list(&world, "?limit=100").await).contains(&"coupon"));
    let again = sync(&world).await;
    assert_eq!(again["removed"], 0);
    let told = "SELECT count(*) FROM outbox_events WHERE routing_key = 'template.status_changed'";
    assert_eq!(world.db.query(told), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reading_says_so_and_the_templates_stay() {
    let world = world_with_templates().await;
    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Revoked);
    let failed = sync(&world).await;
    assert_eq!(
        (&failed["status"], &failed["error_class"]),
        (&json!("failed"), &json!("credential"))
    );
    assert!(names(&list(&world, "?limit=100").await).contains(&"order_update"));
    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Active);
    assert_eq!(sync(&world).await["status"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_change_templates_once_and_unknown_ones_are_asked_for() {
    let world = world_with_templates().await;
    let events = world.listen("template.status_changed").await;
    let at = Utc::now().timestamp() + 1;
    for _ in 0..2 {
        post_signed(&world, &status_webhook("order_update", "PAUSED", 7, at)).await;
    }
    let event = events.next().await;
    assert_eq!(event.envelope["data"]["status"], "PAUSED");
    let paused = eventually("it to be listed", async || {
        let body = list(&world, "?status=paused&q=order").await;
        (body["total"] == 1).then_some(body)
    })
    .await;
    assert_eq!(paused["items"][0]["language"], "en_US");
    // Meta has it as approved: asked for, and told of.
    let real = world.sandbox.templates(seed::ACME_WABA_ID);
    let real = real
        .iter()
        .find(|t| t.name == "order_update" && t.language == "en_US")
        .unwrap();
    let id = real.id.parse().unwrap();
    post_signed(
        &world,
        &status_webhook("order_update", "REINSTATED", id, at + 1),
    )
    .await;
    assert_eq!(events.next().await.envelope["data"]["status"], "APPROVED");
    assert_eq!(list(&world, "?status=paused&q=order").await["total"], 0);

    world
        .db
        .execute("DELETE FROM message_templates WHERE name = 'coupon'");
    let real = world.sandbox.templates(seed::ACME_WABA_ID);
    let id = real
        .iter()
        .find(|t| t.name == "coupon")
        .unwrap()
        .id
        .parse()
        .unwrap();
    post_signed(&world, &status_webhook("coupon", "APPROVED", id, at)).await;
    assert_eq!(events.next().await.envelope["data"]["name"], "coupon");
    eventually("it to be asked for", async || {
        (list(&world, "?q=coupon").await["total"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_is_found_and_told_of_once_and_a_live_one_again() {
    let world = World::start_with(&ON).await;
    let check = "SELECT status FROM token_checks WHERE tenant_id = 'acme'";
    eventually("the token to be tried", async || {
        (world.db.query(check) == ["valid"]).then_some(())
    })
    .await;
    let invalid = world.listen("tenant.whatsapp.token_invalid").await;
    let restored = world.listen("tenant.whatsapp.token_restored").await;
    let try_now = "UPDATE token_checks SET due_at = now()";

    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Revoked);
    world.db.execute(try_now);
    let event = invalid.next().await;
    assert_eq!(
        (
            &event.envelope["tenantid"],
            &event.envelope["data"]["error_code"]
        ),
        (&json!("acme"), &json!(190))
    );
    let hold = "SELECT reason FROM sending_holds WHERE tenant_id = 'acme'";
    assert_eq!(world.db.query(hold), ["credential"]);
    let untried = "SELECT count(*) FROM token_checks WHERE due_at <= now()";
    world.db.execute(try_now);
    eventually("another try", async || {
        (world.db.query(untried) == ["0"]).then_some(())
    })
    .await;

    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Active);
    world.db.execute(try_now);
    assert_eq!(restored.next().await.envelope["tenantid"], "acme");
    assert_eq!(world.db.query(hold), [""; 0]);
    let told = "SELECT routing_key || ' ' || count(*) FROM outbox_events WHERE routing_key LIKE '%token%' GROUP BY routing_key ORDER BY 1";
    assert_eq!(
        world.db.query(told),
        [
            "tenant.whatsapp.token_invalid 1",
            "tenant.whatsapp.token_restored 1"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_account_is_looked_at_at_once() {
    let world = world_with_templates().await;
    world
        .db
        .execute("DELETE FROM message_templates WHERE tenant_id = 'acme'");
    let configured = json!({"tenant_id": "acme", "waba_id": seed::ACME_WABA_ID,
        "phone_number_id": seed::ACME_PHONE_NUMBER_ID, "display_phone_number": "+1"});
    world
        .publish("tenant.whatsapp.configured", "acme", configured)
        .await;
    eventually("the templates to be read", async || {
        (list(&world, "").await["total"] != 0).then_some(())
    })
    .await;
}

async fn send(world: &World, body: Value) -> (StatusCode, Value) {
    let url = format!("{}/api/messages/send/template", world.url);
    let request = world.http.post(url).json(&body);
    let token = world.sisters.token("acme");
    let response = request.bearer_auth(token).send().await.unwrap();
    let status = response.status();
    (status, response.json().await.unwrap())
}

fn bad_fields(body: &Value) -> Vec<&str> {
    let fields = body["error"]["details"].as_array().unwrap();
    fields
        .iter()
        .map(|bad| bad["field"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_would_refuse_is_refused_before_anything_is_stored() {
    let world = world_with_templates().await;
    let good = json!({"to": "+1234567890", "template_name": "order_update", "language": "en_US",
                      "parameters": ["4711", "Monday"]});
    for (change, field) in [
        (json!({"template_name": "order_updat"}), "template.name"),
        (
            json!({"template_name": "paused_promo", "parameters": null}),
            "template.name",
        ),
        (json!({"language": "fr"}), "template.language.code"),
        (
            json!({"parameters": ["4711"]}),
            "template.components[0].parameters",
        ),
        (json!({"parameters": null}), "template.components"),
        (
            json!({"parameters": {"day": "x", "hour": "y"}}),
            "template.components[0].parameters[0].parameter_name",
        ),
    ] {
        let mut body = good.clone();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (status, answer) = send(&world, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{change}: {answer}");
        assert_eq!(bad_fields(&answer)[0], field, "{change}: {answer}");
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
    let (status, answer) = send(&world, good.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let id = answer["message_id"].as_str().unwrap();
    world
        .reaches(&world.sisters.token("acme"), id, "read")
        .await;

    // What a webhook tells is heeded within seconds.
    let at = Utc::now().timestamp() + 1;
    post_signed(&world, &status_webhook("order_update", "PAUSED", 7, at)).await;
    eventually("it to be refused", async || {
        let (status, _) = send(&world, good.clone()).await;
        (status == StatusCode::BAD_REQUEST).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_code_that_is_too_long_is_refused_before_anything_is_stored() {
    let world = world_with_templates().await;
    for name in ["login_code", "login_code_one_tap"] {
        let code = |code: &str| {
            json!({"to": "+1234567890", "template_name": name, "language": "en_US",
                   "parameters": [code], "buttons": [{"index": 0, "url": code}]})
        };
        let (status, answer) = send(&world, code("1234567890123456")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(
            bad_fields(&answer),
            [
                "template.components[1].parameters[0].text",
                "template.components[0].parameters[0].text"
            ]
        );
        assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
        let (_, template) = ask(
            &world,
            Method::GET,
            &world.sisters.token("acme"),
            &format!("/api/templates/{name}"),
        )
        .await;
        let formal = &template["languages"][0]["values_schema"];
        assert_eq!(
            formal["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        let members = &formal["oneOf"][0]["properties"];
        let value = &members["parameters"]["prefixItems"][0]["anyOf"][0];
        assert_eq!(value["maxLength"], 15, "{formal}");
    }
    let code = json!({"to": "+1234567890", "template_name": "login_code", "language": "en_US",
        "parameters": ["123456789012345"], "buttons": [{"index": 0, "url": "123456789012345"}]});
    let (status, answer) = send(&world, code).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let id = answer["message_id"].as_str().unwrap();
    world
        .reaches(&world.sisters.token("acme"), id, "read")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_templates_were_read_meta_decides() {
    let world = World::start().await;
    let (status, answer) = send(
        &world,
        json!({"to": "+1234567890", "template_name": "none_such", "language": "de"}),
    )
    .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let id = answer["message_id"].as_str().unwrap();
    let failed = world
        .reaches(&world.sisters.token("acme"), id, "failed")
        .await;
    assert_eq!(failed["error"]["code"], 132_001);
}
