//! Callers as handlers see them: who gets in, and what the others are told.

use actix_web::{App, HttpResponse, http::StatusCode, http::header, test, test::TestRequest, web};
use portal_auth::{
    AccessSubject, Authenticator, Caller, Guarded, Issuer, KeySource, Optional, PlatformAdmin,
    Privileged, Revocations, ServiceCaller, ServiceKeys, Verifier,
};
use portal_service_kit::{ApiError, http::ValidQuery};
use portal_types::Role;
use serde_json::Value;
use uuid::Uuid;

use super::{AUD, ISS, issuer, keys, revocation::cache, shifted, subject, text};

const SERVICE_KEY: &str = "svc_outbound_8Zq3";

struct World {
    issuer: Issuer,
    admins: Issuer,
    expired: Issuer,
    revocations: Revocations,
    authenticator: Authenticator,
}

fn world() -> World {
    let (people, admins) = (keys(), keys());
    let revocations = Revocations::new(cache(), std::time::Duration::from_mins(5));
    let authenticator = Authenticator::builder()
        .access(Verifier::new(ISS, AUD, KeySource::Own(people.clone())))
        .admin(Verifier::new(
            "tenant-service",
            "tenant-service",
            KeySource::Own(admins.clone()),
        ))
        .services(ServiceKeys::default().with_key("outbound", SERVICE_KEY))
        .revocations(revocations.clone())
        .build();
    World {
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

async fn admins(_: PlatformAdmin) -> HttpResponse {
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
            .route("/services", web::get().to(services))
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
    let admin = text(&world.admins.issue_admin(Uuid::now_v7()).unwrap());
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

#[actix_web::test]
async fn an_administrator_can_be_shut_out() {
    let world = world();
    let admin = Uuid::now_v7();
    let token = text(&world.admins.issue_admin(admin).unwrap());
    world
        .revocations
        .revoke_admin(admin, chrono::Utc::now().timestamp())
        .await
        .unwrap();
    assert_eq!(
        ask(&world, "/admins", &bearer(&token)).await,
        refused("TOKEN_REVOKED")
    );
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
