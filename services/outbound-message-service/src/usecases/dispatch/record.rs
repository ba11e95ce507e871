//! Recording outcomes: many together, each message's state, history, events and holds in the same
//! transaction.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use opentelemetry::metrics::Counter;
use portal_db::{
    Db, DbError, Tx,
    outbox::{self, NewOutboxEvent},
};
use portal_events::{RelayWaker, catalogue::MessageError};
use portal_types::TenantId;
use portal_whatsapp::{Accepted, ErrorClass, Outcome, SendError};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Desk, send::Attempt};
use crate::{
    domain::{
        MessageStatus, Source, Standing,
        retry_policy::{self, HoldReason, Tries, Verdict},
    },
    events::produced,
    store::{
        delivery, holds,
        messages::NewStatusEvent,
        outcomes::{self, EndedAttempt, MessageUnderWay, Moved, NumberOfTenant, RECORDER},
    },
    usecases::change_state::{self, Report, Subject},
};

/// Outcomes of one transaction at most.
const LARGEST: usize = 256;
/// When this much is under way, outcomes wait a moment for each other: nobody waits for them.
const BUSY: usize = 24;
const GATHERING: Duration = Duration::from_millis(8);

/// An attempt and how it ended.
pub(super) struct Settled {
    pub(super) attempt: Attempt,
    pub(super) ending: Ending,
}

/// How an attempt ended.
pub(super) enum Ending {
    /// Its request was made.
    Answered(Result<Accepted, SendError>),
    /// No request was made; the message is due again after this time.
    GivenBack(Duration),
}

/// Writes what senders hand over.
pub(super) struct Recorder {
    pub(super) db: Db,
    pub(super) relay: RelayWaker,
    pub(super) desk: Arc<Desk>,
    pub(super) max_retries: i32,
    pub(super) duplicates: Counter<u64>,
}

impl Recorder {
    /// Records until all senders are gone.
    pub(super) async fn run(self, mut settled: mpsc::UnboundedReceiver<Settled>) {
        loop {
            let mut batch = Vec::new();
            if settled.recv_many(&mut batch, LARGEST).await == 0 {
                return;
            }
            if self.desk.board().under_way() > BUSY && batch.len() < LARGEST {
                tokio::time::sleep(GATHERING).await;
                while batch.len() < LARGEST
                    && let Ok(more) = settled.try_recv()
                {
                    batch.push(more);
                }
            }
            fail::fail_point!("deliver.before-record", |_| std::process::abort());
            self.record(Arc::new(batch)).await;
            fail::fail_point!("deliver.after-record", |_| std::process::abort());
        }
    }

    async fn record(&self, batch: Arc<Vec<Settled>>) {
        let waiting = match self.write(&batch, 0..batch.len()).await {
            Ok(waiting) => waiting,
            Err(error) if batch.len() > 1 => {
                tracing::warn!(error = %error, "outcomes are recorded one by one");
                let mut waiting = Vec::new();
                for n in 0..batch.len() {
                    match self.write(&batch, n..n + 1).await {
                        Ok(more) => waiting.extend(more),
                        Err(error) => Self::give_up(batch.get(n), &error),
                    }
                }
                waiting
            }
            Err(error) => {
                Self::give_up(batch.first(), &error);
                Vec::new()
            }
        };
        self.relay.wake();
        let mut board = self.desk.board();
        for settled in batch.iter() {
            let claim = &settled.attempt.claim;
            board.recorded(&claim.tenant, &claim.phone_number_id);
        }
        for number in waiting {
            if let Ok(tenant) = TenantId::parse(&number.tenant_id) {
                board.wake(&tenant, &number.phone_number_id);
            }
        }
        drop(board);
        self.desk.changed.notify_one();
    }

    fn give_up(settled: Option<&Settled>, error: &DbError) {
        let message = settled.map(|settled| settled.attempt.message.message_id);
        tracing::error!(message.id = ?message, error = %error, "an outcome cannot be recorded; its lease will end it");
    }

