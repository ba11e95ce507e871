//! The three services in a schema of their own, in a database whose `public` has a legacy installation's
//! tables of the same names.

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, StatusCode};

#[tokio::test(flavor = "multi_thread")]
async fn all_three_services_work_beside_a_legacy_installation() {
    let world = Installation::start_beside_legacy().await;
    let legacy = world.db.query(CONTENT);
    let agent = world.token(seed::ACME_AGENT).await;
    let (status, accepted) = world.send(&agent, "+1234567890").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["message_id"].as_str().unwrap();
    eventually("the message to be read", async || {
        let (_, message) = world.message(&agent, id).await;
        (message["status"] == "read").then_some(())
    })
    .await;
    // By the paths across tenants: the relay, the sweepers of deliveries, the numbers of live events.
    eventually(
        "a conversation in the list, and all events published",
        async || {
            let url = format!("{}/api/conversations", world.portal_url);
            let (_, list) = world.get(&url, &agent).await;
            let waiting = "SELECT count(*) FROM outbox_events WHERE published_at IS NULL";
            let is_there = list["conversations"]
                .as_array()
                .is_some_and(|all| all.len() == 1);
            (is_there && world.db.query(waiting) == ["0"]).then_some(())
        },
    )
    .await;

    let logout = format!("{}/api/agents/auth/logout", world.portal_url);
    let ended = world.http.request(Method::POST, logout).bearer_auth(&agent);
    assert!(ended.send().await.unwrap().status().is_success());
    eventually("the token to end at the other service, too", async || {
        (world.message(&agent, id).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let audited = world
        .db
        .query("SELECT DISTINCT service FROM agent_portal.audit_log ORDER BY 1");
    assert!(audited.len() >= 2, "{audited:?}");
    assert_eq!(
        world
            .db
            .query("SELECT chain FROM agent_portal.audit_chains ORDER BY 1"),
        world.db.query(
            "SELECT DISTINCT coalesce(tenant_id, '') FROM agent_portal.audit_log ORDER BY 1"
        ),
    );
    assert_eq!(world.db.query(CONTENT), legacy, "nothing was written there");
}

const CONTENT: &str = "SELECT t::text FROM public.tenants t UNION ALL SELECT a::text FROM public.agents a \
     UNION ALL SELECT c::text FROM public.tenant_whatsapp_config c ORDER BY 1";
