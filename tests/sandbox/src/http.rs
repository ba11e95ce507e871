//! The way in: every request becomes a [`Call`], every answer a [`Reply`]. Journal, latency,
//! outages and hang-ups are dealt with here once for both vendors.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::body::{Body, shown};
use crate::config::Outage;
use crate::crypto::fingerprint;
use crate::journal::{Entry, Kind, SeenToken};
use crate::links::SlowBody;
use crate::state::State;
use crate::{control, genesys, graph};

/// Request headers that the journal shows.
const SHOWN_HEADERS: [&str; 6] = [
    "traceparent",
    "tracestate",
    "user-agent",
    "content-type",
    "x-request-id",
    "purecloud-sdk",
];

/// One request, read completely.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) body: web::Bytes,
    /// Its place in the journal.
    pub(crate) seq: u64,
}

impl Call {
    fn new(req: &HttpRequest, body: web::Bytes) -> Self {
        let headers = req
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        Self {
            method: req.method().as_str().to_owned(),
            path: req.path().to_owned(),
            query: pairs(req.query_string().as_bytes()),
            headers,
            body,
            seq: 0,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// Values of a list parameter, repeated or joined by commas.
    pub(crate) fn query_list(&self, name: &str) -> Vec<String> {
        self.query
            .iter()
            .filter(|(have, _)| have == name)
            .flat_map(|(_, value)| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Token after `Bearer`; an empty one counts as none, as SDKs send it when they have none.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// Identifier and secret after `Basic`, taken as they are: Genesys does not percent-decode.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = decoded.split_once(':')?;
        Some((id.to_owned(), secret.to_owned()))
    }

    pub(crate) fn is_form(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.trim().starts_with("application/x-www-form-urlencoded"))
    }

    pub(crate) fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.header("cookie")?.split(';').find_map(|cookie| {
            let (have, value) = cookie.trim().split_once('=')?;
            (have == name).then_some(value)
        })
    }

    fn shown_body(&self) -> Body {
        let is_multipart = self
            .header("content-type")
            .is_some_and(|kind| kind.trim().starts_with("multipart/"));
        if is_multipart {
            Body::default()
        } else if self.is_form() {
            Body::of_form(self.form())
        } else {
            Body::of(&self.body)
        }
    }

    fn entry(&self, kind: Kind) -> Entry {
        let headers = SHOWN_HEADERS
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.header(name)?.to_owned())))
            .collect();
        let presented = self.bearer().or_else(|| self.query("access_token"));
        Entry {
            seq: 0,
            at: Utc::now(),
            kind,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self
                .query
                .iter()
                .map(|(name, value)| (name.clone(), shown(name, value)))
                .collect::<BTreeMap<_, _>>(),
            status: None,
            hung_up: false,
            phone_number_id: None,
            token: presented.map(|token| SeenToken {
                fingerprint: fingerprint(token),
                name: None,
            }),
            headers,
            request: self.shown_body(),
            response: Body::default(),
            wamid: None,
            magic: None,
            note: None,
        }
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// Facts that only the handler knows, for the journal.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) phone_number_id: Option<String>,
    pub(crate) token_name: Option<String>,
    pub(crate) wamid: Option<String>,
    pub(crate) magic: Option<String>,
    /// Shown instead of a body that is no text.
    pub(crate) request: Option<Value>,
    /// The account of a call to a management edge, while calls are counted.
    pub(crate) waba_id: Option<String>,
    /// Refused by a throughput or pair limit.
    pub(crate) limited: bool,
}

impl Notes {
    pub(crate) fn write_to(&self, entry: &mut Entry) {
        entry.phone_number_id.clone_from(&self.phone_number_id);
        entry.wamid.clone_from(&self.wamid);
        entry.magic.clone_from(&self.magic);
        if let Some(request) = &self.request {
            entry.request = Body::of_value(request);
        }
        if let Some(token) = entry.token.as_mut() {
            token.name.clone_from(&self.token_name);
        }
    }
}

