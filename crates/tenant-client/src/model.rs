//! What tenant-service tells its sisters, as it goes over the wire.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use portal_types::TenantId;
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
    /// The account and number to send from; `None` until an admin configured it.
    pub whatsapp: Option<WhatsAppProfile>,
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

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let not_base64 = |_| serde::de::Error::custom("not base64");
    BASE64_STANDARD.decode(text).map_err(not_base64)
}
