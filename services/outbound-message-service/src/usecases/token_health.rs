//! Whether Meta takes the tokens of tenants: asked by a question that costs nothing, so that a dead
//! token is known before the next message needs it, and a new one at once.

use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{Db, DbError, Tx};
use portal_events::RelayWaker;
use portal_types::TenantId;
use portal_whatsapp::{ErrorClass, GraphClient};

use super::{
    account::{Account, Accounts},
    templates::sync::backoff,
};
use crate::{
    domain::retry_policy::HoldReason,
    events::produced,
    store::{
        delivery::database_now,
        holds, template_syncs,
        template_syncs::AccountRow,
        token_checks::{self, CheckRow},
    },
};

const BATCH: i64 = 16;
/// Longer than a call.
const LEASE: TimeDelta = TimeDelta::minutes(1);
/// How soon a dead token is tried again: somebody may have given it its rights back.
const DEAD_WAIT: TimeDelta = TimeDelta::minutes(10);
const VALID: &str = "valid";
const INVALID: &str = "invalid";

/// Tries tokens.
#[derive(Clone)]
pub(crate) struct TokenHealth {
    pub(crate) db: Db,
    pub(crate) accounts: Accounts,
    pub(crate) graph: GraphClient,
    pub(crate) relay: RelayWaker,
    /// Between two tries of a token that works.
    pub(crate) interval: TimeDelta,
    pub(crate) outcomes: Counter<u64>,
}

/// What Meta said of a token.
#[derive(Debug, Clone, Copy)]
enum Finding {
    Taken,
    Refused(Option<i64>),
    /// Nothing was said; ask again after this time.
    Unsaid(TimeDelta),
}

impl TokenHealth {
    /// Accounts that are due.
    pub(crate) async fn list_due(&self) -> Result<Vec<AccountRow>, DbError> {
        self.db
            .read("token_health.list_due", template_syncs::SCHEDULER, |tx| {
                token_checks::list_due_any_tenant(tx, BATCH)
            })
            .await
    }

    /// Tries the token of an account, unless another replica does.
    #[tracing::instrument(name = "usecase.check_token", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn run(&self, tenant: &TenantId, waba_id: &str) -> Result<(), DbError> {
        let claimed = {
            let waba_id = waba_id.to_owned();
            self.db
                .write("token_health.claim", tenant, move |tx| {
                    token_checks::claim(tx, &waba_id, LEASE)
                })
                .await?
        };
        let Some(check) = claimed else { return Ok(()) };
        // By the database's clock, as the beginning of a hold.
        let asked_at = check
            .lease_until
            .map_or_else(Utc::now, |until| until - LEASE);
        let (number, finding) = match self.accounts.open(tenant).await {
            Ok(account) if account.waba_id == waba_id => {
                let finding = self.ask(&account, &check).await;
                (account.phone_number_id, finding)
            }
            Ok(_) => (String::new(), Finding::Unsaid(self.interval)),
            Err(error) => {
                tracing::warn!(%error, "a token cannot be tried");
                (String::new(), Finding::Unsaid(backoff(check.failures)))
            }
        };
        let outcome = match finding {
            Finding::Taken => VALID,
            Finding::Refused(_) => INVALID,
            Finding::Unsaid(_) => "unsaid",
        };
        self.outcomes.add(1, &[KeyValue::new("outcome", outcome)]);
        let (waba_id, interval) = (waba_id.to_owned(), self.interval);
        self.db
            .write("token_health.record", tenant, move |tx| {
                record(tx, &waba_id, &number, finding, asked_at, interval)
            })
            .await?;
        self.relay.wake();
        Ok(())
    }

    async fn ask(&self, account: &Account, check: &CheckRow) -> Finding {
        let answer = self
            .graph
            .probe_phone_number(&account.token, &account.phone_number_id)
            .await;
        match answer {
            Ok(_) => Finding::Taken,
            Err(error) if error.class == ErrorClass::Credential => Finding::Refused(error.code),
            Err(error) => {
                let asked = error
                    .retry_after
                    .and_then(|wait| TimeDelta::from_std(wait).ok());
                Finding::Unsaid(asked.unwrap_or_else(|| backoff(check.failures)))
            }
        }
    }
}

/// Has the templates of an account read and its token tried.
pub(crate) async fn request_all(db: &Db, tenant: &TenantId, waba_id: &str) -> Result<(), DbError> {
    let waba_id = waba_id.to_owned();
    db.write("account.request", tenant, move |tx| {
        template_syncs::request(tx, &waba_id)?;
        token_checks::request(tx, &waba_id)
    })
    .await
}

fn record(
    tx: &mut Tx<'_>,
    waba_id: &str,
    phone_number_id: &str,
    finding: Finding,
    asked_at: DateTime<Utc>,
    interval: TimeDelta,
) -> Result<(), DbError> {
    let known = token_checks::lock(tx, waba_id)?;
    let at = database_now(tx)?;
    match finding {
        Finding::Taken => {
            let was_held = release(tx, phone_number_id, asked_at)?;
            if was_held || known.status == INVALID {
                produced::token_restored(tx, waba_id, at)?;
            }
            token_checks::finish(tx, waba_id, VALID, None, interval)
        }
        Finding::Refused(code) => {
            // Who sends may have found it out already, and told.
            let is_news = holds::hold(tx, phone_number_id, HoldReason::Credential, code, at)?;
            if is_news && known.status != INVALID {
                produced::token_invalid(tx, waba_id, code, at)?;
            }
            token_checks::finish(tx, waba_id, INVALID, code, DEAD_WAIT)
        }
        Finding::Unsaid(wait) => token_checks::postpone(tx, waba_id, wait),
    }
}

/// Ends the hold of a number because of its token; one that began after Meta was asked stays.
fn release(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    asked_at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let hold = holds::lock(tx, phone_number_id)?;
    let is_over = hold.is_some_and(|hold| {
        hold.reason == HoldReason::Credential.as_str() && hold.since <= asked_at
    });
    if is_over {
        holds::release(tx, phone_number_id)?;
    }
    Ok(is_over)
}
