//! `GET /api/agents/events`: server-sent events for the signed-in person.
//!
//! A browser reads them with `fetch`, which can send the access token in a header: an address is no
//! place for a token. The stream ends with the token; the browser comes back with a new one and with
//! `Last-Event-ID`.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{self, HeaderName},
    web,
};
use bytes::Bytes;
use futures_util::stream;
use portal_auth::{Authenticator, Caller, bearer_token};
use portal_service_kit::ApiError;
use tokio::time::Instant;

use crate::{
    domain::{EventId, LiveEvent},
    state::AppState,
    usecases::live_feed::{Listener, Next},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So that proxies do not take a quiet stream for a dead one, and a reader who is gone is noticed: the
/// second write after it fails.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a stream may outlive its session at the most.
const LOOK_AT_SESSION: Duration = Duration::from_secs(3);
/// First line: how long a browser waits before it comes back, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// Whoever gets it reads everything anew: events may be missing.
const RESET: &str = "event: reset\ndata: {}\n\n";
const ENDED: &str = "event: session.ended\ndata: {}\n\n";

/// Tells the signed-in person what happens, as it happens (server-sent events).
///
/// `id` of the last event comes back in `Last-Event-ID` and continues from there, for some minutes;
/// after `event: reset` everything is to be read anew. `event: session.ended` is the last one of a
/// session that was ended; a stream whose token expired just ends.
#[utoipa::path(
    tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read")),
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
    let last = request.headers().get(LAST_EVENT_ID);
    let last = last.and_then(|id| EventId::parse(id.to_str().ok()?));
    let feed = &state.live_feed;
    let listener = feed.listen(&caller.tenant_id, caller.user_id, last).await?;
    let now = Instant::now();
    let mut reader = Reader {
        caller,
        token,
        authenticator: authenticator.get_ref().clone(),
        listener,
        next_heartbeat: now + HEARTBEAT,
        next_look: now + LOOK_AT_SESSION,
        is_over: false,
    };
    let first = reader.first();
    let rest = stream::unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), reader))
    });
    let frames = futures_util::StreamExt::chain(
        stream::once(std::future::ready(Ok(Bytes::from(first)))),
        rest,
    );
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // nginx would hold frames back otherwise.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(frames))
}

/// Somebody who reads.
struct Reader {
    caller: Caller,
    token: String,
    authenticator: Authenticator,
    listener: Listener,
    next_heartbeat: Instant,
    next_look: Instant,
    is_over: bool,
}

impl Reader {
    fn is_for(&self, event: &LiveEvent) -> bool {
        event
            .audience
            .includes(self.caller.user_id, self.caller.role)
    }

    /// What is said at once.
    fn first(&mut self) -> String {
        let missed = std::mem::take(&mut self.listener.missed);
        let mut text = RETRY.to_owned();
        if self.listener.is_gap {
            text.push_str(RESET);
        }
        for event in missed.iter().filter(|event| self.is_for(event)) {
            text.push_str(&event.to_frame());
        }
        text
    }

    /// The next frame; none when the stream is over.
    async fn next(&mut self) -> Option<String> {
        while !self.is_over {
            let wake = self.next_heartbeat.min(self.next_look);
            tokio::select! {
                next = self.listener.next() => match next {
                    Next::Event(event) if self.is_for(&event) => return Some(event.to_frame()),
                    Next::Event(_) => {}
                    Next::Gap => return Some(RESET.to_owned()),
                    Next::End => return None,
                },
                () = tokio::time::sleep_until(wake) => {
                    let now = Instant::now();
                    if now >= self.next_look {
                        self.next_look = now + LOOK_AT_SESSION;
                        if let Some(last) = self.look_at_session().await {
                            self.is_over = true;
                            return Some(last);
                        }
                    }
                    if now >= self.next_heartbeat {
                        self.next_heartbeat = now + HEARTBEAT;
                        return Some(":\n\n".to_owned());
                    }
                }
            }
        }
        None
    }

    /// The last frame, when the person may not go on reading.
    async fn look_at_session(&self) -> Option<String> {
        use portal_auth::VerifyError as E;
        match self.authenticator.access(&self.token).await {
            Err(E::Revoked) => Some(ENDED.to_owned()),
            // When nobody can tell at the moment: the token itself ends soon.
            Ok(_) | Err(E::KeysUnavailable | E::TruthUnavailable) => None,
            Err(_) => Some(":\n\n".to_owned()),
        }
    }
}
