//! Finding a tenant by its Genesys organization.

use serde_json::json;

use crate::world::{SERVICE_KEY, keys, ok, refused, whatsapp_body, with_settings, with_world};

#[tokio::test]
async fn everybody_may_know_a_little_and_services_all() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let path = "/api/tenants/by-genesys-org/org-acme";
        let public = ok(world.get(path).send().await.unwrap(), 200).await;
        assert_eq!(
            public,
            json!({"tenant_id": "acme_corp", "name": "Acme Corp", "status": "active",
                   "genesys_org_id": "org-acme", "genesys_region": "mypurecloud.com",
                   "whatsapp_configured": false})
        );
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        ok(
            admin
                .patch("acme_corp", json!({"status": "suspended"}))
                .await,
            200,
        )
        .await;
        let public = ok(world.get(path).send().await.unwrap(), 200).await;
        assert_eq!(public["whatsapp_configured"], true);
        assert_eq!(public["status"], "suspended");

        let full = ok(admin.get("/api/tenants/acme_corp").await, 200).await;
        for token in [SERVICE_KEY, &admin.token] {
            let found = world.get(path).bearer_auth(token).send().await.unwrap();
            assert_eq!(ok(found, 200).await, full);
        }
        assert!(keys(&full).contains(&"created_at") && !keys(&public).contains(&"created_at"));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_organization_answers_the_contracts_sentence() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        assert_eq!(admin.delete("/api/tenants/globex").await.status(), 204);
        for org in ["unknown", "org-globex", "a%20b%2Fc", "%27%20OR%201=1"] {
            let path = format!("/api/tenants/by-genesys-org/{org}");
            let error = refused(
                world.get(&path).send().await.unwrap(),
                404,
                "TENANT_NOT_FOUND",
            );
            assert_eq!(
                error.await["message"],
                "Tenant not found for this Genesys organization",
                "{org}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn bad_credentials_are_refused_and_not_taken_for_none() {
    with_world(async |world| {
        let path = "/api/tenants/by-genesys-org/org-acme";
        for token in ["junk", "svc_outbound_guess"] {
            let response = world.get(path).bearer_auth(token).send().await.unwrap();
            refused(response, 401, "TOKEN_INVALID").await;
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_ask_only_so_often() {
    let settings = [
        ("LIMITS__LOOKUP_BURST", "3"),
        ("LIMITS__LOOKUPS_PER_MINUTE", "1"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    with_settings(&settings, async |world| {
        let path = "/api/tenants/by-genesys-org/unknown";
        let ask = async |client: &str| {
            world
                .get(path)
                .header("x-forwarded-for", client)
                .send()
                .await
                .unwrap()
        };
        for _ in 0..3 {
            refused(ask("203.0.113.7").await, 404, "TENANT_NOT_FOUND").await;
        }
        let limited = ask("203.0.113.7").await;
        let wait: u64 = limited.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        refused(limited, 429, "RATE_LIMITED").await;
        // Another client, and a service, are not concerned.
        refused(ask("203.0.113.8").await, 404, "TENANT_NOT_FOUND").await;
        let service = world.get(path).bearer_auth(SERVICE_KEY);
        let service = service
            .header("x-forwarded-for", "203.0.113.7")
            .send()
            .await
            .unwrap();
        refused(service, 404, "TENANT_NOT_FOUND").await;
    })
    .await;
}
