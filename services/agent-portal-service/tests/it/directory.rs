//! What the service needs of tenant-service: which tenant has an organization, and what it has.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::Utc;
use portal_sandbox::seed;
use portal_tenant_client::{
    GenesysProfile, SendingProfile, TenantRecord, TenantStatus, TokenStatus, WhatsAppProfile,
};
use portal_types::TenantId;
use serde_json::json;

pub(crate) const SERVICE_KEY: &str = "svc_agent-portal-service_test";

type Tenants = Arc<Mutex<Vec<SendingProfile>>>;
/// Rules of sign-in that are not the usual ones, by tenant.
type Rules = Arc<Mutex<HashMap<String, GenesysProfile>>>;

/// A server on a free port with tenant-service's doors.
pub(crate) struct Directory {
    pub(crate) url: String,
    tenants: Tenants,
    rules: Rules,
    is_away: Arc<AtomicBool>,
}

impl Directory {
    pub(crate) fn start() -> Self {
        let tenants = Tenants::default();
        let is_away = Arc::new(AtomicBool::new(false));
        let rules = Rules::default();
        let shared_rules = Arc::clone(&rules);
        let (shared, away) = (Arc::clone(&tenants), Arc::clone(&is_away));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(Arc::clone(&shared)))
                .app_data(web::Data::new(Arc::clone(&away)))
                .app_data(web::Data::new(Arc::clone(&shared_rules)))
                .route("/health/live", web::get().to(live))
                .route("/api/tenants/by-genesys-org/{id}", web::get().to(by_org))
                .route("/api/tenants/{id}/sending-profile", web::get().to(profile))
                .route("/api/tenants/{id}/profile", web::patch().to(rename))
                .route("/api/tenants/{id}/genesys-profile", web::get().to(rules_of))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self {
            url,
            tenants,
            rules,
            is_away,
        }
    }

    pub(crate) fn put(&self, tenant: SendingProfile) {
        self.tenants.lock().unwrap().push(tenant);
    }

    pub(crate) fn change(&self, tenant: &str, change: impl FnOnce(&mut SendingProfile)) {
        let mut tenants = self.tenants.lock().unwrap();
        let found = tenants.iter_mut().find(|t| t.tenant_id.as_str() == tenant);
        change(found.unwrap());
    }

    /// Changes a tenant's rules of sign-in.
    pub(crate) fn change_rules(&self, tenant: &str, change: impl FnOnce(&mut GenesysProfile)) {
        let usual = {
            let tenants = self.tenants.lock().unwrap();
            let found = tenants.iter().find(|t| t.tenant_id.as_str() == tenant);
            usual_rules(found.unwrap())
        };
        let mut rules = self.rules.lock().unwrap();
        change(rules.entry(tenant.to_owned()).or_insert(usual));
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }
}

async fn live(away: web::Data<Arc<AtomicBool>>) -> HttpResponse {
    refusal(&away, None).unwrap_or_else(|| HttpResponse::Ok().finish())
}

async fn by_org(
    tenants: web::Data<Tenants>,
    away: web::Data<Arc<AtomicBool>>,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    if let Some(refusal) = refusal(&away, Some(&request)) {
        return refusal;
    }
    let tenants = tenants.lock().unwrap();
    let found = tenants
        .iter()
        .find(|tenant| tenant.genesys_org_id.as_deref() == Some(id.as_str()));
    answer(found.map(|tenant| TenantRecord {
        tenant_id: tenant.tenant_id.clone(),
        name: tenant.name.clone(),
        status: tenant.status,
        genesys_org_id: tenant.genesys_org_id.clone(),
        genesys_region: tenant.genesys_region.clone(),
        whatsapp_configured: tenant.whatsapp.is_some(),
    }))
}

async fn profile(
    tenants: web::Data<Tenants>,
    away: web::Data<Arc<AtomicBool>>,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    if let Some(refusal) = refusal(&away, Some(&request)) {
        return refusal;
    }
    let tenants = tenants.lock().unwrap();
    answer(tenants.iter().find(|t| t.tenant_id.as_str() == id.as_str()))
}

