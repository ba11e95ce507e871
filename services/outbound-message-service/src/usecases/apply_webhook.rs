//! Applying what Meta posted, after it was stored and answered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{Db, DbError, Scope};
use portal_events::{RelayWaker, catalogue::MessageError};
use portal_whatsapp::{
    callback::{CallbackData, CallbackKey},
    webhook::{Notification, Status, StatusKind},
};

use crate::{
    domain::{MessageStatus, Source},
    store::{
        intake::{self, IntakeRow},
        messages,
        reports::{self, Route},
    },
    usecases::change_state::{self, Report},
};

const BATCH: i64 = 20;
const LEASE_SECONDS: i64 = 60;
/// A report can be faster than our own record of the message's wamid; after so many tries over
/// about a day it belongs to nobody here.
const MATCH_TRIES: i32 = 12;
/// Applied posts are kept this long, for replays and questions.
const KEPT_DAYS: i64 = 8;

/// What applying needs.
#[derive(Clone)]
pub(crate) struct WebhookApplier {
    pub(crate) db: Db,
    pub(crate) callback_key: CallbackKey,
    pub(crate) relay: RelayWaker,
    pub(crate) statuses: Counter<u64>,
}

impl WebhookApplier {
    /// Applies posts that are due; answers how many it took.
    pub(crate) async fn apply_due(&self) -> Result<usize, DbError> {
        let now = Utc::now();
        let rows = self
            .db
            .write("intake.claim", Scope::Service, move |tx| {
                intake::claim_due(tx, BATCH, chrono::Duration::seconds(LEASE_SECONDS), now)
            })
            .await?;
        let count = rows.len();
        for row in rows {
            self.apply(row).await?;
        }
        if count > 0 {
            self.relay.wake();
        }
        Ok(count)
    }

    /// Forgets posts that were applied long ago; answers how many wait, and since when.
    pub(crate) async fn tidy(&self) -> Result<(i64, Option<DateTime<Utc>>), DbError> {
        let before = Utc::now() - chrono::Duration::days(KEPT_DAYS);
        self.db
            .write("intake.tidy", Scope::Service, move |tx| {
                intake::delete_settled(tx, before)?;
                intake::backlog(tx)
            })
            .await
    }

    async fn apply(&self, row: IntakeRow) -> Result<(), DbError> {
        let id = row.intake_id;
        let Ok(notification) = Notification::parse(&row.body) else {
            tracing::error!(webhook.intake.id = %id, "a signed post cannot be read; it is kept");
            return self.settle(id, "unreadable").await;
        };
        let mut unmatched = 0;
        for (phone_number_id, status) in notification.statuses() {
            if !self
                .apply_status(phone_number_id, status, row.received_at)
                .await?
            {
                unmatched += 1;
            }
        }
        if unmatched == 0 {
            return self.settle(id, "applied").await;
        }
        if row.attempts + 1 >= MATCH_TRIES {
            tracing::warn!(webhook.intake.id = %id, statuses = unmatched, "statuses of messages that are not ours; the post is kept");
            return self.settle(id, "unmatched").await;
        }
        let exponent = u32::try_from(row.attempts.clamp(0, 13)).unwrap_or(0);
        let pause = Duration::from_secs((1 << exponent).min(6 * 3600));
        let at = Utc::now() + pause;
        self.db
            .write("intake.postpone", Scope::Service, move |tx| {
                intake::postpone(tx, id, at)
            })
            .await
    }

    async fn settle(&self, id: uuid::Uuid, state: &'static str) -> Result<(), DbError> {
        self.db
            .write("intake.settle", Scope::Service, move |tx| {
                intake::settle(tx, id, state)
            })
            .await
    }

    /// Applies one status; false when its message is not found (yet).
    async fn apply_status(
        &self,
        phone_number_id: Option<&str>,
        status: &Status,
        received_at: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let Some(reported) = reported_status(&status.status) else {
            self.count("ignored");
            return Ok(true);
        };
        let Some(route) = self.route(phone_number_id, status).await? else {
            self.count("unmatched");
            return Ok(false);
        };
        if phone_number_id.is_some_and(|number| number != route.phone_number_id) {
            // Only Meta and we know the key of the note, so this is a fault or a forgery.
            tracing::error!(message.id = %route.message_id, "a status came from another number than its message; dropped");
            self.count("foreign");
            return Ok(true);
        }
        let report = Report {
            status: reported,
            source: Source::Webhook,
            at: status.timestamp.unwrap_or(received_at),
            wamid: Some(status.id.clone()),
            pricing: status.pricing.clone(),
            error: (reported == MessageStatus::Failed).then(|| error_of(status)),
        };
        let message_id = route.message_id;
        let moved = self
            .db
            .write("webhook.report", &route.tenant, move |tx| {
                let Some(message) = messages::lock(tx, message_id)? else {
                    return Ok(false);
                };
                warn_of_second_wamid(&message, report.wamid.as_deref());
                change_state::report(tx, &message, report)
            })
            .await?;
        self.count(if moved { "applied" } else { "known" });
        Ok(true)
    }

    async fn route(
        &self,
        phone_number_id: Option<&str>,
        status: &Status,
    ) -> Result<Option<Route>, DbError> {
        let noted = status
            .biz_opaque_callback_data
            .as_deref()
            .and_then(|note| CallbackData::verify(&self.callback_key, note).ok());
        if let Some(note) = noted {
            let id = note.message_id.as_uuid();
            return self
                .db
                .read("webhook.route", reports::ROUTER, move |tx| {
                    reports::find_by_id_any_tenant(tx, id)
                })
                .await;
        }
        let Some(number) = phone_number_id.map(str::to_owned) else {
            return Ok(None);
        };
        let wamid = status.id.clone();
        self.db
            .read("webhook.route", reports::ROUTER, move |tx| {
                reports::find_by_wamid_any_tenant(tx, &number, &wamid)
            })
            .await
    }

    fn count(&self, outcome: &'static str) {
        self.statuses.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}

fn reported_status(kind: &StatusKind) -> Option<MessageStatus> {
    match kind {
        StatusKind::Sent => Some(MessageStatus::Sent),
        StatusKind::Delivered => Some(MessageStatus::Delivered),
        // A voice note that was played was read.
        StatusKind::Read | StatusKind::Played => Some(MessageStatus::Read),
        StatusKind::Failed => Some(MessageStatus::Failed),
        StatusKind::Other(_) => None,
    }
}

fn error_of(status: &Status) -> MessageError {
    let first = status.errors.first();
    MessageError {
        code: first.and_then(|error| error.code),
        title: first.map_or_else(
            || "The message failed".to_owned(),
            |error| error.title.clone(),
        ),
        details: first.and_then(|error| error.details.clone()),
        class: first
            .map_or(portal_whatsapp::ErrorClass::Permanent, |error| {
                error.class()
            })
            .as_str()
            .to_owned(),
    }
}

fn warn_of_second_wamid(message: &messages::MessageRow, wamid: Option<&str>) {
    if let (Some(known), Some(reported)) = (message.wamid.as_deref(), wamid)
        && known != reported
    {
        tracing::error!(message.id = %message.message_id, "Meta reports a second wamid: the message was sent twice");
    }
}
