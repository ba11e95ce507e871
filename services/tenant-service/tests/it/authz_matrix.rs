//! Every operation of the document against every kind of caller; a missing row fails.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use portal_auth::{AccessSubject, Issuer, SigningKey, SigningKeys};
use portal_types::{Clock, Role, SessionId, TenantId, UserId};
use portal_vault::{Binding, Vault};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{SERVICE_KEY, VAULT_KEYS, World, ok, whatsapp_body, with_world};

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Door {
    /// Platform administrators only.
    Admin,
    /// Services only.
    Service,
    /// Anybody; with credentials more.
    Everybody,
    /// Signing in itself.
    Login,
}

pub(crate) const OPERATIONS: [(&str, &str, Door); 43] = [
    ("post", "/api/tenants", Door::Admin),
    ("get", "/api/tenants", Door::Admin),
    ("get", "/api/tenants/{tenant_id}", Door::Admin),
    ("patch", "/api/tenants/{tenant_id}", Door::Admin),
    ("delete", "/api/tenants/{tenant_id}", Door::Admin),
    ("put", "/api/tenants/{tenant_id}/genesys-org", Door::Admin),
    ("get", "/api/tenants/{tenant_id}/whatsapp", Door::Admin),
    ("put", "/api/tenants/{tenant_id}/whatsapp", Door::Admin),
    ("delete", "/api/tenants/{tenant_id}/whatsapp", Door::Admin),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        Door::Admin,
    ),
    (
        "get",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        Door::Admin,
    ),
    (
        "delete",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        Door::Admin,
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup/continue",
        Door::Admin,
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/whatsapp/verify",
        Door::Admin,
    ),
    (
        "get",
        "/api/tenants/{tenant_id}/whatsapp/signup-settings",
        Door::Admin,
    ),
    (
        "get",
        "/api/tenants/{tenant_id}/sending-profile",
        Door::Service,
    ),
    ("patch", "/api/tenants/{tenant_id}/profile", Door::Service),
    (
        "get",
        "/api/tenants/{tenant_id}/genesys-profile",
        Door::Service,
    ),
    ("post", "/api/tenants/import", Door::Admin),
    ("post", "/api/tenants/verify-api-key", Door::Service),
    (
        "put",
        "/api/tenants/{tenant_id}/genesys/credentials",
        Door::Admin,
    ),
    (
        "get",
        "/api/tenants/{tenant_id}/genesys/credentials",
        Door::Admin,
    ),
    (
        "delete",
        "/api/tenants/{tenant_id}/genesys/credentials",
        Door::Admin,
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/genesys/credentials/verify",
        Door::Admin,
    ),
    ("get", "/api/tenants/{tenant_id}/role-map", Door::Admin),
    ("put", "/api/tenants/{tenant_id}/role-map", Door::Admin),
    ("post", "/api/tenants/{tenant_id}/api-keys", Door::Admin),
    ("get", "/api/tenants/{tenant_id}/api-keys", Door::Admin),
    (
        "delete",
        "/api/tenants/{tenant_id}/api-keys/{key_id}",
        Door::Admin,
    ),
    (
        "post",
        "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate",
        Door::Admin,
    ),
    (
        "get",
        "/api/tenants/by-genesys-org/{genesys_org_id}",
        Door::Everybody,
    ),
    ("post", "/api/admin/auth/login", Door::Login),
    ("post", "/api/admin/auth/refresh", Door::Login),
    ("post", "/api/admin/auth/logout", Door::Admin),
    ("post", "/api/admin/auth/logout-all", Door::Admin),
    ("get", "/api/admin/auth/sessions", Door::Admin),
    (
        "delete",
        "/api/admin/auth/sessions/{session_id}",
        Door::Admin,
    ),
    ("get", "/api/admin/me", Door::Admin),
    ("post", "/api/admin/me/totp", Door::Admin),
    ("post", "/api/admin/me/totp/confirm", Door::Admin),
    ("delete", "/api/admin/me/totp", Door::Admin),
    ("post", "/api/admin/me/password", Door::Admin),
    ("get", "/api/admin/audit", Door::Admin),
];

struct Late;

impl Clock for Late {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() - TimeDelta::hours(2)
    }
}

/// The service's own signing key, as nobody but the service should have it.
fn own_keys(world: &World) -> SigningKeys {
    let kid = world.db.query("SELECT kid FROM signing_keys").remove(0);
    let sealed = world
        .db
        .query("SELECT encode(private_key, 'hex') FROM signing_keys")
        .remove(0);
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let place = Binding {
        table: "signing_keys",
        column: "private_key",
        tenant_id: "platform",
        row_id: &kid,
    };
    let bytes = hex::decode(sealed).unwrap();
    let key = SigningKey::from_stored(&vault.open(&place, &bytes).unwrap()).unwrap();
    SigningKeys::new(key, &[])
}

fn admin_token(issuer: &Issuer, id: Uuid) -> String {
    issuer
        .issue_admin(id, Uuid::now_v7())
        .unwrap()
        .token
        .expose_secret()
        .to_owned()
}

