//! Calls of the Graph API.

use portal_service_kit::http_client::traced;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use crate::answer::{Answer, id, text};
use crate::{OutboundMessage, SendError};

/// Version of the Graph API that this crate was written against; available until 2028-07-29.
pub const DEFAULT_VERSION: &str = "v25.0";

/// The base URL is no `http(s)://host` address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the base URL of the Graph API must be an http or https address with a host")]
pub struct InvalidBaseUrl;

/// What Meta said when it accepted a message. Accepted is not sent: that comes by webhook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Meta's id of the message; `None` when the answer could not be read. The message was
    /// accepted all the same, and its webhooks will bring the id.
    pub wamid: Option<String>,
    /// Canonical id of the recipient, which may differ from the number that was given.
    pub wa_id: Option<String>,
    /// Only for templates: `accepted`, `held_for_quality_assessment` or `paused`.
    pub message_status: Option<String>,
}

/// What Meta tells about a phone number. Values are open sets: show them, do not rely on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumberProfile {
    /// The id that was asked for.
    pub id: String,
    /// The number as people write it.
    pub display_phone_number: Option<String>,
    /// The name that recipients see.
    pub verified_name: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`, `NA` or `UNKNOWN`.
    pub quality_rating: Option<String>,
    /// `CONNECTED` when all is well.
    pub status: Option<String>,
    /// `STANDARD` (80 messages a second) or `HIGH` (1,000).
    pub throughput_level: Option<String>,
    /// `TIER_250`, `TIER_2K`, `TIER_10K`, `TIER_100K` or `TIER_UNLIMITED`.
    pub messaging_limit: Option<String>,
    /// `CLOUD_API` once it is registered.
    pub platform_type: Option<String>,
    /// `VERIFIED` once its owner proved to be the owner.
    pub code_verification_status: Option<String>,
    /// Whether it stays in the `WhatsApp` Business app ("coexistence"): never register such a one.
    pub is_on_biz_app: bool,
}

impl PhoneNumberProfile {
    /// Whether it can send, as far as its registration goes.
    pub fn is_registered(&self) -> bool {
        self.platform_type.as_deref() == Some("CLOUD_API")
    }
}

/// The fields of [`PhoneNumberProfile`].
pub(crate) const PROFILE_FIELDS: &str = "id,display_phone_number,verified_name,quality_rating,status,throughput,\
     whatsapp_business_manager_messaging_limit,platform_type,code_verification_status,is_on_biz_app";

/// Client of the Graph API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GraphClient {
    http: reqwest::Client,
    base_url: Url,
    version: String,
}

impl GraphClient {
    /// Makes a client for `base_url` (`https://graph.facebook.com`) and `version` (`v25.0`).
    ///
    /// `http` must neither follow redirects nor repeat requests, and must have time-outs:
    /// `portal_service_kit::http_client::build` makes such a client.
    pub fn new(
        http: reqwest::Client,
        base_url: Url,
        version: String,
    ) -> Result<Self, InvalidBaseUrl> {
        let is_http = matches!(base_url.scheme(), "http" | "https") && base_url.has_host();
        if is_http {
            Ok(Self {
                http,
                base_url,
                version,
            })
        } else {
            Err(InvalidBaseUrl)
        }
    }

    /// Sends `message` from `phone_number_id` with exactly one HTTP request.
    ///
    /// It is never repeated here. [`SendError::outcome`] says whether the caller may.
    #[tracing::instrument(
        name = "graph.send_message", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn send_message(
        &self,
        token: &SecretString,
        phone_number_id: &str,
        message: &OutboundMessage,
    ) -> Result<Accepted, SendError> {
        let url = self.url(&[phone_number_id, "messages"])?;
        let answer = self.call(self.http.post(url).json(message), token).await?;
        Ok(answer.body.as_ref().map(accepted).unwrap_or_default())
    }

    /// Tells Meta, and so the sender, that the incoming message `wamid` and all before it were read;
    /// with `typing` also that an answer is being written (for 25 seconds, or until it comes).
    ///
    /// Meta knows messages of the last 30 days; for others, code 131009. One request; it may be
    /// repeated.
    #[tracing::instrument(
        name = "graph.mark_read", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn mark_read(
        &self,
        token: &SecretString,
        phone_number_id: &str,
        wamid: &str,
        typing: bool,
    ) -> Result<(), SendError> {
        let url = self.url(&[phone_number_id, "messages"])?;
        let mut body = json!({
            "messaging_product": "whatsapp", "status": "read", "message_id": wamid,
        });
        if typing && let Value::Object(members) = &mut body {
            members.insert("typing_indicator".to_owned(), json!({"type": "text"}));
        }
        self.call(self.http.post(url).json(&body), token).await?;
        Ok(())
    }

    /// Asks Meta about `phone_number_id`; proves that the token may use it.
    #[tracing::instrument(
        name = "graph.probe_phone_number", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn probe_phone_number(
        &self,
        token: &SecretString,
        phone_number_id: &str,
    ) -> Result<PhoneNumberProfile, SendError> {
        let mut url = self.url(&[phone_number_id])?;
        url.query_pairs_mut().append_pair("fields", PROFILE_FIELDS);
        let answer = self.call(self.http.get(url), token).await?;
        let profile = answer.body.as_ref().and_then(profile);
        profile.ok_or_else(|| SendError::unknown("The answer could not be read"))
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Scheme, host and port of the Graph API.
    pub(crate) fn origin(&self) -> url::Origin {
        self.base_url.origin()
    }

    pub(crate) fn url(&self, path: &[&str]) -> Result<Url, SendError> {
        // An id is one segment: `..` or `/` in it must not lead to another address.
        if path
            .iter()
            .any(|segment| matches!(*segment, "" | "." | ".."))
        {
            return Err(SendError::not_sent("An id cannot be used in an address"));
        }
        let mut url = self.base_url.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().push(&self.version).extend(path);
            }
            Err(()) => return Err(SendError::not_sent("The base URL cannot have a path")),
        }
        Ok(url)
    }

    pub(crate) async fn call(
        &self,
        request: RequestBuilder,
        token: &SecretString,
    ) -> Result<Answer, SendError> {
        self.finish(request.bearer_auth(token.expose_secret()))
            .await
    }

    /// As [`GraphClient::call`], without a token.
    pub(crate) async fn finish(&self, request: RequestBuilder) -> Result<Answer, SendError> {
        let span = Span::current();
        let result = match traced(request).send().await {
            Ok(response) => Ok(Answer::read(response).await),
            Err(error) => Err(unanswered(&error)),
        };
        let result = match result {
            Ok(answer) if answer.status.is_success() => Ok(answer),
            Ok(answer) => Err(answer.into_error()),
            Err(error) => Err(error),
        };
        match &result {
            Ok(answer) => {
                span.record("http.response.status_code", answer.status.as_u16());
            }
            Err(error) => {
                span.record("error.class", error.class.as_str());
                span.record("http.response.status_code", error.http_status);
                span.record("error.code", error.code);
                span.record("graph.trace_id", error.fbtrace_id.as_deref());
            }
        }
        result
    }
}

