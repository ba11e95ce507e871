//! Callers as handlers see them: who gets in, and what the others are told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use actix_web::{App, HttpResponse, http::StatusCode, http::header, test, test::TestRequest, web};
use async_trait::async_trait;
use portal_auth::{
    AccessClaims, AccessSubject, AdminClaims, AdminStanding, AdminTruth, ApiKey, ApiKeyDirectory,
    Authenticator, Caller, CallerLimits, DirectoryUnavailable, EnrollingAdmin, Guarded, Issuer,
    KeySource, Optional, PlatformAdmin, Privileged, Revocations, ServiceCaller, ServiceKeys,
    SessionTruth, TenantCaller, TenantRates, TruthUnavailable, Verifier, sha256,
};
use portal_cache::Limiter;
use portal_service_kit::{ApiError, config::LimitsSection, http::ValidQuery};
use portal_types::{ApiScope, Role, TenantId};
use serde_json::Value;
use uuid::Uuid;

use super::{AUD, ISS, issuer, keys, revocation::cache, shifted, subject, text};

const SERVICE_KEY: &str = "svc_outbound_8Zq3";
const API_KEY: &str = "sk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct World {
    issuer: Issuer,
    admins: Issuer,
    expired: Issuer,
    revocations: Revocations,
    rows: Arc<Rows>,
    api_key_id: Uuid,
    authenticator: Authenticator,
}

struct OneKey(Arc<ApiKey>);

#[async_trait]
impl ApiKeyDirectory for OneKey {
    async fn find(&self, digest: &[u8; 32]) -> Result<Option<Arc<ApiKey>>, DirectoryUnavailable> {
        Ok((*digest == sha256(API_KEY)).then(|| Arc::clone(&self.0)))
    }
}

fn world() -> World {
    world_with(Revocations::new(cache(), std::time::Duration::from_mins(5)))
}

fn world_with(revocations: Revocations) -> World {
    world_limited(revocations, LimitsSection::default(), None)
}

struct OwnRate(Option<u32>);

#[async_trait]
impl TenantRates for OwnRate {
    async fn per_minute(&self, _: &TenantId) -> Option<u32> {
        self.0
    }
}

fn world_limited(revocations: Revocations, limits: LimitsSection, own: Option<u32>) -> World {
    let (people, admins) = (keys(), keys());
    let rows = Arc::new(Rows::default());
    let key = ApiKey {
        key_id: Uuid::now_v7(),
        tenant_id: TenantId::parse("acme_corp").unwrap(),
        scopes: vec![ApiScope::MessagesRead],
    };
    let api_key_id = key.key_id;
    let authenticator = Authenticator::builder()
        .access(Verifier::new(ISS, AUD, KeySource::Own(people.clone())))
        .admin(Verifier::new(
            "tenant-service",
            "tenant-service",
            KeySource::Own(admins.clone()),
        ))
        .services(ServiceKeys::default().with_key("outbound", SERVICE_KEY))
        .revocations(revocations.clone())
        .api_keys(Arc::new(OneKey(Arc::new(key))))
        .session_truth(Arc::clone(&rows) as Arc<dyn SessionTruth>)
        .admin_truth(Arc::clone(&rows) as Arc<dyn AdminTruth>)
        .limits(
            CallerLimits::new(Limiter::new(cache()), limits).tenant_rates(Arc::new(OwnRate(own))),
        )
        .build();
    World {
        rows,
        api_key_id,
        issuer: issuer(&people),
        admins: Issuer::new("tenant-service", "tenant-service", admins),
        expired: shifted(&people, -400),
        revocations,
        authenticator,
    }
}

async fn who(caller: Caller) -> HttpResponse {
    HttpResponse::Ok().body(format!("{} {}", caller.tenant_id, caller.role))
}

async fn supervisors(caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.require(Role::Supervisor)?;
    Ok(HttpResponse::Ok().finish())
}

async fn tenant(caller: TenantCaller) -> Result<HttpResponse, ApiError> {
    caller.require_scope(ApiScope::MessagesRead)?;
    let kind = match caller {
        TenantCaller::User(_) => "user",
        TenantCaller::ApiKey(_) => "key",
    };
    Ok(HttpResponse::Ok().body(format!("{} {kind}", caller.tenant_id())))
}

async fn tenant_send(caller: TenantCaller) -> Result<HttpResponse, ApiError> {
    caller.require_scope(ApiScope::MessagesSend)?;
    Ok(HttpResponse::Ok().finish())
}

async fn admins(_: PlatformAdmin) -> HttpResponse {
    HttpResponse::Ok().body("admin")
}

