//! One attempt: wait for the number's pace, make the one request.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use portal_service_kit::telemetry::propagation;
use portal_whatsapp::{
    Accepted, Content, ErrorClass, OutboundMessage, Outcome, Recipient, RecipientType, SendError,
    callback::CallbackData,
};
use tracing::Instrument as _;

use super::{
    Inner,
    pacer::{NumberPace, Permit},
    record::Ending,
    turn::Claim,
};
use crate::{
    domain::retry_policy::may_miss_a_file,
    store::lanes::ClaimedMessage,
    usecases::media::bring::{BroughtFile, Readiness, SendingNumber},
};

/// An attempt that could not begin its request within this time is given up before it: its lease
/// may be over and another worker may have judged it.
const STALE_ATTEMPT: Duration = Duration::from_secs(10);

/// A message whose attempt is written.
pub(super) struct Attempt {
    pub(super) claim: Arc<Claim>,
    pub(super) message: ClaimedMessage,
}

/// A message that can be sent, or why it cannot.
struct Prepared {
    permit: Option<Permit>,
    message: Result<OutboundMessage, SendError>,
    /// The files in it that are ours.
    files: Vec<BroughtFile>,
}

impl Claim {
    fn number(&self) -> SendingNumber {
        SendingNumber {
            tenant: self.tenant.clone(),
            phone_number_id: self.phone_number_id.clone(),
            token: self.sender.token.clone(),
        }
    }
}

impl Inner {
    /// Sends a claimed message when its files are at Meta and its number may, and hands the outcome to
    /// the recorder.
    pub(super) async fn send(&self, attempt: Attempt, pace: Arc<NumberPace>) {
        let claim = &attempt.claim;
        let patience = STALE_ATTEMPT.saturating_sub(claim.begun.elapsed());
        let ready = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Duration::ZERO),
            ready = tokio::time::timeout(patience, self.make_ready(&attempt, &pace)) => {
                ready.unwrap_or(Err(Duration::ZERO))
            }
        };
        let Prepared {
            permit,
            message,
            files,
        } = match ready {
            Ok(ready) => ready,
            Err(wait) => {
                self.settle(attempt, Ending::GivenBack(wait));
                return;
            }
        };
        self.desk
            .board()
            .begun(&claim.tenant, &claim.phone_number_id);
        self.desk.changed.notify_one();
        fail::fail_point!("deliver.after-attempt", |_| std::process::abort());
        let span = span_of(&attempt);
        let mut result = self.request(&attempt, message).instrument(span).await;
        drop(permit);
        if let Err(error) = &mut result {
            self.renew_files(claim, files, error).await;
        }
        if let Err(error) = &result {
            self.note_limits(claim, &attempt.message.recipient, error);
        }
        self.hand_over(attempt, Ending::Answered(result));
    }

    /// Brings the message's files to Meta and waits for the number's pace. Answers the message, or
    /// why it cannot be sent; or after which time to try again.
    async fn make_ready(
        &self,
        attempt: &Attempt,
        pace: &Arc<NumberPace>,
    ) -> Result<Prepared, Duration> {
        let number = attempt.claim.number();
        let content = attempt.message.content.clone();
        let mut files = Vec::new();
        let message = match self.parts.media.prepare(&number, content).await {
            Readiness::Ready(content, brought) => {
                files = brought;
                self.outbound(&attempt.message, content).map_err(unreadable)
            }
            Readiness::Later(wait) => return Err(wait),
            Readiness::Failed(error) => Err(error),
        };
        // What is not sent needs no place in the pace.
        let permit = match &message {
            Ok(_) => Some(self.pacer.enter(pace).await),
            Err(_) => None,
        };
        Ok(Prepared {
            permit,
            message,
            files,
        })
    }

    /// Where Meta may not know a file any more, it is brought there anew, and the refusal counts as
    /// one that passes.
    async fn renew_files(&self, claim: &Claim, files: Vec<BroughtFile>, error: &mut SendError) {
        let ids = files.iter().map(|file| file.meta_media_id.as_str());
        if may_miss_a_file(error, ids) && self.parts.media.renew(&claim.number(), files).await {
            tracing::info!("files are brought to Meta anew");
            error.class = ErrorClass::Retryable;
        }
    }

    async fn request(
        &self,
        attempt: &Attempt,
        message: Result<OutboundMessage, SendError>,
    ) -> Result<Accepted, SendError> {
        let claim = &attempt.claim;
        let result = match message {
            Ok(message) => {
                let (graph, token) = (&self.parts.graph, &claim.sender.token);
                graph
                    .send_message(token, &claim.phone_number_id, &message)
                    .await
            }
            Err(error) => Err(error),
        };
        let label = match &result {
            Ok(_) => "accepted",
            Err(error) => error.class.as_str(),
        };
        self.parts
            .attempts
            .add(1, &[KeyValue::new("outcome", label)]);
        if let Err(error) = &result {
            tracing::info!(error = %error, "an attempt failed");
        }
        result
    }

    fn outbound(
        &self,
        message: &ClaimedMessage,
        content: serde_json::Value,
    ) -> Result<OutboundMessage, &'static str> {
        let note = CallbackData {
            message_id: message.message_id.into(),
            attempt: u32::try_from(message.attempt).unwrap_or_default(),
        };
        let content: Content = serde_json::from_value(content)
            .map_err(|_unreadable| "The stored content cannot be read")?;
        Ok(OutboundMessage {
            to: Recipient::parse(&message.recipient)
                .map_err(|_invalid| "The stored recipient cannot be read")?,
            recipient_type: RecipientType::Individual,
            context: message.reply_to.clone(),
            biz_opaque_callback_data: Some(note.to_note(&self.parts.callback_key)),
            content,
        })
    }
}

/// The request belongs to the trace of the message's acceptance.
fn span_of(attempt: &Attempt) -> tracing::Span {
    let span = tracing::info_span!(
        "deliver", tenant.id = %attempt.claim.tenant, message.id = %attempt.message.message_id,
        attempt = attempt.message.attempt
    );
    if let Some(traceparent) = &attempt.message.traceparent {
        let headers = [("traceparent", traceparent.as_str())];
        propagation::set_parent_from_headers(&span, headers.into_iter());
    }
    span
}

fn unreadable(title: &str) -> SendError {
    SendError {
        outcome: Outcome::NotAccepted,
        class: ErrorClass::Permanent,
        code: None,
        subcode: None,
        title: title.to_owned(),
        details: None,
        fbtrace_id: None,
        http_status: None,
        retry_after: None,
    }
}
