//! Secrets planted through a whole run of the three services: none comes out again in logs at level
//! trace, in traces, in events but where the contract has it, or in the bodies of errors.

mod processes;
mod world;

use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::world::{
    ADMIN_EMAIL, ADMIN_PASSWORD, AGENT_EMAIL, AGENT_NAME, API_KEY, CC_SECRET, CONTACT_NAME,
    GRAPH_TOKEN, INBOUND_TEXT, PHONE, PIN, TEXT, WABA, WRONG_PASSWORD, World,
};

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_comes_out_of_a_whole_run() {
    let mut world = World::start().await;
    administrator(&mut world).await;
    let tokens = person(&mut world).await;
    world.tokens_of_genesys();
    messages(&mut world, &tokens).await;
    webhooks(&world).await;
    mistakes(&world, &tokens).await;
    let events = world.events().await;
    let run = world.stop();

    // Everything was caught, or nothing would be proven.
    assert!(run.logs.contains("\"TRACE\""), "logs at level trace");
    for (what, text) in [("logs", &run.logs), ("traces", &run.traces)] {
        assert!(text.contains("acme_corp"), "{what}");
        for service in [
            "tenant-service",
            "agent-portal-service",
            "outbound-message-service",
        ] {
            assert!(text.contains(service), "{service} in the {what}");
        }
    }
    for kind in [
        "tenant.created",
        "user.provisioned",
        "session.started",
        "message.accepted",
        "message.sent",
    ] {
        assert!(
            events.iter().any(|event| event.routing_key == kind),
            "{kind}"
        );
    }
    assert!(run.errors.len() >= 15, "{}", run.errors.len());
    assert!(run.canaries.len() >= 25, "{}", run.canaries.len());

    let mut found = Vec::new();
    for canary in &run.canaries {
        assert!(
            canary.value.len() >= 6,
            "{} can be found by chance",
            canary.name
        );
        if canary.is_in(&run.logs) {
            let line = run.logs.lines().find(|line| canary.is_in(line));
            found.push(format!(
                "{} in a log: {}",
                canary.name,
                line.unwrap_or_default()
            ));
        }
        if canary.is_in(&run.traces) {
            found.push(format!("{} in a trace", canary.name));
        }
        for event in events
            .iter()
            .filter(|event| canary.is_in(&event.envelope.to_string()))
        {
            if !canary.may_be_in_event(&event.routing_key) {
                found.push(format!(
                    "{} in the event {}",
                    canary.name, event.routing_key
                ));
            }
        }
        for body in run.errors.iter().filter(|body| canary.is_in(body)) {
            found.push(format!("{} in an error: {body}", canary.name));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Signs in after a wrong password, enrols a second factor, sets a tenant up.
async fn administrator(world: &mut World) {
    let login = format!("{}/api/admin/auth/login", world.tenants_url);
    for (email, password) in [(ADMIN_EMAIL, WRONG_PASSWORD), (AGENT_EMAIL, WRONG_PASSWORD)] {
        let body = json!({"email": email, "password": password});
        let refused = world.call(Method::POST, &login, "", &body).await;
        assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
    }
    let body = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD});
    let (status, tokens) = world.call(Method::POST, &login, "", &body).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let token = world.plant_from("an administrator's access token", &tokens["accessToken"]);
    if tokens["refreshToken"].is_string() {
        world.plant_from("an administrator's refresh token", &tokens["refreshToken"]);
    }
    world.admin_token = token;

    let (status, factor) = world
        .admin(Method::POST, "/api/admin/me/totp", &json!({}))
        .await;
    assert_eq!(status, StatusCode::OK, "{factor}");
    world.plant_from("a second factor", &factor["secret"]);
    let code = json!({"totp_code": "000000"});
    world
        .admin(Method::POST, "/api/admin/me/totp/confirm", &code)
        .await;

    let tenant = json!({"tenant_id": "acme_corp", "name": "Acme", "genesys_org_id": seed::ACME_ORG_ID,
        "genesys_region": "sandbox"});
    let (status, answer) = world.admin(Method::POST, "/api/tenants", &tenant).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let whatsapp = json!({"waba_id": WABA, "access_token": GRAPH_TOKEN, "phone_number_id": "900000000000002",
        "display_phone_number": "+1 555-010-0009"});
    let path = "/api/tenants/acme_corp/whatsapp";
    let (status, answer) = world.admin(Method::PUT, path, &whatsapp).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let mut typo = whatsapp.clone();
    typo["acces_token"] = GRAPH_TOKEN.into();
    typo["pin"] = PIN.into();
    world.admin(Method::PUT, path, &typo).await;
    typo["access_token"] = json!([GRAPH_TOKEN]);
    world.admin(Method::PUT, path, &typo).await;

    let credentials = json!({"region": "sandbox", "client_id": "canary-cc", "client_secret": CC_SECRET,
        "grant_type": "client_credentials"});
    let path = "/api/tenants/acme_corp/genesys/credentials";
    world.admin(Method::PUT, path, &credentials).await;
    let verify = format!("{path}/verify");
    world.admin(Method::POST, &verify, &json!({})).await;
    let key = json!({"name": "CRM", "scopes": ["messages:send"]});
    let path = "/api/tenants/acme_corp/api-keys";
    let (status, key) = world.admin(Method::POST, path, &key).await;
    if status.is_success() {
        world.plant_from("an API key that was made", &key["key"]);
    }
    let signup = json!({"code": world.sandbox.signup_code(WABA), "waba_id": WABA, "pin": PIN});
    world.plant_from("a code of Embedded Signup", &signup["code"]);
    let path = "/api/tenants/acme_corp/whatsapp/signup";
    world.admin(Method::POST, path, &signup).await;
}

/// What a signed-in person holds.
struct Tokens {
    access: String,
    refresh: String,
}

/// Signs in with Genesys and refreshes; a wrong state, code and refresh token before and after.
async fn person(world: &mut World) -> Tokens {
    let outcome = world.sign_in().await;
    assert_eq!(outcome["type"], "GENESYS_AUTH_SUCCESS", "{outcome}");
    assert_eq!(outcome["agent"]["name"], AGENT_NAME);
    world.plant_from("an access token", &outcome["accessToken"]);
    let first = world.plant_from("a refresh token", &outcome["refreshToken"]);
    let url = format!("{}/api/agents/auth/refresh", world.portal_url);
    let body = json!({"refreshToken": first});
    let (status, tokens) = world.call(Method::POST, &url, "", &body).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let access = world.plant_from("a second access token", &tokens["accessToken"]);
    let refresh = world.plant_from("a rotated refresh token", &tokens["refreshToken"]);
    let changed = refresh.replacen(|c: char| c.is_ascii_lowercase(), "A", 8);
    let body = json!({"refreshToken": changed, "token": first});
    world.call(Method::POST, &url, "", &body).await;
    Tokens { access, refresh }
}

/// A message from 202 to read, and bad ones.
async fn messages(world: &mut World, tokens: &Tokens) {
    let send = format!("{}/api/messages/send", world.messages_url);
    let body = json!({"to": PHONE, "text": TEXT});
    let (status, accepted) = world.call(Method::POST, &send, &tokens.access, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["message_id"].as_str().unwrap();
    let url = format!("{}/api/messages/{id}", world.messages_url);
    eventually("the message to be read", async || {
        let (_, message) = world
            .call(Method::GET, &url, &tokens.access, &Value::Null)
            .await;
        (message["status"] == "read").then_some(())
    })
    .await;
    for bad in [
        json!({"to": format!("{PHONE}x"), "text": TEXT}),
        json!({"to": PHONE, "text": TEXT, "txt": TEXT}),
        json!({"to": {"phone": PHONE}, "text": [TEXT]}),
        json!({"to": PHONE, "text": TEXT, "type": TEXT}),
    ] {
        let (status, _) = world.call(Method::POST, &send, &tokens.access, &bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
    // As another system would, with a key that may or may not be one.
    world
        .call(
            Method::POST,
            &send,
            API_KEY,
            &json!({"to": PHONE, "text": TEXT}),
        )
        .await;
    // Meta refuses the token: the number is held, and the dead token is told of.
    world
        .sandbox
        .set_graph_token(GRAPH_TOKEN, portal_sandbox::TokenState::Revoked);
    world
        .call(
            Method::POST,
            &send,
            &tokens.access,
            &json!({"to": PHONE, "text": TEXT}),
        )
        .await;
    eventually("the dead token to be known", async || {
        let dead = "SELECT count(*) FROM outbox_events WHERE routing_key = 'tenant.whatsapp.token_invalid'";
        (world.db.query(dead) != ["0"]).then_some(())
    })
    .await;
}

/// Meta's door: its verification, an inbound message, and forgeries.
async fn webhooks(world: &World) {
    let inbound = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [{
        "field": "messages", "value": {"messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100009", "phone_number_id": "900000000000002"},
            "contacts": [{"profile": {"name": CONTACT_NAME}, "wa_id": PHONE.trim_start_matches('+')}],
            "messages": [{"from": PHONE.trim_start_matches('+'), "id": "wamid.canary", "timestamp": "1", "type": "text",
                "text": {"body": INBOUND_TEXT}}]}}]}]})
    .to_string();
    assert_eq!(
        world.webhook(&inbound, &world.signature(&inbound)).await,
        StatusCode::OK
    );
    assert_eq!(
        world.webhook(&inbound, "sha256=00").await,
        StatusCode::UNAUTHORIZED
    );
    let cut = inbound.trim_end_matches('}');
    world.webhook(cut, &world.signature(cut)).await;
    let verify = format!(
        "{}/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        world.messages_url
    );
    for (token, expected) in [
        (world::VERIFY_TOKEN, StatusCode::OK),
        (TEXT, StatusCode::FORBIDDEN),
    ] {
        let url = format!("{verify}{token}");
        let (status, _) = world.call(Method::GET, &url, "", &Value::Null).await;
        assert_eq!(status, expected);
    }
    eventually("the webhooks to be applied", async || {
        let waiting = "SELECT count(*) FROM webhook_intake WHERE state = 'pending'";
        (world.db.query(waiting) == ["0"]).then_some(())
    })
    .await;
}

