//! How large and how slow a request may be.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep};

use crate::error::ApiError;

/// What a request may take up; app data set by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestBounds {
    /// All headers together, names and values.
    pub(crate) header_bytes: usize,
    /// The whole body, from the first look at it.
    pub(crate) body_time: Duration,
}

/// The server drains a chunked body that nobody reads, for as long as the client likes; it closes
/// the connection instead while somebody could still read. So somebody could, for so long.
const REST_IS_HELD: Duration = Duration::from_secs(2);

/// What became of a body.
#[derive(Default)]
struct Fate {
    is_late: Cell<bool>,
    /// A later end than that of other bodies.
    extended_to: Cell<Option<Instant>>,
    /// What nobody read.
    rest: Cell<Option<Payload>>,
}

/// A body that has to be here in time, however it trickles in.
struct Timed {
    body: Payload,
    deadline: Pin<Box<Sleep>>,
    has_ended: bool,
    fate: Rc<Fate>,
}

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.has_ended {
            self.fate
                .rest
                .set(Some(std::mem::replace(&mut self.body, Payload::None)));
        }
    }
}

impl Stream for Timed {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The body first: what has come is never too late.
        if let Poll::Ready(chunk) = self.body.poll_next_unpin(context)
            && !self.fate.is_late.get()
        {
            self.has_ended = chunk.is_none();
            return Poll::Ready(chunk);
        }
        if let Some(later) = self.fate.extended_to.take() {
            self.deadline.as_mut().reset(later);
        }
        if self.deadline.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.fate.is_late.set(true);
        Poll::Ready(Some(Err(PayloadError::Incomplete(None))))
    }
}

/// In a request's extensions: the time that its body has.
struct BodyTime(Rc<Fate>);

/// Gives the body of a request so much time from now: for files, by handlers that know who sends.
pub fn extend_body_time(request: &HttpRequest, time: Duration) {
    if let Some(BodyTime(fate)) = request.extensions().get() {
        fate.extended_to.set(Some(Instant::now() + time));
    }
}

/// Middleware: refuses requests with too much in their headers, and cuts bodies that do not end.
pub(crate) async fn bounds(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let Some(bounds) = request.app_data::<web::Data<RequestBounds>>() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let bounds = *bounds.get_ref();
    let headers = request.headers().iter();
    let header_bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    if header_bytes > bounds.header_bytes {
        return Ok(request.into_response(HttpResponse::from_error(headers_too_large(bounds))));
    }
    let fate = Rc::new(Fate::default());
    request.extensions_mut().insert(BodyTime(Rc::clone(&fate)));
    let body = request.take_payload();
    request.set_payload(match body {
        Payload::None => Payload::None,
        body => Payload::Stream {
            payload: Box::pin(Timed {
                body,
                deadline: Box::pin(sleep(bounds.body_time)),
                has_ended: false,
                fate: Rc::clone(&fate),
            }),
        },
    });
    let response = next.call(request).await?.map_into_boxed_body();
    if let Some(rest) = fate.rest.take() {
        actix_web::rt::spawn(async move {
            sleep(REST_IS_HELD).await;
            drop(rest);
        });
    }
    if !fate.is_late.get() {
        return Ok(response);
    }
    let mut response = response.into_response(HttpResponse::from_error(too_slow()));
    // What is still to come of the body is not waited for.
    response
        .response_mut()
        .head_mut()
        .set_connection_type(actix_web::http::ConnectionType::Close);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn headers_too_large(bounds: RequestBounds) -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "HEADERS_TOO_LARGE",
        format!(
            "The headers are larger than {} bytes together.",
            bounds.header_bytes
        ),
    )
}

fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "BODY_TOO_SLOW",
        "The body did not arrive in time; send it again over a better connection.",
    )
}
