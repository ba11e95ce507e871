//! Whose everything in some posts is: sorted by tenant, with what is nobody's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use portal_auth::sha256;
use portal_db::{DbError, Tx};
use portal_types::TenantId;
use portal_whatsapp::{
    callback::{CallbackData, CallbackKey},
    webhook::{Change, ChangeValue, Status, waba_of},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Post,
    accounts::Notice,
    inbound::{Arrival, Call, Choice},
    statuses::{Evidence, is_understood},
};
use crate::store::{
    reports::{self, NumberRoute, Route},
    unmatched::NewUnmatched,
};

/// Fields by whose names changes are counted; any other is `other`.
const FIELDS: [&str; 18] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "calls",
    "flows",
    "history",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "template_category_update",
    "user_preferences",
];

/// One tenant's part.
#[derive(Default)]
pub(super) struct TenantPart {
    pub(super) statuses: Vec<Evidence>,
    pub(super) rest: Rest,
}

/// What is not a status.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) calls: Vec<Call>,
    pub(super) choices: Vec<Choice>,
    pub(super) notices: Vec<Notice>,
}

impl Rest {
    pub(super) const fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
            && self.calls.is_empty()
            && self.choices.is_empty()
            && self.notices.is_empty()
    }
}

/// A status whose message is not found.
#[expect(clippy::struct_field_names, reason = "as the column is called")]
pub(super) struct Unmatched {
    pub(super) unmatched_id: Option<Uuid>,
    status: Status,
    phone_number_id: Option<String>,
    signed_for: Option<TenantId>,
    received_at: DateTime<Utc>,
}

impl Unmatched {
    pub(super) fn to_row(&self) -> NewUnmatched {
        let signed_for = self.signed_for.as_ref().map(ToString::to_string);
        let identity = serde_json::json!([signed_for, self.phone_number_id, self.status.raw]);
        NewUnmatched {
            unmatched_id: Uuid::now_v7(),
            digest: sha256(identity.to_string()).to_vec(),
            phone_number_id: self
                .phone_number_id
                .as_ref()
                .map(|id| id.chars().take(64).collect()),
            signed_for,
            wamid: self.status.id.clone(),
            payload: self.status.raw.clone(),
            next_attempt_at: Utc::now() + super::pause(1),
            received_at: self.received_at,
        }
    }
}

/// Numbers for metrics.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) ignored_statuses: u64,
    pub(super) foreign_statuses: u64,
    pub(super) unmatched_statuses: u64,
    pub(super) unrouted_inbound: u64,
    pub(super) foreign_inbound: u64,
}

/// Everything, sorted.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) parts: BTreeMap<TenantId, TenantPart>,
    pub(super) unmatched: Vec<Unmatched>,
    /// Kept statuses that turned out to be another tenant's than they pretend.
    pub(super) foreign_unmatched: Vec<Uuid>,
    /// Posts with a part of a number or account that no tenant has.
    pub(super) unrouted_posts: BTreeSet<usize>,
    /// Posts with a part that cannot be read.
    pub(super) unreadable_posts: BTreeSet<usize>,
    pub(super) counts: Counts,
    /// Changes by field and outcome.
    pub(super) fields: Vec<(&'static str, &'static str)>,
}

struct Reported {
    status: Status,
    phone_number_id: Option<String>,
    signed_for: Option<TenantId>,
    received_at: DateTime<Utc>,
    unmatched_id: Option<Uuid>,
    note: Option<CallbackData>,
}

struct Told<'a> {
    index: usize,
    post: &'a Post,
    waba_id: &'a str,
    time: Option<i64>,
    change: &'a Change,
}

/// Collects what is told, and sorts it once the directory is read.
pub(super) struct Sorter<'a> {
    callback_key: &'a CallbackKey,
    statuses: Vec<Reported>,
    told: Vec<Told<'a>>,
    unreadable: BTreeSet<usize>,
}

/// What the directory is asked for.
pub(super) struct Keys {
    message_ids: Vec<Uuid>,
    wamids: Vec<String>,
    phone_number_ids: Vec<String>,
    waba_ids: Vec<String>,
}

/// Whose everything is.
pub(super) struct Directory {
    by_id: HashMap<Uuid, Route>,
    by_wamid: HashMap<(String, String), Route>,
    numbers: Vec<NumberRoute>,
}

impl Keys {
    pub(super) fn look_up(self, tx: &mut Tx<'_>) -> Result<Directory, DbError> {
        let routes = reports::list_messages_any_tenant(tx, &self.message_ids, &self.wamids)?;
        let by_wamid = routes
            .iter()
            .filter_map(|route| {
                let wamid = route.wamid.clone()?;
                Some(((route.phone_number_id.clone(), wamid), route.clone()))
            })
            .collect();
        let by_id = routes
            .into_iter()
            .map(|route| (route.message_id, route))
            .collect();
        let numbers = if self.phone_number_ids.is_empty() && self.waba_ids.is_empty() {
            Vec::new()
        } else {
            reports::list_numbers_any_tenant(tx, &self.phone_number_ids, &self.waba_ids)?
        };
        Ok(Directory {
            by_id,
            by_wamid,
            numbers,
        })
    }
}

