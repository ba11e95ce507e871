//! Status webhooks: built, signed, delivered and repeated until the receiver answers 200.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;
use url::Url;

use super::magic::Plan;
use super::messages::Accepted;
use super::rows::{ErrorRow, UNKNOWN_FAILURE};
use super::validate::Recipient;
use crate::body::Body;
use crate::config::{PayloadVersion, StatusDelays};
use crate::crypto::{hmac_sha256_hex, stable_digits};
use crate::journal::{Entry, Kind};
use crate::state::State;

const ERRORS_PAGE: &str = "/documentation/business-messaging/whatsapp/support/error-codes";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Sent,
    Delivered,
    Read,
    Failed(ErrorRow),
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed(_) => "failed",
        }
    }
}

/// One webhook request to come.
struct Post {
    after: Duration,
    statuses: Vec<Status>,
    forged: bool,
}

fn post(after: Duration, status: Status) -> Post {
    Post {
        after,
        statuses: vec![status],
        forged: false,
    }
}

/// What follows an accepted message. Within a track one webhook follows another, as long as the
/// receiver answers; tracks are independent of each other.
fn tracks(plan: Plan, kind: &str, delays: StatusDelays) -> Vec<Vec<Post>> {
    let StatusDelays {
        sent,
        delivered,
        read,
    } = delays;
    let normal = || {
        vec![
            post(sent, Status::Sent),
            post(delivered, Status::Delivered),
            post(read, Status::Read),
        ]
    };
    // A reaction is never more than sent.
    if kind == "reaction" && plan == Plan::Normal {
        return vec![vec![post(sent, Status::Sent)]];
    }
    let track = match plan {
        Plan::Normal => normal(),
        Plan::Nothing => Vec::new(),
        Plan::Fail(row) => vec![post(sent, Status::Failed(row))],
        Plan::FailAfterSent(row) => {
            vec![
                post(sent, Status::Sent),
                post(delivered, Status::Failed(row)),
            ]
        }
        Plan::Twice => return vec![normal(), normal()],
        Plan::Reordered => vec![
            post(sent, Status::Read),
            post(delivered, Status::Delivered),
            post(read, Status::Sent),
        ],
        Plan::SentOnly => vec![post(sent, Status::Sent)],
        Plan::Unread => vec![post(sent, Status::Sent), post(delivered, Status::Delivered)],
        Plan::ReadWithoutDelivered => vec![post(sent, Status::Sent), post(read, Status::Read)],
        Plan::OnePost => vec![Post {
            after: sent,
            statuses: vec![Status::Sent, Status::Delivered, Status::Read],
            forged: false,
        }],
        Plan::ForgedFirst => {
            let forged = Post {
                after: sent,
                statuses: vec![Status::Failed(UNKNOWN_FAILURE)],
                forged: true,
            };
            std::iter::once(forged).chain(normal()).collect()
        }
    };
    vec![track]
}

/// Starts the webhooks of a message. The future ends when the first of them was tried once, or
/// when there is none.
pub(crate) fn schedule(
    state: &Arc<State>,
    accepted: Accepted,
    plan: Plan,
) -> impl Future<Output = ()> + use<> {
    let settings = state.settings();
    let settings = &settings.webhook;
    let (tried, first) = oneshot::channel();
    let mut tried = Some(tried);
    if settings.url.is_some() {
        let accepted = Arc::new(accepted);
        for track in tracks(plan, &accepted.kind, settings.delays) {
            let task = run(
                Arc::clone(state),
                Arc::clone(&accepted),
                track,
                tried.take(),
            );
            state.spawn(task);
        }
    }
    async move {
        // An error only says that there is nothing to wait for.
        first.await.unwrap_or_default();
    }
}

async fn run(
    state: Arc<State>,
    accepted: Arc<Accepted>,
    track: Vec<Post>,
    mut tried: Option<oneshot::Sender<()>>,
) {
    let start = Instant::now();
    for post in track {
        tokio::time::sleep_until(start + post.after).await;
        let body = escaped(&payload(&state, &accepted, &post.statuses));
        let settled = try_once(&state, &accepted, &post, &body, 1).await;
        // Nobody may be waiting.
        tried.take().map(|tried| tried.send(()));
        if !settled && !post.forged {
            // A failed one does not hold up the next.
            let task = repeat(Arc::clone(&state), Arc::clone(&accepted), post, body);
            state.spawn(task);
        }
    }
}

/// The receiver and the secret are read anew for each try, as a change at Meta works at once.
async fn repeat(state: Arc<State>, accepted: Arc<Accepted>, post: Post, body: String) {
    let pauses = state.settings().webhook.retry.clone();
    for (number, pause) in (2..).zip(pauses) {
        tokio::time::sleep(pause).await;
        if try_once(&state, &accepted, &post, &body, number).await {
            return;
        }
    }
    tracing::warn!(wamid = accepted.wamid, "a webhook was given up");
}