async fn enrolling(_: EnrollingAdmin) -> HttpResponse {
    HttpResponse::Ok().body("admin")
}

async fn services(caller: ServiceCaller) -> HttpResponse {
    HttpResponse::Ok().body(caller.name)
}

async fn anybody(caller: Optional<Privileged>) -> HttpResponse {
    HttpResponse::Ok().body(match caller.0 {
        None => "nobody",
        Some(Privileged::Admin(_)) => "admin",
        Some(Privileged::Service(_)) => "service",
    })
}

async fn guarded(Guarded(_, limit): Guarded<Caller, ValidQuery<Filter>>) -> HttpResponse {
    HttpResponse::Ok().body(limit.0.limit.to_string())
}

#[derive(serde::Deserialize)]
struct Filter {
    limit: u8,
}

async fn ask(world: &World, path: &str, headers: &[String]) -> (StatusCode, String) {
    let app = test::init_service(
        App::new()
            .app_data(web::Data::new(world.authenticator.clone()))
            .route("/who", web::get().to(who))
            .route("/supervisors", web::get().to(supervisors))
            .route("/admins", web::get().to(admins))
            .route("/enrolling", web::get().to(enrolling))
            .route("/services", web::get().to(services))
            .route("/tenant", web::get().to(tenant))
            .route("/tenant-send", web::get().to(tenant_send))
            .route("/guarded", web::get().to(guarded))
            .route("/anybody", web::get().to(anybody)),
    )
    .await;
    let mut request = TestRequest::get().uri(path);
    for value in headers {
        request = request.append_header((header::AUTHORIZATION, value.as_str()));
    }
    let response = test::call_service(&app, request.to_request()).await;
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        assert_eq!(
            response.headers().get(header::WWW_AUTHENTICATE).unwrap(),
            "Bearer"
        );
    }
    let body = test::read_body(response).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let code = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|body| body["error"]["code"].as_str().map(str::to_owned));
    (status, code.unwrap_or(text))
}

fn bearer(token: &str) -> Vec<String> {
    vec![format!("Bearer {token}")]
}

fn refused(code: &str) -> (StatusCode, String) {
    (StatusCode::UNAUTHORIZED, code.to_owned())
}

fn ok(text: &str) -> (StatusCode, String) {
    (StatusCode::OK, text.to_owned())
}

#[actix_web::test]
async fn people_get_in_with_their_token() {
    let world = world();
    let token = text(&world.issuer.issue_access(&subject()).unwrap());
    assert_eq!(
        ask(&world, "/who", &bearer(&token)).await,
        ok("acme_corp agent")
    );
    let odd = vec![format!("bearer   {token}")];
    assert_eq!(ask(&world, "/who", &odd).await, ok("acme_corp agent"));
}

#[actix_web::test]
async fn refusals_have_the_contracts_codes() {
    let world = world();
    let subject = subject();
    let good = text(&world.issuer.issue_access(&subject).unwrap());
    assert_eq!(ask(&world, "/who", &[]).await, refused("TOKEN_MISSING"));
    for header in [
        "Basic dTpw",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer x",
        "",
    ] {
        let answer = ask(&world, "/who", &[header.to_owned()]).await;
        assert_eq!(answer, refused("TOKEN_INVALID"), "{header:?}");
    }
    let twice = [bearer(&good), bearer(&good)].concat();
    assert_eq!(ask(&world, "/who", &twice).await, refused("TOKEN_INVALID"));
    let expired = text(&world.expired.issue_access(&subject).unwrap());
    assert_eq!(
        ask(&world, "/who", &bearer(&expired)).await,
        refused("TOKEN_EXPIRED")
    );

    assert_eq!(ask(&world, "/who", &bearer(&good)).await.0, StatusCode::OK);
    world
        .revocations
        .revoke_session(subject.session_id)
        .await
        .unwrap();
    assert_eq!(
        ask(&world, "/who", &bearer(&good)).await,
        refused("TOKEN_REVOKED")
    );
}

#[actix_web::test]
async fn roles_are_required() {
    let world = world();
    for (role, status) in [
        (Role::Agent, StatusCode::FORBIDDEN),
        (Role::Supervisor, StatusCode::OK),
        (Role::Admin, StatusCode::OK),
    ] {
        let person = AccessSubject { role, ..subject() };
        let token = text(&world.issuer.issue_access(&person).unwrap());
        assert_eq!(
            ask(&world, "/supervisors", &bearer(&token)).await.0,
            status,
            "{role}"
        );
    }
}

