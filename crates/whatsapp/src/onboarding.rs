//! What sets a business account up: tokens and what they are for, numbers, subscriptions,
//! registration.
//!
//! Nothing here is repeated by itself, as in all of [`GraphClient`]. Exchanging a code works once;
//! subscribing, and registering with the same PIN, may be asked for again by the caller.

use std::fmt;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use portal_types::PhoneNumber;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tracing::field::Empty;
use url::Url;

use crate::answer::{Answer, id, number, text};
use crate::client::{PROFILE_FIELDS, profile};
use crate::{GraphClient, PhoneNumberProfile, SendError};

/// Reads and changes accounts and numbers.
pub const MANAGEMENT_SCOPE: &str = "whatsapp_business_management";
/// Sends messages.
pub const MESSAGING_SCOPE: &str = "whatsapp_business_messaging";

/// Numbers asked for at once, and how often; an account has two by default, a few dozen at most.
const PAGE: &str = "100";
const MAX_PAGES: usize = 10;

/// Our Meta app.
#[derive(Debug, Clone)]
pub struct MetaApp {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl MetaApp {
    /// The token by which the app speaks for itself.
    fn token(&self) -> SecretString {
        format!("{}|{}", self.id, self.secret.expose_secret()).into()
    }

    /// Proves that who presents `token` has the app's secret.
    fn proof(&self, token: &SecretString) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose_secret().as_bytes());
        hex::encode(hmac::sign(&key, token.expose_secret().as_bytes()))
    }
}

/// Whose token a call is made with.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The token.
    pub token: &'a SecretString,
    /// The app that the token was issued by, if that is ours: its secret proves the call. Meta
    /// refuses the proof of any other app.
    pub app: Option<&'a MetaApp>,
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// What Meta tells of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The app that it was issued by.
    pub app_id: Option<String>,
    /// Whether it works.
    pub is_valid: bool,
    /// When it ends; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// All permissions.
    pub scopes: Vec<String>,
    /// Permissions that hold for certain objects only.
    granted: Vec<(String, Option<Vec<String>>)>,
}

impl TokenInfo {
    /// Whether it has a permission at all.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|have| have == scope)
            || self.granted.iter().any(|(have, _)| have == scope)
    }

    /// Whether it has a permission for this object. A permission that Meta names without its
    /// objects proves nothing.
    pub fn has_scope_for(&self, scope: &str, object: &str) -> bool {
        self.granted.iter().any(|(have, targets)| {
            let targets = targets.as_deref().unwrap_or_default();
            have == scope && targets.iter().any(|target| target == object)
        })
    }
}

impl GraphClient {
    /// Exchanges the code of Embedded Signup for a token. A code lives 30 seconds and works once.
    #[tracing::instrument(
        name = "graph.exchange_code", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn exchange_code(
        &self,
        app: &MetaApp,
        code: &SecretString,
    ) -> Result<SecretString, SendError> {
        let mut url = self.url(&["oauth", "access_token"])?;
        url.query_pairs_mut()
            .append_pair("client_id", &app.id)
            .append_pair("client_secret", app.secret.expose_secret())
            .append_pair("code", code.expose_secret());
        access_token(&self.finish(self.http().get(url)).await?)
    }

    /// Exchanges a system user's token that ends for one that ends 60 days from now. The old one
    /// works until its own end. Tokens of Embedded Signup cannot be exchanged: their owner signs up
    /// again.
    #[tracing::instrument(
        name = "graph.refresh_token", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn refresh_token(
        &self,
        app: &MetaApp,
        token: &SecretString,
    ) -> Result<SecretString, SendError> {
        let mut url = self.url(&["oauth", "access_token"])?;
        url.query_pairs_mut()
            .append_pair("grant_type", "fb_exchange_token")
            .append_pair("client_id", &app.id)
            .append_pair("client_secret", app.secret.expose_secret())
            .append_pair("set_token_expires_in_60_days", "true")
            .append_pair("fb_exchange_token", token.expose_secret());
        access_token(&self.finish(self.http().get(url)).await?)
    }

