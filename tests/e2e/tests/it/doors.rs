//! Who may enter where: every operation of all three services against every kind of caller. An
//! operation without a row, and a row without an operation, fail.

use std::collections::BTreeSet;

use portal_sandbox::seed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use portal_e2e::installation::Installation;

/// Kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Anonymous,
    Agent,
    Supervisor,
    Admin,
    PlatformAdmin,
    ApiKey,
    Service,
}

use Who::{Admin, Agent, Anonymous, ApiKey, PlatformAdmin, Service, Supervisor};

const ALL: [Who; 7] = [
    Anonymous,
    Agent,
    Supervisor,
    Admin,
    PlatformAdmin,
    ApiKey,
    Service,
];
/// Credentials are not looked at: the door itself checks a secret, a signature, or nothing.
const EVERYBODY: &[Who] = &ALL;
/// Anybody without credentials; those of a person of a tenant are no credentials here.
const PUBLIC: &[Who] = &[Anonymous, PlatformAdmin, Service];
const PLATFORM: &[Who] = &[PlatformAdmin];
const SERVICES: &[Who] = &[Service];
const PEOPLE: &[Who] = &[Agent, Supervisor, Admin];
const SUPERVISORS: &[Who] = &[Supervisor, Admin];
const ADMINS: &[Who] = &[Admin];
const SUPERVISORS_AND_KEYS: &[Who] = &[Supervisor, Admin, ApiKey];
const PEOPLE_AND_KEYS: &[Who] = &[Agent, Supervisor, Admin, ApiKey];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Home {
    Tenants,
    Portal,
    Messages,
}

use Home::{Messages, Portal, Tenants};