/// An answer, or the refusal to give one.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: web::Bytes,
    /// Sent instead of `body`.
    pub(crate) slow: Option<SlowBody>,
    pub(crate) hang_up: bool,
    pub(crate) notes: Notes,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: web::Bytes::new(),
            slow: None,
            hang_up: false,
            notes: Notes::default(),
        }
    }

    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        let mut reply = Self::empty(status).with("content-type", "application/json; charset=UTF-8");
        reply.body = serde_json::to_vec(body).unwrap_or_default().into();
        reply
    }

    pub(crate) fn html(status: u16, page: String) -> Self {
        let mut reply = Self::empty(status).with("content-type", "text/html; charset=utf-8");
        reply.body = page.into();
        reply
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::empty(302)
            .with("location", location)
            .with("cache-control", "no-store")
    }

    pub(crate) fn hang_up() -> Self {
        Self {
            hang_up: true,
            ..Self::empty(0)
        }
    }

    /// What an edge in front of a vendor answers when the vendor does not.
    pub(crate) fn bad_gateway() -> Self {
        let page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>\
                    <body><h1>502 Bad Gateway</h1></body></html>";
        Self::html(502, page.to_owned())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for header in self.headers {
            response.append_header(header);
        }
        match self.slow {
            Some(slow) => response.body(slow),
            None => response.body(self.body),
        }
    }

    fn shown_body(&self) -> Body {
        let is_json = self
            .headers
            .iter()
            .any(|(name, value)| name == "content-type" && value.starts_with("application/json"));
        if is_json {
            Body::of(&self.body)
        } else {
            Body::default()
        }
    }
}

/// Keeps a second handle on the socket: actix has no other way to close it without an answer.
pub(crate) fn remember_socket(io: &dyn Any, data: &mut Extensions) {
    let socket = io.downcast_ref::<actix_web::rt::net::TcpStream>();
    if let Some(Ok(fd)) = socket.map(|socket| socket.as_fd().try_clone_to_owned()) {
        data.insert(Arc::new(TcpStream::from(fd)));
    }
}

fn close_socket(req: &HttpRequest) {
    let closed = req
        .conn_data::<Arc<TcpStream>>()
        .map(|socket| socket.shutdown(Shutdown::Both));
    if !matches!(closed, Some(Ok(()))) {
        tracing::warn!("a connection was already gone when it was to be dropped");
    }
}

enum Side {
    Own,
    Vendor(Kind),
}

impl Side {
    fn of(call: &Call) -> Self {
        match call.segments().as_slice() {
            []
            | [
                "journal" | "control" | "health" | "links" | "favicon.ico",
                ..,
            ]
            | ["sdk.js"]
            | [_, "sdk.js"]
            | ["dialog", "signup"] => Self::Own,
            ["api" | "logout", ..] | ["oauth", "authorize" | "token", ..] => {
                Self::Vendor(Kind::Genesys)
            }
            _ => Self::Vendor(Kind::Graph),
        }
    }
}

/// Serves every path.
pub(crate) async fn entry(
    req: HttpRequest,
    body: web::Bytes,
    state: web::Data<State>,
) -> HttpResponse {
    let state = state.into_inner();
    let mut call = Call::new(&req, body);
    let reply = match Side::of(&call) {
        Side::Own => control::handle(&state, &call).await,
        Side::Vendor(kind) => {
            // A task of its own: a vendor goes on with a request whose caller has hung up.
            let state = Arc::clone(&state);
            let work = tokio::spawn(async move { journaled(&state, kind, &mut call).await });
            work.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a call failed");
                Reply::empty(500)
            })
        }
    };
    if reply.hang_up {
        close_socket(&req);
    }
    reply.into_response()
}

async fn journaled(state: &Arc<State>, kind: Kind, call: &mut Call) -> Reply {
    let settings = state.settings();
    let is_send = kind == Kind::Graph && call.method == "POST" && call.path.ends_with("/messages");
    let detailed = settings.journal_detail || !is_send;
    call.seq = if detailed {
        state.journal.open(call.entry(kind))
    } else {
        state.journal.next_seq()
    };
    let (outage, latency) = match kind {
        Kind::Genesys => (settings.genesys.outage, settings.genesys.latency),
        Kind::Graph | Kind::Webhook => (settings.graph.outage, settings.graph.latency),
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let reply = match outage {
        Outage::None if kind == Kind::Genesys => genesys::handle(state, call),
        Outage::None => graph::handle(state, call).await,
        Outage::Unavailable if kind == Kind::Genesys => genesys::unavailable(),
        Outage::Unavailable => graph::unavailable(),
        Outage::BadGateway => Reply::bad_gateway(),
        Outage::Drop => Reply::hang_up(),
        Outage::Hang => {
            tokio::time::sleep(settings.graph.hang).await;
            Reply::hang_up()
        }
    };
    if !detailed {
        return reply;
    }
    state.journal.update(call.seq, |entry| {
        entry.hung_up = reply.hang_up;
        entry.status = (!reply.hang_up).then_some(reply.status);
        entry.response = reply.shown_body();
        reply.notes.write_to(entry);
    });
    tracing::info!(
        kind = ?kind,
        method = call.method,
        path = call.path,
        status = reply.status,
        hung_up = reply.hang_up,
        "call"
    );
    reply
}
