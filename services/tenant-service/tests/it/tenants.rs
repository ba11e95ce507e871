//! Tenants: made, read, listed, changed, deleted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{bad_fields, ok, refused, with_world};

#[tokio::test]
async fn a_tenant_is_made_and_read() {
    with_world(async |world| {
        let admin = world.admin().await;
        let body = json!({"tenant_id": "acme_corp", "name": "  Acme Corp ",
                          "genesys_org_id": "org-acme", "genesys_region": "mypurecloud.de"});
        let response = admin.create(body).await;
        assert_eq!(response.headers()["location"], "/api/tenants/acme_corp");
        let made = ok(response, 201).await;
        for (key, value) in [
            ("tenant_id", json!("acme_corp")),
            ("name", json!("Acme Corp")),
            ("status", json!("active")),
            ("genesys_org_id", json!("org-acme")),
            ("genesys_region", json!("mypurecloud.de")),
            ("whatsapp_configured", json!(false)),
            ("deleted_at", Value::Null),
        ] {
            assert_eq!(made[key], value, "{key}");
        }
        assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(
            ok(admin.get("/api/tenants/acme_corp").await, 200).await,
            made
        );
        refused(
            admin.get("/api/tenants/nobody").await,
            404,
            "TENANT_NOT_FOUND",
        )
        .await;
        assert_eq!(
            bad_fields(admin.get("/api/tenants/a%20b").await).await,
            ["tenant_id"]
        );
    })
    .await;
}

