//! Embedded Signup against the stand-in of the Graph API: all the way, each way to fail, and each
//! state to continue from.

use std::time::Duration;

use portal_sandbox::{Outage, Sandbox, SandboxConfig, seed};
use portal_vault::{Vault, places};
use reqwest::{Method, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{
    Admin, VAULT_KEYS, World, bad_fields, ok, refused, whatsapp_body, with_settings,
};

const PATH: &str = "/api/tenants/acme_corp/whatsapp/signup";
const CONTINUE: &str = "/api/tenants/acme_corp/whatsapp/signup/continue";

/// A service with a Meta app, its Graph API, and two tenants.
pub(crate) async fn with_meta(test: impl AsyncFnOnce(&mut World, &Sandbox)) {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let url = sandbox.base_url();
    let settings = [
        ("META__APP_ID", seed::APP_ID),
        ("META__APP_SECRET", seed::APP_SECRET),
        ("META__CONFIG_ID", seed::SIGNUP_CONFIG_ID),
        ("META__GRAPH_URL", url.as_str()),
        ("META__TIMEOUT_MS", "2000"),
    ];
    with_settings(&settings, async |world| {
        world.admin().await.two_tenants().await;
        test(world, &sandbox).await;
    })
    .await;
    sandbox.stop().await;
}

pub(crate) async fn post(admin: &Admin<'_>, path: &str, body: Value) -> Response {
    admin.send(Method::POST, path, Some(body)).await
}

/// Begins with a fresh code.
pub(crate) async fn begin(
    admin: &Admin<'_>,
    sandbox: &Sandbox,
    waba_id: &str,
    more: Value,
) -> Value {
    let mut body = json!({"code": sandbox.signup_code(waba_id), "waba_id": waba_id});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    ok(post(admin, PATH, body).await, 200).await
}

async fn go_on(admin: &Admin<'_>, body: Value) -> Value {
    ok(post(admin, CONTINUE, body).await, 200).await
}

/// The steps of an answer as "step status code".
fn steps(signup: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = signup["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| {
            let line = [&step["step"], &step["status"], &step["code"]]
                .map(text)
                .join(" ");
            line.trim_end().to_owned()
        })
        .collect()
}

fn last(signup: &Value) -> String {
    steps(signup).pop().unwrap()
}

const UP_TO_REGISTER: [&str; 4] = [
    "exchange_code done",
    "check_token done",
    "choose_number done",
    "subscribe done",
];

fn secrets_of_rows(world: &World) -> Vec<String> {
    world.db.query(
        "SELECT coalesce(length(access_token), 0) + coalesce(length(pin), 0) || coalesce(test_recipient, '') \
         FROM whatsapp_signups",
    )
}