/// A service, a method, a path, and who may enter.
pub(crate) type Door = (Home, &'static str, &'static str, &'static [Who]);

/// The matrix.
pub(crate) const DOORS: &[Door] = &[
    (Tenants, "get", "/api/admin/audit", PLATFORM),
    (Tenants, "post", "/api/admin/auth/login", EVERYBODY),
    (Tenants, "post", "/api/admin/auth/logout", PLATFORM),
    (Tenants, "post", "/api/admin/auth/logout-all", PLATFORM),
    (Tenants, "post", "/api/admin/auth/refresh", EVERYBODY),
    (Tenants, "get", "/api/admin/auth/sessions", PLATFORM),
    (
        Tenants,
        "delete",
        "/api/admin/auth/sessions/{session_id}",
        PLATFORM,
    ),
    (Tenants, "get", "/api/admin/me", PLATFORM),
    (Tenants, "post", "/api/admin/me/password", PLATFORM),
    (Tenants, "delete", "/api/admin/me/totp", PLATFORM),
    (Tenants, "post", "/api/admin/me/totp", PLATFORM),
    (Tenants, "post", "/api/admin/me/totp/confirm", PLATFORM),
    (Tenants, "get", "/api/tenants", PLATFORM),
    (Tenants, "post", "/api/tenants", PLATFORM),
    (
        Tenants,
        "get",
        "/api/tenants/by-genesys-org/{genesys_org_id}",
        PUBLIC,
    ),
    (Tenants, "post", "/api/tenants/import", PLATFORM),
    (Tenants, "post", "/api/tenants/verify-api-key", SERVICES),
    (Tenants, "delete", "/api/tenants/{tenant_id}", PLATFORM),
    (Tenants, "get", "/api/tenants/{tenant_id}", PLATFORM),
    (Tenants, "patch", "/api/tenants/{tenant_id}", PLATFORM),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/api-keys",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/api-keys",
        PLATFORM,
    ),
    (
        Tenants,
        "delete",
        "/api/tenants/{tenant_id}/api-keys/{key_id}",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate",
        PLATFORM,
    ),
    (
        Tenants,
        "put",
        "/api/tenants/{tenant_id}/genesys-org",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/genesys-profile",
        SERVICES,
    ),
    (
        Tenants,
        "delete",
        "/api/tenants/{tenant_id}/genesys/credentials",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/genesys/credentials",
        PLATFORM,
    ),
    (
        Tenants,
        "put",
        "/api/tenants/{tenant_id}/genesys/credentials",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/genesys/credentials/verify",
        PLATFORM,
    ),
    (
        Tenants,
        "patch",
        "/api/tenants/{tenant_id}/profile",
        SERVICES,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/role-map",
        PLATFORM,
    ),
    (
        Tenants,
        "put",
        "/api/tenants/{tenant_id}/role-map",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/sending-profile",
        SERVICES,
    ),
    (
        Tenants,
        "delete",
        "/api/tenants/{tenant_id}/whatsapp",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/whatsapp",
        PLATFORM,
    ),
    (
        Tenants,
        "put",
        "/api/tenants/{tenant_id}/whatsapp",
        PLATFORM,
    ),
    (
        Tenants,
        "delete",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup",
        PLATFORM,
    ),
    (
        Tenants,
        "get",
        "/api/tenants/{tenant_id}/whatsapp/signup-settings",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/whatsapp/signup/continue",
        PLATFORM,
    ),
    (
        Tenants,
        "post",
        "/api/tenants/{tenant_id}/whatsapp/verify",
        PLATFORM,
    ),
    (Portal, "get", "/.well-known/jwks.json", EVERYBODY),
    (Portal, "get", "/api/agents/auth/callback", EVERYBODY),
    (Portal, "get", "/api/agents/auth/login", EVERYBODY),
    (Portal, "post", "/api/agents/auth/logout", PEOPLE),
    (Portal, "post", "/api/agents/auth/logout-all", PEOPLE),
    (Portal, "post", "/api/agents/auth/refresh", EVERYBODY),
    (Portal, "get", "/api/agents/auth/sessions", PEOPLE),
    (
        Portal,
        "delete",
        "/api/agents/auth/sessions/{session_id}",
        PEOPLE,
    ),
    (Portal, "get", "/api/agents/events", PEOPLE),
    (Portal, "get", "/api/agents/events/snapshot", PEOPLE),
    (Portal, "get", "/api/agents/presence", PEOPLE),
    (Portal, "put", "/api/agents/presence", PEOPLE),
    (Portal, "get", "/api/agents/profile", PEOPLE),
    (
        Portal,
        "get",
        "/api/organization/conversation-rules",
        SUPERVISORS,
    ),
    (
        Portal,
        "patch",
        "/api/organization/conversation-rules",
        ADMINS,
    ),
    (Portal, "get", "/api/organization/presence", SUPERVISORS),
    (
        Portal,
        "put",
        "/api/organization/users/{user_id}/capacity",
        SUPERVISORS,
    ),
    (Portal, "post", "/api/agents/signup", EVERYBODY),
    (Portal, "post", "/api/agents/whatsapp/setup", EVERYBODY),
    (Portal, "get", "/api/agents/whatsapp/status", PEOPLE),
    (Portal, "get", "/api/conversations", PEOPLE),
    (
        Portal,
        "get",
        "/api/conversations/erasures/{erasure_id}",
        ADMINS,
    ),
    (
        Portal,
        "get",
        "/api/conversations/{conversation_id}/export",
        ADMINS,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/erase",
        ADMINS,
    ),
    (
        Portal,
        "get",
        "/api/conversations/{conversation_id}",
        PEOPLE,
    ),
    (
        Portal,
        "get",
        "/api/conversations/{conversation_id}/messages",
        PEOPLE,
    ),
    (
        Portal,
        "get",
        "/api/conversations/{conversation_id}/history",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/assign",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/release",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/transfer",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/close",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/reopen",
        PEOPLE,
    ),
    (
        Portal,
        "post",
        "/api/conversations/{conversation_id}/read",
        PEOPLE,
    ),
    (Portal, "get", "/api/organization/profile", PEOPLE),
    (Portal, "put", "/api/organization/profile", ADMINS),
    (Portal, "get", "/api/organization/sync-users", ADMINS),
    (Portal, "post", "/api/organization/sync-users", ADMINS),
    (
        Portal,
        "get",
        "/api/organization/sync-users/{run_id}",
        ADMINS,
    ),
    (Portal, "get", "/api/organization/users", SUPERVISORS),
    (
        Portal,
        "get",
        "/api/organization/users/{user_id}",
        SUPERVISORS,
    ),
    (Portal, "patch", "/api/organization/users/{user_id}", ADMINS),
    (Messages, "get", "/api/messages", PEOPLE_AND_KEYS),
    (Messages, "get", "/api/messages/dead-letters", ADMINS),
    (
        Messages,
        "post",
        "/api/messages/dead-letters/replay",
        ADMINS,
    ),
    (
        Messages,
        "get",
        "/api/messages/dead-letters/{dead_letter_id}",
        ADMINS,
    ),
    (
        Messages,
        "post",
        "/api/messages/dead-letters/{dead_letter_id}/discard",
        ADMINS,
    ),
    (
        Messages,
        "post",
        "/api/messages/dead-letters/{dead_letter_id}/replay",
        ADMINS,
    ),
    (
        Messages,
        "delete",
        "/api/messages/media/{media_id}",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "get",
        "/api/messages/media/{media_id}",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "get",
        "/api/messages/policy",
        SUPERVISORS_AND_KEYS,
    ),
    (Messages, "put", "/api/messages/policy", ADMINS),
    (Messages, "post", "/api/messages", PEOPLE_AND_KEYS),
    (Messages, "get", "/api/messages/holds", SUPERVISORS),
    (Messages, "post", "/api/messages/send", PEOPLE_AND_KEYS),
    (Messages, "post", "/api/messages/bulk", PEOPLE_AND_KEYS),
    (Messages, "post", "/api/messages/upload", PEOPLE_AND_KEYS),
    (
        Messages,
        "post",
        "/api/messages/send/template",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "delete",
        "/api/messages/{message_id}",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "patch",
        "/api/messages/{message_id}",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "post",
        "/api/messages/{message_id}/cancel",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "post",
        "/api/messages/{message_id}/retry",
        SUPERVISORS,
    ),
    (
        Messages,
        "get",
        "/api/messages/received/{inbound_id}",
        PEOPLE_AND_KEYS,
    ),
    (
        Messages,
        "post",
        "/api/messages/{message_id}/read",
        PEOPLE_AND_KEYS,
    ),
    (Messages, "get", "/api/messages/webhook-secrets", ADMINS),
    (Messages, "post", "/api/messages/webhook-secrets", ADMINS),
    (
        Messages,
        "delete",
        "/api/messages/webhook-secrets/{secret_id}",
        ADMINS,
    ),
    (Messages, "get", "/api/messages/windows", PEOPLE_AND_KEYS),
    (
        Messages,
        "get",
        "/api/messages/{message_id}",
        PEOPLE_AND_KEYS,
    ),
    (Messages, "get", "/api/templates", PEOPLE_AND_KEYS),
    (Messages, "post", "/api/templates/sync", SUPERVISORS),
    (
        Messages,
        "get",
        "/api/templates/{template_name}",
        PEOPLE_AND_KEYS,
    ),
];

