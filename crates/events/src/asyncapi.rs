//! The public description of the events: an AsyncAPI 3 document and a JSON Schema for each event,
//! made from the catalogue. The committed files are checked by a test.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::{
    catalogue::{
        ContactPreferenceChanged, ConversationAssigned, ConversationClosed, ConversationOpened,
        ConversationReleased, ConversationReopened, ConversationTransferred, EventData,
        GenesysConversationRouted, MessageAccepted, MessageCanceled, MessageDelivered,
        MessageDuplicateDetected, MessageEchoed, MessageFailed, MessageRead, MessageReceived,
        MessageRejected, MessageSent, MessageStatusCorrected, SessionRefreshed, SessionRevoked,
        SessionStarted, TemplateStatusChanged, TenantCreated, TenantDeleted,
        TenantGenesysCredentialsChanged, TenantGenesysOrgMapped, TenantResumed, TenantSuspended,
        TenantUpdated, TenantWhatsappAccountChanged, TenantWhatsappConfigured,
        TenantWhatsappQualityChanged, TenantWhatsappRemoved, TenantWhatsappTokenInvalid,
        TenantWhatsappTokenRestored, UserDeactivated, UserProvisioned, UserRoleChanged,
        UserUpdated,
    },
    topology,
};

/// An event as other teams see it.
#[derive(Debug, Clone)]
pub struct EventDescription {
    /// The event type, which is the routing key.
    pub event_type: &'static str,
    /// The version of its data.
    pub version: u32,
    /// JSON Schema (draft 7) of the whole envelope.
    pub schema: Value,
}

impl EventDescription {
    fn of<E: EventData>() -> Self {
        let generator = SchemaSettings::draft07().for_serialize().into_generator();
        let data = generator.into_root_schema_for::<E>().to_value();
        Self {
            event_type: E::TYPE,
            version: E::VERSION,
            schema: envelope::<E>(data),
        }
    }

    /// The file that the schema is published as.
    pub fn file_name(&self) -> String {
        format!("{}.v{}.json", self.event_type, self.version)
    }

    /// Who publishes it, or, of what others publish, who follows it.
    fn publisher(&self) -> &'static str {
        match self.event_type {
            TenantWhatsappTokenInvalid::TYPE
            | TenantWhatsappTokenRestored::TYPE
            | TenantWhatsappQualityChanged::TYPE
            | TenantWhatsappAccountChanged::TYPE
            | ContactPreferenceChanged::TYPE => "outbound-message-service",
            name if name.starts_with("tenant.") => "tenant-service",
            name if name.starts_with("message.") || name.starts_with("template.") => {
                "outbound-message-service"
            }
            _ => "agent-portal-service",
        }
    }
}

/// The `dataschema` of an event's envelope, which is its schema's `$id`.
pub fn data_schema<E: EventData>() -> String {
    format!("urn:agent-portal:schema:{}:v{}", E::TYPE, E::VERSION)
}

/// All events, with the one that others publish for us.
pub fn events() -> Vec<EventDescription> {
    vec![
        EventDescription::of::<TenantCreated>(),
        EventDescription::of::<TenantUpdated>(),
        EventDescription::of::<TenantSuspended>(),
        EventDescription::of::<TenantResumed>(),
        EventDescription::of::<TenantDeleted>(),
        EventDescription::of::<TenantGenesysOrgMapped>(),
        EventDescription::of::<TenantGenesysCredentialsChanged>(),
        EventDescription::of::<TenantWhatsappConfigured>(),
        EventDescription::of::<TenantWhatsappRemoved>(),
        EventDescription::of::<TenantWhatsappTokenInvalid>(),
        EventDescription::of::<TenantWhatsappTokenRestored>(),
        EventDescription::of::<TemplateStatusChanged>(),
        EventDescription::of::<UserProvisioned>(),
        EventDescription::of::<UserUpdated>(),
        EventDescription::of::<UserRoleChanged>(),
        EventDescription::of::<UserDeactivated>(),
        EventDescription::of::<SessionStarted>(),
        EventDescription::of::<SessionRefreshed>(),
        EventDescription::of::<SessionRevoked>(),
        EventDescription::of::<ConversationOpened>(),
        EventDescription::of::<ConversationAssigned>(),
        EventDescription::of::<ConversationReleased>(),
        EventDescription::of::<ConversationTransferred>(),
        EventDescription::of::<ConversationClosed>(),
        EventDescription::of::<ConversationReopened>(),
        EventDescription::of::<MessageAccepted>(),
        EventDescription::of::<MessageSent>(),
        EventDescription::of::<MessageDelivered>(),
        EventDescription::of::<MessageRead>(),
        EventDescription::of::<MessageFailed>(),
        EventDescription::of::<MessageReceived>(),
        EventDescription::of::<MessageRejected>(),
        EventDescription::of::<MessageEchoed>(),
        EventDescription::of::<MessageStatusCorrected>(),
        EventDescription::of::<MessageDuplicateDetected>(),
        EventDescription::of::<ContactPreferenceChanged>(),
        EventDescription::of::<TenantWhatsappQualityChanged>(),
        EventDescription::of::<TenantWhatsappAccountChanged>(),
        EventDescription::of::<MessageCanceled>(),
        EventDescription::of::<GenesysConversationRouted>(),
    ]
}