async fn rename(
    tenants: web::Data<Tenants>,
    away: web::Data<Arc<AtomicBool>>,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Json<serde_json::Value>,
) -> HttpResponse {
    if let Some(refusal) = refusal(&away, Some(&request)) {
        return refusal;
    }
    let mut tenants = tenants.lock().unwrap();
    let found = tenants
        .iter_mut()
        .find(|t| t.tenant_id.as_str() == id.as_str());
    answer(found.map(|tenant| {
        assert!(body["changed_by"].is_string());
        body["name"].as_str().unwrap().clone_into(&mut tenant.name);
        tenant.clone()
    }))
}

async fn rules_of(
    tenants: web::Data<Tenants>,
    rules: web::Data<Rules>,
    away: web::Data<Arc<AtomicBool>>,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    if let Some(refusal) = refusal(&away, Some(&request)) {
        return refusal;
    }
    let tenants = tenants.lock().unwrap();
    let found = tenants.iter().find(|t| t.tenant_id.as_str() == id.as_str());
    answer(found.map(|tenant| {
        let changed = rules.lock().unwrap().get(id.as_str()).cloned();
        GenesysProfile {
            status: tenant.status,
            genesys_org_id: tenant.genesys_org_id.clone(),
            genesys_region: tenant.genesys_region.clone(),
            ..changed.unwrap_or_else(|| usual_rules(tenant))
        }
    }))
}

/// As a tenant has them that nobody set up.
fn usual_rules(tenant: &SendingProfile) -> GenesysProfile {
    GenesysProfile {
        tenant_id: tenant.tenant_id.clone(),
        status: tenant.status,
        genesys_org_id: tenant.genesys_org_id.clone(),
        genesys_region: tenant.genesys_region.clone(),
        allow_trustees: false,
        unmapped_role: "agent".to_owned(),
        role_mappings: Vec::new(),
        user_sync_minutes: None,
        sign_in_client: None,
        sync_client: None,
    }
}

fn refusal(away: &AtomicBool, request: Option<&HttpRequest>) -> Option<HttpResponse> {
    if away.load(Ordering::SeqCst) {
        return Some(HttpResponse::ServiceUnavailable().finish());
    }
    let expected = format!("Bearer {SERVICE_KEY}");
    let is_known = request.is_none_or(|request| {
        let given = request.headers().get("authorization");
        given.is_some_and(|given| given.as_bytes() == expected.as_bytes())
    });
    (!is_known).then(|| HttpResponse::Unauthorized().finish())
}

fn answer(found: Option<impl serde::Serialize>) -> HttpResponse {
    match found {
        Some(found) => HttpResponse::Ok().json(found),
        None => HttpResponse::NotFound()
            .json(json!({"error": {"code": "TENANT_NOT_FOUND", "message": "none"}})),
    }
}

/// A tenant of the sandbox's Acme or Globex.
pub(crate) fn tenant(id: &str) -> SendingProfile {
    let (org, name) = match id {
        "globex_inc" => (seed::GLOBEX_ORG_ID, "Globex Corporation"),
        "dormant" => (seed::DORMANT_ORG_ID, "Dormant Ltd"),
        _ => (seed::ACME_ORG_ID, "Acme Corp"),
    };
    SendingProfile {
        tenant_id: TenantId::parse(id).unwrap(),
        name: name.to_owned(),
        status: TenantStatus::Active,
        genesys_org_id: Some(org.to_owned()),
        genesys_region: Some("sandbox".to_owned()),
        rate_limit: None,
        whatsapp: Some(WhatsAppProfile {
            waba_id: format!("waba-of-{id}"),
            phone_number_id: format!("number-of-{id}"),
            display_phone_number: "+1 555-010-0200".to_owned(),
            quality_rating: Some("GREEN".to_owned()),
            messaging_limit: Some("TIER_1K".to_owned()),
            token_status: TokenStatus::Valid,
            created_at: Utc::now(),
            sealed_access_token: vec![1, 2, 3],
            credential_row_id: "row".to_owned(),
        }),
    }
}
