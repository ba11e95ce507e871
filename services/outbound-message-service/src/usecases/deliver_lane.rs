//! Sending: takes the messages of a lane one after the other.
//!
//! The attempt is committed before the request is made and one attempt is one request, so whatever
//! stops in between, it is known that Meta may have got the message; such a message is never sent
//! again by itself.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{Db, DbError, Tx};
use portal_events::{RelayWaker, catalogue::MessageError};
use portal_service_kit::telemetry::propagation;
use portal_tenant_client::{SendingProfile, TenantClient, TenantClientError, TenantStatus};
use portal_types::TenantId;
use portal_vault::{Vault, VaultError, places};
use portal_whatsapp::{
    Accepted, Content, GraphClient, OutboundMessage, Outcome, Recipient, RecipientType, SendError,
    callback::{CallbackData, CallbackKey},
};
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    domain::{MessageStatus, Source, retry_policy::HoldReason},
    store::{
        delivery::{self, AttemptOutcome},
        holds,
        messages::MessageRow,
    },
    usecases::{
        change_state::{self, Report},
        media::bring::{MediaDesk, Readiness, SendingNumber},
        record_outcome::Record,
    },
};

/// An attempt that could not begin its request within this time is given up before it: its lease
/// may be over and another worker may have judged it.
const STALE_ATTEMPT: Duration = Duration::from_secs(10);

/// What stops a lane for now; the delivery is handled again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error("the tenant's token cannot be opened")]
    Vault(#[from] VaultError),
}

/// What sending needs.
#[derive(Clone)]
pub(crate) struct Deliverer {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
    pub(crate) graph: GraphClient,
    pub(crate) media: MediaDesk,
    pub(crate) callback_key: CallbackKey,
    pub(crate) relay: RelayWaker,
    pub(crate) lease: chrono::Duration,
    pub(crate) max_retries: i32,
    pub(crate) outcomes: Counter<u64>,
}

/// What the head of a lane asks for.
enum Step {
    /// Nothing now: empty, not due, held, or in another worker's hands.
    Rest,
    /// The head was settled without a request; look again.
    Again,
    /// An attempt is written; make its request.
    Send(Box<Attempt>),
}

pub(super) struct Attempt {
    pub(super) message: MessageRow,
    pub(super) number: i32,
    /// Whether it probes if a hold is over.
    pub(super) is_probe: bool,
    begun: Instant,
}

struct Sender {
    token: SecretString,
    waba_id: String,
}

impl Deliverer {
    /// Sends what is due in the lane of `message_id`, in order, until nothing is.
    #[tracing::instrument(name = "usecase.deliver_lane", skip_all, fields(tenant.id = %tenant, message.id = %message_id))]
    pub(crate) async fn deliver(
        &self,
        tenant: &TenantId,
        message_id: Uuid,
    ) -> Result<(), DeliverError> {
        let lane = self
            .db
            .read("deliver.find_lane", tenant, move |tx| {
                delivery::find_lane(tx, message_id)
            })
            .await?;
        let Some((phone_number_id, recipient)) = lane else {
            tracing::warn!("there is no such message; nothing to deliver");
            return Ok(());
        };
        loop {
            let sender = match self.sender(tenant).await? {
                Ok(sender) => sender,
                Err(reason) => {
                    return self
                        .hold(tenant, &phone_number_id, &recipient, reason)
                        .await;
                }
            };
            match self.next_step(tenant, &phone_number_id, &recipient).await? {
                Step::Rest => return Ok(()),
                Step::Again => {}
                Step::Send(attempt) => self.attempt(tenant, &sender, *attempt).await?,
            }
        }
    }