/// Secrets where they do not belong.
async fn mistakes(world: &World, tokens: &Tokens) {
    let profile = format!("{}/api/agents/profile", world.portal_url);
    let sessions = format!("{}/api/agents/auth/sessions", world.portal_url);
    for (url, token) in [
        (&profile, tokens.refresh.as_str()),
        (&profile, world.service_key.as_str()),
        (&profile, API_KEY),
        (
            &format!("{profile}/{}", tokens.access),
            tokens.access.as_str(),
        ),
        (
            &format!("{sessions}/{}", tokens.refresh),
            tokens.access.as_str(),
        ),
        (&format!("{profile}?access_token={}", tokens.access), ""),
        (
            &format!("{}/api/admin/me", world.tenants_url),
            tokens.access.as_str(),
        ),
        (
            &format!("{}/api/tenants/{}", world.tenants_url, world.service_key),
            world.service_key.as_str(),
        ),
        (
            &format!(
                "{}/api/tenants/by-genesys-org/{AGENT_EMAIL}",
                world.tenants_url
            ),
            "",
        ),
        (
            &format!("{}/api/messages/{}", world.messages_url, tokens.access),
            tokens.access.as_str(),
        ),
    ] {
        world.call(Method::GET, url, token, &Value::Null).await;
    }
    // A session that was ended.
    let logout = format!("{}/api/agents/auth/logout", world.portal_url);
    world
        .call(Method::POST, &logout, &tokens.access, &json!({}))
        .await;
    let (status, _) = world
        .call(Method::GET, &profile, &tokens.access, &Value::Null)
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
