//! What a tenant chose for its sending.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use portal_db::{Db, DbError, audit};
use portal_types::TenantId;

use crate::{domain::SendingPolicy, store::policies, usecases::requeue::Decider};

/// Tenants whose choices are remembered.
const CAPACITY: u64 = 10_000;
/// Other processes see a change after so long at the most.
const FRESH: Duration = Duration::from_secs(5);

/// The choices of all tenants, read from the database and remembered for seconds.
#[derive(Clone)]
pub(crate) struct Policies {
    db: Db,
    known: Cache<TenantId, Arc<SendingPolicy>>,
}

impl Policies {
    pub(crate) fn new(db: Db) -> Self {
        let known = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(FRESH)
            .build();
        Self { db, known }
    }

    /// The tenant's choices, at most seconds old.
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Arc<SendingPolicy>, DbError> {
        if let Some(policy) = self.known.get(tenant).await {
            return Ok(policy);
        }
        let policy = Arc::new(self.read(tenant).await?);
        self.known.insert(tenant.clone(), Arc::clone(&policy)).await;
        Ok(policy)
    }

    /// The tenant's choices as they stand now.
    pub(crate) async fn read(&self, tenant: &TenantId) -> Result<SendingPolicy, DbError> {
        let owner = tenant.clone();
        self.db
            .read("read_policy", tenant, move |tx| {
                let found = policies::find(tx, &owner)?;
                Ok(found.unwrap_or_default())
            })
            .await
    }

    /// Puts the tenant's choices in place of the present ones; this process follows at once.
    #[tracing::instrument(name = "usecase.write_policy", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn write(
        &self,
        tenant: &TenantId,
        policy: SendingPolicy,
        decider: Decider,
    ) -> Result<SendingPolicy, DbError> {
        let owner = tenant.clone();
        let policy = self
            .db
            .write("write_policy", tenant, move |tx| {
                let before = policies::find(tx, &owner)?.unwrap_or_default();
                if before != policy {
                    policies::put(tx, &owner, &policy)?;
                    let details = serde_json::json!({"before": before, "after": policy});
                    let entry = decider.entry("sending_policy.write", &owner, details);
                    audit::append(tx, &entry)?;
                }
                Ok::<_, DbError>(policy)
            })
            .await?;
        self.known.invalidate(tenant).await;
        Ok(policy)
    }
}