    /// Asks what a token is for, as the app.
    #[tracing::instrument(
        name = "graph.debug_token", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn debug_token(
        &self,
        app: &MetaApp,
        token: &SecretString,
    ) -> Result<TokenInfo, SendError> {
        let mut url = self.url(&["debug_token"])?;
        url.query_pairs_mut()
            .append_pair("input_token", token.expose_secret());
        let answer = self.call(self.http().get(url), &app.token()).await?;
        let info = answer
            .body
            .as_ref()
            .and_then(|body| token_info(body.get("data")?));
        info.ok_or_else(unreadable)
    }

    /// All numbers of an account.
    #[tracing::instrument(
        name = "graph.phone_numbers", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn phone_numbers(
        &self,
        caller: Caller<'_>,
        waba_id: &str,
    ) -> Result<Vec<PhoneNumberProfile>, SendError> {
        let mut numbers = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.proven(caller, &[waba_id, "phone_numbers"])?;
            url.query_pairs_mut()
                .append_pair("fields", PROFILE_FIELDS)
                .append_pair("limit", PAGE);
            // The cursor, and never Meta's `next` address: the token goes to no address of an answer.
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after", after);
            }
            let answer = self.call(self.http().get(url), caller.token).await?;
            let body = answer.body.ok_or_else(unreadable)?;
            let page = body.get("data").and_then(Value::as_array);
            numbers.extend(page.ok_or_else(unreadable)?.iter().filter_map(profile));
            let has_more = body.pointer("/paging/next").is_some();
            after = text(body.pointer("/paging/cursors/after")).filter(|_| has_more);
            if after.is_none() {
                return Ok(numbers);
            }
        }
        Err(SendError::unknown("The account has too many numbers"))
    }

    /// What Meta tells about one number.
    #[tracing::instrument(
        name = "graph.phone_number", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn phone_number(
        &self,
        caller: Caller<'_>,
        phone_number_id: &str,
    ) -> Result<PhoneNumberProfile, SendError> {
        let mut url = self.proven(caller, &[phone_number_id])?;
        url.query_pairs_mut().append_pair("fields", PROFILE_FIELDS);
        let answer = self.call(self.http().get(url), caller.token).await?;
        answer
            .body
            .as_ref()
            .and_then(profile)
            .ok_or_else(unreadable)
    }

    /// Lets the token's app receive the account's webhooks. A callback that the account has of its
    /// own is removed by this.
    #[tracing::instrument(
        name = "graph.subscribe_app", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn subscribe_app(&self, caller: Caller<'_>, waba_id: &str) -> Result<(), SendError> {
        let url = self.proven(caller, &[waba_id, "subscribed_apps"])?;
        done(&self.call(self.http().post(url), caller.token).await?)
    }

    /// The ids of the apps that receive the account's webhooks.
    #[tracing::instrument(
        name = "graph.subscribed_apps", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn subscribed_apps(
        &self,
        caller: Caller<'_>,
        waba_id: &str,
    ) -> Result<Vec<String>, SendError> {
        let url = self.proven(caller, &[waba_id, "subscribed_apps"])?;
        let answer = self.call(self.http().get(url), caller.token).await?;
        let body = answer.body.ok_or_else(unreadable)?;
        let apps = body.get("data").and_then(Value::as_array);
        let app_id = |app: &Value| id(app.pointer("/whatsapp_business_api_data/id"));
        Ok(apps
            .ok_or_else(unreadable)?
            .iter()
            .filter_map(app_id)
            .collect())
    }

    /// Registers a number, so that it can send. Where two-step verification is on, `pin` must be
    /// the number's own (133005 otherwise); where it is off, this turns it on. Ten calls in three
    /// days are allowed.
    #[tracing::instrument(
        name = "graph.register_number", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn register_number(
        &self,
        caller: Caller<'_>,
        phone_number_id: &str,
        pin: &SecretString,
    ) -> Result<(), SendError> {
        let url = self.proven(caller, &[phone_number_id, "register"])?;
        let body = json!({"messaging_product": "whatsapp", "pin": pin.expose_secret()});
        done(
            &self
                .call(self.http().post(url).json(&body), caller.token)
                .await?,
        )
    }

    /// Sends a template without parameters, to see whether a number can send. Once, as
    /// [`GraphClient::send_message`].
    #[tracing::instrument(
        name = "graph.send_template", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn send_bare_template(
        &self,
        caller: Caller<'_>,
        phone_number_id: &str,
        to: &PhoneNumber,
        (name, language): (&str, &str),
    ) -> Result<(), SendError> {
        let url = self.proven(caller, &[phone_number_id, "messages"])?;
        let body = json!({
            "messaging_product": "whatsapp",
            "to": to.as_e164(),
            "type": "template",
            "template": {"name": name, "language": {"code": language}},
        });
        self.call(self.http().post(url).json(&body), caller.token)
            .await?;
        Ok(())
    }

    fn proven(&self, caller: Caller<'_>, path: &[&str]) -> Result<Url, SendError> {
        let mut url = self.url(path)?;
        if let Some(app) = caller.app {
            url.query_pairs_mut()
                .append_pair("appsecret_proof", &app.proof(caller.token));
        }
        Ok(url)
    }
}