/// Doors that end the session of whoever enters.
pub(crate) const ENDS_SESSION: [&str; 4] = [
    "/api/agents/auth/logout",
    "/api/agents/auth/logout-all",
    "/api/admin/auth/logout",
    "/api/admin/auth/logout-all",
];

impl Home {
    pub(crate) fn url(self, world: &Installation) -> &str {
        match self {
            Tenants => &world.tenants_url,
            Portal => &world.portal_url,
            Messages => &world.messages_url,
        }
    }
}

/// Credentials of one kind of caller, fresh where the door takes them away.
async fn credentials(world: &Installation, who: Who) -> Option<String> {
    Some(match who {
        Anonymous => return None,
        Agent => world.token(seed::ACME_AGENT).await,
        Supervisor => world.token(seed::ACME_SUPERVISOR).await,
        Admin => world.token(seed::ACME_ADMIN).await,
        PlatformAdmin => world.sign_in_admin().await,
        ApiKey => world.api_key("acme_corp").await,
        Service => world.service_key.clone(),
    })
}

/// Ids that are nobody's: whoever gets in learns that there is no such thing, and nothing happens.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split('/').skip(1) {
        filled.push('/');
        match part {
            "{tenant_id}" => filled.push_str("nobody"),
            "{genesys_org_id}" => filled.push_str(seed::ACME_ORG_ID),
            part if part.starts_with('{') => {
                filled.push_str("01990000-0000-7000-8000-000000000000");
            }
            part => filled.push_str(part),
        }
    }
    filled
}

