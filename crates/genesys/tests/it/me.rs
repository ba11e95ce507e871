//! Who the bearer is, and the end of a token.

use std::time::Duration;

use portal_genesys::{EntityState, ErrorKind, GenesysError, Identity, RoleRef};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};
use crate::{api_error, client, client_with, kind, nobody, region};

const TOKEN: &str = "opaque-token";

fn user() -> Value {
    json!({
        "id": "u-1", "name": "Jane Roe", "email": "jane@acme.example", "state": "active",
        "username": "jane@acme.example", "version": 29, "acdAutoAnswer": false,
        "authorization": {
            "roles": [{"id": "r-1", "name": "employee"}, {"id": "r-2", "name": "Supervisor"}],
            "permissions": ["conversation:message:create"], "permissionPolicies": [{"id": "p"}]
        },
        "organization": organization(),
        "token": token()
    })
}

fn organization() -> Value {
    json!({
        "id": "o-1", "name": "Acme", "thirdPartyOrgName": "acme", "domain": "acme.example",
        "state": "active", "features": {"x": true}, "productPlatform": "GenesysCloud"
    })
}

fn token() -> Value {
    json!({
        "organization": {"id": "o-1", "name": "Acme"},
        "homeOrganization": {"id": "o-1", "name": "Acme"},
        "OAuthClient": {"id": "c", "organization": {"id": "purecloud-builtin"}}
    })
}

fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member);
    value
}

fn with(mut value: Value, member: &str, new: Value) -> Value {
    value
        .as_object_mut()
        .unwrap()
        .insert(member.to_owned(), new);
    value
}

/// Asks a server that gives these replies; also what it was asked for.
async fn ask(replies: Vec<Reply>) -> (Result<Identity, GenesysError>, Vec<String>) {
    let fake = Fake::start(replies).await;
    let result = client()
        .me(&region(&fake), &SecretString::from(TOKEN))
        .await;
    let requests = fake.requests();
    for request in &requests {
        assert_eq!(request.method, "GET");
        assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
    }
    (
        result,
        requests.into_iter().map(|request| request.target).collect(),
    )
}

async fn ask_about(user: &Value) -> Result<Identity, GenesysError> {
    ask(vec![Reply::json(200, user)]).await.0
}

#[tokio::test]
async fn one_call_tells_user_roles_and_organization() {
    let (identity, targets) = ask(vec![Reply::json(200, &user())]).await;
    let identity = identity.unwrap();
    assert_eq!(
        targets,
        ["/api/v2/users/me?expand=authorization%2Corganization%2Ctoken"]
    );
    assert_eq!(identity.user_id, "u-1");
    assert_eq!(identity.name, "Jane Roe");
    assert_eq!(identity.email, "jane@acme.example");
    assert_eq!(
        (identity.state, identity.version),
        (EntityState::Active, Some(29))
    );
    let role = |id: &str, name: &str| RoleRef {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        identity.roles,
        Some(vec![role("r-1", "employee"), role("r-2", "Supervisor")])
    );
    assert_eq!(identity.organization.id, "o-1");
    assert_eq!(
        identity.organization.third_party_org_name.as_deref(),
        Some("acme")
    );
    assert_eq!(
        identity.organization.domain.as_deref(),
        Some("acme.example")
    );
    assert_eq!(identity.organization.state, EntityState::Active);
    assert_eq!(identity.home_organization_id.as_deref(), Some("o-1"));
}

#[tokio::test]
async fn missing_expansions_are_asked_for_and_missing_roles_are_unknown() {
    let sparse = without(
        without(without(user(), "organization"), "token"),
        "authorization",
    );
    let (identity, targets) = ask(vec![
        Reply::json(200, &sparse),
        Reply::json(200, &organization()),
        Reply::json(200, &token()),
    ])
    .await;
    let identity = identity.unwrap();
    assert_eq!(
        targets[1..],
        ["/api/v2/organizations/me", "/api/v2/tokens/me"]
    );
    assert_eq!(identity.roles, None);
    assert_eq!(identity.organization.name, "Acme");
    assert_eq!(identity.home_organization_id.as_deref(), Some("o-1"));
}

#[tokio::test]
async fn no_roles_are_not_unknown_roles() {
    let none = with(user(), "authorization", json!({"roles": []}));
    assert_eq!(ask_about(&none).await.unwrap().roles, Some(vec![]));
    for unknown in [json!(null), json!({}), json!({"roles": null})] {
        let user = with(user(), "authorization", unknown);
        assert_eq!(ask_about(&user).await.unwrap().roles, None);
    }
}

#[tokio::test]
async fn a_trusted_user_belongs_to_another_organization() {
    let trusted = json!({"organization": {"id": "o-1"}, "homeOrganization": {"id": "o-2"}});
    let identity = ask_about(&with(user(), "token", trusted)).await.unwrap();
    assert_eq!(identity.organization.id, "o-1");
    assert_eq!(identity.home_organization_id.as_deref(), Some("o-2"));
}

#[tokio::test]
async fn a_token_that_acts_elsewhere_than_described_is_refused() {
    let elsewhere = json!({"organization": {"id": "o-9"}, "homeOrganization": {"id": "o-9"}});
    let result = ask_about(&with(user(), "token", elsewhere)).await;
    assert_eq!(kind(result), ErrorKind::Protocol);
}

