//! Events about what Meta tells us: of contacts, of accounts, of what became of messages.

use chrono::{DateTime, Utc};
use portal_types::{ConversationId, MessageId, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EventData;

/// What a contact's number or business-scoped user id was and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct IdentityChange {
    /// The number now, digits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
    /// The user id now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The number before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_wa_id: Option<String>,
    /// The user id before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_user_id: Option<String>,
}

event!(
    /// A contact wrote. Events of one conversation are published in the order in which its messages
    /// were stored; `sent_at` tells in which they were written.
    MessageReceived = "message.received", subject conversation_id,
    {
        wamid: String, tenant_id: TenantId, conversation_id: ConversationId,
        /// The contact as a recipient: its number with a plus, or its business-scoped user id.
        from: String,
        contact_name: Option<String>,
        #[serde(rename = "type")]
        message_type: String,
        /// The content as Meta sent it (`{"text": {"body": …}, "context": …}`), unless the
        /// deployment keeps message texts out of events.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
        /// Where the message is read: `GET /api/messages/received/{inbound_id}`.
        inbound_id: Uuid,
        phone_number_id: String,
        /// The contact's number, digits only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wa_id: Option<String>,
        /// The contact's business-scoped user id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        /// The wamid of the message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context_wamid: Option<String>,
        /// The wamid of the message that it reacts to, edits or revokes; that may come later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refers_to: Option<String>,
        /// The contact's number or user id changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity_change: Option<IdentityChange>,
        /// When it was written, by Meta's clock.
        sent_at: DateTime<Utc>,
        /// Until when the contact can be written to freely; nothing where it opened no window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window_expires_at: Option<DateTime<Utc>>,
    }
);
event!(
    /// The organization wrote to a contact in the WhatsApp Business app on its phone.
    MessageEchoed = "message.echoed", subject conversation_id,
    {
        wamid: String, tenant_id: TenantId, conversation_id: ConversationId,
        /// The contact as a recipient.
        to: String,
        #[serde(rename = "type")]
        message_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
        inbound_id: Uuid, phone_number_id: String, sent_at: DateTime<Utc>,
    }
);
event!(
    /// A message that had failed was sent, delivered or read after all.
    MessageStatusCorrected = "message.status_corrected", subject message_id,
    {
        message_id: MessageId, tenant_id: TenantId, to: String,
        /// The class of the failure that was wrong, for example `undetermined` or `expired`.
        previous_class: Option<String>,
        /// What it is now.
        status: String,
        wamid: Option<String>, at: DateTime<Utc>,
    }
);
event!(
    /// Meta reports a second message for one of ours: the contact may have got it twice.
    MessageDuplicateDetected = "message.duplicate_detected", subject message_id,
    {
        message_id: MessageId, tenant_id: TenantId, to: String, wamids: Vec<String>,
    }
);
event!(
    /// A contact chose in WhatsApp whether it wants messages of a category.
    ContactPreferenceChanged = "contact.preference_changed", subject contact,
    {
        tenant_id: TenantId,
        /// The contact as a recipient.
        contact: String,
        /// `marketing_messages`.
        category: String,
        /// `stop` or `resume`.
        value: String,
        at: DateTime<Utc>,
    }
);
event!(
    /// Quality or limit of a tenant's number changed.
    TenantWhatsappQualityChanged = "tenant.whatsapp.quality_changed", subject tenant_id,
    {
        tenant_id: TenantId, phone_number_id: String, quality: Option<String>,
        limit: Option<String>,
    }
);
event!(
    /// Meta told something of a tenant's business account: a restriction, a review, an alert.
    TenantWhatsappAccountChanged = "tenant.whatsapp.account_changed", subject tenant_id,
    {
        tenant_id: TenantId, waba_id: String,
        /// Meta's name of the kind of notice, for example `account_update`.
        field: String,
        /// `stopped`: sending waits; `restored`: it goes on; `told`: something to know.
        effect: String,
        /// The notice as Meta sent it.
        details: serde_json::Value,
    }
);
