//! What handlers take as arguments to say who may call them.

use std::future::Future;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use portal_service_kit::ApiError;
use portal_types::{ApiScope, Role, SessionId, TenantId, UserId};
use tracing::Span;
use uuid::Uuid;

use crate::{
    api_key::{ApiKey, is_api_key},
    authenticator::{Authenticator, bearer_token, is_service_key},
    claims::{AccessClaims, AdminClaims},
};

type Extracting<T> = std::pin::Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

/// A signed-in person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user_id: UserId,
    /// The person's tenant.
    pub tenant_id: TenantId,
    /// What the person may do.
    pub role: Role,
    /// The session.
    pub session_id: SessionId,
}

impl Caller {
    /// Fails with 403 unless the caller has the role or a higher one.
    pub fn require(&self, role: Role) -> Result<(), ApiError> {
        if self.role >= role {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "FORBIDDEN",
            format!("This needs the role {role}; ask an administrator of your organization."),
        ))
    }
}

/// A signed-in person of a tenant, or another system that acts for the tenant with an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantCaller {
    /// A signed-in person.
    User(Caller),
    /// An API key.
    ApiKey(std::sync::Arc<ApiKey>),
}

impl TenantCaller {
    /// The tenant.
    pub fn tenant_id(&self) -> &TenantId {
        match self {
            Self::User(caller) => &caller.tenant_id,
            Self::ApiKey(key) => &key.tenant_id,
        }
    }

    /// Fails with 403 when the caller is an API key without this scope. People are not limited by
    /// scopes but by their role.
    pub fn require_scope(&self, scope: ApiScope) -> Result<(), ApiError> {
        match self {
            Self::ApiKey(key) if !key.scopes.contains(&scope) => Err(ApiError::forbidden(
                "SCOPE_MISSING",
                format!("This needs an API key with the scope {scope}."),
            )),
            _ => Ok(()),
        }
    }
}

/// A platform administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformAdmin {
    /// The administrator.
    pub admin_id: Uuid,
    /// The administrator's session.
    pub session_id: Uuid,
}

/// A platform administrator who may have yet to enrol a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollingAdmin(pub PlatformAdmin);

/// Another of our services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCaller {
    /// Its name.
    pub name: String,
}

/// A platform administrator or another of our services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privileged {
    /// A platform administrator.
    Admin(PlatformAdmin),
    /// Another of our services.
    Service(ServiceCaller),
}

/// A caller who may also be nobody; a bad token is still refused, not taken for nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

/// Input that is looked at only after the caller was let in: plain arguments of a handler are
/// extracted side by side, and a stranger would learn from them what a good request looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded<C, I>(pub C, pub I);

fn authenticator(request: &HttpRequest) -> Result<Authenticator, ApiError> {
    request
        .app_data::<web::Data<Authenticator>>()
        .map(|authenticator| authenticator.get_ref().clone())
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("no Authenticator in the app data")))
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let authenticator = authenticator(request);
        let token = bearer_token(request).map(str::to_owned);
        let request = request.clone();
        Box::pin(async move {
            let authenticator = authenticator?;
            let claims = authenticator.access(&token?).await?;
            let user_id = claims.user_id.to_string();
            let span = Span::current();
            span.record("tenant.id", claims.tenant_id.as_str());
            span.record("user.id", &user_id);
            if let Some(limits) = authenticator.limits() {
                limits.admit(&request, &claims.tenant_id, user_id).await?;
            }
            Ok(Self::from(claims.as_ref()))
        })
    }
}

impl FromRequest for TenantCaller {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let key = match bearer_token(request) {
            Ok(token) if is_api_key(token) => token.to_owned(),
            _ => {
                let person = Caller::from_request(request, payload);
                return Box::pin(async move { person.await.map(Self::User) });
            }
        };
        let authenticator = authenticator(request);
        let request = request.clone();
        Box::pin(async move {
            let authenticator = authenticator?;
            let key = authenticator.api_key(&key).await?;
            Span::current().record("tenant.id", key.tenant_id.as_str());
            if let Some(limits) = authenticator.limits() {
                let caller = format!("key-{}", key.key_id);
                limits.admit(&request, &key.tenant_id, caller).await?;
            }
            Ok(Self::ApiKey(key))
        })
    }
}

