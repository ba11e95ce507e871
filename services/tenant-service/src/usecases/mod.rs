//! What the service does, one file per subject. Every change commits its events and its audit entry.

pub(crate) mod admins;
pub(crate) mod api_keys;
pub(crate) mod audit_trail;
pub(crate) mod genesys_credentials;
pub(crate) mod genesys_profile;
pub(crate) mod import;
pub(crate) mod meta;
pub(crate) mod role_map;
pub(crate) mod tenants;
pub(crate) mod token_watch;
pub(crate) mod whatsapp_accounts;
pub(crate) mod whatsapp_signup;
pub(crate) mod whatsapp_verify;

use std::sync::Arc;

use portal_auth::Revocations;
use portal_db::{
    Db, DbError,
    audit::{Actor, AuditEntry, Outcome},
};
use portal_events::{EventContext, RelayWaker};
use portal_types::Clock;
use portal_vault::{Vault, VaultError};
use serde_json::Value;

use self::genesys_credentials::Genesys;

/// What use cases work with.
#[derive(Clone)]
pub(crate) struct Deps {
    pub(crate) db: Db,
    pub(crate) vault: Arc<Vault>,
    pub(crate) revocations: Revocations,
    pub(crate) waker: RelayWaker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) genesys: Genesys,
}

/// Who asks, and by which request: carried into audit entries and events.
#[derive(Debug, Clone)]
pub(crate) struct OpContext {
    pub(crate) actor: Actor,
    pub(crate) request_id: Option<String>,
}

impl OpContext {
    pub(crate) fn events(&self) -> EventContext {
        EventContext::current(self.request_id.clone())
    }

    /// Who acts, as rows name it.
    fn actor_text(&self) -> String {
        match &self.actor {
            Actor::PlatformAdmin(id) | Actor::User(id) | Actor::ApiKey(id) | Actor::Service(id) => {
                id.clone()
            }
            Actor::Operator(_) => "operator".to_owned(),
            Actor::Anonymous => "anonymous".to_owned(),
        }
    }

    fn audit(
        &self,
        action: &'static str,
        target: &impl ToString,
        outcome: Outcome,
        details: Value,
    ) -> AuditEntry {
        AuditEntry {
            service: crate::ROLE,
            actor: self.actor.clone(),
            action,
            target: Some(target.to_string()),
            outcome,
            details,
            request_id: self.request_id.clone(),
        }
    }
}

/// Why something about a tenant was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantError {
    #[error("there is no such tenant")]
    NotFound,
    #[error("no tenant has this Genesys organization")]
    NotFoundForOrg,
    #[error("the tenant is deleted")]
    Deleted,
    #[error("there is a tenant with this id")]
    Exists,
    #[error("the Genesys organization belongs to another tenant")]
    OrgTaken,
    #[error("the WhatsApp Business Account belongs to another tenant")]
    WabaTaken,
    #[error("the phone number belongs to another tenant")]
    NumberTaken,
    #[error("the tenant has no WhatsApp configuration")]
    NotConfigured,
    #[error("the tenant has no such Genesys credentials")]
    NoCredentials,
    #[error("the tenant has no such API key")]
    NoApiKey,
    #[error("the API key was ended or replaced before")]
    ApiKeyOver,
    #[error("a tenant of the file was changed meanwhile")]
    ImportOvertaken,
    #[error("the database failed")]
    Db(#[source] DbError),
    #[error("the machine gives no random numbers")]
    Random(#[source] anyhow::Error),
    #[error("a token could not be sealed")]
    Vault(#[from] VaultError),
}

impl From<DbError> for TenantError {
    fn from(error: DbError) -> Self {
        use crate::store::{tenants, whatsapp_accounts};
        let facts = [
            (tenants::PRIMARY_KEY, Self::Exists),
            (tenants::ONE_ORG, Self::OrgTaken),
            (whatsapp_accounts::ONE_WABA, Self::WabaTaken),
            (whatsapp_accounts::ONE_NUMBER, Self::NumberTaken),
        ];
        let fact = facts
            .into_iter()
            .find(|(constraint, _)| error.is_unique(constraint));
        fact.map_or(Self::Db(error), |(_, fact)| fact)
    }
}
