//! The audit log: what is in it, and how it is looked into.

use chrono::Utc;
use portal_auth::TotpSecret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    authz_matrix::{Door, OPERATIONS},
    world::{ADMIN_ID, Admin, PASSWORD, World, bad_fields, ok, whatsapp_body, with_world},
};

const NEW_PASSWORD: &str = "staple battery 7 horse";

/// Every operation of an administrator that changes something, in an order in which each can.
const CHANGES: [(&str, &str); 19] = [
    ("post", "/api/tenants"),
    ("patch", "/api/tenants/{tenant_id}"),
    ("put", "/api/tenants/{tenant_id}/genesys-org"),
    ("put", "/api/tenants/{tenant_id}/genesys/credentials"),
    ("delete", "/api/tenants/{tenant_id}/genesys/credentials"),
    ("put", "/api/tenants/{tenant_id}/role-map"),
    ("post", "/api/tenants/{tenant_id}/api-keys"),
    ("post", "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate"),
    ("delete", "/api/tenants/{tenant_id}/api-keys/{key_id}"),
    ("put", "/api/tenants/{tenant_id}/whatsapp"),
    ("delete", "/api/tenants/{tenant_id}/whatsapp"),
    ("delete", "/api/tenants/{tenant_id}"),
    ("post", "/api/admin/me/totp"),
    ("post", "/api/admin/me/totp/confirm"),
    ("delete", "/api/admin/me/totp"),
    ("post", "/api/admin/me/password"),
    ("delete", "/api/admin/auth/sessions/{session_id}"),
    ("post", "/api/admin/auth/logout"),
    ("post", "/api/admin/auth/logout-all"),
];

/// Changes that need a vendor or a file; the tests of these look into the audit log themselves.
const TOLD_THERE: [(&str, &str, &str); 6] = [
    ("post", "/api/tenants/import", "import"),
    (
        "post",
        "/api/tenants/{tenant_id}/genesys/credentials/verify",
        "genesys_credentials",
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/verify",
        "whatsapp_verify",
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        "whatsapp_signup",
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup/continue",
        "whatsapp_signup",
    ),
    (
        "delete",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        "whatsapp_signup",
    ),
];

/// What the changes need of each other.
struct Story {
    secret: Option<TotpSecret>,
    other_session: String,
    key: String,
}

impl Story {
    fn code(&self, later: u64) -> String {
        let secret = self.secret.as_ref().unwrap();
        let now = Utc::now().timestamp().unsigned_abs();
        secret.code_at(now + later).unwrap()
    }

    fn body(&self, method: &str, path: &str) -> Option<Value> {
        match (method, path) {
            ("post", "/api/tenants") => Some(json!({"tenant_id": "acme_corp", "name": "Acme"})),
            ("patch", _) => Some(json!({"name": "Acme Corp"})),
            ("put", "/api/tenants/{tenant_id}/genesys-org") => {
                Some(json!({"genesys_org_id": "org-acme", "genesys_region": "mypurecloud.com"}))
            }
            ("put", "/api/tenants/{tenant_id}/genesys/credentials") => {
                Some(json!({"region": "mypurecloud.com", "client_id": "c-1",
                            "client_secret": "a-long-secret", "grant_type": "client_credentials"}))
            }
            ("put", "/api/tenants/{tenant_id}/role-map") => {
                Some(json!({"unmapped_role": "none", "mappings": []}))
            }
            ("post", "/api/tenants/{tenant_id}/api-keys") => {
                Some(json!({"name": "CRM", "scopes": ["messages:send"]}))
            }
            ("post", "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate") => Some(json!({})),
            ("put", "/api/tenants/{tenant_id}/whatsapp") => Some(whatsapp_body(1)),
            ("post", "/api/admin/me/totp/confirm") => Some(json!({"totp_code": self.code(0)})),
            // Each code works once: the next one.
            ("delete", "/api/admin/me/totp") => {
                Some(json!({"password": PASSWORD, "totp_code": self.code(30)}))
            }
            ("post", "/api/admin/me/password") => {
                Some(json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD}))
            }
            _ => None,
        }
    }
}

