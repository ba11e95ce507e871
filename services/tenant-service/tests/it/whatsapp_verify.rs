//! Whether a configuration works, as the stand-in of the Graph API says.

use portal_sandbox::{NewWaba, Outage, TokenState, seed};
use serde_json::{Value, json};

use crate::{
    whatsapp_signup::{begin, post, with_meta},
    world::{Admin, ok, refused},
};

const PATH: &str = "/api/tenants/acme_corp/whatsapp/verify";

async fn verify(admin: &Admin<'_>) -> (bool, Vec<String>) {
    let body = ok(post(admin, PATH, json!({})).await, 200).await;
    let line = |check: &Value| {
        let code = check["code"].as_str().map(|code| format!(" {code}"));
        let sign = if check["ok"] == true { "+" } else { "-" };
        format!(
            "{sign}{}{}",
            check["check"].as_str().unwrap(),
            code.unwrap_or_default()
        )
    };
    let lines = body["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect();
    (body["ok"].as_bool().unwrap(), lines)
}

async fn account(admin: &Admin<'_>) -> Value {
    ok(admin.get("/api/tenants/acme_corp/whatsapp").await, 200).await
}

#[tokio::test]
async fn it_says_what_is_missing_and_notes_what_it_learned() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        refused(post(&admin, PATH, json!({})).await, 404, "WHATSAPP_CONFIG_NOT_FOUND").await;
        let nobodys = "/api/tenants/nobody/whatsapp/verify";
        refused(post(&admin, nobodys, json!({})).await, 404, "TENANT_NOT_FOUND").await;
        let by_hand = json!({
            "waba_id": seed::ACME_WABA_ID, "phone_number_id": seed::ACME_PHONE_NUMBER_ID,
            "display_phone_number": seed::ACME_DISPLAY_PHONE_NUMBER, "access_token": seed::ACME_TOKEN,
        });
        ok(admin.put_whatsapp("acme_corp", by_hand.clone()).await, 200).await;
        assert_eq!(account(&admin).await["verified_at"], Value::Null);
        let all = ["+token", "+scopes", "+phone_number", "+registered", "+subscribed"];
        assert_eq!(verify(&admin).await, (true, all.map(str::to_owned).to_vec()));
        let known = account(&admin).await;
        assert_eq!(
            (&known["token_status"], &known["quality_rating"], &known["messaging_limit"], &known["verified_name"]),
            (&json!("valid"), &json!("GREEN"), &json!("TIER_2K"), &json!("Acme Support"))
        );
        assert!(known["verified_at"].is_string());

        sandbox.change_phone(seed::ACME_PHONE_NUMBER_ID, |phone| phone.registered = false);
        let mut waba = sandbox.waba(seed::ACME_WABA_ID).unwrap();
        waba.subscribed = false;
        let token = sandbox.token(seed::ACME_TOKEN_NAME).unwrap();
        sandbox.add_waba(NewWaba { waba, token: token.clone() });
        let (is_ok, checks) = verify(&admin).await;
        assert!(!is_ok);
        assert_eq!(checks[3..], ["-registered NUMBER_NOT_REGISTERED", "-subscribed APP_NOT_SUBSCRIBED"]);

        // An outage says nothing about the token.
        sandbox.set_graph_outage(Outage::Unavailable);
        let (is_ok, checks) = verify(&admin).await;
        assert!(!is_ok && checks.iter().all(|check| check.ends_with("GRAPH_UNAVAILABLE")), "{checks:?}");
        assert_eq!(account(&admin).await["token_status"], "valid");
        sandbox.set_graph_outage(Outage::None);

        assert!(sandbox.set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Expired));
        let (is_ok, checks) = verify(&admin).await;
        assert_eq!((is_ok, checks[0].as_str()), (false, "-token TOKEN_INVALID"));
        let dead = account(&admin).await;
        assert_eq!((&dead["token_status"], &dead["token_error_code"]), (&json!("invalid"), &json!(190)));
        assert!(sandbox.set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Active));
        verify(&admin).await;
        assert_eq!(account(&admin).await["token_status"], "valid");

        // A number of another account.
        let mut wrong = by_hand.clone();
        wrong["phone_number_id"] = json!(seed::GLOBEX_PHONE_NUMBER_ID);
        ok(admin.put_whatsapp("acme_corp", wrong).await, 200).await;
        let (_, checks) = verify(&admin).await;
        assert_eq!(checks[2], "-phone_number PHONE_NUMBER_NOT_IN_WABA");
        let failed = "SELECT details->'failed' FROM audit_log WHERE action = 'tenant.whatsapp.verify' AND outcome = 'failed' ORDER BY seq DESC LIMIT 1";
        assert!(world.db.query(failed)[0].contains("phone_number"));
    })
    .await;
}

#[tokio::test]
async fn a_token_of_another_app_is_tried_without_our_proof() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        let mut token = sandbox.token(seed::ACME_TOKEN_NAME).unwrap();
        token.name = "own-app".to_owned();
        token.value = "EAAofTheTenantsOwnApp".to_owned();
        token.app_id = "399999999999999".to_owned();
        let waba = sandbox.waba(seed::ACME_WABA_ID).unwrap();
        sandbox.add_waba(NewWaba { waba, token });
        let by_hand = json!({
            "waba_id": seed::ACME_WABA_ID, "phone_number_id": seed::ACME_PHONE_NUMBER_ID,
            "display_phone_number": seed::ACME_DISPLAY_PHONE_NUMBER,
            "access_token": "EAAofTheTenantsOwnApp",
        });
        ok(admin.put_whatsapp("acme_corp", by_hand).await, 200).await;
        let (is_ok, checks) = verify(&admin).await;
        assert!(is_ok, "{checks:?}");
        assert_eq!(checks[0], "+token TOKEN_OF_OTHER_APP");
        let calls = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        assert!(
            !calls
                .iter()
                .any(|call| call.query.contains_key("appsecret_proof"))
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_signup_made_passes() {
    with_meta(async |world, sandbox| {
        let admin = world.admin().await;
        begin(&admin, sandbox, seed::FRESH_WABA_ID, json!({})).await;
        let (is_ok, checks) = verify(&admin).await;
        assert!(is_ok, "{checks:?}");
    })
    .await;
}
