//! A tenant's WhatsApp account with its token opened.

use std::sync::Arc;

use portal_tenant_client::{TenantClient, TenantClientError};
use portal_types::TenantId;
use portal_vault::{Vault, VaultError, places};
use secrecy::SecretString;

/// What is needed to ask Meta in the name of a tenant.
pub(crate) struct Account {
    pub(crate) waba_id: String,
    pub(crate) phone_number_id: String,
    pub(crate) token: SecretString,
}

/// Why a tenant's account cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("the tenant is not active")]
    TenantNotActive,
    #[error("the tenant has no WhatsApp configuration")]
    NotConfigured,
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error("the tenant's token cannot be opened")]
    Vault(#[from] VaultError),
}

/// Opens accounts.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
}

impl Accounts {
    /// The account of an active tenant.
    pub(crate) async fn open(&self, tenant: &TenantId) -> Result<Account, AccountError> {
        let profile = self.tenants.sending_profile(tenant).await?;
        let profile = profile.filter(|profile| profile.status.is_active());
        let profile = profile.ok_or(AccountError::TenantNotActive)?;
        let whatsapp = profile.whatsapp.as_ref();
        let whatsapp = whatsapp.ok_or(AccountError::NotConfigured)?;
        let binding = places::WHATSAPP_TOKEN.of(tenant.as_str(), &whatsapp.credential_row_id);
        Ok(Account {
            waba_id: whatsapp.waba_id.clone(),
            phone_number_id: whatsapp.phone_number_id.clone(),
            token: self.vault.open(&binding, &whatsapp.sealed_access_token)?,
        })
    }

    /// The id of the account of an active tenant; its token stays closed.
    pub(crate) async fn waba_id(&self, tenant: &TenantId) -> Result<String, AccountError> {
        Ok(self.sending_number(tenant).await?.0)
    }

    /// The ids of the account of an active tenant and of the number that it sends from.
    pub(crate) async fn sending_number(
        &self,
        tenant: &TenantId,
    ) -> Result<(String, String), AccountError> {
        let profile = self.tenants.sending_profile(tenant).await?;
        let profile = profile.filter(|profile| profile.status.is_active());
        let profile = profile.ok_or(AccountError::TenantNotActive)?;
        let whatsapp = profile.whatsapp.as_ref();
        let whatsapp = whatsapp.ok_or(AccountError::NotConfigured)?;
        Ok((whatsapp.waba_id.clone(), whatsapp.phone_number_id.clone()))
    }
}
