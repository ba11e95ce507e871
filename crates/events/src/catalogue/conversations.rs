//! Events about conversations: who holds them, whether they are open.

use chrono::{DateTime, Utc};
use portal_types::{ConversationId, TenantId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EventData;

macro_rules! conversation_event {
    ($(#[$doc:meta])* $name:ident = $type:literal) => {
        event!(
            $(#[$doc])*
            $name = $type, subject conversation_id,
            {
                conversation_id: ConversationId, tenant_id: TenantId,
                /// Who holds it now, or, when it was closed or released, whose it was.
                user_id: Option<UserId>,
                /// Who held it before a transfer.
                from_user_id: Option<UserId>,
                /// Who did it; nobody where a rule or the contact did.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                by_user_id: Option<UserId>,
                reason: Option<String>,
                /// The conversation of Genesys Cloud that goes with it.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                genesys_conversation_id: Option<String>,
                /// Counts the changes of holder and state: the greater one is the later one.
                version: i64,
                /// Counts new beginnings after a close, where the tenant wants those.
                episode: i32,
            }
        );
    };
}

conversation_event!(
    /// A conversation began, or began anew after a close.
    ConversationOpened = "conversation.opened"
);
conversation_event!(
    /// Somebody holds the conversation now.
    ConversationAssigned = "conversation.assigned"
);
conversation_event!(
    /// Nobody holds the conversation any more.
    ConversationReleased = "conversation.released"
);
conversation_event!(
    /// The conversation went from one person to another.
    ConversationTransferred = "conversation.transferred"
);
conversation_event!(
    /// The conversation was closed.
    ConversationClosed = "conversation.closed"
);
conversation_event!(
    /// A closed conversation is open again.
    ConversationReopened = "conversation.reopened"
);

event!(
    /// Where a conversation of Genesys Cloud stands in Genesys' routing, as a whole.
    ///
    /// The later one (`at`) counts, in whatever order they come. Published by the service that keeps Genesys and
    /// the portal in step; agent-portal-service follows it. It always notes which conversation of
    /// Genesys goes with which of the portal; it changes who holds that one where the organization
    /// says that Genesys' routing is the master.
    GenesysConversationRouted = "genesys.conversation.routed", subject genesys_conversation_id,
    {
        tenant_id: TenantId, genesys_conversation_id: String,
        /// The portal's conversation; without it the one that this Genesys conversation is known to
        /// go with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<ConversationId>,
        /// The Genesys user who has it; nobody while it waits in a queue.
        genesys_user_id: Option<String>,
        /// Whether it ended in Genesys: the portal's conversation is closed then.
        #[serde(default)]
        ended: bool,
        /// When this was so, by Genesys' clock.
        at: DateTime<Utc>,
        reason: Option<String>,
    }
);
