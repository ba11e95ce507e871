//! What the service tells and what it listens to.

pub(crate) mod commands;
pub(crate) mod consumers;
pub(crate) mod produced;

use portal_db::outbox::NewOutboxEvent;
use portal_events::{EventContext, Source, outbox_work};
use portal_types::TenantId;

/// Who publishes.
pub(crate) const SOURCE: Source = Source {
    role: "outbound_message_service",
    uri: "/services/outbound-message-service",
};

/// The routing key of the hint that a number has something to send.
const DELIVER: &str = "message.deliver";

/// Tells workers that a number has something to send; what that is they see in the database.
pub(crate) fn hint(
    tenant: &TenantId,
    phone_number_id: &str,
    traceparent: Option<String>,
) -> NewOutboxEvent {
    let work = serde_json::json!({ "tenant_id": tenant, "phone_number_id": phone_number_id });
    let context = EventContext {
        traceparent,
        request_id: None,
    };
    let subject = phone_number_id.to_owned();
    outbox_work(SOURCE, tenant, &context, DELIVER, subject, work)
}
