//! `GET /api/agents/events`: server-sent events for the signed-in person, and the snapshot to begin
//! with.
//!
//! A browser reads them with `fetch`, which can send the access token in a header: an address is no
//! place for a token. The stream ends with the token; the browser comes back with a new one and with
//! `Last-Event-ID`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{self, HeaderMap, HeaderName},
    web,
};
use bytes::Bytes;
use futures_util::stream;
use opentelemetry::metrics::Counter;
use portal_auth::{Authenticator, Caller, bearer_token};
use portal_service_kit::ApiError;
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    domain::{EventId, LiveEvent, Reset},
    state::AppState,
    usecases::live_feed::{LastRead, Listener, Next},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So that proxies do not take a quiet stream for a dead one, and a reader who is gone is noticed: the
/// second write after it fails.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a stream may outlive its session at the most.
const LOOK_AT_SESSION: Duration = Duration::from_secs(3);
/// First line: how long a browser waits before it comes back, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
const ENDED: &str = "event: session.ended\ndata: {}\n\n";
/// Events go out together up to about so many bytes.
const CHUNK: usize = 32 * 1024;

/// Tells the signed-in person what happens, as it happens (server-sent events).
///
/// Each event has an `id` with the tenant's sequence. The `id` that was read last, sent in
/// `Last-Event-ID`, continues right after it, at any replica; without one the stream begins now. To
/// begin right, take `GET /api/agents/events/snapshot` and send its `last_event_id`. Ids also come
/// alone, without an event: they count, too.
///
/// - `conversation.changed`, `message.created`, `message.status`, `user.updated`,
///   `user_sync.progress`: what happened, as far as the person may see it.
/// - `conversation.gone` (`conversation_id`, `version`): the person sees the conversation no more.
/// - `reset` (`reason`: `expired`, `unknown`, `role_changed`): events may be missing; take the
///   snapshot. The stream itself goes on.
/// - `session.ended`: the last event of a session that was ended.
///
/// The stream just ends when the token expires, when the person gets another role (come back with a
/// new token), when the reader is too slow, and when the service stops.
#[utoipa::path(
    tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id that was read last")),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/event-stream"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 429, description = "`TOO_MANY_STREAMS`"),
        (status = 503, description = "Something it needs is away; try again"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/events")]
pub(crate) async fn events(
    caller: Caller,
    state: web::Data<AppState>,
    authenticator: web::Data<Authenticator>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let token = bearer_token(&request)?.to_owned();
    let last = last_read(request.headers());
    let feed = &state.live_feed;
    let listener = feed.listen(&caller.tenant_id, caller.user_id, last).await?;
    let now = Instant::now();
    // One chunk waits while the one before it is written; a reader that takes neither is slow.
    let (chunks, next) = mpsc::channel(1);
    let reader = Reader {
        caller,
        token,
        authenticator: authenticator.get_ref().clone(),
        listener,
        chunks,
        patience: state.web.slow_reader,
        next_heartbeat: now + HEARTBEAT,
        next_look: now + LOOK_AT_SESSION,
    };
    actix_web::rt::spawn(reader.run());
    let frames = stream::unfold(next, |mut next| async move {
        let chunk: Bytes = next.recv().await?;
        Some((Ok::<_, Infallible>(chunk), next))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // nginx would hold frames back otherwise.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(frames))
}

fn last_read(headers: &HeaderMap) -> LastRead {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return LastRead::Nothing;
    };
    match id.to_str() {
        Ok("") => LastRead::Nothing,
        Ok(text) => EventId::parse(text).map_or(LastRead::Nonsense, LastRead::Id),
        Err(_) => LastRead::Nonsense,
    }
}

/// Somebody who reads. Runs beside the response, which asks for nothing while the reader takes
/// nothing.
struct Reader {
    caller: Caller,
    token: String,
    authenticator: Authenticator,
    listener: Listener,
    chunks: mpsc::Sender<Bytes>,
    patience: Duration,
    next_heartbeat: Instant,
    next_look: Instant,
}

/// The stream is over.
struct Over;

impl Reader {
    async fn run(mut self) {
        let mut first = RETRY.to_owned();
        // Not before a reset: whoever is cut in between would not learn of it.
        if self.listener.is_in_place() {
            first.push_str(&self.id_alone());
        }
        let mut step = self.say(first).await;
        while step.is_ok() {
            step = self.step().await;
        }
    }

    async fn step(&mut self) -> Result<(), Over> {
        let wake = self.next_heartbeat.min(self.next_look);
        tokio::select! {
            next = self.listener.next() => match next {
                Ok(Next::Events(told)) => self.tell(&told).await,
                Ok(Next::Reset(reset)) => self.say(self.reset(reset)).await,
                Ok(Next::End) => Err(Over),
                Err(error) => {
                    tracing::warn!(%error, "a stream ends, its events cannot be read");
                    Err(Over)
                }
            },
            () = tokio::time::sleep_until(wake) => self.look_around().await,
            () = self.chunks.closed() => Err(Over),
        }
    }

    async fn tell(&self, told: &[Arc<LiveEvent>]) -> Result<(), Over> {
        let (user, role) = (self.caller.user_id, self.listener.role());
        let mut text = String::new();
        for event in told {
            if !event.audience.includes(user, role) {
                continue;
            }
            event.write_frame(role, &mut text);
            if text.len() > CHUNK {
                self.say(std::mem::take(&mut text)).await?;
            }
            // What comes after it is for somebody with other rights.
            let standing = event.standing();
            if standing.is_some_and(|now| now.role != role || !now.is_active) {
                self.say(text).await?;
                return Err(Over);
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.say(text).await
    }

    /// Hands over what is to be read next; it is over when the reader does not take it.
    async fn say(&self, text: String) -> Result<(), Over> {
        if text.is_empty() {
            return Ok(());
        }
        let sending = self.chunks.send(Bytes::from(text));
        match tokio::time::timeout(self.patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(Over),
            Err(_elapsed) => {
                cut_readers().add(1, &[]);
                Err(Over)
            }
        }
    }

    fn id_alone(&self) -> String {
        let mut text = String::new();
        self.id().write_line(&mut text);
        text.push('\n');
        text
    }

    fn id(&self) -> EventId {
        EventId {
            place: self.listener.place(),
            role: self.listener.role(),
        }
    }

    fn reset(&self, reset: Reset) -> String {
        let mut text = String::new();
        self.id().write_line(&mut text);
        let data = json!({"reason": reset.as_str()}).to_string();
        text.push_str("event: reset\ndata: ");
        text.push_str(&data);
        text.push_str("\n\n");
        text
    }

    async fn look_around(&mut self) -> Result<(), Over> {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_AT_SESSION;
            if let Some(last) = self.look_at_session().await {
                self.say(last.to_owned()).await?;
                return Err(Over);
            }
        }
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + HEARTBEAT;
            // Also who sees little of what happens stays where the feed is.
            self.say(self.id_alone()).await?;
        }
        Ok(())
    }

    /// The last frame, when the person may not go on reading.
    async fn look_at_session(&self) -> Option<&'static str> {
        use portal_auth::VerifyError as E;
        match self.authenticator.access(&self.token).await {
            Err(E::Revoked) => Some(ENDED),
            // When nobody can tell at the moment: the token itself ends soon.
            Ok(_) | Err(E::KeysUnavailable | E::TruthUnavailable) => None,
            Err(_) => Some(":\n\n"),
        }
    }
}

fn cut_readers() -> Counter<u64> {
    opentelemetry::global::meter("agent-portal-service")
        .u64_counter("live_feed.slow_readers")
        .with_description("Event streams that were ended because nobody took what they had")
        .build()
}
