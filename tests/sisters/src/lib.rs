//! A small server that stands for agent-portal-service (its published keys) and tenant-service (what
//! to send with), for tests and benchmarks of outbound-message-service alone.
#![expect(
    clippy::unwrap_used,
    reason = "a stand-in fails the test at the spot where the world is not as it should be"
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::Utc;
use portal_auth::{AccessSubject, Issuer, SigningKey, SigningKeys};
use portal_sandbox::seed;
use portal_tenant_client::{SendingProfile, TenantStatus, TokenStatus, WhatsAppProfile};
use portal_types::{Role, SessionId, TenantId, UserId};
use portal_vault::{Binding, Vault};
use secrecy::ExposeSecret as _;

/// The `iss` of tokens.
pub const ISSUER: &str = "agent-portal-service";
/// The `aud` of tokens.
pub const AUDIENCE: &str = "agent-portal";

/// API keys by digest, as tenant-service tells of them.
type Keys = Arc<Mutex<HashMap<String, serde_json::Value>>>;
type Profiles = Arc<Mutex<HashMap<String, SendingProfile>>>;

/// A server on a free port with both sisters' doors.
pub struct Sisters {
    pub url: String,
    pub issuer: Issuer,
    profiles: Profiles,
    keys: Keys,
}

impl Sisters {
    pub fn start() -> Self {
        let issuer = new_issuer(ISSUER, AUDIENCE);
        let profiles = Profiles::default();
        let keys = Keys::default();
        let (jwks, shared) = (issuer.keys().jwks(), Arc::clone(&profiles));
        let all_keys = Arc::clone(&keys);
        let server = HttpServer::new(move || {
            let (jwks, shared) = (jwks.clone(), Arc::clone(&shared));
            let all_keys = Arc::clone(&all_keys);
            App::new()
                .route(
                    "/.well-known/jwks.json",
                    web::get().to(move || {
                        let jwks = jwks.clone();
                        async move { HttpResponse::Ok().json(jwks) }
                    }),
                )
                .route(
                    "/api/tenants/verify-api-key",
                    web::post().to(move |body: web::Json<serde_json::Value>| {
                        let digest = body["digest"].as_str().unwrap().to_owned();
                        let found = all_keys.lock().unwrap().get(&digest).cloned();
                        async move {
                            match found {
                                Some(key) => HttpResponse::Ok().json(key),
                                None => HttpResponse::NotFound().json(serde_json::json!({
                                    "error": {"code": "API_KEY_NOT_FOUND", "message": "none"}
                                })),
                            }
                        }
                    }),
                )
                .route(
                    "/api/tenants/{id}/sending-profile",
                    web::get().to(move |id: web::Path<String>| {
                        let found = shared.lock().unwrap().get(id.as_str()).cloned();
                        async move {
                            match found {
                                Some(profile) => HttpResponse::Ok().json(profile),
                                None => HttpResponse::NotFound().json(serde_json::json!({
                                    "error": {"code": "TENANT_NOT_FOUND", "message": "none"}
                                })),
                            }
                        }
                    }),
                )
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self {
            url,
            issuer,
            profiles,
            keys,
        }
    }

    pub fn put(&self, profile: SendingProfile) {
        self.profiles
            .lock()
            .unwrap()
            .insert(profile.tenant_id.to_string(), profile);
    }

    pub fn change(&self, tenant: &str, change: impl FnOnce(&mut SendingProfile)) {
        change(self.profiles.lock().unwrap().get_mut(tenant).unwrap());
    }

    /// A new API key of a tenant; answers its id and itself.
    pub fn api_key(&self, tenant: &str, scopes: &[&str]) -> (uuid::Uuid, String) {
        let key = portal_auth::random_token("sk_").unwrap();
        let (id, key) = (uuid::Uuid::now_v7(), key.expose_secret().to_owned());
        let record = serde_json::json!({
            "key_id": id, "tenant_id": tenant, "scopes": scopes, "expires_at": null,
        });
        let digest = portal_auth::sha256_hex(&key);
        self.keys.lock().unwrap().insert(digest, record);
        (id, key)
    }

    /// No API key is valid any more.
    pub fn forget_api_keys(&self) {
        self.keys.lock().unwrap().clear();
    }

    /// A signed-in agent's token.
    pub fn token(&self, tenant: &str) -> String {
        self.token_for(tenant, SessionId::generate())
    }

    pub fn token_for(&self, tenant: &str, session: SessionId) -> String {
        issue(&self.issuer, tenant, session, Role::Agent)
    }

    /// The token of a signed-in person with this role.
    pub fn token_as(&self, role: Role, tenant: &str) -> String {
        issue(&self.issuer, tenant, SessionId::generate(), role)
    }
}

pub fn new_issuer(iss: &str, aud: &str) -> Issuer {
    let keys = SigningKeys::new(SigningKey::generate().unwrap(), &[]);
    Issuer::new(iss, aud, keys).with_lifetime(Duration::from_mins(5))
}

pub fn issue(issuer: &Issuer, tenant: &str, session: SessionId, role: Role) -> String {
    let subject = AccessSubject {
        user_id: UserId::generate(),
        tenant_id: TenantId::parse(tenant).unwrap(),
        role,
        session_id: session,
    };
    issuer
        .issue_access(&subject)
        .unwrap()
        .token
        .expose_secret()
        .to_owned()
}

/// A business account with one number, as Meta or the sandbox knows it.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub waba_id: &'a str,
    pub phone_number_id: &'a str,
    pub display_phone_number: &'a str,
    pub token: &'a str,
}

const ACME: Account<'static> = Account {
    waba_id: seed::ACME_WABA_ID,
    phone_number_id: seed::ACME_PHONE_NUMBER_ID,
    display_phone_number: seed::ACME_DISPLAY_PHONE_NUMBER,
    token: seed::ACME_TOKEN,
};
const GLOBEX: Account<'static> = Account {
    waba_id: seed::GLOBEX_WABA_ID,
    phone_number_id: seed::GLOBEX_PHONE_NUMBER_ID,
    display_phone_number: seed::GLOBEX_DISPLAY_PHONE_NUMBER,
    token: seed::GLOBEX_TOKEN,
};

/// A tenant with the sandbox's business account of Acme or Globex.
pub fn profile(vault: &Vault, tenant: &str) -> SendingProfile {
    let account = if tenant == "globex" { GLOBEX } else { ACME };
    profile_with(vault, tenant, &account)
}

/// A tenant with an account.
pub fn profile_with(vault: &Vault, tenant: &str, account: &Account<'_>) -> SendingProfile {
    SendingProfile {
        tenant_id: TenantId::parse(tenant).unwrap(),
        name: tenant.to_owned(),
        status: TenantStatus::Active,
        genesys_org_id: None,
        genesys_region: None,
        rate_limit: None,
        whatsapp: Some(WhatsAppProfile {
            waba_id: account.waba_id.to_owned(),
            phone_number_id: account.phone_number_id.to_owned(),
            display_phone_number: account.display_phone_number.to_owned(),
            quality_rating: None,
            messaging_limit: None,
            token_status: TokenStatus::Valid,
            created_at: Utc::now(),
            sealed_access_token: seal(vault, tenant, account.token),
            credential_row_id: "row".to_owned(),
        }),
    }
}

pub fn seal(vault: &Vault, tenant: &str, token: &str) -> Vec<u8> {
    let binding = Binding {
        table: "tenant_whatsapp_config",
        column: "access_token",
        tenant_id: tenant,
        row_id: "row",
    };
    vault.seal(&binding, &token.into()).unwrap()
}
