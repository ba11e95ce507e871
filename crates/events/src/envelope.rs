//! The CloudEvents 1.0 envelope, and the outbox rows that carry it.

use chrono::{DateTime, SecondsFormat, Utc};
use portal_db::outbox::NewOutboxEvent;
use portal_service_kit::telemetry::propagation;
use portal_types::{EventId, TenantId};
use serde::{Deserialize, Serialize};

use crate::{asyncapi, catalogue::EventData, topology};

/// The latest version of an event that is understood here.
const LATEST: u32 = 1;

/// Who publishes: the database role, which the outbox checks, and the CloudEvents source.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The service's database role, for example `tenant_service`.
    pub role: &'static str,
    /// The CloudEvents source, for example `/services/tenant-service`.
    pub uri: &'static str,
}

/// What caused an event: carried so that whoever sees the event finds the request.
#[derive(Debug, Clone, Default)]
pub struct EventContext {
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The `X-Request-ID` of the request.
    pub request_id: Option<String>,
}

impl EventContext {
    /// The running span's context.
    pub fn current(request_id: Option<String>) -> Self {
        Self {
            traceparent: propagation::current_traceparent(),
            request_id,
        }
    }
}

/// A CloudEvents 1.0 structured envelope with our extension attributes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// The event's id; consumers dedupe by it.
    pub id: EventId,
    /// The publishing service.
    pub source: String,
    /// For example `com.agentportal.message.sent.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The entity that the event is about.
    pub subject: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The tenant that the event is about.
    pub tenantid: TenantId,
    /// W3C trace context of the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requestid: Option<String>,
    /// What happened.
    pub data: T,
}

impl<T: for<'de> Deserialize<'de>> Envelope<T> {
    /// Reads an envelope; attributes and fields that are not known are ignored. A later version of
    /// an event means something else and is an error.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let envelope: Self = serde_json::from_slice(body)?;
        if envelope.version().is_some_and(|version| version > LATEST) {
            return Err(serde::de::Error::custom(format_args!(
                "type: this version is not understood, the latest is v{LATEST}"
            )));
        }
        Ok(envelope)
    }

    fn version(&self) -> Option<u32> {
        let (_, version) = self.event_type.rsplit_once(".v")?;
        version.parse().ok()
    }
}

/// Makes the outbox row for an event, to be appended in the transaction of the change.
pub fn outbox_event<E: EventData>(
    source: Source,
    tenant: &TenantId,
    context: &EventContext,
    time: DateTime<Utc>,
    data: &E,
) -> Result<NewOutboxEvent, portal_db::DbError> {
    let id = EventId::generate();
    let subject = data.subject();
    let mut payload = serde_json::json!({
        "specversion": "1.0",
        "id": id,
        "source": source.uri,
        "type": format!("com.agentportal.{}.v{}", E::TYPE, E::VERSION),
        "subject": subject,
        "time": time.to_rfc3339_opts(SecondsFormat::Micros, true),
        "datacontenttype": "application/json",
        "dataschema": asyncapi::data_schema::<E>(),
        "tenantid": tenant,
        "data": serde_json::to_value(data).map_err(|error| portal_db::DbError::Other(Box::new(error)))?,
    });
    if let Some(traceparent) = &context.traceparent {
        payload["traceparent"] = traceparent.as_str().into();
    }
    if let Some(request_id) = &context.request_id {
        payload["requestid"] = request_id.as_str().into();
    }
    Ok(NewOutboxEvent {
        event_id: id.as_uuid(),
        service: source.role,
        tenant_id: tenant.to_string(),
        exchange: topology::EVENTS,
        routing_key: E::TYPE.to_owned(),
        subject,
        payload,
        traceparent: context.traceparent.clone(),
    })
}

/// Makes the outbox row for work that a service gives to itself.
pub fn outbox_work(
    source: Source,
    tenant: &TenantId,
    context: &EventContext,
    routing_key: impl Into<String>,
    subject: String,
    payload: serde_json::Value,
) -> NewOutboxEvent {
    NewOutboxEvent {
        event_id: EventId::generate().as_uuid(),
        service: source.role,
        tenant_id: tenant.to_string(),
        exchange: topology::WORK,
        routing_key: routing_key.into(),
        subject,
        payload,
        traceparent: context.traceparent.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_means_is_not_guessed() {
        let body = |kind: &str| {
            serde_json::json!({
                "specversion": "1.0", "id": "019ab000-0000-7000-8000-000000000000", "source": "/s",
                "type": kind, "subject": "s", "time": "2026-01-01T00:00:00Z", "tenantid": "acme",
                "data": {}, "more": 1,
            })
            .to_string()
        };
        let parse =
            |kind| Envelope::<serde_json::Value>::parse(body(kind).as_bytes()).map(|_read| ());
        assert!(parse("com.agentportal.tenant.resumed.v1").is_ok());
        assert!(parse("com.agentportal.tenant.resumed").is_ok());
        let error = parse("com.agentportal.tenant.resumed.v2").unwrap_err();
        assert!(error.to_string().contains("version"), "{error}");
    }
}
