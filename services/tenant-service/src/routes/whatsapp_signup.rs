//! Meta's Embedded Signup, and whether a configuration works.

use actix_web::{HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::{PhoneNumber, TenantId};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context;
use crate::{
    domain::{
        tenant::BadText,
        whatsapp_account::check_pin,
        whatsapp_signup::{Choice, Next, Signup, Verdict},
    },
    state::Started,
    usecases::{
        self,
        whatsapp_signup::{Continuation, NewSignup},
        whatsapp_verify::Check,
    },
};

/// What the browser brought from Meta's window.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginSignupRequest {
    /// Lives for 30 seconds
    #[schema(value_type = String, format = Password, write_only)]
    code: SecretString,
    waba_id: String,
    phone_number_id: Option<String>,
    business_id: Option<String>,
    /// Of the number's two-step verification; without it a new one is made
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pin: Option<SecretString>,
    /// Gets the template `hello_world` at the end
    #[schema(examples("+14155550123"))]
    test_recipient: Option<String>,
}

impl TryFrom<BeginSignupRequest> for NewSignup {
    type Error = ApiError;

    fn try_from(request: BeginSignupRequest) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let code = request.code.expose_secret();
        let fits = (1..=4_096).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic());
        let verdict = fits
            .then_some(())
            .ok_or(BadText("must be the code that Meta gave"));
        errors.check("code", verdict);
        let waba_id = errors.check("waba_id", request.waba_id.parse());
        let business_id = request
            .business_id
            .and_then(|id| errors.check("business_id", id.parse()));
        let said = continuation(
            &mut errors,
            request.phone_number_id,
            request.pin,
            request.test_recipient,
        );
        match waba_id {
            Some(waba_id) if errors.is_empty() => Ok(Self {
                code: request.code,
                waba_id,
                phone_number_id: said.phone_number_id,
                business_id,
                pin: said.pin,
                test_recipient: said.test_recipient,
            }),
            _ => Err(errors.into()),
        }
    }
}

/// What the signup waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContinueSignupRequest {
    phone_number_id: Option<String>,
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pin: Option<SecretString>,
    test_recipient: Option<String>,
}

fn continuation(
    errors: &mut FieldErrors,
    phone_number_id: Option<String>,
    pin: Option<SecretString>,
    test_recipient: Option<String>,
) -> Continuation {
    if let Some(pin) = &pin {
        errors.check("pin", check_pin(pin));
    }
    Continuation {
        phone_number_id: phone_number_id.and_then(|id| errors.check("phone_number_id", id.parse())),
        pin,
        test_recipient: test_recipient
            .and_then(|to| errors.check("test_recipient", PhoneNumber::parse(&to))),
    }
}

/// A number of the account.
#[derive(Debug, Serialize, ToSchema)]
struct NumberView {
    phone_number_id: String,
    display_phone_number: Option<String>,
    verified_name: Option<String>,
}

impl From<&Choice> for NumberView {
    fn from(choice: &Choice) -> Self {
        Self {
            phone_number_id: choice.phone_number_id.clone(),
            display_phone_number: choice.display_phone_number.clone(),
            verified_name: choice.verified_name.clone(),
        }
    }
}

/// The verdict on a step.
#[derive(Debug, Serialize, ToSchema)]
struct StepView {
    /// `exchange_code`, `check_token`, `choose_number`, `subscribe`, `register`, `save`, `test_send`
    step: String,
    /// `done`, `failed`, `skipped` or `waiting`
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    at: DateTime<Utc>,
}

impl From<&Verdict> for StepView {
    fn from(verdict: &Verdict) -> Self {
        Self {
            step: verdict.step.as_ref().to_owned(),
            status: verdict.status.as_ref().to_owned(),
            code: verdict.code.clone(),
            message: verdict.message.clone(),
            at: verdict.at,
        }
    }
}

/// What has to happen next.
#[derive(Debug, Serialize, ToSchema)]
struct NextView {
    /// `choose_number`, `give_pin`, `retry` or `sign_up_again`
    action: &'static str,
    /// What to say when continuing
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<&'static str>>,
}

impl From<Next> for NextView {
    fn from(next: Next) -> Self {
        let (action, field) = match next {
            Next::ChooseNumber => ("choose_number", Some("phone_number_id")),
            Next::GivePin => ("give_pin", Some("pin")),
            Next::Retry => ("retry", None),
            Next::SignUpAgain => ("sign_up_again", None),
        };
        Self {
            action,
            fields: field.map(|field| vec![field]),
        }
    }
}

/// Where a signup stands.
#[derive(Debug, Serialize, ToSchema)]
struct SignupView {
    signup_id: String,
    /// `open`, `completed` or `abandoned`
    status: String,
    waba_id: String,
    phone_number_id: Option<String>,
    /// Those to choose from
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<Vec<NumberView>>,
    steps: Vec<StepView>,
    next: Option<NextView>,
}

