//! Tenants' accounts: their templates are read and their tokens tried.

use std::{future::Future, sync::Arc, time::Duration};

use portal_db::DbError;
use portal_foundation::spawn_loop;
use portal_service_kit::lifecycle::Tasks;
use portal_types::TenantId;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{PAUSE, wait};
use crate::{
    store::template_syncs::AccountRow,
    usecases::{templates::sync::TemplateSync, token_health::TokenHealth},
};

const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Both jobs.
pub(crate) struct AccountJobs {
    pub(crate) sync: TemplateSync,
    pub(crate) health: TokenHealth,
    pub(crate) token_due: Arc<Notify>,
}

impl AccountJobs {
    pub(crate) fn start(self, tasks: &Tasks, stop: &CancellationToken) {
        let Self {
            sync,
            health,
            token_due,
        } = self;
        let due = Arc::clone(&sync.templates.due);
        spawn_loop(tasks, "templates", {
            let stop = stop.clone();
            async move {
                let list = || sync.list_due();
                let run = |tenant: TenantId, waba_id: String| {
                    let sync = sync.clone();
                    async move { sync.run(&tenant, &waba_id).await }
                };
                work("templates", list, run, &due, &stop).await;
            }
        });
        spawn_loop(tasks, "tokens", {
            let stop = stop.clone();
            async move {
                let list = || health.list_due();
                let run = |tenant: TenantId, waba_id: String| {
                    let health = health.clone();
                    async move { health.run(&tenant, &waba_id).await }
                };
                work("tokens", list, run, &token_due, &stop).await;
            }
        });
    }
}

/// Works on what is due, several accounts at the same time, until `stop`.
async fn work<L, R>(
    what: &'static str,
    list: impl Fn() -> L,
    run: impl Fn(TenantId, String) -> R,
    due: &Notify,
    stop: &CancellationToken,
) where
    L: Future<Output = Result<Vec<AccountRow>, DbError>>,
    R: Future<Output = Result<(), DbError>> + Send + 'static,
{
    while !stop.is_cancelled() {
        let pause = match work_once(&list, &run).await {
            Ok(0) => LOOK_INTERVAL,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "looking at the {what} of accounts failed"
                );
                PAUSE
            }
        };
        wait(due, pause, stop).await;
    }
}

async fn work_once<L, R>(
    list: &impl Fn() -> L,
    run: &impl Fn(TenantId, String) -> R,
) -> Result<usize, DbError>
where
    L: Future<Output = Result<Vec<AccountRow>, DbError>>,
    R: Future<Output = Result<(), DbError>> + Send + 'static,
{
    let accounts = list().await?;
    let count = accounts.len();
    let mut running = JoinSet::new();
    for account in accounts {
        running.spawn(run(account.tenant()?, account.waba_id));
    }
    // One account that goes wrong does not keep the others back.
    let mut result = Ok(count);
    while let Some(done) = running.join_next().await {
        if let Ok(Err(error)) = done {
            result = Err(error);
        }
    }
    result
}
