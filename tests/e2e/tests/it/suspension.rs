//! A suspended tenant is out everywhere, without waiting for a token to run out.

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_people_are_out_everywhere_and_come_back_after_it() {
    let world = Installation::start().await;
    let acme = world.token(seed::ACME_AGENT).await;
    let globex = world.token(seed::GLOBEX_AGENT).await;
    let profile = format!("{}/api/agents/profile", world.portal_url);
    assert_eq!(world.get(&profile, &acme).await.0, StatusCode::OK);

    let suspend = json!({"status": "suspended"});
    let (status, answer) = world
        .admin(Method::PATCH, "/api/tenants/acme_corp", &suspend)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    eventually("the token to end", async || {
        let portal = world.get(&profile, &acme).await.0;
        let messages = world.send(&acme, "+1234567890").await.0;
        (portal == StatusCode::UNAUTHORIZED && messages == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let (status, outcome) = eventually("sign-ins to end", async || {
        let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
        (status != StatusCode::OK).then_some((status, outcome))
    })
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{outcome}");
    // The other tenant works on.
    assert_eq!(
        world.send(&globex, "+1234567890").await.0,
        StatusCode::ACCEPTED
    );

    let resume = json!({"status": "active"});
    assert_eq!(
        world
            .admin(Method::PATCH, "/api/tenants/acme_corp", &resume)
            .await
            .0,
        StatusCode::OK
    );
    let token = eventually("sign-ins again", async || {
        let (status, outcome) = world.sign_in(seed::ACME_AGENT).await;
        (status == StatusCode::OK).then(|| outcome["accessToken"].as_str().unwrap().to_owned())
    })
    .await;
    eventually("messages again", async || {
        (world.send(&token, "+1234567890").await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
}
