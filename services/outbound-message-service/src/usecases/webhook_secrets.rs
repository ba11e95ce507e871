//! Secrets of tenants that bring a Meta app of their own: its app secret, which signs their
//! webhooks, and the token that Meta presents when their address is verified. Two of a kind are
//! valid at once while one replaces the other.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use portal_db::{
    Db, DbError,
    audit::{self, Actor, AuditEntry, Outcome},
};
use portal_types::{TenantId, UserId};
use portal_vault::{Vault, VaultError, fingerprint, places};
use secrecy::SecretString;
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{
    events::SOURCE,
    store::webhook_secrets::{self, NewSecretRow, SecretRow},
};

/// How long another replica may go on with what was valid.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Whoever calls can name tenants that do not exist.
const TENANTS: u64 = 10_000;
/// The new one and the one that it replaces.
const VALID_AT_ONCE: usize = 2;

/// What a secret is for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    EnumString,
    IntoStaticStr,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SecretKind {
    /// Signs the posts.
    AppSecret,
    /// Is presented when the address is entered at Meta.
    VerifyToken,
}

/// Why secrets cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("two secrets of this kind are valid already")]
    TooMany,
    #[error("the tenant has no such secret")]
    NotFound,
}

/// The valid secrets of a tenant.
#[derive(Default)]
pub(crate) struct ValidSecrets {
    pub(crate) app_secrets: Vec<SecretString>,
    pub(crate) verify_tokens: Vec<SecretString>,
}

/// A secret to be added.
pub(crate) struct AddSecret {
    pub(crate) kind: SecretKind,
    pub(crate) secret: SecretString,
    /// When the others of its kind end; they stay when it is left out.
    pub(crate) others_end_at: Option<DateTime<Utc>>,
}

/// Who changes secrets, and in which request.
pub(crate) struct ChangedBy {
    pub(crate) user_id: UserId,
    pub(crate) request_id: String,
}

/// All tenants' secrets.
#[derive(Clone)]
pub(crate) struct WebhookSecrets {
    db: Db,
    vault: Arc<Vault>,
    valid: Cache<TenantId, Arc<ValidSecrets>>,
}

impl WebhookSecrets {
    pub(crate) fn new(db: Db, vault: Arc<Vault>) -> Self {
        Self {
            db,
            vault,
            valid: Cache::builder()
                .max_capacity(TENANTS)
                .time_to_live(REMEMBERED)
                .build(),
        }
    }

    /// The secrets of a tenant that are valid now; none for a tenant that does not exist.
    pub(crate) async fn valid(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<ValidSecrets>, Arc<SecretError>> {
        self.valid
            .try_get_with_by_ref(tenant, self.open_valid(tenant))
            .await
    }

    async fn open_valid(&self, tenant: &TenantId) -> Result<Arc<ValidSecrets>, SecretError> {
        let rows = self
            .db
            .read("webhook_secrets.valid", tenant, webhook_secrets::list_valid)
            .await?;
        let mut valid = ValidSecrets::default();
        for (id, kind, sealed) in rows {
            let id = id.to_string();
            let binding = places::WEBHOOK_SECRET.of(tenant.as_str(), &id);
            let secret = self.vault.open(&binding, &sealed)?;
            match kind.parse() {
                Ok(SecretKind::AppSecret) => valid.app_secrets.push(secret),
                Ok(SecretKind::VerifyToken) => valid.verify_tokens.push(secret),
                Err(_unknown) => {}
            }
        }
        Ok(Arc::new(valid))
    }

    /// The tenant's secrets as they may be shown, newest first.
    pub(crate) async fn list(&self, tenant: &TenantId) -> Result<Vec<SecretRow>, SecretError> {
        Ok(self
            .db
            .read("webhook_secrets.list", tenant, webhook_secrets::list)
            .await?)
    }

    /// Adds a secret, valid at once.
    pub(crate) async fn add(
        &self,
        tenant: &TenantId,
        by: ChangedBy,
        new: AddSecret,
    ) -> Result<SecretRow, SecretError> {
        let secret_id = Uuid::now_v7();
        let row_id = secret_id.to_string();
        let binding = places::WEBHOOK_SECRET.of(tenant.as_str(), &row_id);
        let kind: &'static str = new.kind.into();
        let row = NewSecretRow {
            secret_id,
            tenant_id: tenant.to_string(),
            kind,
            secret: self.vault.seal(&binding, &new.secret)?,
            fingerprint: fingerprint(&new.secret),
            created_by: by.user_id.to_string(),
        };
        let added = self
            .db
            .write("webhook_secrets.add", tenant, move |tx| {
                let now = Utc::now();
                let valid = webhook_secrets::list_locked(tx)?
                    .into_iter()
                    .filter(|old| old.kind == kind && old.retires_at.is_none_or(|at| at > now));
                if valid.count() >= VALID_AT_ONCE {
                    return Err(SecretError::TooMany);
                }
                let added = webhook_secrets::insert(tx, &row)?;
                if let Some(at) = new.others_end_at {
                    webhook_secrets::retire_others(tx, kind, secret_id, at)?;
                }
                let details = serde_json::json!({"kind": kind, "fingerprint": added.fingerprint,
                    "others_end_at": new.others_end_at});
                audit::append(tx, &entry(by, "webhook_secret.add", secret_id, details))?;
                Ok(added)
            })
            .await?;
        self.valid.invalidate(tenant).await;
        Ok(added)
    }

    /// Ends a secret at once.
    pub(crate) async fn remove(
        &self,
        tenant: &TenantId,
        by: ChangedBy,
        secret_id: Uuid,
    ) -> Result<(), SecretError> {
        self.db
            .write("webhook_secrets.remove", tenant, move |tx| {
                if !webhook_secrets::delete(tx, secret_id)? {
                    return Err(SecretError::NotFound);
                }
                let details = serde_json::json!({});
                audit::append(tx, &entry(by, "webhook_secret.remove", secret_id, details))?;
                Ok(())
            })
            .await?;
        self.valid.invalidate(tenant).await;
        Ok(())
    }
}

fn entry(
    by: ChangedBy,
    action: &'static str,
    secret_id: Uuid,
    details: serde_json::Value,
) -> AuditEntry {
    AuditEntry {
        service: SOURCE.role,
        actor: Actor::User(by.user_id.to_string()),
        action,
        target: Some(secret_id.to_string()),
        outcome: Outcome::Succeeded,
        details,
        request_id: Some(by.request_id),
    }
}