#[tokio::test]
async fn from_a_code_to_a_tenant_that_sends() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let settings = ok(admin.get("/api/tenants/acme_corp/whatsapp/signup-settings").await, 200).await;
        assert_eq!(settings, json!({
            "available": true, "app_id": seed::APP_ID, "config_id": seed::SIGNUP_CONFIG_ID,
            "graph_version": "v25.0", "sdk_url": "https://connect.facebook.net/en_US/sdk.js",
        }));
        refused(admin.get(PATH).await, 404, "SIGNUP_NOT_FOUND").await;
        let more = json!({"business_id": seed::BUSINESS_ID, "test_recipient": "+14155550199"});
        let signup = begin(&admin, sandbox, seed::FRESH_WABA_ID, more).await;
        assert_eq!(steps(&signup)[..4], UP_TO_REGISTER);
        assert_eq!(steps(&signup)[4..], ["register done", "save done", "test_send done"]);
        assert_eq!(
            (&signup["status"], &signup["next"], &signup["phone_number_id"]),
            (&json!("completed"), &Value::Null, &json!(seed::FRESH_PHONE_NUMBER_ID))
        );
        assert_eq!(ok(admin.get(PATH).await, 200).await, signup);
        assert_eq!(go_on(&admin, json!({})).await, signup, "completed stays as it is");

        let account = ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await;
        for (field, value) in [
            ("waba_id", json!(seed::FRESH_WABA_ID)),
            ("business_id", json!(seed::BUSINESS_ID)),
            ("display_phone_number", json!("+15550100011")),
            ("token_status", json!("valid")),
            ("verified_name", json!("Initech Help")),
            ("quality_rating", json!("GREEN")),
            ("has_pin", json!(true)),
            ("token_expires_at", Value::Null),
        ] {
            assert_eq!(account[field], value, "{field}");
        }
        assert!(account["verified_at"].is_string());
        // Meta has what we keep, and the signup keeps nothing.
        let row = world.db.query("SELECT config_id || ' ' || encode(pin, 'hex') FROM tenant_whatsapp_config").remove(0);
        let (config_id, sealed) = row.split_once(' ').unwrap();
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
        let pin = vault.open(&places::WHATSAPP_PIN.of("acme_corp", config_id), &hex::decode(sealed).unwrap()).unwrap();
        let phone = sandbox.phone(seed::FRESH_PHONE_NUMBER_ID).unwrap();
        assert!(phone.registered && sandbox.waba(seed::FRESH_WABA_ID).unwrap().subscribed);
        assert_eq!(phone.pin.as_deref(), Some(pin.expose_secret()));
        assert_eq!(secrets_of_rows(world), ["0"]);
        let sent = sandbox.journal().accepted_messages();
        assert_eq!(sent.len(), 1);
        // Every call with the token is proven by the app's secret.
        let with_token = sandbox.journal().entries(&portal_sandbox::Filter::default());
        let with_token = with_token.iter().filter(|call| {
            let name = call.token.as_ref().and_then(|token| token.name.as_deref());
            name.is_some_and(|name| name.starts_with("signup-"))
        });
        assert!(with_token.clone().count() >= 4);
        assert!(with_token.clone().all(|call| call.query.contains_key("appsecret_proof")));

        let events = world.db.query("SELECT payload->'data'->>'waba_id' FROM outbox_events WHERE routing_key = 'tenant.whatsapp.configured'");
        assert_eq!(events, [seed::FRESH_WABA_ID]);
        let actions = world.db.query("SELECT action FROM audit_log WHERE tenant_id = 'acme_corp' AND action LIKE 'tenant.whatsapp%' ORDER BY seq");
        assert_eq!(actions, ["tenant.whatsapp.signup.begin", "tenant.whatsapp.write", "tenant.whatsapp.signup.run"]);
        for table in ["whatsapp_signups", "tenant_whatsapp_config", "audit_log", "outbox_events"] {
            let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%EAASANDBOX%' OR t::text LIKE '%{}%'", pin.expose_secret());
            assert_eq!(world.db.query(&sql), ["0"], "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn codes_and_tokens_that_do_not_fit_end_it_with_a_reason() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let used = sandbox.signup_code(seed::FRESH_WABA_ID);
        let spent = json!({"code": used, "waba_id": seed::TWO_STEP_WABA_ID});
        let foreign = ok(post(&admin, PATH, spent).await, 200).await;
        assert_eq!(steps(&foreign), ["exchange_code done", "check_token failed WABA_NOT_GRANTED"]);
        let expired = sandbox.signup_code(seed::FRESH_WABA_ID);
        sandbox.expire_signup_codes();
        let messaging = ["whatsapp_business_messaging"];
        let half = sandbox.signup_code_with_scopes(seed::FRESH_WABA_ID, &messaging);
        for (code, expected) in [
            (used, "exchange_code failed CODE_USED"),
            (expired, "exchange_code failed CODE_EXPIRED"),
            ("nonsense".to_owned(), "exchange_code failed CODE_INVALID"),
            (half, "check_token failed SCOPE_MISSING"),
        ] {
            let body = json!({"code": code, "waba_id": seed::FRESH_WABA_ID});
            let signup = ok(post(&admin, PATH, body).await, 200).await;
            assert_eq!(last(&signup), expected);
            assert_eq!(signup["next"], json!({"action": "sign_up_again"}));
            let again = go_on(&admin, json!({})).await;
            assert_eq!((last(&again), &again["next"]), (expected.to_owned(), &signup["next"]));
        }
        assert!(!sandbox.waba(seed::FRESH_WABA_ID).unwrap().subscribed);
        refused(admin.get("/api/tenants/acme_corp/whatsapp").await, 404, "WHATSAPP_CONFIG_NOT_FOUND").await;
        // The last one is open; all before it were given up for the next and keep nothing.
        let states = world.db.query("SELECT status || coalesce(length(access_token), 0)::bool FROM whatsapp_signups ORDER BY created_at");
        assert_eq!(states, ["abandonedfalse", "abandonedfalse", "abandonedfalse", "abandonedfalse", "opentrue"]);
        let gone = admin.delete(PATH).await;
        assert_eq!(gone.status(), 204);
        refused(admin.delete(PATH).await, 404, "SIGNUP_NOT_FOUND").await;
        refused(post(&admin, CONTINUE, json!({})).await, 409, "SIGNUP_ENDED").await;
        assert_eq!(ok(admin.get(PATH).await, 200).await["status"], "abandoned");
        assert!(secrets_of_rows(world).iter().all(|row| row == "0"));
    })
    .await;
}