#[tokio::test]
async fn bad_input_lists_every_field_and_writes_nothing() {
    with_world(async |world| {
        let admin = world.admin().await;
        let body = json!({"tenant_id": "a b", "name": " ", "genesys_org_id": "o/1",
                          "genesys_region": "HTTPS://X"});
        assert_eq!(
            bad_fields(admin.create(body).await).await,
            ["genesys_org_id", "genesys_region", "name", "tenant_id"]
        );
        let body = json!({"tenant_id": 7, "owner": "me", "status": "deleted"});
        assert_eq!(
            bad_fields(admin.create(body).await).await,
            ["name", "owner", "status", "tenant_id"]
        );
        for reserved in ["by-genesys-org", "import"] {
            let body = json!({"tenant_id": reserved, "name": "X"});
            assert_eq!(bad_fields(admin.create(body).await).await, ["tenant_id"]);
        }
        let large = json!({"tenant_id": "a", "name": "x".repeat(300_000)});
        refused(admin.create(large).await, 413, "BODY_TOO_LARGE").await;
        let broken = world.post("/api/tenants").bearer_auth(&admin.token);
        let broken = broken
            .header("content-type", "application/json")
            .body("{\"tenant_id\":");
        refused(broken.send().await.unwrap(), 400, "INVALID_JSON").await;
        assert_eq!(world.db.query("SELECT count(*) FROM tenants"), ["0"]);
        assert_eq!(world.db.query("SELECT count(*) FROM outbox_events"), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn ids_and_organizations_belong_to_one_tenant() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let again = json!({"tenant_id": "acme_corp", "name": "Other"});
        refused(admin.create(again).await, 409, "TENANT_EXISTS").await;
        let same_org = json!({"tenant_id": "third", "name": "Third", "genesys_org_id": "org-acme"});
        refused(admin.create(same_org).await, 409, "GENESYS_ORG_TAKEN").await;
        let path = "/api/tenants/globex/genesys-org";
        let steal = Some(json!({"genesys_org_id": "org-acme"}));
        refused(
            admin.send(Method::PUT, path, steal).await,
            409,
            "GENESYS_ORG_TAKEN",
        )
        .await;
        // A refused request leaves no event and no audit entry.
        let third = "SELECT count(*) FROM outbox_events WHERE tenant_id = 'third'";
        assert_eq!(world.db.query(third), ["0"]);
        let globex = "SELECT genesys_org_id FROM tenants WHERE tenant_id = 'globex'";
        assert_eq!(world.db.query(globex), ["org-globex"]);
    })
    .await;
}

#[tokio::test]
async fn two_tenants_taking_one_organization_get_one_winner() {
    with_world(async |world| {
        let admin = world.admin().await;
        let body = |id: &str| json!({"tenant_id": id, "name": id, "genesys_org_id": "org-1"});
        let (one, other) = tokio::join!(admin.create(body("one")), admin.create(body("other")));
        let mut statuses = [one.status().as_u16(), other.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(world.db.query("SELECT count(*) FROM tenants"), ["1"]);
    })
    .await;
}

#[tokio::test]
async fn tenants_are_listed_by_page_and_filter() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(
            admin
                .create(json!({"tenant_id": "initech", "name": "Ini_tech 100%"}))
                .await,
            201,
        )
        .await;
        ok(
            admin.patch("globex", json!({"status": "suspended"})).await,
            200,
        )
        .await;
        assert_eq!(admin.delete("/api/tenants/acme_corp").await.status(), 204);

        let list = async |query: &str| -> (Vec<String>, i64) {
            let body = ok(admin.get(&format!("/api/tenants{query}")).await, 200).await;
            let tenants = body["tenants"].as_array().unwrap().iter();
            let ids = tenants.map(|tenant| tenant["tenant_id"].as_str().unwrap().to_owned());
            (ids.collect(), body["total"].as_i64().unwrap())
        };
        for (query, ids, total) in [
            ("", vec!["globex", "initech"], 2),
            ("?status=deleted", vec!["acme_corp"], 1),
            ("?status=suspended", vec!["globex"], 1),
            ("?q=GLOB", vec!["globex"], 1),
            ("?q=i_t", vec!["initech"], 1),
            ("?q=0%25", vec!["initech"], 1),
            ("?q=b_x", vec![], 0),
            ("?genesys_org_id=org-globex", vec!["globex"], 1),
            ("?limit=1", vec!["globex"], 2),
            ("?limit=1&offset=1", vec!["initech"], 2),
        ] {
            assert_eq!(
                list(query).await,
                (ids.iter().map(ToString::to_string).collect(), total),
                "{query}"
            );
        }
        let page = ok(admin.get("/api/tenants?limit=1&offset=1").await, 200).await;
        assert_eq!(
            (page["limit"].as_i64(), page["offset"].as_i64()),
            (Some(1), Some(1))
        );
        for (query, field) in [
            ("?limit=0", "limit"),
            ("?limit=101", "limit"),
            ("?status=x", "status"),
            ("?x=1", "x"),
        ] {
            let fields = bad_fields(admin.get(&format!("/api/tenants{query}")).await).await;
            assert_eq!(fields, [field], "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn changes_are_told_with_their_fields() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let changed = admin.patch("acme_corp", json!({"name": "Acme", "genesys_region": null}));
        let changed = ok(changed.await, 200).await;
        assert_eq!(
            (&changed["name"], &changed["genesys_region"]),
            (&json!("Acme"), &Value::Null)
        );
        ok(admin.patch("acme_corp", json!({"name": "Acme"})).await, 200).await;
        ok(admin.patch("acme_corp", json!({})).await, 200).await;
        let events = "SELECT payload->'data'->>'changed' FROM outbox_events \
                      WHERE routing_key = 'tenant.updated'";
        assert_eq!(world.db.query(events), [r#"["name", "genesys_region"]"#]);

        for body in [json!({"status": "deleted"}), json!({"status": "gone"})] {
            assert_eq!(
                bad_fields(admin.patch("acme_corp", body).await).await,
                ["status"]
            );
        }
        let body = json!({"tenant_id": "x"});
        assert_eq!(
            bad_fields(admin.patch("acme_corp", body).await).await,
            ["tenant_id"]
        );
        let nobody = admin.patch("nobody", json!({"name": "X"})).await;
        refused(nobody, 404, "TENANT_NOT_FOUND").await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_tenant_stays_and_is_not_changed() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        for _ in 0..2 {
            assert_eq!(admin.delete("/api/tenants/acme_corp").await.status(), 204);
        }
        let deleted = ok(admin.get("/api/tenants/acme_corp").await, 200).await;
        assert_eq!(deleted["status"], "deleted");
        assert!(deleted["deleted_at"].is_string());
        for body in [json!({"name": "X"}), json!({"status": "active"})] {
            refused(admin.patch("acme_corp", body).await, 409, "TENANT_DELETED").await;
        }
        let told = "SELECT count(*) FROM outbox_events WHERE routing_key = 'tenant.deleted'";
        assert_eq!(world.db.query(told), ["1"]);
        refused(
            admin.delete("/api/tenants/nobody").await,
            404,
            "TENANT_NOT_FOUND",
        )
        .await;

        // Its organization can be taken away, and then be given to another tenant.
        let path = "/api/tenants/acme_corp/genesys-org";
        let other = Some(json!({"genesys_org_id": "org-other"}));
        refused(
            admin.send(Method::PUT, path, other).await,
            409,
            "TENANT_DELETED",
        )
        .await;
        let none = Some(json!({"genesys_org_id": null}));
        ok(admin.send(Method::PUT, path, none).await, 200).await;
        let heir = json!({"tenant_id": "acme2", "name": "Acme", "genesys_org_id": "org-acme"});
        ok(admin.create(heir).await, 201).await;
    })
    .await;
}

#[tokio::test]
async fn an_organization_is_given_and_taken_away() {
    with_world(async |world| {
        let admin = world.admin().await;
        ok(admin.create(json!({"tenant_id": "acme", "name": "Acme"})).await, 201).await;
        let put = async |body: Value| {
            admin.send(Method::PUT, "/api/tenants/acme/genesys-org", Some(body)).await
        };
        let body = json!({"genesys_org_id": "org-1", "genesys_region": "usw2.pure.cloud"});
        let mapped = ok(put(body.clone()).await, 200).await;
        assert_eq!(mapped["genesys_org_id"], "org-1");
        assert_eq!(mapped["genesys_region"], "usw2.pure.cloud");
        ok(put(body).await, 200).await;
        let moved = ok(put(json!({"genesys_org_id": "org-2"})).await, 200).await;
        assert_eq!(moved["genesys_region"], "usw2.pure.cloud", "it stays when not given");
        ok(put(json!({"genesys_org_id": null})).await, 200).await;
        let events = "SELECT concat(payload->'data'->>'previous', '>', \
                      payload->'data'->>'genesys_org_id') \
                      FROM outbox_events WHERE routing_key = 'tenant.genesys_org.mapped' ORDER BY seq";
        assert_eq!(world.db.query(events), [">org-1", "org-1>org-2", "org-2>"]);
        assert_eq!(bad_fields(put(json!({})).await).await, ["genesys_org_id"]);
        assert_eq!(bad_fields(put(json!({"genesys_org_id": "a b"})).await).await, ["genesys_org_id"]);
    })
    .await;
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    with_world(async |world| {
        let admin = world.admin().await;
        let request = world.post("/api/tenants").bearer_auth(&admin.token);
        let request = request.header("x-request-id", "req-1");
        let body = json!({"tenant_id": "acme", "name": "Acme", "genesys_org_id": "org-1"});
        ok(request.json(&body).send().await.unwrap(), 201).await;
        ok(
            admin.patch("acme", json!({"status": "suspended"})).await,
            200,
        )
        .await;
        admin.delete("/api/tenants/acme").await;
        let entries = "SELECT concat_ws(' ', action, outcome, actor_kind, actor_id, target) \
                       FROM audit_log WHERE tenant_id = 'acme' ORDER BY audit_id";
        let who = format!("succeeded platform_admin {} acme", crate::world::ADMIN_ID);
        assert_eq!(
            world.db.query(entries),
            [
                format!("tenant.create {who}"),
                format!("tenant.update {who}"),
                format!("tenant.delete {who}")
            ]
        );
        let by_request = "SELECT action FROM audit_log WHERE request_id = 'req-1'";
        assert_eq!(world.db.query(by_request), ["tenant.create"]);
        let event =
            "SELECT payload->>'requestid' FROM outbox_events WHERE routing_key = 'tenant.created'";
        assert_eq!(world.db.query(event), ["req-1"]);
    })
    .await;
}
