//! The main job: an organization's agent signs in with Genesys, and a message leaves through the
//! organization's WhatsApp Business Account.

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::{ServiceRole, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_signs_in_and_a_message_leaves_through_the_organizations_number() {
    let world = Installation::start().await;

    // Test 1 of the migration guide: the tenant of a Genesys organization.
    let lookup = format!(
        "{}/api/tenants/by-genesys-org/{}",
        world.tenants_url,
        seed::ACME_ORG_ID
    );
    let tenant: Value = world
        .http
        .get(&lookup)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(tenant["tenant_id"], "acme_corp");
    assert_eq!(tenant["whatsapp_configured"], true);

    // Test 2: the user is provisioned at the first sign-in.
    let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(status, StatusCode::OK, "{outcome}");
    assert_eq!(outcome["type"], "GENESYS_AUTH_SUCCESS");
    assert_eq!(outcome["agent"]["tenant_id"], "acme_corp");
    assert_eq!(outcome["agent"]["role"], "agent");
    let token = outcome["accessToken"].as_str().unwrap();
    let user = world.db.query(&format!(
        "SELECT tenant_id || ' ' || role FROM genesys_users WHERE genesys_email = '{}'",
        seed::ACME_AGENT
    ));
    assert_eq!(user, ["acme_corp agent"]);

    // Test 3: the organization's account, read-only.
    let (status, whatsapp) = world
        .get(
            &format!("{}/api/agents/whatsapp/status", world.portal_url),
            token,
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{whatsapp}");
    assert_eq!(whatsapp["connected"], true);
    assert_eq!(whatsapp["waba_id"], seed::ACME_WABA_ID);
    assert!(!whatsapp.to_string().contains(seed::ACME_TOKEN));

    // Test 4: a message, from 202 to read.
    let (status, accepted) = world.send(token, "+1234567890").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["message_id"].as_str().unwrap();
    let message = eventually("the message to be read", async || {
        let (_, message) = world.message(token, id).await;
        (message["status"] == "read").then_some(message)
    })
    .await;
    let history: Vec<_> = message["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["status"])
        .collect();
    assert_eq!(history, ["accepted", "sent", "delivered", "read"]);
    assert_eq!(message["sent_by"]["id"], outcome["agent"]["user_id"]);

    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(calls[0].token_name.as_deref(), Some(seed::ACME_TOKEN_NAME));
    events_are_on_the_exchange(&world).await;
    sees_nothing_of_it(&world, id).await;
    let refresh_token = outcome["refreshToken"].as_str().unwrap();
    let dump = dump(&world);
    for secret in [
        seed::ACME_TOKEN,
        seed::CONFIDENTIAL_CLIENT_SECRET,
        token,
        refresh_token,
    ] {
        assert!(
            !dump.contains(secret),
            "a secret lies in clear in the database"
        );
    }
}

async fn events_are_on_the_exchange(world: &Installation) {
    eventually("all events to be confirmed by the broker", async || {
        let waiting = "SELECT count(*) FROM outbox_events WHERE published_at IS NULL";
        (world.db.query(waiting) == ["0"]).then_some(())
    })
    .await;
    let published = world.db.query(
        "SELECT DISTINCT routing_key FROM outbox_events WHERE exchange = 'agent-portal.events' \
         ORDER BY 1",
    );
    for key in [
        "message.accepted",
        "message.delivered",
        "message.read",
        "message.sent",
        "session.started",
        "tenant.created",
        "tenant.whatsapp.configured",
        "user.provisioned",
    ] {
        assert!(
            published.contains(&key.to_owned()),
            "{key} in {published:?}"
        );
    }
}

/// A second tenant's user sees none of it, by API and by SQL as the services' own roles.
async fn sees_nothing_of_it(world: &Installation, id: &str) {
    let stranger = world.token(seed::GLOBEX_AGENT).await;
    assert_eq!(world.message(&stranger, id).await.0, StatusCode::NOT_FOUND);
    let status = format!("{}/api/agents/whatsapp/status", world.portal_url);
    let (_, theirs) = world.get(&status, &stranger).await;
    assert_eq!(theirs["waba_id"], seed::GLOBEX_WABA_ID);
    for (role, table) in [
        (ServiceRole::Outbound, "messages"),
        (ServiceRole::Outbound, "message_status_events"),
        (ServiceRole::AgentPortal, "genesys_users"),
        (ServiceRole::Tenant, "tenant_whatsapp_config"),
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = 'acme_corp'");
        let seen = |tenant| world.db.query_as(role, Some(tenant), &sql).unwrap();
        assert_eq!(seen("globex_inc"), ["0"], "{table}");
        assert_ne!(seen("acme_corp"), ["0"], "{table}");
    }
}

/// Every row of every table as text.
fn dump(world: &Installation) -> String {
    let tables = world.db.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    );
    assert!(tables.len() > 20, "{tables:?}");
    tables
        .iter()
        .flat_map(|table| world.db.query(&format!("SELECT t::text FROM {table} t")))
        // bytea is shown as hex: what it holds must be compared in that form, too.
        .flat_map(|row| [row.clone(), unhex(&row)])
        .collect()
}

fn unhex(row: &str) -> String {
    row.split("\\\\x")
        .skip(1)
        .map(|part| {
            let digits: Vec<char> = part.chars().take_while(char::is_ascii_hexdigit).collect();
            let bytes: Vec<u8> = digits
                .chunks_exact(2)
                .filter_map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok())
                .collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_of_an_organization_here_does_not_get_in() {
    let world = Installation::start().await;
    let (status, outcome) = world.sign_in(seed::INITECH_AGENT).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(outcome["type"], "GENESYS_AUTH_ERROR");
    assert_eq!(
        outcome["error"],
        "Tenant not found for this Genesys organization"
    );

    // Somebody whose Genesys user is linked to another tenant.
    world.token(seed::GLOBEX_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_users SET tenant_id = 'acme_corp' WHERE false");
    let user = world
        .db
        .query("SELECT genesys_user_id FROM genesys_users")
        .remove(0);
    world.db.execute(&format!(
        "DELETE FROM genesys_user_sessions; DELETE FROM genesys_users; \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
         VALUES (gen_random_uuid(), 'acme_corp', '{}', '{user}', 'Moved')",
        seed::ACME_ORG_ID
    ));
    let (status, outcome) = world.sign_in(seed::GLOBEX_AGENT).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(outcome["error"], "User belongs to a different organization");
    assert_eq!(
        world.db.query("SELECT count(*) FROM genesys_user_sessions"),
        ["0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_whatsapp_is_removed_is_told_whom_to_ask() {
    let world = Installation::start().await;
    let token = world.token(seed::ACME_ADMIN).await;
    let (status, _) = world
        .admin(
            Method::DELETE,
            "/api/tenants/acme_corp/whatsapp",
            &json!({}),
        )
        .await;
    assert!(status.is_success(), "{status}");
    let refused = eventually("the removal to be known", async || {
        let (status, answer) = world.send(&token, "+1234567890").await;
        (status == StatusCode::CONFLICT).then_some(answer)
    })
    .await;
    assert_eq!(refused["error"]["code"], "WHATSAPP_NOT_CONFIGURED");
    let status_url = format!("{}/api/agents/whatsapp/status", world.portal_url);
    let answer = eventually("the portal to know", async || {
        let (_, answer) = world.get(&status_url, &token).await;
        (answer["connected"] == false).then_some(answer)
    })
    .await;
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.starts_with("WhatsApp not configured for your organization"),
        "{message}"
    );
}