pub(crate) fn unreadable() -> SendError {
    SendError::unknown("The answer could not be read")
}

fn access_token(answer: &Answer) -> Result<SecretString, SendError> {
    let token = answer
        .body
        .as_ref()
        .and_then(|body| body.get("access_token")?.as_str());
    token.map(SecretString::from).ok_or_else(unreadable)
}

/// Meta writes success as a boolean or, in places, as a text.
fn done(answer: &Answer) -> Result<(), SendError> {
    let success = answer.body.as_ref().and_then(|body| body.get("success"));
    let is_done = success.is_some_and(|value| *value == json!(true) || *value == json!("true"));
    is_done.then_some(()).ok_or_else(unreadable)
}

fn token_info(data: &Value) -> Option<TokenInfo> {
    let list = |name: &str| data.get(name).and_then(Value::as_array);
    let granted = list("granular_scopes")
        .into_iter()
        .flatten()
        .filter_map(|grant| {
            let targets = grant.get("target_ids").and_then(Value::as_array);
            let targets =
                targets.map(|ids| ids.iter().filter_map(|target| id(Some(target))).collect());
            Some((text(grant.get("scope"))?, targets))
        });
    let expires_at = number(data.get("expires_at")).filter(|at| *at != 0);
    Some(TokenInfo {
        app_id: id(data.get("app_id")),
        is_valid: data.get("is_valid")?.as_bool()?,
        expires_at: expires_at.and_then(|at| DateTime::from_timestamp(at, 0)),
        scopes: list("scopes")
            .into_iter()
            .flatten()
            .filter_map(|scope| text(Some(scope)))
            .collect(),
        granted: granted.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_what_it_names_and_nothing_else() {
        let info = token_info(&json!({
            "app_id": 17, "is_valid": true, "expires_at": 0, "scopes": ["a", "b"],
            "granular_scopes": [{"scope": "a", "target_ids": [1, "2"]}, {"scope": "b"}],
        }))
        .unwrap();
        assert_eq!(
            (info.app_id.as_deref(), info.expires_at),
            (Some("17"), None)
        );
        assert!(info.has_scope("a") && info.has_scope("b") && !info.has_scope("c"));
        assert!(info.has_scope_for("a", "1") && info.has_scope_for("a", "2"));
        assert!(!info.has_scope_for("a", "3") && !info.has_scope_for("b", "1"));
        assert_eq!(token_info(&json!({"error": {"code": 190}})), None);
        let ending = token_info(&json!({"is_valid": false, "expires_at": 1_761_980_400})).unwrap();
        assert_eq!(ending.expires_at.unwrap().timestamp(), 1_761_980_400);
    }

    #[test]
    fn secrets_are_not_shown() {
        let app = MetaApp {
            id: "1".to_owned(),
            secret: "canary".into(),
        };
        let token = "canary".into();
        let caller = Caller {
            token: &token,
            app: Some(&app),
        };
        assert!(!format!("{app:?} {caller:?}").contains("canary"));
    }
}
