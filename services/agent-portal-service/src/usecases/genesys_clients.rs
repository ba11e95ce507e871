//! Which OAuth client signs a tenant's people in, and what the tenant says of their roles.

use std::sync::Arc;

use portal_genesys::{Identity, OAuthClient, Region, RoleMap};
use portal_tenant_client::{GenesysProfile, SealedClient, TenantClient, TenantClientError};
use portal_types::{Role, TenantId};
use portal_vault::{Vault, VaultError, places};

use super::sign_in::{Refusal, SignInRules};
use crate::domain::ToldRole;

/// Why a client cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("tenant-service gives no answer")]
    DirectoryAway(#[from] TenantClientError),
    #[error("the secret of a tenant's client cannot be opened")]
    Sealed(#[from] VaultError),
}

/// Finds OAuth clients of Genesys: a tenant's own, or the deployment's.
#[derive(Clone)]
pub(crate) struct GenesysClients {
    pub(crate) rules: Arc<SignInRules>,
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
}

impl GenesysClients {
    /// The tenant's own client with its region; `None` without one, or when its region is not on
    /// the list of regions.
    pub(crate) fn own(
        &self,
        profile: &GenesysProfile,
    ) -> Result<Option<(Region, OAuthClient)>, ClientError> {
        let Some(sealed) = &profile.sign_in_client else {
            return Ok(None);
        };
        let Some(region) = self.rules.known_region(&sealed.region) else {
            tracing::warn!(
                tenant.id = %profile.tenant_id,
                "the region of the tenant's own OAuth client is not on the list of regions"
            );
            return Ok(None);
        };
        let client = self.open(&profile.tenant_id, sealed)?;
        Ok(Some((region, client)))
    }

    /// The client that a session's or sign-in's tokens belong to; `None` when it is not there any
    /// more. `own_client` names a client of the tenant, without it it is the deployment's.
    pub(crate) async fn find(
        &self,
        tenant: Option<&TenantId>,
        region: &str,
        own_client: Option<&str>,
    ) -> Result<Option<(Region, OAuthClient)>, ClientError> {
        let (Some(tenant), Some(own_client)) = (tenant, own_client) else {
            return Ok(self.rules.region(region).cloned());
        };
        let Some(profile) = self.tenants.genesys_profile(tenant).await? else {
            return Ok(None);
        };
        Ok(self
            .own(&profile)?
            .filter(|(of, client)| of.name() == region && client.client_id == own_client))
    }

    /// Opens the secret of a tenant's client.
    pub(super) fn open(
        &self,
        tenant: &TenantId,
        sealed: &SealedClient,
    ) -> Result<OAuthClient, VaultError> {
        let binding = places::CLIENT_SECRET.of(tenant.as_str(), &sealed.credential_row_id);
        let secret = sealed.sealed_client_secret.as_ref();
        Ok(OAuthClient {
            client_id: sealed.client_id.clone(),
            client_secret: secret
                .map(|secret| self.vault.open(&binding, secret))
                .transpose()?,
        })
    }
}

impl SignInRules {
    /// The map of roles for a tenant: built-in roles, then the deployment's, then the tenant's own.
    pub(crate) fn roles_of(&self, profile: &GenesysProfile) -> RoleMap {
        let mappings = profile.role_mappings.iter().map(|mapping| {
            // A word that this version does not know gives nothing.
            (
                mapping.genesys_role.clone(),
                mapping.portal_role.parse::<Role>().ok(),
            )
        });
        self.roles
            .clone()
            .with_mappings(mappings)
            .with_otherwise(profile.unmapped_role.parse().ok())
    }

    /// What the tenant's rules make of a person whom Genesys vouches for: refused as a guest, or
    /// let in with the role that the person's roles come down to.
    pub(crate) fn role_in(
        &self,
        profile: &GenesysProfile,
        identity: &Identity,
    ) -> Result<ToldRole, Refusal> {
        let is_trustee = identity
            .home_organization_id
            .as_ref()
            .is_some_and(|home| *home != identity.organization.id);
        if is_trustee && !(self.allow_trustees || profile.allow_trustees) {
            return Err(Refusal::Trustee);
        }
        let Some(roles) = &identity.roles else {
            return Ok(ToldRole::Unknown);
        };
        let role = self.roles_of(profile).portal_role(roles);
        Ok(role.map_or(ToldRole::Nothing, ToldRole::Role))
    }
}
