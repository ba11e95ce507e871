//! Who does not come in, what they are told, and that nothing is left of it.

use portal_sandbox::{Outage, seed};
use portal_tenant_client::TenantStatus;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    browser::{Answer, GATEWAY, PORTAL},
    directory::tenant,
    world::World,
};

/// Nobody was let in: the page says so with the right status, code and sentence, the opener (if
/// any) is told, and there is neither person nor session nor event.
fn refused(world: &World, page: &Answer, status: u16, code: &str, sentence: &str) {
    assert_eq!(page.status.as_u16(), status, "{code}: {}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.contains(code), "{code}: {}", page.body);
    let told = &page.outcome()["message"];
    if !told.is_null() {
        assert_eq!(told["type"], "GENESYS_AUTH_ERROR");
        assert_eq!(told["error"].as_str().unwrap(), sentence);
        assert_eq!(told.as_object().unwrap().len(), 2);
    }
    assert!(
        page.body.contains(sentence.trim_end_matches('.')),
        "{sentence}: {}",
        page.body
    );
    assert_eq!(world.footprint(), "0 0 0", "{code}");
}

/// The one line of the audit log.
fn audit(world: &World) -> (String, Value) {
    let line =
        world.value("SELECT concat_ws('|', tenant_id, actor_kind, action, outcome) FROM audit_log");
    let details = world.value("SELECT details FROM audit_log");
    (line, serde_json::from_str(&details).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_unknown_or_missing_is_refused() {
    let world = World::start().await;
    let sentence =
        "This sign-in has been finished already, or took longer than 10 minutes; sign in again.";
    for query in [
        "code=x&state=made-up",
        "code=x",
        "error=access_denied",
        "",
        "code=x&state=a&state=b",
    ] {
        let page = world
            .browser()
            .get(&format!("{GATEWAY}/api/agents/auth/callback?{query}"))
            .await;
        refused(&world, &page, 400, "LOGIN_STATE_UNKNOWN", sentence);
        assert_eq!(
            page.outcome(),
            json!({"targetOrigin": null, "message": null})
        );
    }
    let calls = world
        .sandbox
        .journal()
        .of_kind(portal_sandbox::Kind::Genesys);
    assert!(
        calls.is_empty(),
        "Genesys is not asked about a state that is not ours"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_works_once() {
    let world = World::start().await;
    let browser = world.browser();
    let callback = world
        .to_callback(&browser, "login_hint=agent@acme.example")
        .await;
    assert_eq!(browser.get(&callback).await.status, StatusCode::OK);
    let before = world.footprint();
    let again = browser.get(&callback).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.body.contains("LOGIN_STATE_UNKNOWN"));
    assert_eq!(world.footprint(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_another_browser_is_refused_and_used_up() {
    let world = World::start().await;
    let attacker = world.browser();
    let callback = world
        .to_callback(&attacker, "login_hint=agent@acme.example")
        .await;
    let sentence = "This sign-in was begun in another browser; sign in again in this one.";
    let victim = world.browser();
    let page = victim.get(&callback).await;
    refused(&world, &page, 403, "LOGIN_STATE_FOREIGN", sentence);
    assert_eq!(page.outcome()["targetOrigin"], Value::Null);
    let page = attacker.get(&callback).await;
    refused(
        &world,
        &page,
        400,
        "LOGIN_STATE_UNKNOWN",
        "This sign-in has been finished already",
    );

    // A cookie of a sign-in of one's own does not fit either.
    let callback = world
        .to_callback(&attacker, "login_hint=agent@acme.example")
        .await;
    world
        .to_callback(&victim, "login_hint=agent@globex.example")
        .await;
    let page = victim.get(&callback).await;
    refused(&world, &page, 403, "LOGIN_STATE_FOREIGN", sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_genesys_does_not_take_is_refused() {
    let world = World::start().await;
    let browser = world.browser();
    let sentence = "Genesys Cloud did not accept the sign-in code; sign in again.";
    let swap_code = |callback: String, code: &str| {
        let mut url: url::Url = callback.parse().unwrap();
        let state = crate::browser::parameter(&url, "state").unwrap();
        url.query_pairs_mut()
            .clear()
            .append_pair("code", code)
            .append_pair("state", &state);
        url.to_string()
    };
    // Made up.
    let callback = world
        .to_callback(&browser, "login_hint=agent@acme.example")
        .await;
    let page = browser.get(&swap_code(callback, "made-up")).await;
    refused(&world, &page, 400, "GENESYS_CODE_REFUSED", sentence);
    // Somebody else's: its challenge does not fit our verifier.
    let other = world.browser();
    let theirs = world
        .to_callback(&other, "login_hint=admin@acme.example")
        .await;
    let stolen = crate::browser::parameter(&theirs.parse().unwrap(), "code").unwrap();
    let callback = world
        .to_callback(&browser, "login_hint=agent@acme.example")
        .await;
    let page = browser.get(&swap_code(callback, &stolen)).await;
    refused(&world, &page, 400, "GENESYS_CODE_REFUSED", sentence);
    // Expired.
    world
        .sandbox
        .change_genesys(|genesys| genesys.code_lifetime = std::time::Duration::ZERO);
    let callback = world
        .to_callback(&browser, "login_hint=agent@acme.example")
        .await;
    let page = browser.get(&callback).await;
    refused(&world, &page, 400, "GENESYS_CODE_REFUSED", sentence);
    // None.
    let callback = world
        .to_callback(&browser, "login_hint=agent@acme.example")
        .await;
    let page = browser
        .get(&callback.replacen("code=", "nothing=", 1))
        .await;
    refused(&world, &page, 400, "GENESYS_CODE_REFUSED", sentence);
    assert_eq!(page.outcome()["targetOrigin"], PORTAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_genesys_says_instead_of_a_code_is_explained() {
    let world = World::start().await;
    let browser = world.browser();
    for (error, status, code, sentence) in [
        (
            "access_denied",
            403,
            "GENESYS_ACCESS_DENIED",
            "Access was denied at Genesys Cloud; sign in again and allow it.",
        ),
        (
            "unauthorized_client",
            502,
            "GENESYS_CLIENT_REFUSED",
            "Genesys Cloud does not accept this portal; its operator must check the OAuth client.",
        ),
        (
            "consent_required",
            403,
            "GENESYS_NOT_APPROVED",
            "Your Genesys organization has not approved this portal yet.",
        ),
        (
            "temporarily_unavailable",
            503,
            "GENESYS_UNAVAILABLE",
            "Genesys Cloud does not answer at the moment; try again shortly.",
        ),
    ] {
        let callback = world
            .to_callback(&browser, "login_hint=agent@acme.example")
            .await;
        let url: url::Url = callback.parse().unwrap();
        let state = crate::browser::parameter(&url, "state").unwrap();
        let page = browser
            .get(&format!(
                "{GATEWAY}/api/agents/auth/callback?error={error}&error_description=<b>x&state={state}"
            ))
            .await;
        refused(&world, &page, status, code, sentence);
        assert!(!page.body.contains("<b>x"));
        assert_eq!(page.outcome()["message"]["error"], sentence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn genesys_being_down_is_said_and_leaves_nothing() {
    let world = World::start().await;
    let browser = world.browser();
    for outage in [Outage::Unavailable, Outage::BadGateway, Outage::Drop] {
        let callback = world
            .to_callback(&browser, "login_hint=agent@acme.example")
            .await;
        world.sandbox.set_genesys_outage(outage);
        let page = browser.get(&callback).await;
        world.sandbox.set_genesys_outage(Outage::None);
        let sentence = "Genesys Cloud does not answer at the moment; try again shortly.";
        refused(&world, &page, 503, "GENESYS_UNAVAILABLE", sentence);
        assert_eq!(page.header("retry-after"), "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_genesys_refuses_is_the_operators_matter() {
    let world = World::start_with(&[("GENESYS__CLIENT_SECRET", "wrong")]).await;
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let sentence =
        "Genesys Cloud does not accept this portal; its operator must check the OAuth client.";
    refused(&world, &page, 502, "GENESYS_CLIENT_REFUSED", sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_a_tenant_is_told_so_in_the_contracts_words() {
    let world = World::start().await;
    let page = world.sign_in_page(seed::INITECH_AGENT).await;
    let sentence = "Tenant not found for this Genesys organization";
    refused(&world, &page, 404, "TENANT_NOT_FOUND", sentence);
    let (line, details) = audit(&world);
    assert_eq!(line, "anonymous|session.start|refused");
    assert_eq!(
        details,
        json!({
            "reason": "unknown_tenant",
            "genesys_org_id": seed::INITECH_ORG_ID,
            "genesys_user_id": seed::user_id(seed::INITECH_AGENT),
            "genesys_region": "sandbox",
            "hint": format!(
                "portalctl tenant map-org --tenant TENANT_ID --genesys-org-id {} --region sandbox",
                seed::INITECH_ORG_ID
            ),
        })
    );
    // Genesys' token is not kept: it is given back.
    world.genesys_token_is_revoked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_or_deleted_tenants_people_stay_outside() {
    let world = World::start().await;
    world.directory.change("acme_corp", |tenant| {
        tenant.status = TenantStatus::Suspended;
    });
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let sentence = "Your organization is suspended; ask its administrator.";
    refused(&world, &page, 403, "TENANT_SUSPENDED", sentence);
    let (line, details) = audit(&world);
    assert_eq!(line, "acme_corp|anonymous|session.start|refused");
    assert_eq!(
        details["hint"],
        "portalctl tenant resume --tenant acme_corp"
    );

    world
        .directory
        .change("globex_inc", |tenant| tenant.status = TenantStatus::Deleted);
    let page = world.sign_in_page(seed::GLOBEX_AGENT).await;
    let sentence = "Tenant not found for this Genesys organization";
    refused(&world, &page, 404, "TENANT_NOT_FOUND", sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_another_region_is_refused() {
    let world = World::start().await;
    world.directory.change("acme_corp", |tenant| {
        tenant.genesys_region = Some("mypurecloud.de".to_owned());
    });
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let sentence = "Your organization is registered in another Genesys region; choose that one.";
    refused(&world, &page, 403, "REGION_MISMATCH", sentence);
    let details = audit(&world).1;
    assert_eq!(details["reason"], "wrong_region");
    assert_eq!(
        details["hint"],
        "portalctl tenant set-region --tenant acme_corp --region sandbox"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_organizations_that_are_not_active_are_refused() {
    let world = World::start().await;
    world.directory.put(tenant("dormant"));
    let page = world.sign_in_page(seed::ACME_INACTIVE).await;
    refused(
        &world,
        &page,
        403,
        "GENESYS_USER_INACTIVE",
        "Your Genesys user is not active.",
    );
    let page = world.sign_in_page(seed::DORMANT_AGENT).await;
    let sentence = "Your Genesys organization is not active.";
    refused(&world, &page, 403, "ORGANIZATION_INACTIVE", sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_another_organization_come_in_only_where_that_is_allowed() {
    let world = World::start().await;
    let page = world.sign_in_page(seed::TRUSTEE).await;
    let sentence = "You work in this Genesys organization as a guest of another one, which is not allowed here.";
    refused(&world, &page, 403, "TRUSTEE_NOT_ALLOWED", sentence);
    drop(world);

    let world = World::start_with(&[("GENESYS__ALLOW_TRUSTEES", "true")]).await;
    let person = world.sign_in(seed::TRUSTEE).await;
    assert_eq!(person.agent["tenant_id"], "acme_corp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_known_in_another_tenant_is_refused_in_the_contracts_words() {
    let world = World::start().await;
    let genesys_id = seed::user_id(seed::ACME_AGENT);
    world.db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
         VALUES (gen_random_uuid(), 'globex_inc', 'org', '{genesys_id}', 'Alice')"
    ));
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.body.contains("USER_IN_OTHER_ORGANIZATION"));
    assert_eq!(
        page.outcome()["message"],
        json!({"type": "GENESYS_AUTH_ERROR", "error": "User belongs to a different organization"})
    );
    assert_eq!(world.footprint(), "1 0 0");
    let (line, details) = audit(&world);
    assert_eq!(line, "acme_corp|anonymous|session.start|refused");
    assert_eq!(
        details["hint"],
        format!(
            "portalctl user move --genesys-user-id {genesys_id} --from globex_inc --to acme_corp"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_person_is_refused() {
    let world = World::start().await;
    world.sign_in(seed::ACME_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_users SET is_active = false");
    let before = world.footprint();
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.body.contains("USER_DEACTIVATED"));
    assert_eq!(world.footprint(), before);
    assert_eq!(
        world.value("SELECT details->>'hint' FROM audit_log WHERE outcome = 'refused'"),
        format!(
            "portalctl user activate --tenant acme_corp --genesys-user-id {}",
            seed::user_id(seed::ACME_AGENT)
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tenant_service_nobody_new_comes_in() {
    let world = World::start().await;
    world.directory.set_away(true);
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let sentence = "Your organization&#39;s settings cannot be read just now; try again.";
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains(sentence), "{}", page.body);
    assert_eq!(world.footprint(), "0 0 0");
    world.directory.set_away(false);
    world.sign_in(seed::ACME_AGENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nobody_signs_in_and_that_is_said_while_signed_in_work_goes_on() {
    let mut world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    // A replica whose Redis is gone: nobody listens there.
    world.set("REDIS__URL", "redis://127.0.0.1:1/");
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);

    let request = world
        .http
        .get(format!("{}/api/agents/auth/login", world.api));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "SIGN_IN_UNAVAILABLE");
    let sentence = body["error"]["message"].as_str().unwrap();
    assert!(sentence.contains("this passes"), "{sentence}");

    // People see a page: at the beginning, and when they come back from Genesys.
    let browser = world.browser();
    for path in ["login", "callback?code=x&state=y"] {
        let page = browser
            .get(&format!("{GATEWAY}/api/agents/auth/{path}"))
            .await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(page.header("retry-after"), "2");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.body.contains(sentence), "{path}: {}", page.body);
        assert!(page.body.contains("passing fault"), "{path}");
    }
    let back = browser
        .get(&format!("{GATEWAY}/api/agents/auth/login?return=redirect"))
        .await;
    let login = browser.get(back.location().as_str()).await;
    assert!(login.body.contains("passing fault"), "{}", login.body);

    // Who is in goes on, and can leave.
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let access = body["accessToken"].as_str().unwrap();
    for path in ["/api/agents/profile", "/api/agents/auth/sessions"] {
        let (status, body) = world.call(Method::GET, path, access).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    let (status, body) = world
        .call(Method::POST, "/api/agents/auth/logout", access)
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        world.value("SELECT revoke_reason FROM genesys_user_sessions"),
        "logout"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_link_that_makes_no_sense_is_refused() {
    let world = World::start_with(&[("SIGN_IN__PER_ADDRESS_PER_MINUTE", "5")]).await;
    for (query, status, code) in [
        ("region=example.com", 400, "REGION_UNKNOWN"),
        ("origin=https://evil.example", 400, "ORIGIN_NOT_ALLOWED"),
        ("origin=http://localhost:3014/", 400, "ORIGIN_NOT_ALLOWED"),
        ("return=elsewhere", 400, "VALIDATION_FAILED"),
        ("color=red", 400, "VALIDATION_FAILED"),
    ] {
        let path = format!("/api/agents/auth/login?{query}");
        let (found, body) = world.call(Method::GET, &path, "x").await;
        assert_eq!(found.as_u16(), status, "{query}: {body}");
        assert_eq!(body["error"]["code"], code, "{query}");
    }
    // Browsers get a page, or go back to the portal.
    let browser = world.browser();
    let page = browser
        .get(&format!(
            "{GATEWAY}/api/agents/auth/login?region=example.com"
        ))
        .await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.outcome()["targetOrigin"], PORTAL);
    let back = browser
        .get(&format!(
            "{GATEWAY}/api/agents/auth/login?region=example.com&return=redirect"
        ))
        .await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    assert!(
        back.location()
            .as_str()
            .starts_with(&format!("{PORTAL}/login?error=REGION_UNKNOWN&request="))
    );

    for _ in 0..5 {
        let login = browser
            .get(&format!("{GATEWAY}/api/agents/auth/login"))
            .await;
        assert_eq!(login.status, StatusCode::FOUND);
    }
    let (status, body) = world.call(Method::GET, "/api/agents/auth/login", "x").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert_eq!(body["error"]["code"], "RATE_LIMITED");
}
