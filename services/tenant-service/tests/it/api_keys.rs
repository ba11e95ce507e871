//! API keys: shown once, kept as digests, replaced, ended, looked up by sisters.

use portal_auth::{ApiKeyDirectory as _, RevocationSubject, Revocations, Standing, sha256};
use portal_cache::Cache;
use portal_test_harness::redis_url;
use portal_types::ApiScope;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

use crate::world::{ADMIN_ID, Admin, SERVICE_KEY, World, bad_fields, ok, refused, with_world};

const KEYS: &str = "/api/tenants/acme_corp/api-keys";

async fn post(admin: &Admin<'_>, path: &str, body: Value) -> Response {
    admin.send(Method::POST, path, Some(body)).await
}

async fn made(admin: &Admin<'_>) -> Value {
    let body = json!({"name": "CRM", "scopes": ["messages:send", "messages:read"]});
    ok(post(admin, KEYS, body).await, 201).await
}

/// What a sister is told of a key.
async fn verify(world: &World, key: &Value) -> Response {
    let digest = portal_auth::sha256_hex(key["key"].as_str().unwrap());
    let request = world
        .post("/api/tenants/verify-api-key")
        .bearer_auth(SERVICE_KEY)
        .json(&json!({"digest": digest}));
    request.send().await.unwrap()
}