impl From<Signup> for SignupView {
    fn from(signup: Signup) -> Self {
        let numbers = signup.numbers();
        Self {
            signup_id: signup.signup_id.to_string(),
            status: signup.status.as_ref().to_owned(),
            numbers: (!numbers.is_empty()).then(|| numbers.iter().map(NumberView::from).collect()),
            steps: signup.steps.iter().map(StepView::from).collect(),
            next: signup.next().map(NextView::from),
            waba_id: signup.waba_id,
            phone_number_id: signup.phone_number_id,
        }
    }
}

/// Begins Embedded Signup with the code of Meta's window and goes as far as it can. An open signup
/// is given up for it.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = BeginSignupRequest,
    responses(
        (status = 200, description = "Where it stands; a step that failed says why", body = SignupView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`EMBEDDED_SIGNUP_NOT_CONFIGURED`, `SIGNUP_BUSY`, `TENANT_DELETED`"),
    )
)]
#[post("/api/tenants/{tenant_id}/whatsapp/signup")]
pub(super) async fn begin_whatsapp_signup(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<BeginSignupRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = NewSignup::try_from(body.0)?;
    let ctx = context(&admin, &request_id);
    let signup = usecases::whatsapp_signup::begin(ctx, &state.deps, &state.meta, id.0, new).await?;
    Ok(HttpResponse::Ok().json(SignupView::from(signup)))
}

/// Shows the latest signup.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "Where it stands", body = SignupView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `SIGNUP_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/whatsapp/signup")]
pub(super) async fn get_whatsapp_signup(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let signup = usecases::whatsapp_signup::get(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(SignupView::from(signup)))
}

/// Goes on with a signup at the first step that is not done. Safe to repeat.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = ContinueSignupRequest,
    responses(
        (status = 200, description = "Where it stands", body = SignupView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `SIGNUP_NOT_FOUND`"),
        (status = 409, description = "`EMBEDDED_SIGNUP_NOT_CONFIGURED`, `SIGNUP_BUSY`, `SIGNUP_ENDED`, `TENANT_DELETED`"),
    )
)]
#[post("/api/tenants/{tenant_id}/whatsapp/signup/continue")]
pub(super) async fn continue_whatsapp_signup(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<ContinueSignupRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let mut errors = FieldErrors::new();
    let ContinueSignupRequest {
        phone_number_id,
        pin,
        test_recipient,
    } = body.0;
    let said = continuation(&mut errors, phone_number_id, pin, test_recipient);
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let ctx = context(&admin, &request_id);
    let signup =
        usecases::whatsapp_signup::go_on(ctx, &state.deps, &state.meta, id.0, said).await?;
    Ok(HttpResponse::Ok().json(SignupView::from(signup)))
}

/// Gives an open signup up. What it did at Meta stays there.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 204, description = "It is given up, its token forgotten"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `SIGNUP_NOT_FOUND`: none is open"),
    )
)]
#[delete("/api/tenants/{tenant_id}/whatsapp/signup")]
pub(super) async fn abandon_whatsapp_signup(
    Guarded(admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    usecases::whatsapp_signup::abandon(ctx, &state.deps, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One question to Meta and its answer.
#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    /// `token`, `scopes`, `phone_number`, `registered`, `subscribed`
    check: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Whether a configuration works.
#[derive(Debug, Serialize, ToSchema)]
struct VerifyView {
    ok: bool,
    checks: Vec<CheckView>,
}

impl From<Vec<Check>> for VerifyView {
    fn from(checks: Vec<Check>) -> Self {
        let view = |check: Check| CheckView {
            check: check.name,
            ok: check.ok,
            code: check.code,
            message: check.message,
        };
        Self {
            ok: checks.iter().all(|check| check.ok),
            checks: checks.into_iter().map(view).collect(),
        }
    }
}

/// Asks Meta whether the configuration works, and notes what it says.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "What Meta said", body = VerifyView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `WHATSAPP_CONFIG_NOT_FOUND`"),
    )
)]
#[post("/api/tenants/{tenant_id}/whatsapp/verify")]
pub(super) async fn verify_whatsapp(
    Guarded(admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let checks = usecases::whatsapp_verify::verify(ctx, &state.deps, &state.meta, id.0).await?;
    Ok(HttpResponse::Ok().json(VerifyView::from(checks)))
}

/// What a page needs to open Meta's window.
#[derive(Debug, Serialize, ToSchema)]
struct SignupSettingsView {
    available: bool,
    app_id: Option<String>,
    config_id: Option<String>,
    graph_version: String,
    sdk_url: String,
}

/// What a page needs to open Meta's window. None of it is secret.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The settings", body = SignupSettingsView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/whatsapp/signup-settings")]
pub(super) async fn get_signup_settings(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    usecases::tenants::get_tenant(&state.deps, id.0).await?;
    let meta = &state.meta;
    Ok(HttpResponse::Ok().json(SignupSettingsView {
        available: meta.offers_signup(),
        app_id: meta.app.as_ref().map(|app| app.id.clone()),
        config_id: meta.config_id.clone(),
        graph_version: meta.graph_version.clone(),
        sdk_url: meta.sdk_url.clone(),
    }))
}
