//! What handlers need, built once.

use portal_auth::SigningKeys;

use crate::usecases::{
    conversations::Conversations, erasures::Erasures, live_feed::LiveFeed,
    organization::Organizations, people::People, profiles::Profiles, sessions::Sessions,
    sign_in::SignIn, sync::UserSync,
};

/// Shared by the handlers of both ports.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) sign_in: SignIn,
    pub(crate) sessions: Sessions,
    pub(crate) profiles: Profiles,
    pub(crate) organizations: Organizations,
    pub(crate) people: People,
    pub(crate) conversations: Conversations,
    pub(crate) erasures: Erasures,
    pub(crate) user_sync: UserSync,
    pub(crate) live_feed: LiveFeed,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) web: WebSettings,
}

/// What answers to browsers depend on.
#[derive(Debug, Clone)]
pub(crate) struct WebSettings {
    /// Cookies for HTTPS only.
    pub(crate) secure_cookies: bool,
    /// Where browsers find the portal.
    pub(crate) portal_origin: String,
    /// Where the portal's pages find the API.
    pub(crate) api_origin: String,
    /// The regions that are offered, the default one first.
    pub(crate) regions: Vec<String>,
    /// How long a reader of events may take none.
    pub(crate) slow_reader: std::time::Duration,
    /// How long a session lives at the most, for the cookie that holds its token.
    pub(crate) session_seconds: i64,
}