/// True when there is nothing more to do.
async fn try_once(
    state: &Arc<State>,
    accepted: &Accepted,
    post: &Post,
    body: &str,
    number: u32,
) -> bool {
    let settings = state.settings();
    let settings = &settings.webhook;
    let Some(url) = settings.url.clone() else {
        return true;
    };
    let Ok(_place) = state.webhook_places.acquire().await else {
        return true;
    };
    let mut signature = hmac_sha256_hex(&settings.app_secret, body.as_bytes());
    if post.forged {
        signature = hmac_sha256_hex("not the app secret", body.as_bytes());
    }
    let seq = state
        .journal
        .open(entry(accepted, post, &url, body, number));
    let outcome = state
        .http
        .post(url)
        .timeout(settings.timeout)
        .header("content-type", "application/json")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body.to_owned())
        .send()
        .await;
    let (status, problem) = match &outcome {
        Ok(response) => (Some(response.status().as_u16()), None),
        Err(error) if error.is_timeout() => (None, Some("no answer in time")),
        Err(error) if error.is_connect() => (None, Some("connection refused")),
        Err(_) => (None, Some("connection lost")),
    };
    state.journal.update(seq, |entry| {
        entry.status = status;
        entry.hung_up = status.is_none();
        if let (Some(problem), Some(note)) = (problem, entry.note.as_mut()) {
            note.push_str(": ");
            note.push_str(problem);
        }
    });
    // Meta counts nothing but 200 as success.
    status == Some(200)
}

fn entry(accepted: &Accepted, post: &Post, url: &Url, body: &str, number: u32) -> Entry {
    let names: Vec<&str> = post.statuses.iter().map(|status| status.name()).collect();
    let forged = if post.forged { ", forged" } else { "" };
    Entry {
        seq: 0,
        at: Utc::now(),
        kind: Kind::Webhook,
        method: "POST".to_owned(),
        path: url.path().to_owned(),
        query: BTreeMap::new(),
        status: None,
        hung_up: false,
        phone_number_id: Some(accepted.phone.id.clone()),
        token: None,
        headers: BTreeMap::new(),
        request: Body::of(body.as_bytes()),
        response: Body::default(),
        wamid: Some(accepted.wamid.clone()),
        magic: None,
        note: Some(format!("{}{forged}, try {number}", names.join("+"))),
    }
}

fn payload(state: &Arc<State>, accepted: &Accepted, statuses: &[Status]) -> Value {
    let version = state.settings().webhook.payload;
    let now = Utc::now();
    let has_failed = statuses
        .iter()
        .any(|status| matches!(status, Status::Failed(_)));
    let statuses: Vec<Value> = statuses
        .iter()
        .map(|status| status_object(accepted, *status, version, now))
        .collect();
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": accepted.phone.digits(),
            "phone_number_id": accepted.phone.id,
        },
        "statuses": statuses,
    });
    if let (false, Some(members)) = (has_failed, value.as_object_mut()) {
        members.insert("contacts".to_owned(), json!([contact(&accepted.recipient)]));
    }
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": accepted.waba_id, "changes": [{"value": value, "field": "messages"}]}],
    })
}

/// The business-scoped id of the person, always the same for the same number.
fn user_id(recipient: &Recipient) -> String {
    match recipient {
        Recipient::User(id) => id.clone(),
        Recipient::Phone { wa_id, .. } => format!("US.{}", stable_digits(wa_id, 17)),
    }
}

fn contact(recipient: &Recipient) -> Value {
    let profile = json!({"name": "Sandbox Recipient"});
    match recipient {
        Recipient::Phone { wa_id, .. } => {
            json!({"profile": profile, "wa_id": wa_id, "user_id": user_id(recipient)})
        }
        Recipient::User(id) => json!({"profile": profile, "user_id": id}),
    }
}

fn status_object(
    accepted: &Accepted,
    status: Status,
    version: PayloadVersion,
    now: DateTime<Utc>,
) -> Value {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(accepted.wamid));
    object.insert("status".to_owned(), json!(status.name()));
    object.insert("timestamp".to_owned(), json!(now.timestamp().to_string()));
    let failed = matches!(status, Status::Failed(_));
    if let Recipient::Phone { wa_id, .. } = &accepted.recipient {
        object.insert("recipient_id".to_owned(), json!(wa_id));
    }
    if !failed || matches!(accepted.recipient, Recipient::User(_)) {
        object.insert(
            "recipient_user_id".to_owned(),
            json!(user_id(&accepted.recipient)),
        );
    }
    if let Some(data) = &accepted.callback_data {
        object.insert("biz_opaque_callback_data".to_owned(), json!(data));
    }
    // Both come with sent and with one of delivered and read.
    if matches!(status, Status::Sent | Status::Delivered) {
        let category = accepted.category.as_str();
        if version == PayloadVersion::V23 {
            let mut conversation = json!({
                "id": stable_digits(&accepted.wamid, 32),
                "origin": {"type": category},
            });
            if let (Status::Sent, Some(members)) = (status, conversation.as_object_mut()) {
                let end = accepted.at.timestamp() + 86_400;
                members.insert("expiration_timestamp".to_owned(), json!(end.to_string()));
            }
            object.insert("conversation".to_owned(), conversation);
        }
        let pricing = json!({
            "billable": true,
            "pricing_model": "PMP",
            "type": "regular",
            "category": category,
        });
        object.insert("pricing".to_owned(), pricing);
    }
    if let Status::Failed(row) = status {
        let errors = json!([{
            "code": row.code,
            "title": row.title,
            "message": row.title,
            "error_data": {"details": row.details},
            "href": ERRORS_PAGE,
        }]);
        object.insert("errors".to_owned(), errors);
    }
    Value::Object(object)
}

/// Meta escapes slashes and everything beyond ASCII. Whoever verifies the signature over
/// re-serialised JSON fails on that, and should.
fn escaped(value: &Value) -> String {
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c == '/' {
            out.push_str("\\/");
        } else if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                write!(out, "\\u{unit:04x}").unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_keep_the_meaning() {
        let value = json!({"a/b": "Grüße 👍 \"x\" \\"});
        let text = escaped(&value);
        assert_eq!(text, r#"{"a\/b":"Gr\u00fc\u00dfe \ud83d\udc4d \"x\" \\"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