impl Directory {
    fn owner_of_number(&self, phone_number_id: &str) -> Option<&NumberRoute> {
        self.numbers
            .iter()
            .find(|route| route.phone_number_id == phone_number_id)
    }

    fn numbers_of(&self, waba_id: &str) -> Vec<NumberRoute> {
        let own = self.numbers.iter().filter(|route| route.waba_id == waba_id);
        own.cloned().collect()
    }
}

impl<'a> Sorter<'a> {
    pub(super) const fn new(callback_key: &'a CallbackKey) -> Self {
        Self {
            callback_key,
            statuses: Vec::new(),
            told: Vec::new(),
            unreadable: BTreeSet::new(),
        }
    }

    pub(super) fn add_post(&mut self, index: usize, post: &'a Post) {
        if post.notification.unreadable > 0 {
            self.unreadable.insert(index);
        }
        for (phone_number_id, status) in post.notification.statuses() {
            self.add_status(
                status.clone(),
                phone_number_id.map(str::to_owned),
                post.signed_for.clone(),
                post.received_at,
                None,
            );
        }
        for entry in &post.notification.entries {
            for change in &entry.changes {
                self.told.push(Told {
                    index,
                    post,
                    waba_id: &entry.waba_id,
                    time: entry.time,
                    change,
                });
            }
        }
    }

    pub(super) fn add_status(
        &mut self,
        status: Status,
        phone_number_id: Option<String>,
        signed_for: Option<TenantId>,
        received_at: DateTime<Utc>,
        unmatched_id: Option<Uuid>,
    ) {
        let note = status
            .biz_opaque_callback_data
            .as_deref()
            .and_then(|note| CallbackData::verify(self.callback_key, note).ok());
        self.statuses.push(Reported {
            status,
            phone_number_id,
            signed_for,
            received_at,
            unmatched_id,
            note,
        });
    }

    pub(super) fn keys(&self) -> Keys {
        let understood = || {
            self.statuses
                .iter()
                .filter(|reported| is_understood(&reported.status))
        };
        let without_note = understood().filter(|reported| reported.note.is_none());
        let mut phone_number_ids = BTreeSet::new();
        let mut waba_ids = BTreeSet::new();
        for told in &self.told {
            match &told.change.value {
                ChangeValue::Messages(value) if value.messages.is_empty() => {}
                ChangeValue::Messages(_) => phone_number_ids.extend(told.change.phone_number_id()),
                ChangeValue::Other(value) => {
                    phone_number_ids.extend(told.change.phone_number_id());
                    waba_ids.insert(waba_of(told.waba_id, value));
                }
            }
        }
        Keys {
            message_ids: understood()
                .filter_map(|reported| reported.note.map(|note| note.message_id.as_uuid()))
                .collect(),
            wamids: without_note
                .map(|reported| reported.status.id.clone())
                .collect(),
            phone_number_ids: phone_number_ids.into_iter().collect(),
            waba_ids: waba_ids.into_iter().collect(),
        }
    }

    pub(super) fn sort(self, directory: &Directory) -> Sorted {
        let mut sorted = Sorted {
            unreadable_posts: self.unreadable,
            ..Sorted::default()
        };
        for reported in self.statuses {
            sorted.take_status(reported, directory);
        }
        for told in &self.told {
            sorted.take_change(told, directory);
        }
        sorted
    }
}

impl Sorted {
    fn take_status(&mut self, reported: Reported, directory: &Directory) {
        if !is_understood(&reported.status) {
            self.counts.ignored_statuses += 1;
            return;
        }
        let route = match (&reported.note, &reported.phone_number_id) {
            (Some(note), _) => directory.by_id.get(&note.message_id.as_uuid()),
            (None, Some(number)) => directory
                .by_wamid
                .get(&(number.clone(), reported.status.id.clone())),
            (None, None) => None,
        };
        let Some(route) = route else {
            self.counts.unmatched_statuses += 1;
            self.unmatched.push(Unmatched {
                unmatched_id: reported.unmatched_id,
                status: reported.status,
                phone_number_id: reported.phone_number_id,
                signed_for: reported.signed_for,
                received_at: reported.received_at,
            });
            return;
        };
        let other_number = reported
            .phone_number_id
            .as_ref()
            .is_some_and(|number| *number != route.phone_number_id);
        if other_number
            || reported
                .signed_for
                .is_some_and(|tenant| tenant != route.tenant)
        {
            // Only Meta and we know the key of the note, and only a tenant its own app secret, so
            // this is a fault or a forgery.
            tracing::error!(message.id = %route.message_id, "a status came from another number or tenant than its message; dropped");
            self.counts.foreign_statuses += 1;
            self.foreign_unmatched.extend(reported.unmatched_id);
            return;
        }
        let part = self.parts.entry(route.tenant.clone()).or_default();
        part.statuses.push(Evidence {
            message_id: route.message_id,
            phone_number_id: route.phone_number_id.clone(),
            attempt: reported.note.map(|note| note.attempt),
            status: reported.status,
            received_at: reported.received_at,
            unmatched_id: reported.unmatched_id,
        });
    }