#[tokio::test]
async fn a_number_is_chosen_by_a_person_where_there_are_two() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let waba = seed::TWO_NUMBERS_WABA_ID;
        let signup = begin(&admin, sandbox, waba, json!({"pin": "424242"})).await;
        assert_eq!(last(&signup), "choose_number waiting CHOOSE_NUMBER");
        assert_eq!(
            signup["next"],
            json!({"action": "choose_number", "fields": ["phone_number_id"]})
        );
        let numbers = signup["numbers"].as_array().unwrap();
        assert_eq!(numbers.len(), 2);
        assert_eq!(
            numbers[0],
            json!({"phone_number_id": seed::FIRST_PHONE_NUMBER_ID,
            "display_phone_number": "+1 555-010-0012", "verified_name": "Twin North"})
        );
        // One that the browser made up, or somebody else's, is none of the account's.
        let foreign = go_on(
            &admin,
            json!({"phone_number_id": seed::ACME_PHONE_NUMBER_ID}),
        )
        .await;
        assert_eq!(
            last(&foreign),
            "choose_number failed PHONE_NUMBER_NOT_IN_WABA"
        );
        assert_eq!(foreign["next"]["action"], "choose_number");
        let done = go_on(
            &admin,
            json!({"phone_number_id": seed::SECOND_PHONE_NUMBER_ID}),
        )
        .await;
        assert_eq!(
            (&done["status"], last(&done).as_str()),
            (&json!("completed"), "test_send skipped NO_RECIPIENT")
        );
        assert!(
            sandbox
                .phone(seed::SECOND_PHONE_NUMBER_ID)
                .unwrap()
                .registered
        );
        assert!(
            !sandbox
                .phone(seed::FIRST_PHONE_NUMBER_ID)
                .unwrap()
                .registered
        );
    })
    .await;
}

#[tokio::test]
async fn the_pin_that_a_number_has_is_asked_for() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let signup = begin(
            &admin,
            sandbox,
            seed::TWO_STEP_WABA_ID,
            json!({"pin": "000000"}),
        )
        .await;
        assert_eq!(steps(&signup)[..4], UP_TO_REGISTER);
        assert_eq!(last(&signup), "register waiting PIN_NEEDED");
        assert_eq!(
            signup["next"],
            json!({"action": "give_pin", "fields": ["pin"]})
        );
        let stored = "SELECT pin IS NULL FROM whatsapp_signups";
        assert_eq!(world.db.query(stored), ["true"], "a wrong PIN is not kept");
        assert_eq!(
            bad_fields(post(&admin, CONTINUE, json!({"pin": "12345"})).await).await,
            ["pin"]
        );
        let guessed = go_on(&admin, json!({})).await;
        assert_eq!(last(&guessed), "register waiting PIN_NEEDED");
        let calls = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        let tried = calls.iter().filter(|call| call.path.ends_with("/register"));
        assert_eq!(tried.count(), 1, "nothing is guessed");
        let done = go_on(&admin, json!({"pin": seed::TWO_STEP_PIN})).await;
        assert_eq!(done["status"], "completed");
        assert_eq!(done["steps"].as_array().unwrap().len(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_number_of_the_business_app_is_not_registered_and_a_taken_account_not_saved() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let mut theirs = whatsapp_body(2);
        theirs["waba_id"] = json!(seed::COEXISTENCE_WABA_ID);
        ok(admin.put_whatsapp("globex", theirs.clone()).await, 200).await;
        let signup = begin(&admin, sandbox, seed::COEXISTENCE_WABA_ID, json!({})).await;
        assert_eq!(
            steps(&signup)[4..],
            ["register skipped COEXISTENCE", "save failed WABA_TAKEN"]
        );
        assert_eq!(signup["next"], json!({"action": "retry"}));
        theirs["waba_id"] = json!("1");
        theirs["phone_number_id"] = json!(seed::COEXISTENCE_PHONE_NUMBER_ID);
        ok(admin.put_whatsapp("globex", theirs).await, 200).await;
        assert_eq!(
            last(&go_on(&admin, json!({})).await),
            "save failed PHONE_NUMBER_TAKEN"
        );
        refused(
            admin.get("/api/tenants/acme_corp/whatsapp").await,
            404,
            "WHATSAPP_CONFIG_NOT_FOUND",
        )
        .await;
        let gone = admin.delete("/api/tenants/globex/whatsapp").await;
        assert_eq!(gone.status(), 204);
        let done = go_on(&admin, json!({})).await;
        assert_eq!(done["status"], "completed");
        let account = ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await;
        assert_eq!(account["has_pin"], false);
        let registered = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        assert!(
            !registered
                .iter()
                .any(|call| call.path.ends_with("/register"))
        );
    })
    .await;
}

