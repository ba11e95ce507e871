//! Recording what Meta answered: state, history, events, holds, in one transaction.

use std::time::Duration;

use portal_db::{DbError, Tx};
use portal_events::catalogue::MessageError;
use portal_whatsapp::{Accepted, Outcome, SendError};

use crate::{
    domain::{
        MessageStatus, Source,
        retry_policy::{self, HoldReason, Tries, Verdict},
    },
    events::produced,
    store::{
        delivery::{self, AttemptOutcome, StateChange},
        holds,
        messages::{self, MessageRow},
    },
    usecases::{
        change_state::{self, Report},
        deliver_lane::Attempt,
    },
};

/// The outcome of an attempt, ready to be written.
pub(super) struct Record {
    pub(super) attempt: Attempt,
    pub(super) result: Result<Accepted, SendError>,
    pub(super) waba_id: String,
    pub(super) max_retries: i32,
    pub(super) jitter: f64,
}

impl Record {
    pub(super) fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        let attempt = &self.attempt;
        // Read again: a webhook may have been faster than Meta's own answer.
        let Some(message) = messages::lock(tx, attempt.message.message_id)? else {
            return Err(DbError::NotFound);
        };
        delivery::finish_attempt(tx, message.message_id, attempt.number, &self.outcome())?;
        match &self.result {
            Ok(accepted) => self.accepted(tx, &message, accepted),
            Err(error) => self.refused(tx, &message, error),
        }
    }

    fn outcome(&self) -> AttemptOutcome {
        match &self.result {
            Ok(accepted) => AttemptOutcome {
                outcome: Some("accepted"),
                http_status: Some(200),
                wamid: accepted.wamid.clone(),
                ..AttemptOutcome::default()
            },
            Err(error) => AttemptOutcome {
                outcome: Some(match error.outcome {
                    Outcome::NotAccepted => "not_accepted",
                    Outcome::Unknown => "unknown",
                }),
                error_class: Some(error.class.as_str()),
                error_code: error.code,
                http_status: error.http_status.map(i32::from),
                wamid: None,
                provider_trace_id: error.fbtrace_id.clone(),
            },
        }
    }

    fn accepted(
        &self,
        tx: &mut Tx<'_>,
        message: &MessageRow,
        accepted: &Accepted,
    ) -> Result<(), DbError> {
        let at = delivery::database_now(tx)?;
        if self.attempt.is_probe {
            let released = holds::release(tx, &message.phone_number_id)?;
            if released.as_deref() == Some(HoldReason::Credential.as_str()) {
                produced::token_restored(tx, &self.waba_id, at)?;
            }
        }
        let report = Report {
            status: MessageStatus::Sent,
            source: Source::Graph,
            at,
            wamid: accepted.wamid.clone(),
            pricing: None,
            error: None,
        };
        change_state::report(tx, message, report).map(drop)
    }

    fn refused(
        &self,
        tx: &mut Tx<'_>,
        message: &MessageRow,
        error: &SendError,
    ) -> Result<(), DbError> {
        if message.status()? != MessageStatus::Sending {
            // A webhook has already told how it really ended.
            return Ok(());
        }
        let at = delivery::database_now(tx)?;
        let reason = MessageError {
            code: error.code,
            title: error.title.clone(),
            details: error.details.clone(),
            class: error.class.as_str().to_owned(),
        };
        let tries = Tries {
            attempts: self.attempt.number,
            retries: message.retries,
            max_retries: self.max_retries,
        };
        let wait = |after: Duration, counts_retry| -> Result<StateChange, DbError> {
            Ok(StateChange {
                status: Some(MessageStatus::RetryWait),
                next_attempt_at: Some(at + after),
                counts_retry,
                error: change_state::to_json(Some(&reason))?,
                ..StateChange::default()
            })
        };
        match retry_policy::verdict(error, tries, self.jitter) {
            Verdict::Fail => {
                let report = Report {
                    status: MessageStatus::Failed,
                    source: Source::Graph,
                    at,
                    wamid: None,
                    pricing: None,
                    error: Some(reason),
                };
                change_state::report(tx, message, report).map(drop)
            }
            Verdict::Retry { after, counts } => {
                delivery::update_state(tx, message, &wait(after, counts)?)
            }
            Verdict::Hold(hold) => {
                let is_new = holds::hold(tx, &message.phone_number_id, hold, error.code, at)?;
                if is_new && hold == HoldReason::Credential {
                    produced::token_invalid(tx, &self.waba_id, error.code, at)?;
                }
                // The hold keeps it back; the message itself is due as soon as the hold may be
                // probed.
                delivery::update_state(tx, message, &wait(Duration::ZERO, false)?)
            }
            Verdict::AwaitWebhook => change_state::mark_unknown(tx, message),
        }
    }
}
