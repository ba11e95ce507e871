//! What became of a tenant's messages: many reports in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext,
    catalogue::{MessageDuplicateDetected, MessageError, MessageStatusCorrected},
    outbox_event,
};
use portal_types::TenantId;
use portal_whatsapp::webhook::{Person, Preference, Status, StatusKind};
use uuid::Uuid;

use super::inbound::{Choice, note_choices};
use crate::{
    domain::{MessageStatus, Source, Standing},
    events::SOURCE,
    store::{
        contacts::{self, LastSeen, NewAlias},
        evidence::{self, Known, Move},
        messages::{MessageRow, NewStatusEvent},
        unmatched,
    },
    usecases::change_state::{self, Report},
};

/// The code of a failure that tells that the contact stopped marketing (Cloud API error codes).
const STOPPED_MARKETING: i64 = 131_050;
/// What a contact may stop, as `user_preferences` call it.
const MARKETING_MESSAGES: &str = "marketing_messages";
/// Rows of one statement; a statement takes 65,535 values at the most.
const ROWS: usize = 2000;

/// A report about one of the tenant's messages.
#[derive(Clone)]
pub(super) struct Evidence {
    pub(super) message_id: Uuid,
    pub(super) phone_number_id: String,
    /// Which attempt it is about, when our note came back with it.
    pub(super) attempt: Option<u32>,
    pub(super) status: Status,
    pub(super) received_at: DateTime<Utc>,
    /// The row in which it waited for its message.
    pub(super) unmatched_id: Option<Uuid>,
}

/// What came of reports.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Applied {
    pub(super) moved: u64,
    pub(super) known: u64,
    pub(super) duplicates: u64,
}

impl Evidence {
    fn at(&self) -> DateTime<Utc> {
        self.status.timestamp.unwrap_or(self.received_at)
    }

    fn reported(&self) -> Option<MessageStatus> {
        match self.status.status {
            StatusKind::Sent => Some(MessageStatus::Sent),
            StatusKind::Delivered => Some(MessageStatus::Delivered),
            // A voice note that was played was read.
            StatusKind::Read | StatusKind::Played => Some(MessageStatus::Read),
            StatusKind::Failed => Some(MessageStatus::Failed),
            StatusKind::Other(_) => None,
        }
    }

    /// The status as the history keeps it.
    fn name(&self) -> Option<&'static str> {
        match self.status.status {
            StatusKind::Played => Some("played"),
            _ => self.reported().map(MessageStatus::as_str),
        }
    }

    fn error(&self) -> Option<MessageError> {
        if self.status.status != StatusKind::Failed {
            return None;
        }
        let first = self.status.errors.first();
        let class = first.map_or(portal_whatsapp::ErrorClass::Permanent, |error| {
            error.class()
        });
        Some(MessageError {
            code: first.and_then(|error| error.code),
            title: first.map_or_else(
                || "The message failed".to_owned(),
                |error| error.title.clone(),
            ),
            details: first.and_then(|error| error.details.clone()),
            class: class.as_str().to_owned(),
        })
    }

    /// What makes it one report, however often it comes.
    fn identity(&self) -> (String, Option<String>, Option<String>) {
        let code = self.error().and_then(|error| error.code);
        (
            self.name().unwrap_or_default().to_owned(),
            Some(self.status.id.clone()),
            code.map(|code| code.to_string()),
        )
    }
}

/// Whether a status says something that this version understands.
pub(super) fn is_understood(status: &Status) -> bool {
    !matches!(status.status, StatusKind::Other(_))
}

/// Keeps the reports and moves their messages, in one transaction of the tenant.
pub(super) fn apply(tx: &mut Tx<'_>, reports: &[Evidence]) -> Result<Applied, DbError> {
    let tenant = tx.own_tenant()?;
    let mut by_message: BTreeMap<Uuid, Vec<&Evidence>> = BTreeMap::new();
    for report in reports {
        by_message
            .entry(report.message_id)
            .or_default()
            .push(report);
    }
    let ids: Vec<Uuid> = by_message.keys().copied().collect();
    let messages = evidence::lock_messages(tx, &ids)?;
    let mut known: HashMap<Uuid, Vec<Known>> = HashMap::new();
    for report in evidence::list_known(tx, &ids)? {
        known.entry(report.message_id).or_default().push(report);
    }
    let mut outcome = Outcome::default();
    for message in &messages {
        let mut reports = by_message.remove(&message.message_id).unwrap_or_default();
        reports.sort_by_key(|report| (report.at(), step(report)));
        let known = known.remove(&message.message_id).unwrap_or_default();
        let mut story = Story::new(message, &known)?;
        for report in reports {
            story.hear(report)?;
        }
        outcome.take(story);
    }
    outcome.write(tx)?;
    note_choices(tx, &choices(&messages, reports))?;
    note_seen(tx, &tenant, reports)?;
    let waited: Vec<Uuid> = reports
        .iter()
        .filter_map(|report| report.unmatched_id)
        .collect();
    if !waited.is_empty() {
        unmatched::delete(tx, &waited)?;
    }
    Ok(outcome.applied)
}