#[tokio::test]
async fn after_an_outage_at_any_step_it_goes_on_there() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        sandbox.set_failing_graph_edges(&["access_token"]);
        let signup = begin(&admin, sandbox, seed::FRESH_WABA_ID, json!({})).await;
        assert_eq!(last(&signup), "exchange_code failed GRAPH_UNAVAILABLE");
        assert_eq!(
            signup["next"]["action"], "sign_up_again",
            "the code is too old by now"
        );
        for (edge, step) in [
            ("debug_token", "check_token"),
            ("phone_numbers", "choose_number"),
            ("subscribed_apps", "subscribe"),
            ("register", "register"),
        ] {
            sandbox.set_failing_graph_edges(&[edge]);
            let signup = if edge == "debug_token" {
                begin(&admin, sandbox, seed::FRESH_WABA_ID, json!({})).await
            } else {
                go_on(&admin, json!({})).await
            };
            assert_eq!(last(&signup), format!("{step} failed GRAPH_UNAVAILABLE"));
            assert_eq!(signup["next"], json!({"action": "retry"}));
        }
        let pin = "SELECT encode(pin, 'hex') FROM whatsapp_signups WHERE status = 'open'";
        let made = world.db.query(pin);
        sandbox.set_graph_outage(Outage::Drop);
        assert_eq!(
            last(&go_on(&admin, json!({})).await),
            "register failed GRAPH_UNAVAILABLE"
        );
        assert_eq!(world.db.query(pin), made, "one PIN for all attempts");
        sandbox.set_graph_outage(Outage::None);
        sandbox.set_failing_graph_edges(&["messages"]);
        // A test that goes wrong undoes nothing.
        let done = go_on(&admin, json!({"test_recipient": "+14155550199"})).await;
        assert_eq!(
            (&done["status"], last(&done).as_str()),
            (&json!("completed"), "test_send failed GRAPH_UNAVAILABLE")
        );
        ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await;
        let exchanges = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        let exchanges = exchanges
            .iter()
            .filter(|call| call.path.ends_with("/access_token"));
        assert_eq!(exchanges.count(), 2);
    })
    .await;
}

/// A process that dies leaves the verdicts of the steps before and a lease that runs out; what it had
/// asked of Meta may have been done.
#[tokio::test]
async fn after_a_crash_before_any_verdict_it_goes_on_there() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let waba = seed::FRESH_WABA_ID;
        // Up to registration, with everything at Meta done.
        sandbox.set_failing_graph_edges(&["messages"]);
        for kept in 1..=5 {
            // Registered: its verdict is the one that was lost. The PIN is kept from before.
            sandbox.change_phone(seed::FRESH_PHONE_NUMBER_ID, |phone| phone.pin = None);
            theirs_first(world);
            let begun = begin(&admin, sandbox, waba, json!({})).await;
            assert_eq!(last(&begun), "save failed WABA_TAKEN", "{begun}");
            world.db.execute("DELETE FROM tenant_whatsapp_config");
            world.db.execute(&format!(
                "UPDATE whatsapp_signups SET lease_until = now() + interval '1 minute', \
                 steps = (SELECT jsonb_agg(s) FROM jsonb_array_elements(steps) WITH ORDINALITY e(s, n) WHERE n <= {kept}) \
                 WHERE status = 'open'"
            ));
            refused(post(&admin, CONTINUE, json!({})).await, 409, "SIGNUP_BUSY").await;
            let code = sandbox.signup_code(waba);
            let other = json!({"code": code, "waba_id": waba});
            refused(post(&admin, PATH, other).await, 409, "SIGNUP_BUSY").await;
            world.db.execute("UPDATE whatsapp_signups SET lease_until = now() - interval '1 second' WHERE status = 'open'");
            let done = go_on(&admin, json!({})).await;
            assert_eq!(done["status"], "completed", "{kept}: {done}");
            assert_eq!(done["steps"].as_array().unwrap().len(), 7);
            world.db.execute("DELETE FROM tenant_whatsapp_config");
        }
        // Died with the code in hand.
        world.db.execute("DELETE FROM whatsapp_signups");
        world.db.execute(&format!("INSERT INTO whatsapp_signups (signup_id, tenant_id, waba_id, created_by) VALUES (gen_random_uuid(), 'acme_corp', '{waba}', 'x')"));
        let lost = go_on(&admin, json!({})).await;
        assert_eq!((last(&lost).as_str(), &lost["next"]["action"]), ("exchange_code failed CODE_LOST", &json!("sign_up_again")));
    })
    .await;
}

