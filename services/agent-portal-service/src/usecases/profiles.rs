//! What a signed-in person sees of themselves and of their organization's WhatsApp account.

use portal_db::{Db, DbError};
use portal_tenant_client::{SendingProfile, TenantClient, TenantClientError};
use portal_types::{TenantId, UserId};

use crate::{domain::User, store};

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error("the tenant does not exist")]
    UnknownTenant,
    #[error("tenant-service gives no answer")]
    DirectoryAway(#[from] TenantClientError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Shows people and their organization.
#[derive(Clone)]
pub(crate) struct Profiles {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
}

impl Profiles {
    /// The person and the organization.
    pub(crate) async fn show(
        &self,
        tenant_id: &TenantId,
        user_id: UserId,
    ) -> Result<(User, SendingProfile), ProfileError> {
        let (scope, tenant) = (tenant_id.clone(), tenant_id.clone());
        let user = self
            .db
            .read("profiles.user", &scope, move |tx| {
                store::users::find_user(tx, &tenant, user_id)
            })
            .await?
            .ok_or(ProfileError::UnknownUser)?;
        Ok((user, self.organization(tenant_id).await?))
    }

    /// The organization with its WhatsApp account. Its token is sealed in there and stays so.
    pub(crate) async fn organization(
        &self,
        tenant_id: &TenantId,
    ) -> Result<SendingProfile, ProfileError> {
        let found = self.tenants.sending_profile(tenant_id).await?;
        found.ok_or(ProfileError::UnknownTenant)
    }
}
