//! Reading an account's templates from Meta.
//!
//! One replica at a time works on an account (a lease). All parts are read first and written in one
//! transaction, so that what is no longer listed is known to be gone; webhooks that come meanwhile
//! know more than the listing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::DbError;
use portal_types::TenantId;
use portal_whatsapp::{ErrorClass, GraphClient, SendError, TemplateNode};
use secrecy::SecretString;

use super::{
    Templates, TemplatesError, announce,
    reconcile::{self, Circumstances},
};
use crate::{
    store::{
        template_syncs::{self, AccountRow, SyncCounts, SyncRow},
        templates, token_checks,
    },
    usecases::account::{Account, AccountError},
};

/// Accounts that are looked at in one go.
const BATCH: i64 = 16;
/// How long a replica may be silent before another one takes its account; longer than one call.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// Parts of a listing: a hundred templates each, 6,000 templates at most.
const MAX_PAGES: usize = 100;
/// Single templates that are asked for in one go.
const MAX_FETCHES: i64 = 20;
/// How long one waits for a limit of Meta's that does not say how long.
const LIMIT_WAIT: TimeDelta = TimeDelta::hours(1);
/// How often a caller who waits for the end of a reading looks.
const LOOK: Duration = Duration::from_millis(100);

/// Reads templates.
#[derive(Clone)]
pub(crate) struct TemplateSync {
    pub(crate) templates: Templates,
    pub(crate) graph: GraphClient,
    /// Between two complete readings of an account.
    pub(crate) interval: TimeDelta,
    pub(crate) outcomes: Counter<u64>,
}

