//! Organizations, users, roles, OAuth clients, codes and tokens of the Genesys side.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::seed;
use crate::crypto::random_token;

/// Codes and tokens kept before expired ones are swept out.
const SWEEP_ABOVE: usize = 20_000;

/// A Genesys organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Org {
    /// UUID; made when absent.
    #[serde(default = "new_id")]
    pub id: String,
    /// Display name.
    pub name: String,
    /// `thirdPartyOrgName`.
    pub short_name: String,
    /// `active`, `inactive` or `deleted`.
    #[serde(default = "active")]
    pub state: String,
}

/// A person in an organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// UUID; made when absent.
    #[serde(default = "new_id")]
    pub id: String,
    /// Organization that the person acts in.
    pub org_id: String,
    /// E-mail and user name.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Job title.
    #[serde(default)]
    pub title: Option<String>,
    /// Department.
    #[serde(default)]
    pub department: Option<String>,
    /// `active`, `inactive` or `deleted`.
    #[serde(default = "active")]
    pub state: String,
    /// Rises with each change.
    #[serde(default = "one")]
    pub version: u32,
    /// Role names; a name that the organization lacks becomes a custom role.
    #[serde(default = "employee_only")]
    pub roles: Vec<String>,
    /// Organization that the person belongs to, when another one (a trustee).
    #[serde(default)]
    pub home_org_id: Option<String>,
    /// The trustee's own user there.
    #[serde(default)]
    pub home_user_id: Option<String>,
}

/// Which grant a client may use: exactly one, as in Genesys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Authorization code with a secret.
    Code,
    /// Authorization code for a public client.
    Pkce,
    /// Client credentials.
    ClientCredentials,
}

impl ClientKind {
    pub(crate) fn grant_type(self) -> &'static str {
        match self {
            Self::Code | Self::Pkce => "CODE",
            Self::ClientCredentials => "CLIENT-CREDENTIALS",
        }
    }
}

/// An OAuth client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthClient {
    /// `client_id`.
    #[serde(default = "new_id")]
    pub id: String,
    /// Display name.
    pub name: String,
    /// Organization that owns it.
    pub org_id: String,
    /// Its grant.
    pub kind: ClientKind,
    /// Absent for a public client.
    #[serde(default)]
    pub secret: Option<String>,
    /// Registered callbacks.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Life of its access tokens.
    #[serde(default = "one_day")]
    pub token_seconds: u64,
    /// Scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// `active`, `inactive` or `disabled`.
    #[serde(default = "active")]
    pub state: String,
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}
fn active() -> String {
    "active".to_owned()
}
fn one() -> u32 {
    1
}
fn one_day() -> u64 {
    86_400
}
fn employee_only() -> Vec<String> {
    vec!["employee".to_owned()]
}

/// An authorization code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) user_id: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) used: bool,
}

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) client_id: String,
    /// Absent with client credentials.
    pub(crate) user_id: Option<String>,
    pub(crate) org_id: String,
    pub(crate) expires_at: DateTime<Utc>,
    window_start: DateTime<Utc>,
    window_count: u32,
}

/// A refresh token and the access token that came with it.
#[derive(Debug, Clone)]
pub(crate) struct Refresh {
    pub(crate) client_id: String,
    pub(crate) user_id: String,
    pub(crate) access_token: String,
}

/// Where a token stands in its rate-limit window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) count: u32,
    pub(crate) reset_seconds: i64,
}

/// Everything the Genesys side knows.
#[derive(Debug, Default)]
pub(crate) struct GenesysWorld {
    pub(crate) orgs: Vec<Org>,
    pub(crate) users: Vec<User>,
    pub(crate) clients: Vec<OAuthClient>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) refresh_tokens: HashMap<String, Refresh>,
    /// Login cookies of browsers, by value.
    pub(crate) browsers: HashMap<String, String>,
}

impl GenesysWorld {
    pub(crate) fn seeded(redirect_uris: &[String]) -> Self {
        Self {
            orgs: seed::orgs(),
            users: seed::users(),
            clients: seed::clients(redirect_uris),
            ..Self::default()
        }
    }

    pub(crate) fn org(&self, id: &str) -> Option<&Org> {
        self.orgs.iter().find(|org| org.id == id)
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn client(&self, id: &str) -> Option<&OAuthClient> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// The person with this e-mail; in `target` when it is given.
    pub(crate) fn user_by_email(&self, email: &str, target: Option<&str>) -> Option<&User> {
        self.users.iter().find(|user| {
            user.email.eq_ignore_ascii_case(email.trim())
                && user.state != "deleted"
                && target.is_none_or(|org_id| user.org_id == org_id)
        })
    }

    pub(crate) fn insert_code(&mut self, code: Code) -> String {
        if self.codes.len() > SWEEP_ABOVE {
            let now = Utc::now();
            self.codes.retain(|_, code| code.expires_at > now);
        }
        let value = random_token();
        self.codes.insert(value.clone(), code);
        value
    }

    pub(crate) fn insert_token(
        &mut self,
        client_id: &str,
        user_id: Option<&str>,
        org_id: &str,
        life: Duration,
    ) -> String {
        let now = Utc::now();
        if self.tokens.len() > SWEEP_ABOVE {
            self.tokens.retain(|_, token| token.expires_at > now);
        }
        let value = random_token();
        let token = Token {
            client_id: client_id.to_owned(),
            user_id: user_id.map(str::to_owned),
            org_id: org_id.to_owned(),
            expires_at: now + life,
            window_start: now,
            window_count: 0,
        };
        self.tokens.insert(value.clone(), token);
        value
    }

    pub(crate) fn insert_refresh(&mut self, refresh: Refresh) -> String {
        let value = random_token();
        self.refresh_tokens.insert(value.clone(), refresh);
        value
    }

    /// Counts a request; windows are a minute long and begin with a token's first request.
    pub(crate) fn count_request(&mut self, token: &str) -> Option<Usage> {
        let now = Utc::now();
        let token = self.tokens.get_mut(token)?;
        if (now - token.window_start).num_seconds() >= 60 {
            token.window_start = now;
            token.window_count = 0;
        }
        token.window_count = token.window_count.saturating_add(1);
        let reset_seconds = (60 - (now - token.window_start).num_seconds()).max(1);
        Some(Usage {
            count: token.window_count,
            reset_seconds,
        })
    }

    /// Ends one access token and the refresh token that came with it.
    pub(crate) fn revoke_token(&mut self, value: &str) {
        self.tokens.remove(value);
        self.refresh_tokens
            .retain(|_, refresh| refresh.access_token != value);
    }

    /// Ends all tokens of a user, or of everybody; returns how many access tokens died.
    pub(crate) fn revoke_all(&mut self, user_id: Option<&str>) -> usize {
        let before = self.tokens.len();
        self.tokens
            .retain(|_, token| user_id.is_some() && token.user_id.as_deref() != user_id);
        self.refresh_tokens
            .retain(|_, refresh| user_id.is_some_and(|user_id| refresh.user_id != user_id));
        before - self.tokens.len()
    }

    /// The name under which the journal shows a token.
    pub(crate) fn token_name(&self, value: &str) -> Option<String> {
        let token = self.tokens.get(value)?;
        match &token.user_id {
            Some(user_id) => self.user(user_id).map(|user| user.email.clone()),
            None => Some(token.client_id.clone()),
        }
    }
}