#[tokio::test]
async fn states_are_told_and_unknown_ones_are_not_active() {
    for (state, expected) in [
        (json!("active"), EntityState::Active),
        (json!("inactive"), EntityState::Inactive),
        (json!("deleted"), EntityState::Deleted),
        (json!("suspended"), EntityState::Unknown),
        (json!(null), EntityState::Unknown),
    ] {
        let inactive = with(
            with(user(), "state", state.clone()),
            "organization",
            with(organization(), "state", state),
        );
        let identity = ask_about(&inactive).await.unwrap();
        assert_eq!(
            (identity.state, identity.organization.state),
            (expected, expected)
        );
    }
}

#[tokio::test]
async fn a_user_without_name_or_email_is_named_by_what_there_is() {
    let unnamed = without(without(user(), "name"), "email");
    let identity = ask_about(&unnamed).await.unwrap();
    assert_eq!(
        (identity.name.as_str(), identity.email.as_str()),
        ("jane@acme.example", "jane@acme.example")
    );
    for broken in [
        without(unnamed, "username"),
        without(user(), "id"),
        with(user(), "id", json!("")),
        with(
            user(),
            "organization",
            with(organization(), "id", json!("")),
        ),
        json!([]),
    ] {
        assert_eq!(
            kind(ask_about(&broken).await),
            ErrorKind::Protocol,
            "{broken}"
        );
    }
}

#[tokio::test]
async fn debug_shows_no_name_or_address() {
    let shown = format!("{:?}", ask_about(&user()).await.unwrap());
    assert!(
        shown.contains("u-1") && !shown.contains("Jane") && !shown.contains('@'),
        "{shown}"
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_a_few_times() {
    for busy in [
        api_error(429, "too.many.requests").with("retry-after", "0"),
        Reply::json(502, "<html>"),
        api_error(503, "service.unavailable"),
        api_error(504, "request.timeout"),
    ] {
        let (identity, targets) =
            ask(vec![busy.clone(), busy.clone(), Reply::json(200, &user())]).await;
        assert_eq!(identity.unwrap().user_id, "u-1");
        assert_eq!(targets.len(), 3);
        let (failed, targets) = ask(vec![busy]).await;
        assert!(matches!(
            kind(failed),
            ErrorKind::RateLimited { .. } | ErrorKind::Unavailable
        ));
        assert_eq!(targets.len(), 3);
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_handed_on() {
    let busy = api_error(429, "too.many.requests").with("retry-after", "50");
    let (failed, targets) = ask(vec![busy]).await;
    let retry_after = Some(Duration::from_secs(50));
    assert_eq!(kind(failed), ErrorKind::RateLimited { retry_after });
    assert_eq!(targets.len(), 1);
}

#[tokio::test]
async fn each_kind_of_refusal_has_its_kind_and_is_final() {
    for (reply, expected) in [
        (api_error(401, "bad.credentials"), ErrorKind::Unauthorized),
        (api_error(403, "missing.permissions"), ErrorKind::Forbidden),
        (api_error(404, "not.found"), ErrorKind::NotFound),
        (api_error(400, "bad.request"), ErrorKind::Refused),
        (
            api_error(500, "internal.server.error"),
            ErrorKind::Unavailable,
        ),
        (
            Reply::json(302, "").with("location", "/elsewhere"),
            ErrorKind::Protocol,
        ),
        (Reply::json(200, "<html>"), ErrorKind::Protocol),
        (
            Reply::json(200, &format!("\"{}\"", "x".repeat(5 << 20))),
            ErrorKind::Protocol,
        ),
        (Reply::Close, ErrorKind::Unavailable),
    ] {
        let (failed, targets) = ask(vec![reply]).await;
        assert_eq!(kind(failed), expected);
        assert_eq!(targets.len(), 1, "{expected:?}");
    }
    let silent = Fake::start(vec![Reply::Silence]).await;
    let hasty = client_with(Duration::from_millis(300));
    let failed = hasty.me(&region(&silent), &SecretString::from(TOKEN)).await;
    assert_eq!(kind(failed), ErrorKind::Unavailable);
    let failed = client()
        .me(&nobody().await, &SecretString::from(TOKEN))
        .await;
    assert_eq!(kind(failed), ErrorKind::Unavailable);
}

#[tokio::test]
async fn errors_carry_code_and_correlation_id_and_nothing_personal() {
    for (header, expected) in [
        (Some("inin-correlation-id"), "corr-1"),
        (Some("genesys-correlation-id"), "corr-1"),
        (None, "0b1c4f7a-0000-4000-8000-000000000001"),
    ] {
        let reply = api_error(403, "missing.permissions");
        let reply = header.map_or(reply.clone(), |name| reply.with(name, "corr-1"));
        let error = ask(vec![reply]).await.0.unwrap_err();
        assert_eq!(error.status, Some(403));
        assert_eq!(error.code.as_deref(), Some("missing.permissions"));
        assert_eq!(error.correlation_id.as_deref(), Some(expected));
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains(expected) && !shown.contains('@') && !shown.contains(TOKEN),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_token_is_revoked_once() {
    for (reply, expected) in [
        (Reply::json(200, ""), None),
        (Reply::Http(204, vec![], vec![]), None),
        (api_error(401, "bad.credentials"), None),
        (
            api_error(503, "service.unavailable"),
            Some(ErrorKind::Unavailable),
        ),
        (api_error(403, "not.authorized"), Some(ErrorKind::Forbidden)),
    ] {
        let fake = Fake::start(vec![reply]).await;
        let result = client()
            .revoke(&region(&fake), &SecretString::from(TOKEN))
            .await;
        assert_eq!(result.err().map(|error| error.kind), expected);
        let request = fake.only_request();
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("DELETE", "/api/v2/tokens/me")
        );
        assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
    }
}