async fn sign_in<'a>(world: &'a World, password: &str) -> Admin<'a> {
    let body = ok(world.sign_in(password, None).await, 200).await;
    Admin {
        world,
        token: body["accessToken"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn every_change_by_an_administrator_is_in_the_audit_log() {
    let mut listed = CHANGES.to_vec();
    let mut known: Vec<_> = OPERATIONS
        .into_iter()
        .filter(|(method, _, door)| *method != "get" && *door == Door::Admin)
        .map(|(method, path, _)| (method, path))
        .filter(|known| {
            let elsewhere = TOLD_THERE.iter().map(|(method, path, _)| (*method, *path));
            !elsewhere.into_iter().any(|told| told == *known)
        })
        .collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known, "each operation needs a row in CHANGES");

    with_world(async |world| {
        let mut admin = sign_in(world, PASSWORD).await;
        let mut story = Story {
            secret: None,
            other_session: String::new(),
            key: String::new(),
        };
        for (method, path) in CHANGES {
            match path {
                "/api/admin/auth/sessions/{session_id}" => {
                    sign_in(world, NEW_PASSWORD).await;
                    let newest = "SELECT session_id FROM platform_admin_sessions \
                                  ORDER BY created_at DESC LIMIT 1";
                    story.other_session = world.db.query(newest).remove(0);
                }
                "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate" => {
                    let only = "SELECT key_id FROM tenant_api_keys";
                    story.key = world.db.query(only).remove(0);
                }
                "/api/admin/auth/logout-all" => admin = sign_in(world, NEW_PASSWORD).await,
                _ => {}
            }
            let count = "SELECT count(*) FROM audit_log WHERE actor_kind = 'platform_admin' \
                         AND outcome = 'succeeded' AND request_id = 'req-change'";
            let before = world.db.query(count);
            let mut place = path
                .replace("{key_id}", &story.key)
                .replace("{tenant_id}", "acme_corp")
                .replace("{session_id}", &story.other_session);
            if (method, path) == ("delete", "/api/tenants/{tenant_id}/genesys/credentials") {
                place.push_str("?grant_type=client_credentials");
            }
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let mut request = world
                .request(verb, &place)
                .bearer_auth(&admin.token)
                .header("x-request-id", "req-change");
            if let Some(body) = story.body(method, path) {
                request = request.json(&body);
            }
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body = response.text().await.unwrap();
            assert!(
                (200..300).contains(&status),
                "{method} {path}: {status} {body}"
            );
            assert_ne!(world.db.query(count), before, "{method} {path}");
            if path == "/api/admin/me/totp" && method == "post" {
                let body: Value = serde_json::from_str(&body).unwrap();
                let secret = body["secret"].as_str().unwrap();
                story.secret = Some(TotpSecret::from_stored(secret.into()));
            }
        }
    })
    .await;
}

async fn page(admin: &Admin<'_>, query: &str) -> Value {
    ok(admin.get(&format!("/api/admin/audit?{query}")).await, 200).await
}

fn actions(page: &Value) -> Vec<&str> {
    let entries = page["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_log_is_read_newest_first_by_pages_and_filters() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(
            admin.patch("globex", json!({"name": "Globex Inc"})).await,
            200,
        )
        .await;
        let all = page(&admin, "").await;
        assert_eq!(
            actions(&all),
            [
                "tenant.update",
                "tenant.create",
                "tenant.create",
                "admin.login"
            ]
        );
        assert_eq!(all["next_cursor"], Value::Null);
        let newest = &all["entries"][0];
        assert_eq!(newest["tenant_id"], "globex");
        assert_eq!(newest["actor_kind"], "platform_admin");
        assert_eq!(newest["actor_id"], ADMIN_ID);
        assert_eq!(newest["seq"], 2);
        let stored = "SELECT encode(entry_hash, 'hex') FROM audit_log \
                      WHERE action = 'tenant.update'";
        assert_eq!(newest["entry_hash"], world.db.query(stored)[0]);

        let mut walked = Vec::new();
        let mut query = "limit=1".to_owned();
        loop {
            let one = page(&admin, &query).await;
            walked.extend(one["entries"].as_array().unwrap().clone());
            let Some(cursor) = one["next_cursor"].as_str() else {
                break;
            };
            query = format!("limit=1&cursor={cursor}");
        }
        assert_eq!(Value::from(walked), all["entries"]);

        let since = newest["occurred_at"].as_str().unwrap();
        for (query, expected) in [
            ("tenant_id=acme_corp", 1),
            ("tenant_id=globex", 2),
            ("tenant_id=initech", 0),
            (&format!("actor={ADMIN_ID}"), 4),
            ("action=tenant.create", 2),
            ("action=tenant.create&tenant_id=globex", 1),
            ("outcome=refused", 0),
            ("outcome=succeeded", 4),
            (&format!("since={since}"), 1),
            (&format!("until={since}"), 3),
        ] {
            let query = query.replace('+', "%2B");
            assert_eq!(
                actions(&page(&admin, &query).await).len(),
                expected,
                "{query}"
            );
        }
        for (query, field) in [
            ("limit=101", "limit"),
            ("cursor=x", "cursor"),
            ("outcome=maybe", "outcome"),
            ("since=yesterday", "since"),
            ("who=me", "who"),
        ] {
            let answer = admin.get(&format!("/api/admin/audit?{query}")).await;
            assert_eq!(bad_fields(answer).await, [field]);
        }
    })
    .await;
}

#[tokio::test]
async fn fifty_changes_at_once_make_one_chain() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let changes = (0..50).map(|number| {
            let name = format!("Acme {number}");
            admin.patch("acme_corp", json!({"name": name}))
        });
        for answer in futures_util::future::join_all(changes).await {
            ok(answer, 200).await;
        }
        let links = "SELECT count(*) FROM audit_log later JOIN audit_log earlier \
                     ON later.seq = earlier.seq + 1 AND later.prev_hash = earlier.entry_hash \
                     AND later.tenant_id = earlier.tenant_id WHERE later.tenant_id = 'acme_corp'";
        assert_eq!(world.db.query(links), ["50"]);
        let head = "SELECT count(*) FROM audit_chains c JOIN audit_log a \
                    ON a.seq = c.seq AND a.entry_hash = c.head AND a.tenant_id = c.chain \
                    WHERE c.chain = 'acme_corp' AND c.seq = 51";
        assert_eq!(world.db.query(head), ["1"]);
    })
    .await;
}