#[tokio::test]
async fn after_a_crash_behind_the_save_only_the_test_message_is_left() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let waba = seed::FRESH_WABA_ID;
        begin(&admin, sandbox, waba, json!({})).await;
        let configured =
            "SELECT count(*) FROM outbox_events WHERE routing_key = 'tenant.whatsapp.configured'";
        assert_eq!(world.db.query(configured), ["1"]);
        // The row as it was right after the save.
        let signup_id = world
            .db
            .query("SELECT signup_id FROM whatsapp_signups")
            .remove(0);
        let token = sandbox.token(&format!("signup-{waba}")).unwrap().value;
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
        let place = places::SIGNUP_TOKEN.of("acme_corp", &signup_id);
        let sealed = hex::encode(vault.seal(&place, &token.into()).unwrap());
        world.db.execute(&format!(
            "UPDATE whatsapp_signups SET status = 'open', access_token = '\\x{sealed}', \
             test_recipient = '+14155550199', steps = steps - 6"
        ));
        let open = ok(admin.get(PATH).await, 200).await;
        assert_eq!(
            (last(&open).as_str(), &open["next"]),
            ("save done", &json!({"action": "retry"}))
        );
        let done = go_on(&admin, json!({})).await;
        assert_eq!(
            (&done["status"], last(&done).as_str()),
            (&json!("completed"), "test_send done")
        );
        assert_eq!(world.db.query(configured), ["1"], "saved once");
        assert_eq!(sandbox.journal().accepted_messages().len(), 1);
        assert_eq!(secrets_of_rows(world), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn given_up_while_it_runs_it_stops_and_saves_nothing() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        sandbox.set_graph_latency(Duration::from_millis(120));
        let code = sandbox.signup_code(seed::FRESH_WABA_ID);
        let body = json!({"code": code, "waba_id": seed::FRESH_WABA_ID});
        let (running, ()) = futures_util::future::join(post(&admin, PATH, body), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(admin.delete(PATH).await.status(), 204);
        })
        .await;
        refused(running, 409, "SIGNUP_BUSY").await;
        refused(
            admin.get("/api/tenants/acme_corp/whatsapp").await,
            404,
            "WHATSAPP_CONFIG_NOT_FOUND",
        )
        .await;
        assert_eq!(secrets_of_rows(world), ["0"]);
        assert_eq!(ok(admin.get(PATH).await, 200).await["status"], "abandoned");
    })
    .await;
}

/// Another tenant has the account, so that a signup stops before it saves.
fn theirs_first(world: &World) {
    world.db.execute(&format!(
        "INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, access_token, access_token_last4, access_token_fingerprint) \
         VALUES (gen_random_uuid(), 'globex', '{}', '\\x00', 'x', 'x')",
        seed::FRESH_WABA_ID
    ));
}

