//! Every call the sandbox received and every webhook it sent, in order.
//!
//! Message bodies and recipients are shown: this is a development tool. Secrets are not: tokens,
//! codes and client secrets appear as fingerprints.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::body::Body;

/// Which door a call went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A call to the Graph API.
    Graph,
    /// A call to Genesys Cloud (login or platform API).
    Genesys,
    /// A webhook request that the sandbox made.
    Webhook,
}

impl Kind {
    /// The name used in `?kind=`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "graph" => Some(Self::Graph),
            "genesys" => Some(Self::Genesys),
            "webhook" => Some(Self::Webhook),
            _ => None,
        }
    }
}

/// A token that was presented, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenToken {
    /// First 16 hex digits of its SHA-256.
    pub fingerprint: String,
    /// Which known token it is: `acme`, an e-mail, a client id; absent when unknown.
    pub name: Option<String>,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Rises by one with each call, also after the journal was cleared.
    pub seq: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// Which side.
    pub kind: Kind,
    /// HTTP method.
    pub method: String,
    /// Path; for webhooks the path of the receiver.
    pub path: String,
    /// Query parameters, secrets fingerprinted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Status answered; absent while under way and when the connection was closed unanswered.
    pub status: Option<u16>,
    /// True when the connection was closed without an answer.
    pub hung_up: bool,
    /// The sending number of a Graph call or webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_id: Option<String>,
    /// The token presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SeenToken>,
    /// Headers worth seeing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Request body.
    #[serde(skip_serializing_if = "Body::is_empty")]
    pub request: Body,
    /// Response body.
    #[serde(skip_serializing_if = "Body::is_empty")]
    pub response: Body,
    /// Message id of an accepted message or of the webhook's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wamid: Option<String>,
    /// Magic number that chose the behaviour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magic: Option<String>,
    /// Why a webhook try failed, and its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One `POST /{phone-number-id}/messages`.
#[derive(Debug, Clone)]
pub struct GraphCall {
    /// Position in the journal.
    pub seq: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// Number in the path.
    pub phone_number_id: String,
    /// Name of the token presented, when it is a known one.
    pub token_name: Option<String>,
    /// The caller's trace context.
    pub traceparent: Option<String>,
    /// Request body.
    pub body: Value,
    /// Status answered, none when the call got no answer.
    pub status: Option<u16>,
    /// Message id if the message was accepted, whether or not the caller was told.
    pub wamid: Option<String>,
}

impl GraphCall {
    /// `to` as it was sent.
    pub fn to(&self) -> Option<&str> {
        self.body.get("to").and_then(Value::as_str)
    }

    fn from_entry(entry: &Entry) -> Option<Self> {
        let is_send = entry.kind == Kind::Graph
            && entry.method == "POST"
            && entry.path.ends_with("/messages");
        is_send.then(|| Self {
            seq: entry.seq,
            at: entry.at,
            phone_number_id: entry.phone_number_id.clone().unwrap_or_default(),
            token_name: entry.token.as_ref().and_then(|token| token.name.clone()),
            traceparent: entry.headers.get("traceparent").cloned(),
            body: entry.request.json(),
            status: entry.status,
            wamid: entry.wamid.clone(),
        })
    }
}

/// A send in few bytes: what a checker of a long run needs.
#[derive(Debug, Clone, Serialize)]
pub struct SendRecord {
    /// Place in the order of all calls.
    pub seq: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The sending number.
    pub phone_number_id: Box<str>,
    /// `wa_id` or business-scoped user id; as sent when the message was refused.
    pub recipient: Box<str>,
    /// The caller's own mark.
    pub biz_opaque_callback_data: Option<Box<str>>,
    /// Message id if it was accepted, whether or not the caller was told.
    pub wamid: Option<Box<str>>,
    /// Status answered; none when the connection was closed instead.
    pub status: Option<u16>,
    /// Meta's code of a refusal.
    pub code: Option<u32>,
}

impl SendRecord {
    pub(crate) fn new(seq: u64, number: &str, recipient: &str, data: Option<&str>) -> Self {
        Self {
            seq,
            at: Utc::now(),
            phone_number_id: number.into(),
            recipient: recipient.into(),
            biz_opaque_callback_data: data.map(Into::into),
            wamid: None,
            status: None,
            code: None,
        }
    }
}

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this side.
    pub kind: Option<Kind>,
    /// Only paths that contain this.
    pub path: Option<String>,
    /// Only entries after this sequence number.
    pub after: Option<u64>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self
                .path
                .as_ref()
                .is_none_or(|part| entry.path.contains(part))
            && self.after.is_none_or(|seq| entry.seq > seq)
    }
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Arc<Entry>>,
    next_seq: u64,
}

/// The bounded list of calls.
pub struct Journal {
    capacity: usize,
    inner: Mutex<Inner>,
    sends_capacity: usize,
    sends: Mutex<VecDeque<SendRecord>>,
}

