//! Tenants' tokens are looked at, warned of and exchanged, with the stand-in of the Graph API.

use chrono::{TimeDelta, Utc};
use portal_sandbox::{Sandbox, SandboxConfig, TokenState, seed};
use portal_test_harness::eventually;
use serde_json::{Value, json};

use crate::world::{World, ok, with_settings};

/// A service that looks at tokens every second and exchanges those that end within so many days.
async fn with_watch(refresh_days: &str, test: impl AsyncFnOnce(&mut World, &Sandbox)) {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let url = sandbox.base_url();
    let settings = [
        ("META__APP_ID", seed::APP_ID),
        ("META__APP_SECRET", seed::APP_SECRET),
        ("META__GRAPH_URL", url.as_str()),
        ("META__TOKEN_INTERVAL_SECONDS", "1"),
        ("META__TOKEN_REFRESH_DAYS", refresh_days),
    ];
    with_settings(&settings, async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let by_hand = json!({
            "waba_id": seed::ACME_WABA_ID, "phone_number_id": seed::ACME_PHONE_NUMBER_ID,
            "display_phone_number": seed::ACME_DISPLAY_PHONE_NUMBER, "access_token": seed::ACME_TOKEN,
        });
        ok(admin.put_whatsapp("acme_corp", by_hand).await, 200).await;
        test(world, &sandbox).await;
    })
    .await;
    sandbox.stop().await;
}

/// Waits until the configuration is shown so.
async fn shown(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let admin = world.admin().await;
    eventually(what, async || {
        let account = ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await;
        is_so(&account).then_some(account)
    })
    .await
}

#[tokio::test]
async fn a_token_is_known_to_work_or_not_before_anybody_uses_it() {
    with_watch("0", async |world, sandbox| {
        shown(world, "the token to be valid", |account| {
            account["token_status"] == "valid"
        })
        .await;
        assert!(sandbox.set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Revoked));
        let dead = shown(world, "it to be invalid", |account| {
            account["token_status"] == "invalid"
        })
        .await;
        assert_eq!(dead["token_error_code"], 190);
        assert!(sandbox.set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Active));
        shown(world, "it to be valid again", |account| {
            account["token_status"] == "valid"
        })
        .await;
        let audited = "SELECT details->>'token_status' FROM audit_log \
                       WHERE action = 'tenant.whatsapp.token_status' ORDER BY seq";
        assert_eq!(world.db.query(audited), ["valid", "invalid", "valid"]);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ends_soon_is_warned_of_once_for_each_step() {
    with_watch("0", async |world, sandbox| {
        let warned = "SELECT token_warned_days FROM tenant_whatsapp_config";
        for (days, step) in [(10, "14"), (5, "7")] {
            let end = (Utc::now() + TimeDelta::days(days)).timestamp();
            assert!(sandbox.set_token_expiry(seed::ACME_TOKEN_NAME, Some(end)));
            eventually("the warning", async || {
                (world.db.query(warned) == [step]).then_some(())
            })
            .await;
        }
        let account = shown(world, "its end", |account| {
            account["token_expires_at"].is_string()
        })
        .await;
        // Nothing was exchanged.
        let refreshed =
            "SELECT count(*) FROM audit_log WHERE action = 'tenant.whatsapp.token_refresh'";
        assert_eq!(world.db.query(refreshed), ["0"], "{account}");
        // A token without an end is no cause for one.
        assert!(sandbox.set_token_expiry(seed::ACME_TOKEN_NAME, None));
        eventually("the warning to be gone", async || {
            (world.db.query(warned) == [""]).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_token_of_our_app_that_ends_soon_is_exchanged() {
    with_watch("21", async |world, sandbox| {
        let fingerprint = "SELECT access_token_fingerprint FROM tenant_whatsapp_config";
        let before = world.db.query(fingerprint);
        let end = (Utc::now() + TimeDelta::days(10)).timestamp();
        assert!(sandbox.set_token_expiry(seed::ACME_TOKEN_NAME, Some(end)));
        let audited = "SELECT details->>'token_fingerprint' FROM audit_log \
                       WHERE action = 'tenant.whatsapp.token_refresh'";
        let new = eventually("the token to be exchanged", async || {
            world.db.query(audited).first().cloned()
        })
        .await;
        assert_ne!(before, [new.as_str()]);
        assert_eq!(world.db.query(fingerprint), [new]);
        // Sisters hear of it, so that nobody goes on with the old one.
        let told =
            "SELECT count(*) FROM outbox_events WHERE routing_key = 'tenant.whatsapp.configured'";
        assert_eq!(world.db.query(told), ["2"]);
        let far = (Utc::now() + TimeDelta::days(50)).to_rfc3339();
        shown(world, "the new end", |account| {
            account["token_status"] == "valid"
                && account["token_expires_at"].as_str() > Some(far.as_str())
        })
        .await;
        world.assert_no_canary_in(&["tenant_whatsapp_config", "outbox_events", "audit_log"]);
    })
    .await;
}
