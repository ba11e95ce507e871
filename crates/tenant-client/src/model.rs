//! What tenant-service tells its sisters, as it goes over the wire.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use portal_auth::ApiKey;
use portal_types::{ApiScope, TenantId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A tenant as the directory knows it. Members that are not listed are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Id of the tenant.
    pub tenant_id: TenantId,
    /// Name for people.
    pub name: String,
    /// Whether it may sign in and send.
    pub status: TenantStatus,
    /// Id of its Genesys organization.
    pub genesys_org_id: Option<String>,
    /// Region of that organization, for example `mypurecloud.de`.
    pub genesys_region: Option<String>,
    /// Whether there is a `WhatsApp` configuration.
    pub whatsapp_configured: bool,
}

/// All that is needed to send in the name of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendingProfile {
    /// Id of the tenant.
    pub tenant_id: TenantId,
    /// Name for people.
    pub name: String,
    /// Whether it may send.
    pub status: TenantStatus,
    /// Id of its Genesys organization.
    pub genesys_org_id: Option<String>,
    /// Region of that organization.
    pub genesys_region: Option<String>,
    /// Requests a minute of all its people and keys; `None` is the deployment's default.
    #[serde(default)]
    pub rate_limit: Option<u32>,
    /// The account and number to send from; `None` until an admin configured it.
    pub whatsapp: Option<WhatsAppProfile>,
}

/// How a tenant's people sign in, and which portal roles they get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesysProfile {
    /// Id of the tenant.
    pub tenant_id: TenantId,
    /// Whether its people may sign in.
    pub status: TenantStatus,
    /// Id of its Genesys organization.
    pub genesys_org_id: Option<String>,
    /// Region of that organization.
    pub genesys_region: Option<String>,
    /// Whether people of other organizations may work in this one.
    pub allow_trustees: bool,
    /// The portal role (`agent`, …) of people none of whose Genesys roles is in the map; `none`
    /// refuses them.
    pub unmapped_role: String,
    /// The tenant's own map of roles, which goes before the built-in one.
    pub role_mappings: Vec<RoleMapping>,
    /// Minutes between two syncs of its people; 0 is never, `None` the deployment's default.
    pub user_sync_minutes: Option<u32>,
    /// The tenant's own OAuth client (code grant) that signs its people in.
    pub sign_in_client: Option<SealedClient>,
    /// The tenant's own OAuth client (client credentials) that reads its people.
    pub sync_client: Option<SealedClient>,
}

/// Which portal role a Genesys role gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleMapping {
    /// Id or name of the Genesys role, whatever its case.
    pub genesys_role: String,
    /// `agent`, `supervisor`, `admin`, or `none`.
    pub portal_role: String,
}

/// An OAuth client of a tenant, its secret sealed: bound to table `tenant_credentials`, column
/// `client_secret`, the tenant and [`SealedClient::credential_row_id`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedClient {
    /// Region that the client belongs to.
    pub region: String,
    /// Id of the client.
    pub client_id: String,
    /// The secret as the vault sealed it, base64 on the wire; none for a public (PKCE) client.
    #[serde(
        default,
        serialize_with = "maybe_to_base64",
        deserialize_with = "maybe_from_base64"
    )]
    pub sealed_client_secret: Option<Vec<u8>>,
    /// Row that the secret is bound to.
    pub credential_row_id: String,
}

/// A valid API key as tenant-service tells of it.
#[derive(Deserialize)]
pub(crate) struct ApiKeyRecord {
    key_id: uuid::Uuid,
    tenant_id: TenantId,
    /// Scopes that this version does not know open nothing here.
    scopes: Vec<String>,
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// A key, and until when what is remembered of it may be believed.
#[derive(Clone)]
pub(crate) struct KnownKey {
    pub(crate) key: std::sync::Arc<ApiKey>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl From<ApiKeyRecord> for KnownKey {
    fn from(record: ApiKeyRecord) -> Self {
        let scopes = record.scopes.iter();
        let key = ApiKey {
            key_id: record.key_id,
            tenant_id: record.tenant_id,
            scopes: scopes
                .filter_map(|scope| scope.parse::<ApiScope>().ok())
                .collect(),
        };
        Self {
            key: key.into(),
            expires_at: record.expires_at,
        }
    }
}

/// A tenant's `WhatsApp` Business Account with its default number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatsAppProfile {
    /// Id of the account.
    pub waba_id: String,
    /// Id of the number to send from.
    pub phone_number_id: String,
    /// The number as people write it.
    pub display_phone_number: String,
    /// `GREEN`, `YELLOW`, `RED` or another word of Meta's.
    pub quality_rating: Option<String>,
    /// `TIER_250` or another word of Meta's.
    pub messaging_limit: Option<String>,
    /// What is known about the token.
    pub token_status: TokenStatus,
    /// When it was configured.
    pub created_at: DateTime<Utc>,
    /// The token as the vault sealed it; base64 on the wire.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub sealed_access_token: Vec<u8>,
    /// Row that the token is bound to.
    pub credential_row_id: String,
}

/// Whether a tenant may sign in and send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Yes.
    Active,
    /// No, until it is resumed.
    Suspended,
    /// No.
    Deleted,
}

/// What is known about a tenant's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    /// Not used yet.
    Unknown,
    /// Meta accepted it last.
    Valid,
    /// Meta refused it last.
    Invalid,
}

impl TenantStatus {
    /// Whether people may sign in and messages may leave.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }

    /// The status as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl TokenStatus {
    /// The status as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Debug for WhatsAppProfile {
    // Neither the number nor the token, sealed as it is, belongs in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsAppProfile")
            .field("waba_id", &self.waba_id)
            .field("phone_number_id", &self.phone_number_id)
            .field("token_status", &self.token_status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedClient")
            .field("region", &self.region)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn maybe_to_base64<S: Serializer>(
    bytes: &Option<Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    bytes
        .as_ref()
        .map(|bytes| BASE64_STANDARD.encode(bytes))
        .serialize(serializer)
}

fn maybe_from_base64<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let not_base64 = |_| serde::de::Error::custom("not base64");
    text.map(|text| BASE64_STANDARD.decode(text).map_err(not_base64))
        .transpose()
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let not_base64 = |_| serde::de::Error::custom("not base64");
    BASE64_STANDARD.decode(text).map_err(not_base64)
}