/// Callers that no door lets in, with the code that each gets.
fn strangers(world: &World) -> Vec<(&'static str, Option<String>, &'static str)> {
    let own = own_keys(world);
    let issuer = |aud: &str, keys: &SigningKeys| Issuer::new("tenant-service", aud, keys.clone());
    let good = admin_token(&issuer("tenant-service", &own), Uuid::now_v7());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = admin_token(&issuer("tenant-service", &own), Uuid::now_v7());
    let (other_head, _) = other.rsplit_once('.').unwrap();
    assert_ne!(head, other_head);
    let foreign_keys = SigningKeys::new(SigningKey::generate().unwrap(), &[]);

    let person = AccessSubject {
        user_id: UserId::generate(),
        tenant_id: TenantId::parse("acme_corp").unwrap(),
        role: Role::Admin,
        session_id: SessionId::generate(),
    };
    let agent = Issuer::new("agent-portal-service", "agent-portal", foreign_keys.clone());
    let agent = agent
        .issue_access(&person)
        .unwrap()
        .token
        .expose_secret()
        .to_owned();
    // Even signed with our key a person's token opens no administrator's door.
    let disguised = issuer("tenant-service", &own)
        .issue_access(&person)
        .unwrap();

    let late = issuer("tenant-service", &own).with_clock(Arc::new(Late));
    vec![
        ("nobody", None, "TOKEN_MISSING"),
        ("junk", Some("junk".to_owned()), "TOKEN_INVALID"),
        (
            "tampered",
            Some(format!("{other_head}.{signature}")),
            "TOKEN_INVALID",
        ),
        (
            "expired",
            Some(admin_token(&late, Uuid::now_v7())),
            "TOKEN_EXPIRED",
        ),
        (
            "foreign key",
            Some(admin_token(
                &issuer("tenant-service", &foreign_keys),
                Uuid::now_v7(),
            )),
            "TOKEN_INVALID",
        ),
        (
            "other audience",
            Some(admin_token(&issuer("agent-portal", &own), Uuid::now_v7())),
            "TOKEN_INVALID",
        ),
        ("agent", Some(agent), "TOKEN_INVALID"),
        (
            "disguised",
            Some(disguised.token.expose_secret().to_owned()),
            "TOKEN_INVALID",
        ),
        (
            "without a session",
            Some(admin_token(&issuer("tenant-service", &own), Uuid::now_v7())),
            "TOKEN_REVOKED",
        ),
        (
            "guessed key",
            Some("svc_outbound_guess".to_owned()),
            "TOKEN_INVALID",
        ),
    ]
}

pub(crate) async fn ask(
    world: &World,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> (u16, String) {
    let path = path
        .replace("{tenant_id}", "acme_corp")
        .replace("{genesys_org_id}", "org-acme")
        .replace("{session_id}", "0199f000-0000-7000-8000-000000000001")
        .replace("{key_id}", "0199f000-0000-7000-8000-00000000feed");
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    // A body that is not valid: who is not let in must not even learn that.
    let mut request = world.request(method, &path).json(&json!({"unknown": true}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    (
        status,
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

#[tokio::test]
async fn each_operation_lets_in_whom_it_should() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;

        let doors: BTreeMap<(String, String), Door> = OPERATIONS
            .iter()
            .map(|(method, path, door)| (((*method).to_owned(), (*path).to_owned()), *door))
            .collect();
        let document = ok(world.get("/openapi.json").send().await.unwrap(), 200).await;
        let mut seen = 0;
        let strangers = strangers(world);
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                seen += 1;
                let place = format!("{method} {path}");
                let door = doors.get(&(method.clone(), path.clone()));
                let door = *door.unwrap_or_else(|| panic!("no row for {place}"));
                for (who, token, code) in &strangers {
                    let (status, found) = ask(world, method, path, token.as_deref()).await;
                    let case = format!("{place}, {who}: {status} {found}");
                    match (door, *who) {
                        (Door::Everybody, "nobody") => assert_eq!(status, 200, "{case}"),
                        (Door::Login, _) => assert_eq!(status, 400, "{case}"),
                        _ => assert_eq!((status, found.as_str()), (401, *code), "{case}"),
                    }
                }
                let service = ask(world, method, path, Some(SERVICE_KEY)).await;
                match door {
                    Door::Admin => assert_eq!(service, (403, "FORBIDDEN".to_owned()), "{place}"),
                    // Let in, and told that the body is not valid.
                    Door::Service if method != "get" => assert_eq!(service.0, 400, "{place}"),
                    Door::Service | Door::Everybody => assert_eq!(service.0, 200, "{place}"),
                    Door::Login => assert_eq!(service.0, 400, "{place}"),
                }
                if door == Door::Service {
                    let found = ask(world, method, path, Some(&admin.token)).await;
                    assert_eq!(found, (403, "FORBIDDEN".to_owned()), "{place}");
                }
            }
        }
        assert_eq!(seen, OPERATIONS.len());
        // Nothing happened.
        let tenant = ok(admin.get("/api/tenants/acme_corp").await, 200).await;
        assert_eq!(
            (&tenant["status"], &tenant["whatsapp_configured"]),
            (&json!("active"), &json!(true))
        );
    })
    .await;
}