/// What contacts chose, as far as failures tell of it.
fn choices(messages: &[MessageRow], reports: &[Evidence]) -> Vec<Choice> {
    let mut choices = Vec::new();
    for report in reports {
        let codes = report.status.errors.iter().map(|error| error.code);
        if !codes
            .into_iter()
            .any(|code| code == Some(STOPPED_MARKETING))
        {
            continue;
        }
        let told = Person {
            wa_id: report.status.recipient_id.clone(),
            user_id: report.status.recipient_user_id.clone(),
            name: None,
            username: None,
        };
        // Also in the form in which the message was sent, which Meta may write otherwise.
        let message = messages
            .iter()
            .find(|message| message.message_id == report.message_id);
        let own = message.map(|message| match message.recipient.strip_prefix('+') {
            Some(digits) => Person {
                wa_id: Some(digits.to_owned()),
                ..told.clone()
            },
            None => Person {
                user_id: Some(message.recipient.clone()),
                ..told.clone()
            },
        });
        let mut people = vec![told];
        people.extend(own.filter(|own| people.first() != Some(own)));
        choices.extend(people.into_iter().map(|person| Choice {
            preference: Preference {
                person,
                category: MARKETING_MESSAGES.to_owned(),
                value: "stop".to_owned(),
                timestamp: report.status.timestamp,
            },
            at: report.at(),
        }));
    }
    choices
}

/// Meta's clock has seconds: within one, a message is sent, then fails or arrives, then is read.
fn step(report: &Evidence) -> u8 {
    match report.status.status {
        StatusKind::Sent => 0,
        StatusKind::Failed => 1,
        StatusKind::Delivered => 2,
        StatusKind::Read => 3,
        StatusKind::Played | StatusKind::Other(_) => 4,
    }
}

/// One message and what is heard of it.
struct Story<'a> {
    message: &'a MessageRow,
    standing: Standing,
    heard: HashSet<(String, Option<String>, Option<String>)>,
    wamid: Option<String>,
    pricing: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
    moved: bool,
    is_news: bool,
    events: Vec<NewStatusEvent>,
    outgoing: Vec<outbox::NewOutboxEvent>,
    known_count: u64,
    moved_count: u64,
    duplicates: u64,
}

impl<'a> Story<'a> {
    fn new(message: &'a MessageRow, known: &[Known]) -> Result<Self, DbError> {
        let failed = MessageStatus::Failed.as_str();
        let failed_by_meta = known.iter().any(|report| report.status == failed);
        Ok(Self {
            message,
            standing: Standing {
                status: message.status()?,
                failed_by_meta,
            },
            heard: known
                .iter()
                .map(|report| {
                    (
                        report.status.clone(),
                        report.wamid.clone(),
                        report.error_code.clone(),
                    )
                })
                .collect(),
            wamid: message.wamid.clone(),
            pricing: None,
            error: None,
            moved: false,
            is_news: false,
            events: Vec::new(),
            outgoing: Vec::new(),
            known_count: 0,
            moved_count: 0,
            duplicates: 0,
        })
    }

    fn hear(&mut self, report: &Evidence) -> Result<(), DbError> {
        let (Some(status), Some(name)) = (report.reported(), report.name()) else {
            return Ok(());
        };
        if self.heard.contains(&report.identity()) {
            self.known_count += 1;
            return Ok(());
        }
        self.compare_wamid(report)?;
        self.heard.insert(report.identity());
        let before = self.standing;
        let after = self.standing.after(status).filter(|after| {
            after.status != MessageStatus::Failed || !self.is_of_earlier_attempt(report)
        });
        let error = report.error();
        let error_json = change_state::to_json(error.as_ref())?;
        self.events.push(NewStatusEvent {
            status: name,
            changed_status: after.is_some(),
            wamid: Some(report.status.id.clone()),
            error: error_json.clone(),
            pricing: report.status.pricing.clone(),
            ..NewStatusEvent::change(self.message, status, Source::Webhook, report.at())
        });
        self.is_news = true;
        if report.status.pricing.is_some() {
            self.pricing.clone_from(&report.status.pricing);
        }
        let Some(after) = after else {
            self.known_count += 1;
            return Ok(());
        };
        self.standing = after;
        self.moved = true;
        self.moved_count += 1;
        self.error = error_json;
        let told = Report {
            status,
            source: Source::Webhook,
            at: report.at(),
            wamid: Some(report.status.id.clone()),
            pricing: report.status.pricing.clone(),
            error,
        };
        if before.status == MessageStatus::Failed {
            self.correct(&told)?;
        }
        self.outgoing
            .extend(change_state::announcement(self.message, &told)?);
        Ok(())
    }

    /// A late failure of an attempt before the last one says nothing of the last one.
    fn is_of_earlier_attempt(&self, report: &Evidence) -> bool {
        report
            .attempt
            .is_some_and(|attempt| i64::from(attempt) < i64::from(self.message.attempts))
    }