impl FromRequest for PlatformAdmin {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let credentials = admin_credentials(request);
        let request = request.clone();
        Box::pin(async move {
            let (authenticator, token) = credentials?;
            let claims = authenticator.admin(&token).await?;
            known_admin(&request, &authenticator, &claims).await
        })
    }
}

impl FromRequest for EnrollingAdmin {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let credentials = admin_credentials(request);
        let request = request.clone();
        Box::pin(async move {
            let (authenticator, token) = credentials?;
            let claims = authenticator.enrolling_admin(&token).await?;
            known_admin(&request, &authenticator, &claims)
                .await
                .map(Self)
        })
    }
}

fn admin_credentials(request: &HttpRequest) -> Result<(Authenticator, String), ApiError> {
    let token = bearer_token(request)?;
    let authenticator = authenticator(request)?;
    if is_service_key(token) && authenticator.service(token).is_ok() {
        return Err(ApiError::forbidden(
            "FORBIDDEN",
            "Only platform administrators may do this.",
        ));
    }
    Ok((authenticator, token.to_owned()))
}

async fn known_admin(
    request: &HttpRequest,
    authenticator: &Authenticator,
    claims: &AdminClaims,
) -> Result<PlatformAdmin, ApiError> {
    Span::current().record("user.id", claims.sub.to_string());
    if let Some(limits) = authenticator.limits() {
        limits.admit_admin(request, claims.sub).await?;
    }
    Ok(PlatformAdmin {
        admin_id: claims.sub,
        session_id: claims.sid,
    })
}

impl FromRequest for ServiceCaller {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let authenticator = authenticator(request);
        let token = bearer_token(request).map(str::to_owned);
        Box::pin(async move {
            let token = token?;
            let authenticator = authenticator?;
            if !is_service_key(&token) {
                // A person's good token is no way in, but it is not a bad token either.
                authenticator.admin(&token).await?;
                return Err(ApiError::forbidden(
                    "FORBIDDEN",
                    "Only services may ask for this.",
                ));
            }
            let name = authenticator.service(&token)?.to_owned();
            Ok(Self { name })
        })
    }
}

impl FromRequest for Privileged {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_service = bearer_token(request).is_ok_and(is_service_key);
        if is_service {
            let service = ServiceCaller::from_request(request, payload);
            Box::pin(async move { service.await.map(Self::Service) })
        } else {
            let admin = PlatformAdmin::from_request(request, payload);
            Box::pin(async move { admin.await.map(Self::Admin) })
        }
    }
}

impl<T> FromRequest for Optional<T>
where
    T: FromRequest<Error = ApiError> + 'static,
    T::Future: 'static,
{
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Box::pin(std::future::ready(Ok(Self(None))));
        }
        let caller = T::from_request(request, payload);
        Box::pin(async move { caller.await.map(|caller| Self(Some(caller))) })
    }
}

impl<C, I> FromRequest for Guarded<C, I>
where
    C: FromRequest + 'static,
    I: FromRequest + 'static,
{
    type Error = actix_web::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let caller = C::from_request(&request, &mut Payload::None)
                .await
                .map_err(Into::into)?;
            let input = I::from_request(&request, &mut payload)
                .await
                .map_err(Into::into)?;
            Ok(Self(caller, input))
        })
    }
}

impl From<&AccessClaims> for Caller {
    fn from(claims: &AccessClaims) -> Self {
        Self {
            user_id: claims.user_id,
            tenant_id: claims.tenant_id.clone(),
            role: claims.role,
            session_id: claims.sid,
        }
    }
}