#[actix_web::test]
async fn each_door_takes_its_own_kind_of_caller() {
    let world = world();
    let person = text(&world.issuer.issue_access(&subject()).unwrap());
    let admin = text(
        &world
            .admins
            .issue_admin(Uuid::now_v7(), Uuid::now_v7())
            .unwrap(),
    );
    let (person, admin) = (bearer(&person), bearer(&admin));
    let service = bearer(SERVICE_KEY);
    let forbidden = (StatusCode::FORBIDDEN, "FORBIDDEN".to_owned());
    let invalid = refused("TOKEN_INVALID");
    for (path, caller, expected) in [
        ("/who", &admin, &invalid),
        ("/who", &service, &invalid),
        ("/admins", &admin, &ok("admin")),
        ("/admins", &person, &invalid),
        ("/admins", &service, &forbidden),
        ("/services", &service, &ok("outbound")),
        ("/services", &admin, &forbidden),
        ("/services", &person, &invalid),
        ("/services", &bearer("svc_outbound_guess"), &invalid),
        ("/anybody", &Vec::new(), &ok("nobody")),
        ("/anybody", &admin, &ok("admin")),
        ("/anybody", &service, &ok("service")),
        ("/anybody", &person, &invalid),
        ("/anybody", &bearer("svc_outbound_guess"), &invalid),
    ] {
        assert_eq!(
            &ask(&world, path, caller).await,
            expected,
            "{path} {caller:.40?}"
        );
    }
}

/// Rows of sessions as a database would have them.
#[derive(Default)]
struct Rows {
    ended: Mutex<Vec<Uuid>>,
    unenrolled: Mutex<Vec<Uuid>>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Rows {
    fn look(&self, session: Uuid) -> Result<bool, TruthUnavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(TruthUnavailable);
        }
        Ok(self.ended.lock().unwrap().contains(&session))
    }
}

#[async_trait]
impl SessionTruth for Rows {
    async fn has_ended(&self, claims: &AccessClaims) -> Result<bool, TruthUnavailable> {
        self.look(claims.sid.as_uuid())
    }
}

#[async_trait]
impl AdminTruth for Rows {
    async fn standing(&self, claims: &AdminClaims) -> Result<AdminStanding, TruthUnavailable> {
        let has_ended = self.look(claims.sid)?;
        Ok(if has_ended {
            AdminStanding::Ended
        } else if self.unenrolled.lock().unwrap().contains(&claims.sid) {
            AdminStanding::Unenrolled
        } else {
            AdminStanding::Live
        })
    }
}

#[actix_web::test]
async fn an_administrators_session_is_looked_up_at_each_call() {
    let (world, session) = (world(), Uuid::now_v7());
    let token = bearer(&text(
        &world.admins.issue_admin(Uuid::now_v7(), session).unwrap(),
    ));
    assert_eq!(ask(&world, "/admins", &token).await, ok("admin"));
    world.rows.unenrolled.lock().unwrap().push(session);
    let unenrolled = (StatusCode::FORBIDDEN, "TOTP_ENROLMENT_REQUIRED".to_owned());
    assert_eq!(ask(&world, "/admins", &token).await, unenrolled);
    assert_eq!(ask(&world, "/enrolling", &token).await, ok("admin"));
    world.rows.ended.lock().unwrap().push(session);
    assert_eq!(
        ask(&world, "/admins", &token).await,
        refused("TOKEN_REVOKED")
    );
    world.rows.is_away.store(true, Ordering::SeqCst);
    let away = (
        StatusCode::SERVICE_UNAVAILABLE,
        "AUTH_UNAVAILABLE".to_owned(),
    );
    assert_eq!(ask(&world, "/admins", &token).await, away);
}

#[actix_web::test]
async fn a_list_that_is_lost_sends_people_to_the_rows() {
    let world = world_with(Revocations::new(cache(), std::time::Duration::from_mins(5)));
    let (ended, live) = (subject(), subject());
    let supervisor = AccessSubject {
        role: Role::Supervisor,
        ..subject()
    };
    let token = |subject| bearer(&text(&world.issuer.issue_access(subject).unwrap()));
    let (ended_token, live_token, supervisor) = (token(&ended), token(&live), token(&supervisor));
    world
        .rows
        .ended
        .lock()
        .unwrap()
        .push(ended.session_id.as_uuid());
    assert_eq!(
        ask(&world, "/who", &ended_token).await,
        refused("TOKEN_REVOKED")
    );
    assert_eq!(ask(&world, "/who", &live_token).await.0, StatusCode::OK);

    // Without the rows, too, only who may do much is stopped.
    world.rows.is_away.store(true, Ordering::SeqCst);
    let other = token(&subject());
    assert_eq!(ask(&world, "/who", &other).await.0, StatusCode::OK);
    let away = (
        StatusCode::SERVICE_UNAVAILABLE,
        "AUTH_UNAVAILABLE".to_owned(),
    );
    assert_eq!(ask(&world, "/who", &supervisor).await, away);

    // Whole again: the rows are left alone.
    world.rows.is_away.store(false, Ordering::SeqCst);
    let begun = world.revocations.begin_rebuild().await.unwrap();
    assert!(world.revocations.mark_whole(begun).await.unwrap());
    let asked = world.rows.asked.load(Ordering::SeqCst);
    assert_eq!(ask(&world, "/who", &supervisor).await.0, StatusCode::OK);
    assert_eq!(world.rows.asked.load(Ordering::SeqCst), asked);
}