    fn compare_wamid(&mut self, report: &Evidence) -> Result<(), DbError> {
        let reported = &report.status.id;
        let Some(own) = self.wamid.clone() else {
            self.wamid = Some(reported.clone());
            return Ok(());
        };
        let heard_of = |wamid: &String, status: Option<&str>| {
            self.heard.iter().any(|(heard, id, _)| {
                id.as_ref() == Some(wamid) && status.is_none_or(|status| status == heard)
            })
        };
        let is_second = own != *reported && !heard_of(reported, None);
        // One that failed at Meta was sent again on purpose.
        if !is_second || heard_of(&own, Some(MessageStatus::Failed.as_str())) {
            return Ok(());
        }
        tracing::error!(message.id = %self.message.message_id, "Meta reports a second wamid: the message was sent twice");
        self.duplicates += 1;
        let event = MessageDuplicateDetected {
            message_id: self.message.message_id.into(),
            tenant_id: self.message.tenant()?,
            to: self.message.recipient.clone(),
            wamids: vec![own, reported.clone()],
        };
        self.tell(report.at(), &event)
    }

    fn correct(&mut self, report: &Report) -> Result<(), DbError> {
        let class = self
            .message
            .error
            .as_ref()
            .and_then(|error| error.get("class"));
        let event = MessageStatusCorrected {
            message_id: self.message.message_id.into(),
            tenant_id: self.message.tenant()?,
            to: self.message.recipient.clone(),
            previous_class: class.and_then(|class| class.as_str()).map(str::to_owned),
            status: report.status.as_str().to_owned(),
            wamid: report.wamid.clone(),
            at: report.at,
        };
        self.tell(report.at, &event)
    }

    fn tell<E: portal_events::catalogue::EventData>(
        &mut self,
        at: DateTime<Utc>,
        event: &E,
    ) -> Result<(), DbError> {
        let context = EventContext {
            traceparent: self.message.traceparent.clone(),
            request_id: None,
        };
        let tenant = self.message.tenant()?;
        self.outgoing
            .push(outbox_event(SOURCE, &tenant, &context, at, event)?);
        Ok(())
    }
}

/// What is to be written of all messages.
#[derive(Default)]
struct Outcome {
    events: Vec<NewStatusEvent>,
    moves: Vec<Move>,
    outgoing: Vec<outbox::NewOutboxEvent>,
    applied: Applied,
}

impl Outcome {
    fn take(&mut self, story: Story<'_>) {
        self.applied.known += story.known_count;
        self.applied.moved += story.moved_count;
        self.applied.duplicates += story.duplicates;
        if !story.is_news {
            return;
        }
        let new_wamid = story.wamid.filter(|_| story.message.wamid.is_none());
        if story.moved || new_wamid.is_some() || story.pricing.is_some() {
            self.moves.push(Move {
                message_id: story.message.message_id,
                status: story.moved.then_some(story.standing.status),
                wamid: new_wamid,
                pricing: story.pricing,
                error: story.error,
            });
        }
        self.events.extend(story.events);
        self.outgoing.extend(story.outgoing);
    }

    fn write(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        for rows in self.events.chunks(ROWS) {
            evidence::insert(tx, rows)?;
        }
        self.drop_taken_wamids(tx)?;
        if !self.moves.is_empty() {
            evidence::move_all(tx, &self.moves)?;
        }
        for rows in self.outgoing.chunks(ROWS) {
            outbox::append(tx, rows)?;
        }
        Ok(())
    }

    /// A wamid belongs to one message. Who gives it to a second one is wrong in that alone.
    fn drop_taken_wamids(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        let new: Vec<String> = self.moves.iter().filter_map(|m| m.wamid.clone()).collect();
        let mut taken = evidence::taken_wamids(tx, &new)?;
        for one in &mut self.moves {
            if let Some(wamid) = one.wamid.take_if(|wamid| !taken.insert(wamid.clone())) {
                tracing::error!(message.id = %one.message_id, wamid, "a wamid belongs to another message already");
            }
        }
        Ok(())
    }
}

/// Notes when Meta last reported on each number, and who the recipients are.
fn note_seen(tx: &mut Tx<'_>, tenant: &TenantId, reports: &[Evidence]) -> Result<(), DbError> {
    let mut seen: BTreeMap<String, LastSeen> = BTreeMap::new();
    let mut aliases: BTreeMap<(String, String), NewAlias> = BTreeMap::new();
    for report in reports {
        let last = seen.entry(report.phone_number_id.clone()).or_default();
        last.status_at = last
            .status_at
            .max(Some(report.at().min(report.received_at)));
        if let (Some(user_id), Some(digits)) = (
            &report.status.recipient_user_id,
            &report.status.recipient_id,
        ) {
            let contact = format!("+{digits}");
            aliases
                .entry((user_id.clone(), contact.clone()))
                .or_insert_with(|| NewAlias {
                    tenant_id: tenant.to_string(),
                    user_id: user_id.clone(),
                    contact,
                    source: "status",
                    previous_user_id: None,
                    previous_contact: None,
                    seen_at: report.at(),
                });
        }
    }
    let aliases: Vec<NewAlias> = aliases.into_values().collect();
    contacts::insert_aliases(tx, &aliases)?;
    contacts::note_numbers(tx, &seen)
}