/// Why a reading ended early.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Meta(#[from] SendError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the listing does not end")]
    Endless,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Templates {
    /// Has all templates of the tenant read now and waits so long for the end; answers how far it
    /// is. While Meta's limit of calls is used up there is no reading.
    #[tracing::instrument(name = "usecase.sync_templates", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn sync_now(
        &self,
        tenant: &TenantId,
        patience: Duration,
    ) -> Result<SyncRow, TemplatesError> {
        let waba_id = self.accounts.waba_id(tenant).await?;
        let account = waba_id.clone();
        let before = self
            .db
            .write("templates.request_sync", tenant, move |tx| {
                let before = template_syncs::find(tx, &account)?;
                if before.as_ref().is_none_or(|row| !is_limited(row)) {
                    template_syncs::request(tx, &account)?;
                }
                Ok::<_, DbError>(before)
            })
            .await?;
        if let Some(row) = before.as_ref().filter(|row| is_limited(row)) {
            return Err(TemplatesError::Limited { until: row.due_at });
        }
        self.due.notify_one();
        let (synced_at, failures) = before.map_or((None, 0), |row| (row.synced_at, row.failures));
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let account = waba_id.clone();
            let row = self
                .db
                .read("templates.sync_state", tenant, move |tx| {
                    template_syncs::find(tx, &account)
                })
                .await?
                .ok_or(DbError::NotFound)?;
            let is_over = row.synced_at != synced_at || row.failures > failures;
            if is_over || tokio::time::Instant::now() >= deadline {
                return Ok(row);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether Meta's limit of calls is used up for the account.
fn is_limited(row: &SyncRow) -> bool {
    let is_limit = row.error_class.as_deref().is_some_and(|class| {
        class == ErrorClass::RateLimitAccount.as_str() || class == ErrorClass::RateLimitApp.as_str()
    });
    is_limit && row.due_at > Utc::now()
}

impl TemplateSync {
    /// Accounts that are due.
    pub(crate) async fn list_due(&self) -> Result<Vec<AccountRow>, DbError> {
        self.templates
            .db
            .read("templates.list_due", template_syncs::SCHEDULER, |tx| {
                template_syncs::list_due_any_tenant(tx, BATCH)
            })
            .await
    }

    /// Reads what is due of an account, unless another replica does.
    #[tracing::instrument(name = "usecase.read_templates", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn run(&self, tenant: &TenantId, waba_id: &str) -> Result<(), DbError> {
        let account = waba_id.to_owned();
        let claimed = self
            .templates
            .db
            .write("templates.claim", tenant, move |tx| {
                template_syncs::claim(tx, &account, LEASE)
            })
            .await?;
        let Some(row) = claimed else { return Ok(()) };
        let result = if row.due_at <= Utc::now() {
            self.read_all(tenant, waba_id, row.synced_at.is_none())
                .await
        } else {
            self.fetch(tenant, waba_id).await
        };
        let outcome = match result {
            Ok(()) => "read",
            Err(SyncError::Db(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "templates cannot be read");
                self.fail(tenant, waba_id, &row, &error).await?;
                "failed"
            }
        };
        self.outcomes.add(1, &[KeyValue::new("outcome", outcome)]);
        self.templates.memory.look_again(tenant, waba_id).await;
        self.templates.relay.wake();
        Ok(())
    }

    async fn open(&self, tenant: &TenantId, waba_id: &str) -> Result<Account, SyncError> {
        let account = self.templates.accounts.open(tenant).await?;
        // The configuration was written anew meanwhile: the other account has a row of its own.
        if account.waba_id != waba_id {
            return Err(AccountError::NotConfigured.into());
        }
        Ok(account)
    }

    async fn read_all(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        is_first: bool,
    ) -> Result<(), SyncError> {
        let account = self.open(tenant, waba_id).await?;
        let asked_at = Utc::now();
        let (listed, is_complete) = self.list(tenant, waba_id, &account.token).await?;
        let circumstances = circumstances(tenant, waba_id, asked_at);
        let (owner, interval) = (tenant.clone(), self.interval);
        let counts = self
            .templates
            .db
            .write("templates.reconcile", tenant, move |tx| {
                let known = templates::lock_all(tx, &circumstances.waba_id)?;
                let plan = reconcile::reconcile(known, listed, &circumstances, is_complete);
                templates::upsert(tx, &plan.writes)?;
                // Of the first reading nothing is news.
                if !is_first {
                    announce(tx, &owner, &plan.news, circumstances.now)?;
                }
                templates::delete_of_others(tx, &circumstances.waba_id)?;
                template_syncs::delete_of_others(tx, &circumstances.waba_id)?;
                template_syncs::finish(tx, &circumstances.waba_id, plan.counts, interval)?;
                Ok::<SyncCounts, DbError>(plan.counts)
            })
            .await?;
        tracing::info!(
            templates.total = counts.total,
            templates.created = counts.created,
            templates.updated = counts.updated,
            templates.removed = counts.removed,
            "templates were read"
        );
        Ok(())
    }

    /// All templates of the account, and whether all could be read.
    async fn list(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        token: &SecretString,
    ) -> Result<(Vec<TemplateNode>, bool), SyncError> {
        let mut listed = Vec::new();
        let mut is_complete = true;
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = self
                .graph
                .message_templates(token, waba_id, after.as_deref())
                .await?;
            is_complete &= page.unreadable == 0;
            listed.extend(page.templates);
            after = page.after;
            if after.is_none() {
                return Ok((listed, is_complete));
            }
            let (account, so_far) = (waba_id.to_owned(), listed.len());
            self.templates
                .db
                .write("templates.progress", tenant, move |tx| {
                    template_syncs::report_progress(tx, &account, so_far, LEASE)
                })
                .await?;
        }
        Err(SyncError::Endless)
    }

    /// Asks for the templates that webhooks told of without saying what is new.
    async fn fetch(&self, tenant: &TenantId, waba_id: &str) -> Result<(), SyncError> {
        let account = self.open(tenant, waba_id).await?;
        let id = waba_id.to_owned();
        let ids = self
            .templates
            .db
            .read("templates.list_fetch_due", tenant, move |tx| {
                templates::list_fetch_due(tx, &id, MAX_FETCHES)
            })
            .await?;
        let more = i64::try_from(ids.len()).is_ok_and(|count| count == MAX_FETCHES);
        for template_id in ids {
            self.fetch_one(tenant, &account, &template_id).await?;
        }
        let id = waba_id.to_owned();
        self.templates
            .db
            .write("templates.finish_fetch", tenant, move |tx| {
                template_syncs::finish_fetch(tx, &id, more)
            })
            .await?;
        Ok(())
    }

    async fn fetch_one(
        &self,
        tenant: &TenantId,
        account: &Account,
        template_id: &str,
    ) -> Result<(), SyncError> {
        let asked_at = Utc::now();
        let found = self
            .graph
            .message_template(&account.token, template_id)
            .await;
        let node = match found {
            Ok(node) => Some(node),
            // It is not there (any more): the next complete reading says what became of it.
            Err(error)
                if matches!(
                    error.class,
                    ErrorClass::Permanent | ErrorClass::AccountState
                ) =>
            {
                None
            }
            Err(error) => return Err(error.into()),
        };
        let circumstances = circumstances(tenant, &account.waba_id, asked_at);
        let (owner, template_id) = (tenant.clone(), template_id.to_owned());
        self.templates
            .db
            .write("templates.fetched", tenant, move |tx| {
                let waba_id = &circumstances.waba_id;
                let Some(node) = node else {
                    return templates::clear_fetch_due(tx, waba_id, &template_id);
                };
                let known = templates::lock(tx, waba_id, &node.name, &node.language)?;
                let known = known.into_iter().collect();
                let plan = reconcile::reconcile(known, vec![node], &circumstances, false);
                templates::upsert(tx, &plan.writes)?;
                announce(tx, &owner, &plan.news, circumstances.now)?;
                template_syncs::note_change(tx, waba_id, false)
            })
            .await?;
        Ok(())
    }

    async fn fail(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        row: &SyncRow,
        error: &SyncError,
    ) -> Result<(), DbError> {
        let (class, code, wait) = match error {
            SyncError::Meta(error) => (
                error.class.as_str(),
                error.code,
                self.wait_after(error, row.failures),
            ),
            SyncError::Account(AccountError::NotConfigured | AccountError::TenantNotActive) => {
                ("not_configured", None, self.interval)
            }
            SyncError::Account(_) => ("account_unavailable", None, backoff(row.failures)),
            SyncError::Endless | SyncError::Db(_) => ("endless", None, self.interval),
        };
        let is_token =
            matches!(error, SyncError::Meta(error) if error.class == ErrorClass::Credential);
        let account = waba_id.to_owned();
        self.templates
            .db
            .write("templates.fail", tenant, move |tx| {
                if is_token {
                    token_checks::request(tx, &account)?;
                }
                template_syncs::fail(tx, &account, class, code, wait)
            })
            .await
    }

    /// A limit is waited for as long as Meta says (80007 and 80008 bring it in a header).
    fn wait_after(&self, error: &SendError, failures: i32) -> TimeDelta {
        match error.class {
            ErrorClass::RateLimitAccount
            | ErrorClass::RateLimitApp
            | ErrorClass::RateLimitNumber => error
                .retry_after
                .and_then(|wait| TimeDelta::from_std(wait).ok())
                .unwrap_or(LIMIT_WAIT),
            ErrorClass::Retryable
            | ErrorClass::Weak5xx
            | ErrorClass::Unknown
            | ErrorClass::NotSent => backoff(failures),
            _ => self.interval,
        }
    }
}

fn circumstances(tenant: &TenantId, waba_id: &str, asked_at: DateTime<Utc>) -> Circumstances {
    Circumstances {
        tenant_id: tenant.to_string(),
        waba_id: waba_id.to_owned(),
        asked_at,
        now: Utc::now(),
    }
}

/// Ten seconds, doubled with every failure, at most 15 minutes.
pub(crate) fn backoff(failures: i32) -> TimeDelta {
    let exponent = u32::try_from(failures.clamp(0, 7)).unwrap_or(0);
    TimeDelta::seconds((10 << exponent).min(900))
}
