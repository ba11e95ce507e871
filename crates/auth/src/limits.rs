//! How often a caller may call, counted where it is known who calls.

use std::{fmt, sync::Arc};

use actix_web::HttpRequest;
use async_trait::async_trait;
use portal_cache::Limiter;
use portal_service_kit::{ApiError, config::LimitsSection, http::note_turn};
use portal_types::TenantId;
use uuid::Uuid;

/// Knows how much tenants may ask.
#[async_trait]
pub trait TenantRates: Send + Sync {
    /// Requests a minute of all of the tenant's people and keys, if it has a limit of its own. Must
    /// not make requests wait: what is not known yet is `None`.
    async fn per_minute(&self, tenant: &TenantId) -> Option<u32>;
}

/// The limits of callers.
#[derive(Clone)]
pub struct CallerLimits {
    limiter: Limiter,
    section: LimitsSection,
    tenants: Option<Arc<dyn TenantRates>>,
}

impl fmt::Debug for CallerLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerLimits")
            .field("section", &self.section)
            .finish_non_exhaustive()
    }
}

impl CallerLimits {
    /// The limits of the settings.
    pub fn new(limiter: Limiter, section: LimitsSection) -> Self {
        Self {
            limiter,
            section,
            tenants: None,
        }
    }

    /// Tenants may have limits of their own.
    #[must_use]
    pub fn tenant_rates(mut self, tenants: Arc<dyn TenantRates>) -> Self {
        self.tenants = Some(tenants);
        self
    }

    /// Counts a request of somebody of a tenant, against the caller's limit and the tenant's; fails
    /// with 429 when one of them is spent.
    pub(crate) async fn admit(
        &self,
        request: &HttpRequest,
        tenant: &TenantId,
        caller: String,
    ) -> Result<(), ApiError> {
        let own = match &self.tenants {
            Some(tenants) => tenants.per_minute(tenant).await,
            None => None,
        };
        let counted = [
            self.section.per_caller().of_tenant(tenant, &caller),
            self.section.per_tenant(own).of_tenant(tenant, "all"),
        ];
        note_turn(request, self.limiter.take_all(&counted).await)
    }

    /// Counts a request of a platform administrator.
    pub(crate) async fn admit_admin(
        &self,
        request: &HttpRequest,
        admin: Uuid,
    ) -> Result<(), ApiError> {
        let counted = self.section.per_caller().of(&format!("admin-{admin}"));
        note_turn(request, self.limiter.take_all(&[counted]).await)
    }
}