    fn take_change(&mut self, told: &Told<'_>, directory: &Directory) {
        let field = FIELDS.iter().find(|field| **field == told.change.field);
        let field = field.copied().unwrap_or("other");
        let outcome = match &told.change.value {
            ChangeValue::Messages(value) => {
                for error in &value.errors {
                    tracing::warn!(
                        error.code = error.code,
                        "Meta reports a problem of a number"
                    );
                }
                if value.messages.is_empty() {
                    return;
                }
                self.take_messages(told, directory)
            }
            ChangeValue::Other(value) => self.take_other(told, value, directory),
        };
        self.fields.push((field, outcome));
    }

    /// The tenant of the change's number, if it is to be believed about it.
    fn part_of_number(
        &mut self,
        told: &Told<'_>,
        directory: &Directory,
    ) -> Result<(&mut Rest, String), &'static str> {
        let number = told.change.phone_number_id();
        let owner = number
            .as_deref()
            .and_then(|number| directory.owner_of_number(number));
        let Some(owner) = owner else {
            self.unrouted_posts.insert(told.index);
            return Err("unrouted");
        };
        if told
            .post
            .signed_for
            .as_ref()
            .is_some_and(|tenant| *tenant != owner.tenant)
        {
            tracing::error!(phone_number_id = %owner.phone_number_id, "a tenant's own app spoke of another tenant's number; dropped");
            return Err("foreign");
        }
        let part = self.parts.entry(owner.tenant.clone()).or_default();
        Ok((&mut part.rest, owner.phone_number_id.clone()))
    }

    fn take_messages(&mut self, told: &Told<'_>, directory: &Directory) -> &'static str {
        let ChangeValue::Messages(value) = &told.change.value else {
            return "other";
        };
        let (messages, lost) = value.inbound();
        if lost > 0 {
            self.unreadable_posts.insert(told.index);
        }
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        match self.part_of_number(told, directory) {
            Ok((rest, phone_number_id)) => {
                rest.arrivals
                    .extend(messages.into_iter().map(|message| Arrival {
                        phone_number_id: phone_number_id.clone(),
                        message,
                        received_at: told.post.received_at,
                        traceparent: told.post.traceparent.clone(),
                    }));
                "taken"
            }
            Err(outcome) => {
                if outcome == "foreign" {
                    self.counts.foreign_inbound += count;
                } else {
                    self.counts.unrouted_inbound += count;
                }
                outcome
            }
        }
    }

    fn take_other(
        &mut self,
        told: &Told<'_>,
        value: &Value,
        directory: &Directory,
    ) -> &'static str {
        let received_at = told.post.received_at;
        let not_later =
            |at: Option<DateTime<Utc>>| at.map_or(received_at, |at| at.min(received_at));
        let (echoes, calls) = (told.change.echoes(), told.change.calls());
        let preferences = told.change.preferences();
        if !echoes.is_empty() || !calls.is_empty() || !preferences.is_empty() {
            let (rest, phone_number_id) = match self.part_of_number(told, directory) {
                Ok(found) => found,
                Err(outcome) => return outcome,
            };
            rest.arrivals
                .extend(echoes.into_iter().map(|message| Arrival {
                    phone_number_id: phone_number_id.clone(),
                    message,
                    received_at,
                    traceparent: told.post.traceparent.clone(),
                }));
            rest.calls.extend(calls.into_iter().map(|call| Call {
                phone_number_id: phone_number_id.clone(),
                at: not_later(call.timestamp),
                person: call.person,
            }));
            rest.choices
                .extend(preferences.into_iter().map(|preference| Choice {
                    at: not_later(preference.timestamp),
                    preference,
                }));
            return "taken";
        }
        let waba_id = waba_of(told.waba_id, value);
        let numbers = directory.numbers_of(&waba_id);
        let Some(tenant) = numbers.first().map(|route| route.tenant.clone()) else {
            self.unrouted_posts.insert(told.index);
            return "unrouted";
        };
        if told
            .post
            .signed_for
            .as_ref()
            .is_some_and(|own| *own != tenant)
        {
            tracing::error!("a tenant's own app spoke of another tenant's account; dropped");
            return "foreign";
        }
        let part = self.parts.entry(tenant).or_default();
        part.rest.notices.push(Notice {
            waba_id: waba_id.chars().take(64).collect(),
            field: told.change.field.clone(),
            value: value.clone(),
            occurred_at: told.time.and_then(|at| DateTime::from_timestamp(at, 0)),
            received_at,
            traceparent: told.post.traceparent.clone(),
            numbers,
        });
        "taken"
    }
}
