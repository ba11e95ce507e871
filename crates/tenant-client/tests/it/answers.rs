//! What each answer means.

use chrono::{DateTime, Utc};
use portal_service_kit::http_client::{ClientOptions, build};
use portal_tenant_client::{
    CachePolicy, SendingProfile, TenantClient, TenantClientError, TenantRecord, TenantStatus,
    TokenStatus, WhatsAppProfile,
};
use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::{CREDENTIAL, acme, client, no_such_tenant, profile, record};

#[tokio::test]
async fn a_tenant_is_found_by_its_organization() {
    let fake = Fake::start(vec![Reply::json(200, &record())]).await;
    let found = client(&fake, CachePolicy::default())
        .by_genesys_org("o/1")
        .await
        .unwrap();
    assert_eq!(
        found,
        Some(TenantRecord {
            tenant_id: acme(),
            name: "Acme".to_owned(),
            status: TenantStatus::Active,
            genesys_org_id: Some("o-1".to_owned()),
            genesys_region: Some("mypurecloud.de".to_owned()),
            whatsapp_configured: true,
        })
    );
    let request = fake.only_request();
    assert_eq!(request.method, "GET");
    assert_eq!(request.target, "/api/tenants/by-genesys-org/o%2F1");
    assert_eq!(
        request.header("authorization"),
        format!("Bearer {CREDENTIAL}")
    );
}

#[tokio::test]
async fn a_sending_profile_keeps_its_token_sealed() {
    let fake = Fake::start(vec![Reply::json(200, &profile())]).await;
    let found = client(&fake, CachePolicy::default())
        .sending_profile(&acme())
        .await
        .unwrap()
        .unwrap();
    let created_at: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
    assert_eq!(
        found.whatsapp,
        Some(WhatsAppProfile {
            waba_id: "w-1".to_owned(),
            phone_number_id: "106540352242922".to_owned(),
            display_phone_number: "+1 555-078-3881".to_owned(),
            quality_rating: Some("GREEN".to_owned()),
            messaging_limit: None,
            token_status: TokenStatus::Valid,
            created_at,
            sealed_access_token: vec![1, 2, 3, 4],
            credential_row_id: "0193".to_owned(),
        })
    );
    assert_eq!(
        fake.only_request().target,
        "/api/tenants/acme_corp/sending-profile"
    );
    let shown = format!("{found:?}");
    assert!(
        !shown.contains("555") && !shown.contains("[1, 2, 3, 4]"),
        "{shown}"
    );
    // The same type writes what it reads.
    let mut written = profile();
    written["rate_limit"] = json!(null);
    assert_eq!(serde_json::to_value(&found).unwrap(), written);
}

#[tokio::test]
async fn a_tenant_without_whatsapp_has_a_profile_without_it() {
    let mut bare = profile();
    bare["whatsapp"] = json!(null);
    bare["status"] = json!("suspended");
    let fake = Fake::start(vec![Reply::json(200, &bare)]).await;
    let found: SendingProfile = client(&fake, CachePolicy::default())
        .sending_profile(&acme())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.whatsapp, found.status.is_active()), (None, false));
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let mut bad_token = profile();
    bad_token["whatsapp"]["sealed_access_token"] = json!("***");
    let not_found = json!({"error": {"code": "NOT_FOUND", "message": "No such route"}});
    for (reply, expected) in [
        (
            Reply::json(401, "{}"),
            TenantClientError::Unauthorized { status: 401 },
        ),
        (
            Reply::json(403, "{}"),
            TenantClientError::Unauthorized { status: 403 },
        ),
        (Reply::json(429, "{}"), TenantClientError::Unavailable),
        (Reply::json(500, "{}"), TenantClientError::Unavailable),
        (Reply::json(503, "<html>"), TenantClientError::Unavailable),
        (Reply::Close, TenantClientError::Unavailable),
        // A 404 of somebody else must not pass for "no such tenant".
        (
            Reply::json(404, "<html>"),
            TenantClientError::Protocol { status: 404 },
        ),
        (
            Reply::json(404, &not_found),
            TenantClientError::Protocol { status: 404 },
        ),
        (
            Reply::json(302, "").with("location", "/x"),
            TenantClientError::Protocol { status: 302 },
        ),
        (
            Reply::json(200, "<html>"),
            TenantClientError::Protocol { status: 200 },
        ),
        (
            Reply::json(200, "{}"),
            TenantClientError::Protocol { status: 200 },
        ),
        (
            Reply::json(200, &bad_token),
            TenantClientError::Protocol { status: 200 },
        ),
        (
            Reply::json(200, &"x".repeat(300_000)),
            TenantClientError::Protocol { status: 200 },
        ),
    ] {
        let fake = Fake::start(vec![reply]).await;
        let result = client(&fake, CachePolicy::default())
            .sending_profile(&acme())
            .await;
        assert_eq!(result, Err(expected));
        assert!(!expected.to_string().contains("svc_"));
        fake.only_request();
    }
    let fake = Fake::start(vec![no_such_tenant()]).await;
    assert_eq!(
        client(&fake, CachePolicy::default())
            .by_genesys_org("o")
            .await,
        Ok(None)
    );
}

#[test]
fn only_http_addresses_are_base_urls() {
    let http = build(&ClientOptions::default()).unwrap();
    for bad in ["mailto:a@b", "ftp://host/"] {
        let made = TenantClient::new(
            http.clone(),
            bad.parse().unwrap(),
            CREDENTIAL.into(),
            CachePolicy::default(),
        );
        assert!(made.is_err(), "{bad}");
    }
}
