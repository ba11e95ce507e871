//! Syncs of a tenant's people with Genesys: who is new, who changed, who left.
//!
//! A run is a row. Whoever holds its lease reads the listing page by page and commits each page with
//! the place to go on from, so that a run that is interrupted is finished by any replica.

mod apply;
mod run;

use std::{sync::Arc, time::Duration};

use moka::future::Cache as Remembered;
use portal_db::{CrossTenantPath, Db, DbError, Scope, audit};
use portal_events::RelayWaker;
use portal_genesys::{GenesysClient, GenesysError};
use portal_tenant_client::{TenantClient, TenantClientError, TenantStatus};
use portal_types::{Clock, TenantId, UserId};
use portal_vault::VaultError;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Cause, genesys_clients::GenesysClients, sessions::Sessions, sign_in::SignInRules};
use crate::{
    ROLE,
    domain::{SyncCause, SyncRun, SyncStatus},
    store::sync_runs,
};

const SCHEDULER: Scope = Scope::CrossTenant(CrossTenantPath::UserSyncScheduler);
/// Runs that are shown.
const SHOWN: i64 = 20;
/// How often a caller who waits for a run looks at it.
const LOOK: Duration = Duration::from_millis(100);

/// Why a run was not begun or found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error("the tenant has no OAuth client that reads its people")]
    NoCredentials,
    #[error("the tenant is not active")]
    TenantNotActive,
    #[error("the region of the tenant's OAuth client is not one of ours")]
    UnknownRegion,
    #[error("the tenant has no such run")]
    Unknown,
    #[error("tenant-service gives no answer")]
    DirectoryAway(#[from] TenantClientError),
    #[error("the secret of a tenant's client cannot be opened")]
    Sealed(#[from] VaultError),
    #[error("Genesys gives no answer")]
    Genesys(#[from] GenesysError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What is settled for all runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncRules {
    /// People of one page.
    pub(crate) page_size: u32,
    /// For tenants that do not say how often.
    pub(crate) default_minutes: u32,
    /// How long a replica may be silent before another one takes its run.
    pub(crate) lease: Duration,
    /// How long a call waits for the end of the run it began.
    pub(crate) answer_within: Duration,
}

/// Syncs people.
#[derive(Clone)]
pub(crate) struct UserSync {
    pub(crate) db: Db,
    /// More patient than the one that signs people in.
    pub(crate) genesys: GenesysClient,
    pub(crate) clients: GenesysClients,
    pub(crate) tenants: TenantClient,
    pub(crate) sessions: Sessions,
    pub(crate) sign_in_rules: Arc<SignInRules>,
    pub(crate) rules: SyncRules,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: RelayWaker,
    /// Tells the worker of this process that there is a run.
    pub(crate) begun: Arc<Notify>,
    /// Tokens of tenants' clients, until shortly before they end.
    pub(crate) tokens: Remembered<(TenantId, String), Arc<SecretString>>,
}

impl UserSync {
    /// Begins a run, or finds the one that is running.
    #[tracing::instrument(name = "usecase.begin_user_sync", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn begin(
        &self,
        tenant: &TenantId,
        by: Option<UserId>,
        cause: &Cause,
    ) -> Result<SyncRun, SyncError> {
        let profile = self.tenants.genesys_profile(tenant).await?;
        let profile = profile.ok_or(SyncError::TenantNotActive)?;
        if profile.status != TenantStatus::Active {
            return Err(SyncError::TenantNotActive);
        }
        if profile.sync_client.is_none() {
            return Err(SyncError::NoCredentials);
        }
        let (of, request_id) = (tenant.clone(), cause.request_id.clone());
        let run = self
            .db
            .write("user_sync.begin", tenant, move |tx| {
                let why = by.map_or(SyncCause::Schedule, |_| SyncCause::Admin);
                let run = sync_runs::begin(tx, &of, why, by.map(|by| by.to_string()))?;
                let actor = by.map_or_else(
                    || audit::Actor::Service("agent-portal-service".to_owned()),
                    |by| audit::Actor::User(by.to_string()),
                );
                let entry = audit::AuditEntry {
                    service: ROLE,
                    actor,
                    action: "user.sync",
                    target: Some(run.run_id.to_string()),
                    outcome: audit::Outcome::Succeeded,
                    details: json!({"cause": why.as_ref()}),
                    request_id,
                };
                audit::append(tx, &entry)?;
                Ok::<_, DbError>(run)
            })
            .await?;
        self.begun.notify_one();
        Ok(run)
    }

    /// Waits for the end of a run, for a while; answers where it stands.
    pub(crate) async fn wait(&self, tenant: &TenantId, run_id: Uuid) -> Result<SyncRun, SyncError> {
        let deadline = tokio::time::Instant::now() + self.rules.answer_within;
        loop {
            let run = self.show(tenant, run_id).await?;
            if run.status != SyncStatus::Running || tokio::time::Instant::now() >= deadline {
                return Ok(run);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A run of the tenant.
    pub(crate) async fn show(&self, tenant: &TenantId, run_id: Uuid) -> Result<SyncRun, SyncError> {
        let of = tenant.clone();
        self.db
            .read("user_sync.show", tenant, move |tx| {
                sync_runs::find(tx, &of, run_id)?.ok_or(SyncError::Unknown)
            })
            .await
    }

    /// The tenant's latest runs.
    pub(crate) async fn list(&self, tenant: &TenantId) -> Result<Vec<SyncRun>, SyncError> {
        let of = tenant.clone();
        self.db
            .read("user_sync.list", tenant, move |tx| {
                Ok(sync_runs::list_latest(tx, &of, SHOWN)?)
            })
            .await
    }

    /// Begins the runs that are due, of all tenants; answers how many.
    pub(crate) async fn begin_due(&self) -> Result<usize, SyncError> {
        let minutes = i32::try_from(self.rules.default_minutes).unwrap_or(i32::MAX);
        let due = self
            .db
            .read("user_sync.due", SCHEDULER, move |tx| {
                sync_runs::list_due_any_tenant(tx, minutes, 20)
            })
            .await?;
        let count = due.len();
        for tenant in due {
            match self.begin(&tenant, None, &Cause::default()).await {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(tenant.id = %tenant, %error, "a sync cannot be begun");
                }
            }
        }
        Ok(count)
    }

    /// Runs that nobody works on, of all tenants, the oldest first.
    pub(crate) async fn idle(&self, limit: usize) -> Result<Vec<(TenantId, Uuid)>, DbError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.db
            .read("user_sync.idle", SCHEDULER, move |tx| {
                sync_runs::list_idle_any_tenant(tx, limit)
            })
            .await
    }
}