    /// The token to send with, or why the tenant cannot send at all.
    async fn sender(&self, tenant: &TenantId) -> Result<Result<Sender, HoldReason>, DeliverError> {
        let profile = self.tenants.sending_profile(tenant).await?;
        let Some(SendingProfile {
            status: TenantStatus::Active,
            whatsapp,
            ..
        }) = profile
        else {
            return Ok(Err(HoldReason::Tenant));
        };
        let Some(whatsapp) = whatsapp else {
            return Ok(Err(HoldReason::NotConfigured));
        };
        let binding = places::WHATSAPP_TOKEN.of(tenant.as_str(), &whatsapp.credential_row_id);
        let token = self.vault.open(&binding, &whatsapp.sealed_access_token)?;
        Ok(Ok(Sender {
            token,
            waba_id: whatsapp.waba_id.clone(),
        }))
    }

    async fn hold(
        &self,
        tenant: &TenantId,
        phone_number_id: &str,
        recipient: &str,
        reason: HoldReason,
    ) -> Result<(), DeliverError> {
        let (number, recipient) = (phone_number_id.to_owned(), recipient.to_owned());
        let is_new = self
            .db
            .write("deliver.hold", tenant, move |tx| {
                let at = delivery::database_now(tx)?;
                delivery::forget_hints(tx, &number, &recipient)?;
                holds::hold(tx, &number, reason, None, at)
            })
            .await
            .map_err(DeliverError::Db)?;
        if is_new {
            tracing::warn!(hold.reason = reason.as_str(), "sending waits");
        }
        Ok(())
    }

    async fn next_step(
        &self,
        tenant: &TenantId,
        phone_number_id: &str,
        recipient: &str,
    ) -> Result<Step, DeliverError> {
        let (number, recipient) = (phone_number_id.to_owned(), recipient.to_owned());
        let lease = self.lease;
        let traceparent = propagation::current_traceparent();
        let step = self
            .db
            .write("deliver.claim", tenant, move |tx| {
                claim(tx, &number, &recipient, lease, traceparent.as_deref())
            })
            .await?;
        self.relay.wake();
        Ok(step)
    }

    async fn attempt(
        &self,
        tenant: &TenantId,
        sender: &Sender,
        attempt: Attempt,
    ) -> Result<(), DeliverError> {
        fail::fail_point!("deliver.after-attempt", |_| std::process::abort());
        let result = self.ask(tenant, sender, &attempt).await;
        let label = match &result {
            Ok(_) => "accepted",
            Err(error) => error.class.as_str(),
        };
        self.outcomes.add(1, &[KeyValue::new("outcome", label)]);
        if let Err(error) = &result {
            tracing::info!(message.id = %attempt.message.message_id, attempt = attempt.number, error = %error, "an attempt failed");
        }
        fail::fail_point!("deliver.before-record", |_| std::process::abort());
        let record = Record {
            attempt,
            result,
            waba_id: sender.waba_id.clone(),
            max_retries: self.max_retries,
            jitter: rand::random(),
        };
        // The outcome must not be lost to a database that is away for a moment: the request cannot
        // be repeated to learn it again.
        let record = Arc::new(record);
        let write = || {
            let record = Arc::clone(&record);
            self.db
                .write("deliver.record", tenant, move |tx| record.write(tx))
        };
        let backoff = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(12);
        backon::Retryable::retry(write, backoff)
            .when(DbError::is_transient)
            .await?;
        fail::fail_point!("deliver.after-record", |_| std::process::abort());
        self.relay.wake();
        Ok(())
    }

    /// The one request of an attempt, once the message's files are at Meta.
    async fn ask(
        &self,
        tenant: &TenantId,
        sender: &Sender,
        attempt: &Attempt,
    ) -> Result<Accepted, SendError> {
        let number = SendingNumber {
            tenant: tenant.clone(),
            phone_number_id: attempt.message.phone_number_id.clone(),
            token: sender.token.clone(),
        };
        let content = attempt.message.content.clone();
        let content = match self.media.prepare(&number, content).await {
            Readiness::Ready(content) => content,
            Readiness::Later(wait) => {
                return Err(SendError {
                    retry_after: Some(wait),
                    ..not_begun("The message's files are not at Meta yet")
                });
            }
            Readiness::Failed(error) => return Err(error),
        };
        let message = self.request(attempt, content).map_err(|title| SendError {
            class: portal_whatsapp::ErrorClass::Permanent,
            ..not_begun(title)
        })?;
        if attempt.begun.elapsed() >= STALE_ATTEMPT {
            return Err(not_begun("The attempt was given up before its request"));
        }
        self.graph
            .send_message(&sender.token, &number.phone_number_id, &message)
            .await
    }

