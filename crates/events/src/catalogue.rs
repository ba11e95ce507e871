//! The events of the contract, typed. Fields are only ever added within a version.

use chrono::{DateTime, Utc};
use portal_types::{ConversationId, MessageId, Role, SessionId, TenantId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What an event says.
pub trait EventData: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The event type, which is the routing key.
    const TYPE: &'static str;
    /// The version of the data.
    const VERSION: u32 = 1;
    /// The id of the entity: events of one subject are published in the order of their commits.
    fn subject(&self) -> String;
}

macro_rules! event {
    ($(#[$doc:meta])* $name:ident = $type:literal, subject $subject:ident,
     { $($(#[$field_attr:meta])* $field:ident: $field_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[allow(missing_docs, clippy::allow_attributes, reason = "the fields are the event contract's")]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $field_type,)*
        }

        impl EventData for $name {
            const TYPE: &'static str = $type;

            fn subject(&self) -> String {
                self.$subject.to_string()
            }
        }
    };
}

mod conversations;
mod inbound;

pub use conversations::{
    ConversationAssigned, ConversationClosed, ConversationOpened, ConversationReleased,
    ConversationReopened, ConversationTransferred, GenesysConversationRouted,
};
pub use inbound::{
    ContactPreferenceChanged, IdentityChange, MessageDuplicateDetected, MessageEchoed,
    MessageReceived, MessageStatusCorrected, TenantWhatsappAccountChanged,
    TenantWhatsappQualityChanged,
};

event!(
    /// A tenant was created.
    TenantCreated = "tenant.created", subject tenant_id,
    { tenant_id: TenantId, name: String, status: String, changed: Vec<String>, }
);
event!(
    /// A tenant's master data changed.
    TenantUpdated = "tenant.updated", subject tenant_id,
    { tenant_id: TenantId, name: String, status: String, changed: Vec<String>, }
);
event!(
    /// A tenant was suspended: nobody of it signs in or sends.
    TenantSuspended = "tenant.suspended", subject tenant_id,
    { tenant_id: TenantId, name: String, status: String, changed: Vec<String>, }
);
event!(
    /// A suspended tenant works again.
    TenantResumed = "tenant.resumed", subject tenant_id,
    { tenant_id: TenantId, name: String, status: String, changed: Vec<String>, }
);
event!(
    /// A tenant was deleted (its data is kept until it is erased).
    TenantDeleted = "tenant.deleted", subject tenant_id,
    { tenant_id: TenantId, name: String, status: String, changed: Vec<String>, }
);
event!(
    /// A tenant was given a Genesys organization.
    TenantGenesysOrgMapped = "tenant.genesys_org.mapped", subject tenant_id,
    { tenant_id: TenantId, genesys_org_id: Option<String>, previous: Option<String>, }
);
event!(
    /// A tenant's own OAuth clients of Genesys were written or removed.
    TenantGenesysCredentialsChanged = "tenant.genesys_credentials.changed", subject tenant_id,
    { tenant_id: TenantId, region: String, }
);
event!(
    /// A tenant's WhatsApp configuration was written.
    TenantWhatsappConfigured = "tenant.whatsapp.configured", subject tenant_id,
    {
        tenant_id: TenantId, waba_id: String, phone_number_id: String,
        display_phone_number: String,
    }
);
event!(
    /// A tenant's WhatsApp configuration was removed.
    TenantWhatsappRemoved = "tenant.whatsapp.removed", subject tenant_id,
    {
        tenant_id: TenantId, waba_id: String, phone_number_id: String,
        display_phone_number: String,
    }
);
event!(
    /// Meta refuses the tenant's token; its sending waits.
    TenantWhatsappTokenInvalid = "tenant.whatsapp.token_invalid", subject tenant_id,
    { tenant_id: TenantId, waba_id: String, error_code: Option<i64>, }
);
event!(
    /// Meta takes the tenant's token again.
    TenantWhatsappTokenRestored = "tenant.whatsapp.token_restored", subject tenant_id,
    { tenant_id: TenantId, waba_id: String, error_code: Option<i64>, }
);
event!(
    /// Meta moved a message template of the tenant to another status.
    TemplateStatusChanged = "template.status_changed", subject name,
    {
        tenant_id: TenantId, name: String, language: String, status: String,
        reason: Option<String>,
    }
);
event!(
    /// A person signed in for the first time.
    UserProvisioned = "user.provisioned", subject user_id,
    { user_id: UserId, tenant_id: TenantId, role: Role, email: Option<String>, }
);
event!(
    /// A person's name or e-mail changed.
    UserUpdated = "user.updated", subject user_id,
    { user_id: UserId, tenant_id: TenantId, role: Role, email: Option<String>, }
);
event!(
    /// A person's role changed.
    UserRoleChanged = "user.role_changed", subject user_id,
    { user_id: UserId, tenant_id: TenantId, role: Role, email: Option<String>, }
);
event!(
    /// A person may no longer sign in.
    UserDeactivated = "user.deactivated", subject user_id,
    { user_id: UserId, tenant_id: TenantId, role: Role, email: Option<String>, }
);
event!(
    /// A session began.
    SessionStarted = "session.started", subject session_id,
    { session_id: SessionId, user_id: UserId, tenant_id: TenantId, reason: Option<String>, }
);
event!(
    /// A session's tokens were rotated.
    SessionRefreshed = "session.refreshed", subject session_id,
    { session_id: SessionId, user_id: UserId, tenant_id: TenantId, reason: Option<String>, }
);
event!(
    /// A session ended.
    SessionRevoked = "session.revoked", subject session_id,
    { session_id: SessionId, user_id: UserId, tenant_id: TenantId, reason: Option<String>, }
);

/// Who sent a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct SentBy {
    /// `user`, `api_key` or `service`.
    pub kind: String,
    /// The id of that.
    pub id: String,
}

event!(
    /// A message was accepted for sending.
    MessageAccepted = "message.accepted", subject message_id,
    {
        message_id: MessageId, tenant_id: TenantId, conversation_id: ConversationId, to: String,
        #[serde(rename = "type")]
        message_type: String,
        sent_by: SentBy,
        /// The content, unless the deployment keeps message texts out of events.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<serde_json::Value>,
        /// The number that it is sent from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phone_number_id: Option<String>,
        /// The wamid of the message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<String>,
        /// The conversation of Genesys Cloud that it belongs to, as the sender says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        genesys_conversation_id: Option<String>,
    }
);

macro_rules! status_event {
    ($(#[$doc:meta])* $name:ident = $type:literal) => {
        event!(
            $(#[$doc])*
            $name = $type, subject message_id,
            {
                message_id: MessageId, wamid: Option<String>, tenant_id: TenantId, to: String,
                at: DateTime<Utc>,
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pricing: Option<serde_json::Value>,
            }
        );
    };
}

status_event!(
    /// Meta took the message.
    MessageSent = "message.sent"
);
status_event!(
    /// The message reached the recipient's device.
    MessageDelivered = "message.delivered"
);
status_event!(
    /// The recipient read the message.
    MessageRead = "message.read"
);

/// Why a message failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct MessageError {
    /// Meta's code, when Meta gave one.
    pub code: Option<i64>,
    /// A short title.
    pub title: String,
    /// Meta's details for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Our class of the error.
    pub class: String,
}

event!(
    /// The message was taken back before it was sent.
    MessageCanceled = "message.canceled", subject message_id,
    {
        message_id: MessageId, tenant_id: TenantId, to: String, at: DateTime<Utc>,
        canceled_by: SentBy,
    }
);
event!(
    /// The message will not arrive.
    MessageFailed = "message.failed", subject message_id,
    {
        message_id: MessageId, tenant_id: TenantId, to: String, error: MessageError, attempts: i32,
        /// Whether Meta reported it after it had taken the message; otherwise Meta refused it at once
        /// or it was given up, and a later report that it was sent outweighs that.
        #[serde(default)]
        reported: bool,
    }
);

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct RejectionReason {
    /// As the HTTP doors have it, for example `VALIDATION_FAILED`.
    pub code: String,
    /// The field that cannot be used, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong with it.
    pub message: String,
}

event!(
    /// A command cannot be carried out; nothing was stored or sent.
    MessageRejected = "message.rejected", subject command_id,
    {
        /// The id of the command.
        command_id: String,
        tenant_id: TenantId, errors: Vec<RejectionReason>,
    }
);