    /// The outcomes must not be lost to a database that is away for a moment: the requests cannot
    /// be repeated to learn them again.
    async fn write(
        &self,
        batch: &Arc<Vec<Settled>>,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<NumberOfTenant>, DbError> {
        let write = || {
            let (batch, range) = (Arc::clone(batch), range.clone());
            let max_retries = self.max_retries;
            let duplicates = self.duplicates.clone();
            self.db.write("dispatch.record", RECORDER, move |tx| {
                write_batch(
                    tx,
                    batch.get(range).unwrap_or_default(),
                    max_retries,
                    &duplicates,
                )
            })
        };
        let backoff = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(12);
        backon::Retryable::retry(write, backoff)
            .when(DbError::is_transient)
            .await
    }
}

fn write_batch(
    tx: &mut Tx<'_>,
    batch: &[Settled],
    max_retries: i32,
    duplicates: &Counter<u64>,
) -> Result<Vec<NumberOfTenant>, DbError> {
    let at = delivery::database_now(tx)?;
    let ids: Vec<Uuid> = batch.iter().map(|s| s.attempt.message.message_id).collect();
    // Read again: a webhook may have been faster than Meta's own answer.
    let messages: HashMap<Uuid, MessageUnderWay> = outcomes::lock_any_tenant(tx, &ids)?
        .into_iter()
        .map(|message| (message.message_id, message))
        .collect();
    let mut sheet = Sheet::new(at, max_retries);
    for settled in batch {
        let Some(message) = messages.get(&settled.attempt.message.message_id) else {
            return Err(DbError::NotFound);
        };
        sheet.enter(message, settled)?;
    }
    outcomes::finish_attempts_any_tenant(tx, &sheet.ended)?;
    outcomes::forget_attempts_any_tenant(tx, &sheet.forgotten)?;
    outcomes::insert_status_events(tx, &sheet.history)?;
    outcomes::move_any_tenant(tx, &sheet.moved)?;
    outcomes::note_wamids_any_tenant(tx, &sheet.wamids)?;
    if !sheet.events.is_empty() {
        outbox::append(tx, &sheet.events)?;
    }
    for hold in &sheet.holds {
        hold.write(tx, at)?;
    }
    if sheet.duplicates > 0 {
        duplicates.add(sheet.duplicates, &[]);
    }
    let mut numbers: Vec<_> = messages
        .into_values()
        .map(|message| NumberOfTenant {
            tenant_id: message.tenant_id,
            phone_number_id: message.phone_number_id,
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    outcomes::list_waiting_any_tenant(tx, &numbers)
}

/// What a batch writes, table by table.
struct Sheet {
    at: DateTime<Utc>,
    max_retries: i32,
    ended: Vec<EndedAttempt>,
    forgotten: Vec<Uuid>,
    history: Vec<NewStatusEvent>,
    moved: Vec<Moved>,
    wamids: Vec<(Uuid, String)>,
    events: Vec<NewOutboxEvent>,
    holds: Vec<HoldChange>,
    duplicates: u64,
}

impl Sheet {
    const fn new(at: DateTime<Utc>, max_retries: i32) -> Self {
        Self {
            at,
            max_retries,
            ended: Vec::new(),
            forgotten: Vec::new(),
            history: Vec::new(),
            moved: Vec::new(),
            wamids: Vec::new(),
            events: Vec::new(),
            holds: Vec::new(),
            duplicates: 0,
        }
    }

    fn enter(&mut self, message: &MessageUnderWay, settled: &Settled) -> Result<(), DbError> {
        let attempt = &settled.attempt;
        match &settled.ending {
            Ending::GivenBack(wait) => {
                self.forgotten.push(attempt.message.attempt_id);
                self.give_back(message, attempt, *wait)
            }
            Ending::Answered(Ok(accepted)) => {
                self.ended.push(EndedAttempt {
                    attempt_id: attempt.message.attempt_id,
                    outcome: "accepted",
                    error_class: None,
                    error_code: None,
                    http_status: Some(200),
                    wamid: accepted.wamid.clone(),
                    provider_trace_id: None,
                });
                self.accept(message, attempt, accepted)
            }
            Ending::Answered(Err(error)) => {
                let is_unknown = error.outcome == Outcome::Unknown
                    || attempt.claim.treat_5xx_as_unknown && is_server_error(error);
                self.ended.push(EndedAttempt {
                    attempt_id: attempt.message.attempt_id,
                    outcome: if is_unknown {
                        "unknown"
                    } else {
                        "not_accepted"
                    },
                    error_class: Some(error.class.as_str()),
                    error_code: error.code,
                    http_status: error.http_status,
                    wamid: None,
                    provider_trace_id: error.fbtrace_id.clone(),
                });
                if !is_current(message, attempt)? {
                    // A webhook has already told how it really ended.
                    return Ok(());
                }
                if is_unknown {
                    return self.await_webhook(message);
                }
                self.refuse(message, attempt, error)
            }
        }
    }

    fn give_back(
        &mut self,
        message: &MessageUnderWay,
        attempt: &Attempt,
        wait: Duration,
    ) -> Result<(), DbError> {
        if is_current(message, attempt)? {
            let attempts = message.attempts - 1;
            self.moved.push(Moved {
                status: if attempts == 0 {
                    MessageStatus::Accepted
                } else {
                    MessageStatus::RetryWait
                },
                next_attempt_at: Some(self.at + wait),
                attempts,
                keeps_error: true,
                ..moved(message)
            });
        }
        Ok(())
    }

    fn accept(
        &mut self,
        message: &MessageUnderWay,
        attempt: &Attempt,
        accepted: &Accepted,
    ) -> Result<(), DbError> {
        let claim = &attempt.claim;
        if claim.is_probe {
            self.holds.push(HoldChange::Release {
                tenant: claim.tenant.clone(),
                phone_number_id: claim.phone_number_id.clone(),
                waba_id: claim.sender.waba_id.clone(),
            });
        }
        if let (Some(known), Some(new)) = (&message.wamid, &accepted.wamid)
            && known != new
        {
            self.duplicates += 1;
            tracing::error!(message.id = %message.message_id, "Meta gave a second wamid: the message was sent twice");
        }
        let standing = Standing {
            status: message.status()?,
            // A webhook that told of a failure was faster than Meta's own answer.
            failed_by_meta: message.wamid.is_some(),
        };
        let moves = standing.after(MessageStatus::Sent).is_some();
        let report = Report {
            status: MessageStatus::Sent,
            source: Source::Graph,
            at: self.at,
            wamid: accepted.wamid.clone(),
            pricing: None,
            error: None,
        };
        self.tell(message, &report, moves)?;
        if moves {
            self.moved.push(Moved {
                status: MessageStatus::Sent,
                wamid: accepted.wamid.clone(),
                ..moved(message)
            });
        } else if let Some(wamid) = &accepted.wamid {
            self.wamids.push((message.message_id, wamid.clone()));
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        message: &MessageUnderWay,
        attempt: &Attempt,
        error: &SendError,
    ) -> Result<(), DbError> {
        let reason = MessageError {
            code: error.code,
            title: error.title.clone(),
            details: error.details.clone(),
            class: error.class.as_str().to_owned(),
        };
        let tries = Tries {
            attempts: attempt.message.attempt,
            retries: message.retries,
            max_retries: self.max_retries,
        };
        match retry_policy::verdict(error, tries, rand::random()) {
            Verdict::Fail => self.fail(message, reason),
            Verdict::FailAndHold(hold) => {
                self.hold(attempt, hold, error.code);
                self.fail(message, reason)
            }
            Verdict::Retry { after, counts } => self.retry(message, &reason, after, counts),
            Verdict::Hold(hold) => {
                self.hold(attempt, hold, error.code);
                // The hold keeps it back; the message itself is due as soon as the hold may be
                // probed.
                self.retry(message, &reason, Duration::ZERO, false)
            }
            Verdict::AwaitWebhook => self.await_webhook(message),
        }
    }

    fn hold(&mut self, attempt: &Attempt, reason: HoldReason, error_code: Option<i64>) {
        let claim = &attempt.claim;
        let is_known = self.holds.iter().any(|hold| {
            matches!(hold, HoldChange::Hold { tenant, phone_number_id, .. }
                if *tenant == claim.tenant && *phone_number_id == claim.phone_number_id)
        });
        // What failed together is one reason and one probe.
        if !is_known {
            self.holds.push(HoldChange::Hold {
                tenant: claim.tenant.clone(),
                phone_number_id: claim.phone_number_id.clone(),
                waba_id: claim.sender.waba_id.clone(),
                reason,
                error_code,
                is_probe: claim.is_probe,
            });
        }
    }

    fn fail(&mut self, message: &MessageUnderWay, reason: MessageError) -> Result<(), DbError> {
        let error = change_state::to_json(Some(&reason))?;
        let report = Report {
            status: MessageStatus::Failed,
            source: Source::Graph,
            at: self.at,
            wamid: None,
            pricing: None,
            error: Some(reason),
        };
        self.tell(message, &report, true)?;
        self.moved.push(Moved {
            status: MessageStatus::Failed,
            error,
            ..moved(message)
        });
        Ok(())
    }

    fn retry(
        &mut self,
        message: &MessageUnderWay,
        reason: &MessageError,
        after: Duration,
        counts: bool,
    ) -> Result<(), DbError> {
        self.moved.push(Moved {
            status: MessageStatus::RetryWait,
            next_attempt_at: Some(self.at + after),
            retries: message.retries + i32::from(counts),
            error: change_state::to_json(Some(reason))?,
            ..moved(message)
        });
        Ok(())
    }

    fn await_webhook(&mut self, message: &MessageUnderWay) -> Result<(), DbError> {
        let report = Report {
            status: MessageStatus::Unknown,
            source: Source::Policy,
            at: self.at,
            wamid: None,
            pricing: None,
            error: None,
        };
        self.tell(message, &report, true)?;
        self.moved.push(Moved {
            status: MessageStatus::Unknown,
            ..moved(message)
        });
        Ok(())
    }

    /// History and, if the message moves, the event.
    fn tell(
        &mut self,
        message: &MessageUnderWay,
        report: &Report,
        moves: bool,
    ) -> Result<(), DbError> {
        let subject = Subject {
            message_id: message.message_id,
            tenant_id: &message.tenant_id,
            recipient: &message.recipient,
            wamid: message.wamid.as_deref(),
            attempts: message.attempts,
            traceparent: message.traceparent.as_deref(),
        };
        self.history.push(NewStatusEvent {
            status_event_id: Uuid::now_v7(),
            tenant_id: message.tenant_id.clone(),
            message_id: message.message_id,
            status: report.status.as_str(),
            source: report.source.as_str(),
            changed_status: moves,
            occurred_at: report.at,
            wamid: report.wamid.clone(),
            error: change_state::to_json(report.error.as_ref())?,
            pricing: None,
        });
        if moves {
            self.events
                .extend(change_state::event_of(&subject, report)?);
        }
        Ok(())
    }
}

/// What follows for a number.
enum HoldChange {
    Release {
        tenant: TenantId,
        phone_number_id: String,
        waba_id: String,
    },
    Hold {
        tenant: TenantId,
        phone_number_id: String,
        waba_id: String,
        reason: HoldReason,
        error_code: Option<i64>,
        is_probe: bool,
    },
}

impl HoldChange {
    fn write(&self, tx: &mut Tx<'_>, at: DateTime<Utc>) -> Result<(), DbError> {
        match self {
            Self::Release {
                tenant,
                phone_number_id,
                waba_id,
            } => tx.for_tenant(tenant, |tx| {
                let released = holds::release(tx, phone_number_id)?;
                if released.as_deref() == Some(HoldReason::Credential.as_str()) {
                    produced::token_restored(tx, waba_id, at)?;
                }
                Ok(())
            }),
            Self::Hold {
                tenant,
                phone_number_id,
                waba_id,
                reason,
                error_code,
                is_probe,
            } => tx.for_tenant(tenant, |tx| {
                let held = holds::lock(tx, phone_number_id)?;
                let is_same = held.is_some_and(|hold| hold.reason == reason.as_str());
                if is_same && !is_probe {
                    // Sent before the hold was known: tells nothing new.
                    return Ok(());
                }
                let is_new = holds::hold(tx, phone_number_id, *reason, *error_code, at)?;
                if is_new {
                    tracing::warn!(tenant.id = %tenant, hold.reason = reason.as_str(), error.code = ?error_code, "sending waits");
                }
                if is_new && *reason == HoldReason::Credential {
                    produced::token_invalid(tx, waba_id, *error_code, at)?;
                }
                Ok(())
            }),
        }
    }
}

/// The message as it stands, no longer in a worker's hands.
fn moved(message: &MessageUnderWay) -> Moved {
    Moved {
        message_id: message.message_id,
        status: MessageStatus::RetryWait,
        wamid: None,
        next_attempt_at: None,
        retries: message.retries,
        attempts: message.attempts,
        error: None,
        keeps_error: false,
    }
}

/// Whether the message still stands as the attempt left it.
fn is_current(message: &MessageUnderWay, attempt: &Attempt) -> Result<bool, DbError> {
    Ok(message.status()? == MessageStatus::Sending && message.attempts == attempt.message.attempt)
}

/// Meta's own word that it did not take the message, from a server that is not well.
fn is_server_error(error: &SendError) -> bool {
    matches!(error.class, ErrorClass::Weak5xx | ErrorClass::Retryable)
        && error.http_status.is_some_and(|status| status >= 500)
}