    fn request(
        &self,
        attempt: &Attempt,
        content: serde_json::Value,
    ) -> Result<OutboundMessage, &'static str> {
        let message = &attempt.message;
        let note = CallbackData {
            message_id: message.message_id.into(),
            attempt: u32::try_from(attempt.number).unwrap_or_default(),
        };
        let content: Content = serde_json::from_value(content)
            .map_err(|_unreadable| "The stored content cannot be read")?;
        Ok(OutboundMessage {
            to: Recipient::parse(&message.recipient)
                .map_err(|_invalid| "The stored recipient cannot be read")?,
            recipient_type: RecipientType::Individual,
            context: message.reply_to.clone(),
            biz_opaque_callback_data: Some(note.to_note(&self.callback_key)),
            content,
        })
    }
}

fn not_begun(title: &str) -> SendError {
    SendError {
        outcome: Outcome::NotAccepted,
        class: portal_whatsapp::ErrorClass::NotSent,
        code: None,
        subcode: None,
        title: title.to_owned(),
        details: None,
        fbtrace_id: None,
        http_status: None,
        retry_after: None,
    }
}

/// Looks at the head of the lane and writes the attempt if it is to be sent now.
fn claim(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    recipient: &str,
    lease: chrono::Duration,
    traceparent: Option<&str>,
) -> Result<Step, DbError> {
    let at = delivery::database_now(tx)?;
    let hold = holds::lock(tx, phone_number_id)?;
    if hold.as_ref().is_some_and(|hold| hold.next_probe_at > at) {
        delivery::forget_hints(tx, phone_number_id, recipient)?;
        return Ok(Step::Rest);
    }
    let Some(message) = delivery::lock_lane_head(tx, phone_number_id, recipient)? else {
        return Ok(Step::Rest);
    };
    if message.status()? == MessageStatus::Sending {
        if message.lease_until.is_some_and(|until| until > at) {
            return Ok(Step::Rest);
        }
        // Its worker died with the request in hand: Meta may have it.
        let lost = AttemptOutcome {
            outcome: Some("unknown"),
            error_class: Some("worker_lost"),
            ..AttemptOutcome::default()
        };
        delivery::finish_attempt(tx, message.message_id, message.attempts, &lost)?;
        change_state::mark_unknown(tx, &message)?;
        return Ok(Step::Again);
    }
    if message.expires_at <= at {
        expire(tx, &message, at)?;
        return Ok(Step::Again);
    }
    if message.next_attempt_at.is_some_and(|due| due > at) {
        return Ok(Step::Rest);
    }
    let is_probe = hold.is_some();
    if is_probe {
        holds::claim_probe(tx, phone_number_id, at + lease)?;
    }
    let attempt_id = Uuid::now_v7();
    let number = delivery::begin_attempt(tx, &message, attempt_id, at + lease, traceparent)?;
    Ok(Step::Send(Box::new(Attempt {
        message,
        number,
        is_probe,
        begun: Instant::now(),
    })))
}

fn expire(tx: &mut Tx<'_>, message: &MessageRow, at: DateTime<Utc>) -> Result<(), DbError> {
    let error = MessageError {
        code: None,
        title: "The message could not be sent within its time to live".to_owned(),
        details: None,
        class: "expired".to_owned(),
    };
    let report = Report {
        status: MessageStatus::Failed,
        source: Source::Policy,
        at,
        wamid: None,
        pricing: None,
        error: Some(error),
    };
    change_state::report(tx, message, report).map(drop)
}