/// The AsyncAPI 3 document.
pub fn document() -> Value {
    let mut channels = json!({});
    let mut operations = json!({});
    let mut messages = json!({});
    for event in events() {
        let name = event.event_type;
        let summary = event
            .schema
            .pointer("/properties/data/description")
            .cloned();
        channels[name] = channel(name);
        let (verb, action) = if name == GenesysConversationRouted::TYPE {
            ("receive", "receive")
        } else {
            ("publish", "send")
        };
        operations[format!("{verb}.{name}")] = json!({
            "action": action,
            "summary": summary,
            "channel": {"$ref": format!("#/channels/{name}")},
            "messages": [{"$ref": format!("#/channels/{name}/messages/{name}")}],
            "tags": [{"name": event.publisher()}],
            "bindings": {"amqp": {"deliveryMode": 2, "timestamp": true, "bindingVersion": "0.3.0"}},
        });
        messages[name] = json!({
            "name": name,
            "summary": summary,
            "contentType": "application/cloudevents+json",
            "headers": headers(),
            "payload": event.schema,
            "bindings": {"amqp": {"messageType": name, "bindingVersion": "0.3.0"}},
        });
    }
    add_command(&mut channels, &mut operations, &mut messages);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Agent Portal events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "CloudEvents 1.0 on RabbitMQ. An event is published if and only if the \
                change that it tells of was committed; at least once, so dedupe by id; events of one \
                subject in the order of their commits. Declare a durable quorum queue of your own and \
                bind it to the exchange.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    })
}

/// The one command that others may give.
fn add_command(channels: &mut Value, operations: &mut Value, messages: &mut Value) {
    let name = "message.send";
    let reference = format!("#/components/messages/{name}");
    channels[name] = json!({
        "address": name,
        "messages": {name: {"$ref": reference}},
        "bindings": {"amqp": {
            "is": "routingKey",
            "exchange": {
                "name": topology::COMMANDS, "type": "direct", "durable": true, "autoDelete": false,
            },
            "bindingVersion": "0.3.0",
        }},
    });
    operations[format!("receive.{name}")] = json!({
        "action": "receive",
        "summary": "Sends a message. The command's id is its idempotency key: the same command given \
            again sends nothing. One that cannot be carried out is answered with message.rejected.",
        "channel": {"$ref": format!("#/channels/{name}")},
        "messages": [{"$ref": format!("#/channels/{name}/messages/{name}")}],
        "tags": [{"name": "outbound-message-service"}],
    });
    messages[name] = json!({
        "name": name,
        "summary": "Sends a message.",
        "contentType": "application/cloudevents+json",
        "payload": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": name,
            "type": "object",
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "format": "uuid", "description": "The idempotency key"},
                "source": {"type": "string", "format": "uri-reference", "description": "Who sends"},
                "type": {"const": format!("com.agentportal.{name}.v1")},
                "subject": {"type": "string"},
                "time": {"type": "string", "format": "date-time"},
                "tenantid": {"type": "string", "description": "For whom"},
                "traceparent": {"type": "string"},
                "requestid": {"type": "string"},
                "data": {
                    "type": "object",
                    "description": "The body of POST /api/messages (SendMessageRequest in the OpenAPI \
                        document of outbound-message-service)",
                    "properties": {"to": {"type": "string"}, "type": {"type": "string"}},
                    "required": ["to", "type"],
                },
            },
            "required": ["specversion", "id", "source", "type", "subject", "time", "tenantid", "data"],
        },
    });
}

fn channel(name: &str) -> Value {
    json!({
        "address": name,
        "messages": {name: {"$ref": format!("#/components/messages/{name}")}},
        "bindings": {"amqp": {
            "is": "routingKey",
            "exchange": {
                "name": topology::EVENTS, "type": "topic", "durable": true, "autoDelete": false,
            },
            "bindingVersion": "0.3.0",
        }},
    })
}

fn headers() -> Value {
    json!({
        "type": "object",
        "properties": {
            "tenant-id": {"type": "string"},
            "traceparent": {"type": "string", "description": "W3C trace context of the cause"},
        },
        "required": ["tenant-id"],
    })
}

/// The envelope around an event's data.
fn envelope<E: EventData>(mut data: Value) -> Value {
    if let Some(schema) = data.as_object_mut() {
        schema.remove("$schema");
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": data_schema::<E>(),
        "title": E::TYPE,
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "format": "uuid", "description": "Dedupe by it"},
            "source": {"type": "string", "format": "uri-reference"},
            "type": {"const": format!("com.agentportal.{}.v{}", E::TYPE, E::VERSION)},
            "subject": {"type": "string", "description": "The id of the entity"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"const": data_schema::<E>()},
            "tenantid": {"type": "string"},
            "traceparent": {"type": "string"},
            "requestid": {"type": "string"},
            "data": data,
        },
        "required": [
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema",
            "tenantid", "data",
        ],
    })
}
