//! Public files for whoever must fetch a link: with any type, size, speed, status or redirect.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Sleep;

use crate::http::{Call, Reply};

/// Bytes of a made-up file that leave at once.
const PIECE: usize = 64 * 1024;

/// What a link answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    /// Last part of the path.
    #[serde(default = "file")]
    name: String,
    /// Absent: the answer has no Content-Type.
    content_type: Option<String>,
    #[serde(default = "ok")]
    status: u16,
    text: Option<String>,
    body_base64: Option<String>,
    /// So many zero bytes instead of a body of its own; they come after `text` or `body_base64`.
    #[serde(default)]
    size: usize,
    /// Answers this as `Location`; use it with a 3xx `status`.
    redirect_to: Option<String>,
    /// Before the head of the answer.
    #[serde(default)]
    delay_ms: u64,
    /// Between two pieces of the body.
    #[serde(default)]
    piece_delay_ms: u64,
    /// Without Content-Length.
    #[serde(default)]
    chunked: bool,
    #[serde(skip)]
    hits: u32,
}

fn file() -> String {
    "file".to_owned()
}

fn ok() -> u16 {
    200
}

/// All links there are.
#[derive(Default)]
pub(crate) struct Links {
    links: HashMap<String, Link>,
    made: u32,
}

impl Links {
    /// Adds one; its path.
    pub(crate) fn add(&mut self, link: Link) -> String {
        self.made += 1;
        let id = self.made.to_string();
        let path = format!("/links/{id}/{}", link.name);
        self.links.insert(id, link);
        path
    }

    pub(crate) fn shown(&self) -> Value {
        let list: Vec<Value> = self
            .links
            .iter()
            .map(|(id, link)| json!({"path": format!("/links/{id}/{}", link.name), "hits": link.hits}))
            .collect();
        json!({"links": list})
    }

    pub(crate) fn take(&mut self, id: &str) -> Option<Link> {
        let link = self.links.get_mut(id)?;
        link.hits += 1;
        Some(link.clone())
    }
}

/// Serves `GET` and `HEAD /links/{id}/{name}`.
pub(crate) async fn serve(link: Option<Link>, call: &Call) -> Reply {
    let Some(link) = link else {
        return Reply::empty(404);
    };
    tokio::time::sleep(Duration::from_millis(link.delay_ms)).await;
    let mut head = link.text.unwrap_or_default().into_bytes();
    if let Some(encoded) = &link.body_base64 {
        head = STANDARD.decode(encoded).unwrap_or_default();
    }
    let mut reply = Reply::empty(link.status);
    if let Some(kind) = &link.content_type {
        reply = reply.with("content-type", kind);
    }
    if let Some(target) = &link.redirect_to {
        reply = reply.with("location", target);
    }
    let length = head.len() + link.size;
    reply.slow = Some(SlowBody {
        head: Bytes::from(head),
        zeros: if call.method == "HEAD" { 0 } else { link.size },
        length: (!link.chunked).then_some(u64::try_from(length).unwrap_or(u64::MAX)),
        pause: Duration::from_millis(link.piece_delay_ms),
        sleep: None,
    });
    reply
}

/// A body that comes in pieces, with pauses.
pub(crate) struct SlowBody {
    head: Bytes,
    zeros: usize,
    length: Option<u64>,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl MessageBody for SlowBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.length.map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if let Some(sleep) = this.sleep.as_mut() {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        // Slow bodies trickle, others leave in large pieces.
        let most = if this.pause.is_zero() { PIECE } else { 1024 };
        let piece = if this.head.is_empty() {
            let count = this.zeros.min(most);
            this.zeros -= count;
            Bytes::from(vec![0; count])
        } else {
            let count = this.head.len().min(most);
            this.head.split_to(count)
        };
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        if !this.pause.is_zero() {
            this.sleep = Some(Box::pin(tokio::time::sleep(this.pause)));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}
