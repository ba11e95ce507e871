//! What answers look like.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{tenant::Tenant, whatsapp_account::WhatsappAccount},
    usecases::whatsapp_accounts::SendingProfile,
};

/// A tenant's full record.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantView {
    tenant_id: String,
    name: String,
    /// `active`, `suspended` or `deleted`
    status: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    whatsapp_configured: bool,
    /// Requests a minute of all its people and keys; `null` is the deployment's default
    rate_limit: Option<u32>,
    /// Whether people of other organizations may work in this one
    allow_trustees: bool,
    /// Minutes between two syncs of its people; 0 is never, `null` the deployment's default
    user_sync_minutes: Option<u32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            tenant_id: tenant.tenant_id.to_string(),
            name: tenant.name,
            status: tenant.status.as_str().to_owned(),
            genesys_org_id: tenant.genesys_org_id,
            genesys_region: tenant.genesys_region,
            whatsapp_configured: tenant.whatsapp_configured,
            rate_limit: tenant.rate_limit,
            allow_trustees: tenant.allow_trustees,
            user_sync_minutes: tenant.user_sync_minutes,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
            deleted_at: tenant.deleted_at,
        }
    }
}

/// What everybody may know of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicTenantView {
    tenant_id: String,
    name: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    /// `active` or `suspended`
    status: String,
    whatsapp_configured: bool,
}

impl From<Tenant> for PublicTenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            tenant_id: tenant.tenant_id.to_string(),
            name: tenant.name,
            genesys_org_id: tenant.genesys_org_id,
            genesys_region: tenant.genesys_region,
            status: tenant.status.as_str().to_owned(),
            whatsapp_configured: tenant.whatsapp_configured,
        }
    }
}

/// The full record for services and administrators, the small one for everybody else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum TenantByOrgView {
    Full(TenantView),
    Public(PublicTenantView),
}

/// A page of tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantListView {
    pub(super) tenants: Vec<TenantView>,
    pub(super) total: i64,
    pub(super) limit: u32,
    pub(super) offset: u32,
}

/// A WhatsApp configuration; the token is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhatsappView {
    waba_id: String,
    business_id: Option<String>,
    phone_number_id: String,
    display_phone_number: String,
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
    /// The last characters, to tell one token from another
    #[schema(examples("****aB3x"))]
    access_token: String,
    /// The beginning of the token's SHA-256
    access_token_fingerprint: String,
    /// `unknown`, `valid` or `invalid`
    token_status: String,
    token_error_code: Option<i64>,
    /// Null is never, or not known
    token_expires_at: Option<DateTime<Utc>>,
    /// When Meta was last asked and answered
    verified_at: Option<DateTime<Utc>>,
    /// The name that recipients see
    verified_name: Option<String>,
    /// Whether the number's PIN is kept; it is never shown
    has_pin: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<WhatsappAccount> for WhatsappView {
    fn from(account: WhatsappAccount) -> Self {
        let shown = account.token_last4.trim_start_matches('*');
        Self {
            waba_id: account.waba_id,
            business_id: account.business_id,
            phone_number_id: account.number.phone_number_id,
            display_phone_number: account.number.display_phone_number,
            quality_rating: account.number.quality_rating,
            messaging_limit: account.number.messaging_limit,
            access_token: format!("****{shown}"),
            access_token_fingerprint: account.token_fingerprint,
            token_status: account.token_status.as_str().to_owned(),
            token_error_code: account.token_error_code,
            token_expires_at: account.token_expires_at,
            verified_at: account.verified_at,
            verified_name: account.number.verified_name,
            has_pin: account.has_pin,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// What a service needs to send for a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SendingProfileView {
    tenant_id: String,
    name: String,
    /// `active`, `suspended` or `deleted`
    status: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    /// Requests a minute of all its people and keys; `null` is the deployment's default
    rate_limit: Option<u32>,
    whatsapp: Option<SendingAccountView>,
}

/// The account that a tenant sends through.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SendingAccountView {
    waba_id: String,
    phone_number_id: String,
    display_phone_number: String,
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
    /// `unknown`, `valid` or `invalid`
    token_status: String,
    created_at: DateTime<Utc>,
    /// Base64 of the token as vault sealed it
    sealed_access_token: String,
    /// The row that the sealed token is bound to
    credential_row_id: Uuid,
}

impl From<SendingProfile> for SendingProfileView {
    fn from(profile: SendingProfile) -> Self {
        let whatsapp = profile
            .whatsapp
            .map(|(account, sealed)| SendingAccountView {
                waba_id: account.waba_id,
                phone_number_id: account.number.phone_number_id,
                display_phone_number: account.number.display_phone_number,
                quality_rating: account.number.quality_rating,
                messaging_limit: account.number.messaging_limit,
                token_status: account.token_status.as_str().to_owned(),
                created_at: account.created_at,
                sealed_access_token: STANDARD.encode(sealed),
                credential_row_id: account.config_id,
            });
        Self {
            tenant_id: profile.tenant.tenant_id.to_string(),
            name: profile.tenant.name,
            status: profile.tenant.status.as_str().to_owned(),
            genesys_org_id: profile.tenant.genesys_org_id,
            genesys_region: profile.tenant.genesys_region,
            rate_limit: profile.tenant.rate_limit,
            whatsapp,
        }
    }
}