async fn statuses(admin: &Admin<'_>) -> Vec<String> {
    let list = ok(admin.get(KEYS).await, 200).await;
    let keys = list["api_keys"].as_array().unwrap().iter();
    keys.map(|key| key["status"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_digest() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let key = made(&admin).await;
        let text = key["key"].as_str().unwrap();
        assert!(text.starts_with("sk_"));
        assert_eq!(text.len(), 46);
        assert!(text.starts_with(key["prefix"].as_str().unwrap()));
        assert!(text.ends_with(key["last4"].as_str().unwrap()));
        assert_eq!(key["created_by"], ADMIN_ID);

        let list = ok(admin.get(KEYS).await, 200).await;
        let shown = &list["api_keys"][0];
        assert!(shown.get("key").is_none() && !list.to_string().contains(text));
        assert_eq!(
            (&shown["status"], &shown["last_used_at"]),
            (&json!("active"), &Value::Null)
        );
        let secret = text.get(8..42).unwrap();
        for table in ["tenant_api_keys", "outbox_events", "audit_log"] {
            let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{secret}%'");
            assert_eq!(world.db.query(&sql), ["0"], "{table}");
        }
        let kept = "SELECT encode(key_hash, 'hex') FROM tenant_api_keys";
        assert_eq!(world.db.query(kept), [portal_auth::sha256_hex(text)]);
        let told = "SELECT payload->'data'->>'changed' FROM outbox_events \
                    WHERE routing_key = 'tenant.updated'";
        assert_eq!(world.db.query(told), [r#"["api_keys"]"#]);

        // Another tenant has none of it.
        let other = ok(admin.get("/api/tenants/globex/api-keys").await, 200).await;
        assert_eq!(other, json!({"api_keys": []}));
        let path = format!(
            "/api/tenants/globex/api-keys/{}",
            key["key_id"].as_str().unwrap()
        );
        refused(admin.delete(&path).await, 404, "API_KEY_NOT_FOUND").await;
        let rotate = post(&admin, &format!("{path}/rotate"), json!({})).await;
        refused(rotate, 404, "API_KEY_NOT_FOUND").await;
        ok(verify(world, &key).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn sisters_learn_of_a_key_while_it_is_valid_and_its_tenant_works() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let key = made(&admin).await;
        let found = ok(verify(world, &key).await, 200).await;
        assert_eq!(
            found,
            json!({"key_id": key["key_id"], "tenant_id": "acme_corp", "expires_at": null,
                   "scopes": ["messages:send", "messages:read"]})
        );
        // Its use is noted, and not at each look.
        let used = "SELECT last_used_at::text FROM tenant_api_keys";
        let first = world.db.query(used);
        assert_ne!(first, [""]);
        ok(verify(world, &key).await, 200).await;
        assert_eq!(world.db.query(used), first);
        world
            .db
            .execute("UPDATE tenant_api_keys SET last_used_at = now() - interval '61 s'");
        ok(verify(world, &key).await, 200).await;
        let noted = "SELECT (now() - last_used_at < interval '30 s')::text FROM tenant_api_keys";
        assert_eq!(world.db.query(noted), ["true"]);

        let client = world.tenant_client();
        let digest = sha256(key["key"].as_str().unwrap());
        let known = client.find(&digest).await.unwrap().unwrap();
        assert_eq!(known.tenant_id.as_str(), "acme_corp");
        assert_eq!(
            known.scopes,
            [ApiScope::MessagesSend, ApiScope::MessagesRead]
        );
        assert!(client.find(&[7; 32]).await.unwrap().is_none());

        ok(
            admin
                .patch("acme_corp", json!({"status": "suspended"}))
                .await,
            200,
        )
        .await;
        refused(verify(world, &key).await, 404, "API_KEY_NOT_FOUND").await;
        ok(
            admin.patch("acme_corp", json!({"status": "active"})).await,
            200,
        )
        .await;
        world
            .db
            .execute("UPDATE tenant_api_keys SET expires_at = now()");
        refused(verify(world, &key).await, 404, "API_KEY_NOT_FOUND").await;
        assert_eq!(statuses(&admin).await, ["expired"]);
        for bad in ["", "zz", &"0".repeat(63)] {
            let request = world
                .post("/api/tenants/verify-api-key")
                .bearer_auth(SERVICE_KEY)
                .json(&json!({"digest": bad}));
            assert_eq!(bad_fields(request.send().await.unwrap()).await, ["digest"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_out_everywhere_at_once() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let key = made(&admin).await;
        let id = key["key_id"].as_str().unwrap();
        let path = format!("{KEYS}/{id}");
        let cache = Cache::connect(&redis_url().into(), &world.isolation.redis_key_prefix).unwrap();
        let list = Revocations::new(cache, Duration::from_mins(5));
        let subject = [RevocationSubject::ApiKey(id.parse().unwrap())];
        assert_ne!(list.standing(&subject, 0).await, Standing::Ended);
        for _ in 0..2 {
            assert_eq!(admin.delete(&path).await.status(), 204);
        }
        assert_eq!(list.standing(&subject, 0).await, Standing::Ended);
        refused(verify(world, &key).await, 404, "API_KEY_NOT_FOUND").await;
        assert_eq!(statuses(&admin).await, ["revoked"]);
        let audited = "SELECT concat_ws(' ', action, actor_kind, details->>'key_id') FROM audit_log \
                       WHERE action LIKE 'tenant.api_key.%' ORDER BY audit_id";
        let entry = |action| format!("tenant.api_key.{action} platform_admin {id}");
        assert_eq!(world.db.query(audited), [entry("create"), entry("revoke")]);
        let rotate = post(&admin, &format!("{path}/rotate"), json!({})).await;
        refused(rotate, 409, "API_KEY_NOT_ACTIVE").await;
    })
    .await;
}

#[tokio::test]
async fn a_replaced_key_works_until_the_overlap_ends() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let old = made(&admin).await;
        let path = format!("{KEYS}/{}/rotate", old["key_id"].as_str().unwrap());
        let too_long = post(&admin, &path, json!({"overlap_seconds": 2_592_001})).await;
        assert_eq!(bad_fields(too_long).await, ["overlap_seconds"]);
        let new = ok(post(&admin, &path, json!({})).await, 201).await;
        assert_ne!(new["key"], old["key"]);
        assert_eq!(
            (&new["name"], &new["scopes"], &new["expires_at"]),
            (&old["name"], &old["scopes"], &Value::Null)
        );
        assert_eq!(statuses(&admin).await, ["active", "replaced"]);
        let overlap = "SELECT round(extract(epoch FROM expires_at - now()) / 3600)::text \
                       FROM tenant_api_keys WHERE replaced_by IS NOT NULL";
        assert_eq!(world.db.query(overlap), ["24"]);
        for key in [&old, &new] {
            ok(verify(world, key).await, 200).await;
        }
        // It has one successor, not two.
        refused(
            post(&admin, &path, json!({})).await,
            409,
            "API_KEY_NOT_ACTIVE",
        )
        .await;

        world
            .db
            .execute("UPDATE tenant_api_keys SET expires_at = now() WHERE replaced_by IS NOT NULL");
        refused(verify(world, &old).await, 404, "API_KEY_NOT_FOUND").await;
        let path = format!("{KEYS}/{}/rotate", new["key_id"].as_str().unwrap());
        let third = ok(
            post(&admin, &path, json!({"overlap_seconds": 0})).await,
            201,
        )
        .await;
        refused(verify(world, &new).await, 404, "API_KEY_NOT_FOUND").await;
        ok(verify(world, &third).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_of_a_new_key_is_named() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let day = json!("2020-01-01T00:00:00Z");
        for (body, fields) in [
            (json!({}), vec!["name", "scopes"]),
            (json!({"name": " ", "scopes": []}), vec!["name", "scopes"]),
            (
                json!({"name": "x", "scopes": ["messages:send", "all", "messages:*"],
                       "expires_at": day}),
                vec!["expires_at", "scopes[1]", "scopes[2]"],
            ),
            (
                json!({"name": "x", "scopes": ["messages:send"], "expires_in_days": 0}),
                vec!["expires_in_days"],
            ),
            (
                json!({"name": "x", "scopes": ["messages:send"], "expires_in_days": 5,
                       "expires_at": "2999-01-01T00:00:00Z"}),
                vec!["expires_in_days"],
            ),
        ] {
            assert_eq!(
                bad_fields(post(&admin, KEYS, body.clone()).await).await,
                fields,
                "{body}"
            );
        }
        assert_eq!(
            world.db.query("SELECT count(*) FROM tenant_api_keys"),
            ["0"]
        );
        let body = json!({"name": "x", "scopes": ["messages:send"], "expires_in_days": 30});
        let key = ok(post(&admin, KEYS, body).await, 201).await;
        assert!(key["expires_at"].is_string());
        let nowhere = post(
            &admin,
            "/api/tenants/none/api-keys",
            json!({"name": "x", "scopes": ["messages:send"]}),
        );
        refused(nowhere.await, 404, "TENANT_NOT_FOUND").await;
    })
    .await;
}