impl Journal {
    pub(crate) fn new(capacity: usize, sends_capacity: usize) -> Self {
        Self {
            sends_capacity: sends_capacity.max(1),
            sends: Mutex::default(),
            capacity: capacity.max(1),
            inner: Mutex::new(Inner {
                next_seq: 1,
                ..Inner::default()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call on arrival, so that calls that never get an answer are seen too.
    pub(crate) fn open(&self, mut entry: Entry) -> u64 {
        let mut inner = self.lock();
        entry.seq = inner.next_seq;
        inner.next_seq += 1;
        if inner.entries.len() >= self.capacity {
            inner.entries.pop_front();
        }
        let seq = entry.seq;
        inner.entries.push_back(Arc::new(entry));
        seq
    }

    /// A place in the order for a call that is not entered in full.
    pub(crate) fn next_seq(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_seq += 1;
        inner.next_seq - 1
    }

    fn lock_sends(&self) -> MutexGuard<'_, VecDeque<SendRecord>> {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_send(&self, record: SendRecord) {
        let mut sends = self.lock_sends();
        if sends.len() >= self.sends_capacity {
            sends.pop_front();
        }
        sends.push_back(record);
    }

    /// The sends that fit, in order of their decision.
    pub fn sends_where(&self, fits: impl Fn(&SendRecord) -> bool, limit: usize) -> Vec<SendRecord> {
        let sends = self.lock_sends();
        let found = sends.iter().filter(|record| fits(record));
        found.take(limit).cloned().collect()
    }

    /// All sends, also those that the journal shows no more.
    pub fn sends(&self) -> Vec<SendRecord> {
        self.sends_where(|_| true, usize::MAX)
    }

    /// Adds to a call; one that has fallen out of the journal is ignored.
    pub(crate) fn update(&self, seq: u64, change: impl FnOnce(&mut Entry)) {
        let mut inner = self.lock();
        let place = inner.entries.binary_search_by_key(&seq, |entry| entry.seq);
        if let Some(entry) = place.ok().and_then(|place| inner.entries.get_mut(place)) {
            change(Arc::make_mut(entry));
        }
    }

    /// Entries in order of arrival.
    pub fn entries(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        let mut found: Vec<Arc<Entry>> = {
            let inner = self.lock();
            inner
                .entries
                .iter()
                .filter(|entry| filter.matches(entry))
                .map(Arc::clone)
                .collect()
        };
        if let Some(limit) = filter.limit {
            let surplus = found.len().saturating_sub(limit);
            found.drain(..surplus);
        }
        found
    }

    /// Entries of one side.
    pub fn of_kind(&self, kind: Kind) -> Vec<Arc<Entry>> {
        self.entries(&Filter {
            kind: Some(kind),
            ..Filter::default()
        })
    }

    /// Calls to the messages edge, refused ones and read receipts included.
    pub fn graph_messages(&self) -> Vec<GraphCall> {
        // Parsed after the lock is gone.
        let entries = self.of_kind(Kind::Graph);
        entries
            .iter()
            .filter_map(|entry| GraphCall::from_entry(entry))
            .collect()
    }

    /// Calls to the messages edge whose message was accepted.
    pub fn accepted_messages(&self) -> Vec<GraphCall> {
        let mut calls = self.graph_messages();
        calls.retain(|call| call.wamid.is_some());
        calls
    }

    /// Webhook tries, failed ones included.
    pub fn webhooks(&self) -> Vec<Arc<Entry>> {
        self.of_kind(Kind::Webhook)
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        self.lock().entries.clear();
        self.lock_sends().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        Entry {
            seq: 0,
            at: Utc::now(),
            kind: Kind::Graph,
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: BTreeMap::new(),
            status: None,
            hung_up: false,
            phone_number_id: None,
            token: None,
            headers: BTreeMap::new(),
            request: Body::default(),
            response: Body::default(),
            wamid: None,
            magic: None,
            note: None,
        }
    }

    #[test]
    fn the_oldest_entries_fall_out_and_the_newest_can_still_be_completed() {
        let journal = Journal::new(2, 2);
        let gone = journal.open(entry("/1"));
        journal.open(entry("/2"));
        let kept = journal.open(entry("/3"));
        journal.update(gone, |entry| entry.status = Some(500));
        journal.update(kept, |entry| entry.status = Some(200));

        let entries = journal.entries(&Filter::default());
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.status))
            .collect();
        assert_eq!(seen, [("/2", None), ("/3", Some(200))]);
    }

    #[test]
    fn an_entry_cleared_while_under_way_is_not_mistaken_for_a_later_one() {
        let journal = Journal::new(10, 2);
        let cleared = journal.open(entry("/1"));
        journal.clear();
        journal.open(entry("/2"));
        journal.update(cleared, |entry| entry.status = Some(500));

        assert_eq!(journal.entries(&Filter::default())[0].status, None);
    }

    #[test]
    fn filters_join() {
        let journal = Journal::new(10, 2);
        for path in ["/a/messages", "/a/other", "/b/messages"] {
            journal.open(entry(path));
        }
        let filter = Filter {
            path: Some("messages".to_owned()),
            after: Some(1),
            ..Filter::default()
        };
        let found = journal.entries(&filter);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "/b/messages");
    }
}