/// DNS, TCP and TLS failures and requests that could not be built left nothing on the wire; of
/// anything else it cannot be told how far it came.
fn unanswered(error: &reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::not_sent("The Graph API could not be reached")
    } else if error.is_timeout() {
        SendError::unknown("The Graph API did not answer in time")
    } else {
        SendError::unknown("The connection to the Graph API broke")
    }
}

fn accepted(body: &Value) -> Accepted {
    Accepted {
        wamid: text(body.pointer("/messages/0/id")),
        wa_id: text(body.pointer("/contacts/0/wa_id")),
        message_status: text(body.pointer("/messages/0/message_status")),
    }
}

pub(crate) fn profile(body: &Value) -> Option<PhoneNumberProfile> {
    let field = |name| text(body.get(name));
    Some(PhoneNumberProfile {
        id: id(body.get("id"))?,
        display_phone_number: field("display_phone_number"),
        verified_name: field("verified_name"),
        quality_rating: field("quality_rating"),
        status: field("status"),
        throughput_level: text(body.pointer("/throughput/level")),
        messaging_limit: field("whatsapp_business_manager_messaging_limit"),
        platform_type: field("platform_type"),
        code_verification_status: field("code_verification_status"),
        is_on_biz_app: body.get("is_on_biz_app") == Some(&Value::Bool(true)),
    })
}