async fn knock(world: &Installation, row: &Door, token: Option<&str>) -> (StatusCode, Value) {
    let (home, method, path, _) = row;
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let url = format!("{}{}", home.url(world), filled(path));
    let mut request = world.http.request(method.clone(), url);
    if method != Method::GET && !ENDS_SESSION.contains(path) {
        // Never good: whoever gets in is told so, and nothing happens.
        request = request.json(&json!({"no_such_field": true}));
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let is_stream = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return (status, Value::Null);
    }
    (status, answer.json().await.unwrap_or_default())
}

async fn operations(world: &Installation, home: Home) -> BTreeSet<(Home, String, String)> {
    let url = format!("{}/openapi.json", home.url(world));
    let document: Value = world
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            let methods = methods
                .filter(|name| ["get", "post", "put", "patch", "delete"].contains(&name.as_str()));
            methods.map(move |method| (home, method.clone(), path.clone()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_opens_to_whom_it_should_and_to_nobody_else() {
    let world = Installation::start().await;
    let mut documented = BTreeSet::new();
    for home in [Tenants, Portal, Messages] {
        documented.extend(operations(&world, home).await);
    }
    let rows: BTreeSet<_> = DOORS
        .iter()
        .map(|(home, method, path, _)| (*home, (*method).to_owned(), (*path).to_owned()))
        .collect();
    let unguarded: Vec<_> = documented.difference(&rows).collect();
    assert!(
        unguarded.is_empty(),
        "operations without a row: {unguarded:#?}"
    );
    let gone: Vec<_> = rows.difference(&documented).collect();
    assert!(gone.is_empty(), "rows without an operation: {gone:#?}");

    let mut callers = Vec::new();
    for who in ALL {
        callers.push((who, credentials(&world, who).await));
    }
    // Whoever leaves does so last.
    let (last, first): (Vec<&Door>, Vec<&Door>) = DOORS
        .iter()
        .partition(|door| ENDS_SESSION.contains(&door.2));
    let mut wrong = Vec::new();
    for (who, token) in &callers {
        let who = *who;
        for row in first.iter().chain(&last) {
            let (_, method, path, opens_to) = row;
            let leaves = ENDS_SESSION.contains(path) && opens_to.contains(&who);
            let fresh = if leaves {
                credentials(&world, who).await
            } else {
                None
            };
            let token = fresh.as_ref().or(token.as_ref());
            let (status, body) = knock(&world, row, token.map(String::as_str)).await;
            let code = body["error"]["code"].as_str().unwrap_or_default();
            let is_shut = match status {
                StatusCode::UNAUTHORIZED => opens_to.len() < ALL.len(),
                StatusCode::FORBIDDEN => code == "FORBIDDEN" || code == "SCOPE_MISSING",
                _ => false,
            };
            let should_open = opens_to.contains(&who);
            // Without credentials it is 401, whatever else is wrong.
            let is_told_right =
                should_open || who != Anonymous || status == StatusCode::UNAUTHORIZED;
            if is_shut == should_open || status.is_server_error() || !is_told_right {
                wrong.push(format!("{who:?} {method} {path}: {status} {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
