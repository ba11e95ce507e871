//! What the service does, whatever the way in.

pub(crate) mod conversations;
pub(crate) mod erasures;
pub(crate) mod genesys_clients;
pub(crate) mod genesys_tokens;
pub(crate) mod live_feed;
pub(crate) mod organization;
pub(crate) mod people;
mod placeholders;
pub(crate) mod profiles;
mod roles;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod sync;
pub(crate) mod token_keys;

use portal_events::EventContext;
use portal_service_kit::http::RequestId;

/// What caused a use case to run: events and audit rows tell it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    pub(crate) request_id: Option<String>,
}

impl Cause {
    /// The request that is being answered.
    pub(crate) fn request(id: &RequestId) -> Self {
        Self {
            request_id: Some(id.to_string()),
        }
    }

    fn events(&self) -> EventContext {
        EventContext::current(self.request_id.clone())
    }
}