#[tokio::test]
async fn of_two_who_go_on_at_once_one_does() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        begin(&admin, sandbox, seed::TWO_STEP_WABA_ID, json!({})).await;
        sandbox.set_graph_latency(Duration::from_millis(150));
        let pin = json!({"pin": seed::TWO_STEP_PIN});
        let calls = (0..6).map(|_| post(&admin, CONTINUE, pin.clone()));
        let answers = futures_util::future::join_all(calls).await;
        let mut statuses: Vec<u16> = answers
            .iter()
            .map(|answer| answer.status().as_u16())
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
        let calls = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        let good = calls
            .iter()
            .filter(|call| call.path.ends_with("/register") && call.status == Some(200));
        assert_eq!(good.count(), 1);
        assert_eq!(ok(admin.get(PATH).await, 200).await["status"], "completed");
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_goes_away_costs_nothing() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        sandbox.set_graph_latency(Duration::from_millis(100));
        let code = sandbox.signup_code(seed::FRESH_WABA_ID);
        let body = json!({"code": code, "waba_id": seed::FRESH_WABA_ID});
        let gone = tokio::time::timeout(Duration::from_millis(150), post(&admin, PATH, body)).await;
        assert!(gone.is_err(), "answered too soon to go away");
        let signup = portal_test_harness::eventually("the signup is completed", async || {
            let signup = ok(admin.get(PATH).await, 200).await;
            (signup["status"] == "completed").then_some(signup)
        })
        .await;
        assert_eq!(signup["steps"].as_array().unwrap().len(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_signup_is_its_tenants_and_bad_fields_are_named() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        begin(&admin, sandbox, seed::TWO_NUMBERS_WABA_ID, json!({})).await;
        let theirs = "/api/tenants/globex/whatsapp/signup";
        refused(admin.get(theirs).await, 404, "SIGNUP_NOT_FOUND").await;
        refused(admin.delete(theirs).await, 404, "SIGNUP_NOT_FOUND").await;
        let go_on = format!("{theirs}/continue");
        refused(post(&admin, &go_on, json!({})).await, 404, "SIGNUP_NOT_FOUND").await;
        assert_eq!(ok(admin.get(PATH).await, 200).await["status"], "open");
        for path in ["whatsapp/signup", "whatsapp/signup-settings"] {
            let nobodys = format!("/api/tenants/nobody/{path}");
            refused(admin.get(&nobodys).await, 404, "TENANT_NOT_FOUND").await;
        }
        let bad = json!({"code": "with space", "waba_id": "1/2", "phone_number_id": "", "business_id": "?",
                         "pin": "12a456", "test_recipient": "nobody"});
        assert_eq!(
            bad_fields(post(&admin, PATH, bad).await).await,
            ["business_id", "code", "phone_number_id", "pin", "test_recipient", "waba_id"]
        );
        let body = json!({"code": "AQ", "waba_id": "1"});
        refused(post(&admin, "/api/tenants/nobody/whatsapp/signup", body.clone()).await, 404, "TENANT_NOT_FOUND").await;
        assert_eq!(admin.delete("/api/tenants/globex").await.status(), 204);
        refused(post(&admin, theirs, body).await, 409, "TENANT_DELETED").await;
    })
    .await;
}

#[tokio::test]
async fn without_an_app_organizations_are_configured_by_hand() {
    with_settings(&[], async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let settings = ok(
            admin
                .get("/api/tenants/acme_corp/whatsapp/signup-settings")
                .await,
            200,
        )
        .await;
        assert_eq!(
            (&settings["available"], &settings["app_id"]),
            (&json!(false), &Value::Null)
        );
        let body = json!({"code": "AQ", "waba_id": "1"});
        refused(
            post(&admin, PATH, body).await,
            409,
            "EMBEDDED_SIGNUP_NOT_CONFIGURED",
        )
        .await;
        refused(
            post(&admin, CONTINUE, json!({})).await,
            409,
            "EMBEDDED_SIGNUP_NOT_CONFIGURED",
        )
        .await;
        let mut by_hand = whatsapp_body(1);
        by_hand["pin"] = json!("123456");
        assert_eq!(
            ok(admin.put_whatsapp("acme_corp", by_hand.clone()).await, 200).await["has_pin"],
            true
        );
        by_hand.as_object_mut().unwrap().remove("pin");
        assert_eq!(
            ok(admin.put_whatsapp("acme_corp", by_hand.clone()).await, 200).await["has_pin"],
            true
        );
        by_hand["phone_number_id"] = json!("99");
        assert_eq!(
            ok(admin.put_whatsapp("acme_corp", by_hand.clone()).await, 200).await["has_pin"],
            false
        );
        by_hand["pin"] = json!("1");
        assert_eq!(
            bad_fields(admin.put_whatsapp("acme_corp", by_hand).await).await,
            ["pin"]
        );
    })
    .await;
}
