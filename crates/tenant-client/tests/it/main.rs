//! The client of tenant-service against a server that answers, refuses and goes away.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod answers;
#[expect(dead_code, reason = "three crates share it, none needs all of it")]
#[path = "../../../whatsapp/tests/it/fake.rs"]
mod fake;
mod memory;

use std::time::Duration;

use portal_service_kit::http_client::{ClientOptions, build};
use portal_tenant_client::{CachePolicy, TenantClient};
use portal_types::TenantId;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

const CREDENTIAL: &str = "svc_secret-credential";

fn client(fake: &Fake, policy: CachePolicy) -> TenantClient {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(20),
        user_agent: "agent-portal".to_owned(),
    };
    TenantClient::new(
        build(&options).unwrap(),
        fake.url.clone(),
        CREDENTIAL.into(),
        policy,
    )
    .unwrap()
}

fn acme() -> TenantId {
    TenantId::parse("acme_corp").unwrap()
}

fn record() -> Value {
    json!({
        "tenant_id": "acme_corp", "name": "Acme", "status": "active", "genesys_org_id": "o-1",
        "genesys_region": "mypurecloud.de", "whatsapp_configured": true,
        "created_at": "2026-11-22T10:00:00Z"
    })
}

fn profile() -> Value {
    json!({
        "tenant_id": "acme_corp", "name": "Acme", "status": "active", "genesys_org_id": "o-1",
        "genesys_region": "mypurecloud.de",
        "whatsapp": {
            "waba_id": "w-1", "phone_number_id": "106540352242922",
            "display_phone_number": "+1 555-078-3881", "quality_rating": "GREEN",
            "messaging_limit": null, "token_status": "valid",
            "created_at": "2026-11-22T10:00:00Z", "sealed_access_token": "AQIDBA==",
            "credential_row_id": "0193"
        }
    })
}

fn no_such_tenant() -> Reply {
    let message = "Tenant not found for this Genesys organization";
    Reply::json(
        404,
        &json!({"error": {"code": "TENANT_NOT_FOUND", "message": message}, "requestId": "r"}),
    )
}