#[actix_web::test]
async fn a_tenants_key_opens_what_its_scopes_say() {
    let world = world();
    let key = bearer(API_KEY);
    assert_eq!(ask(&world, "/tenant", &key).await, ok("acme_corp key"));
    let missing = (StatusCode::FORBIDDEN, "SCOPE_MISSING".to_owned());
    assert_eq!(ask(&world, "/tenant-send", &key).await, missing);
    let person = bearer(&text(&world.issuer.issue_access(&subject()).unwrap()));
    assert_eq!(ask(&world, "/tenant-send", &person).await.0, StatusCode::OK);
    for other in ["sk_", "sk_short", &API_KEY.replace('A', "B")] {
        let answer = ask(&world, "/tenant", &bearer(other)).await;
        assert_eq!(answer, refused("TOKEN_INVALID"), "{other}");
    }
    // No other door takes it.
    for path in ["/who", "/admins", "/services", "/anybody"] {
        assert_eq!(
            ask(&world, path, &key).await,
            refused("TOKEN_INVALID"),
            "{path}"
        );
    }
    world
        .revocations
        .revoke_api_key(world.api_key_id)
        .await
        .unwrap();
    assert_eq!(ask(&world, "/tenant", &key).await, refused("TOKEN_REVOKED"));
}

#[actix_web::test]
async fn strangers_learn_nothing_about_the_input() {
    let world = world();
    let token = text(&world.issuer.issue_access(&subject()).unwrap());
    for path in ["/guarded", "/guarded?limit=7", "/guarded?limit=x"] {
        assert_eq!(
            ask(&world, path, &[]).await,
            refused("TOKEN_MISSING"),
            "{path}"
        );
    }
    assert_eq!(
        ask(&world, "/guarded?limit=7", &bearer(&token)).await,
        ok("7")
    );
    let bad = ask(&world, "/guarded?limit=x", &bearer(&token)).await;
    assert_eq!(
        bad,
        (StatusCode::BAD_REQUEST, "VALIDATION_FAILED".to_owned())
    );
}

#[actix_web::test]
async fn callers_and_tenants_are_counted_each_for_themselves() {
    let revocations = || Revocations::new(cache(), std::time::Duration::from_mins(5));
    let limits = LimitsSection {
        per_caller_per_minute: 2,
        ..LimitsSection::default()
    };
    let limited = (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED".to_owned());
    let world = world_limited(revocations(), limits, Some(5));
    let tokens = [(); 3].map(|()| text(&world.issuer.issue_access(&subject()).unwrap()));

    // One person's limit is not another's.
    for token in &tokens[..2] {
        for _ in 0..2 {
            let answer = ask(&world, "/who", &bearer(token)).await;
            assert_eq!(answer, ok("acme_corp agent"));
        }
        assert_eq!(ask(&world, "/who", &bearer(token)).await, limited);
    }
    // The tenant's own limit is five for all, its key included.
    let answer = ask(&world, "/tenant", &bearer(API_KEY)).await;
    assert_eq!(answer, ok("acme_corp key"));
    assert_eq!(ask(&world, "/tenant", &bearer(API_KEY)).await, limited);
    assert_eq!(ask(&world, "/who", &bearer(&tokens[2])).await, limited);

    // Whose token is bad learns that, and costs nobody anything.
    let answer = ask(&world, "/who", &bearer("x")).await;
    assert_eq!(answer, refused("TOKEN_INVALID"));
    // Services are not counted; administrators are, one by one.
    for _ in 0..4 {
        let answer = ask(&world, "/services", &bearer(SERVICE_KEY)).await;
        assert_eq!(answer, ok("outbound"));
    }
    let admin = world.admins.issue_admin(Uuid::now_v7(), Uuid::now_v7());
    let admin = text(&admin.unwrap());
    for expected in [ok("admin"), ok("admin"), limited] {
        assert_eq!(ask(&world, "/admins", &bearer(&admin)).await, expected);
    }
}
