//! `POST /oauth/token`: client credentials, authorization code (confidential and public) and
//! refresh. The SAML grant is refused as unsupported.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::json;

use super::world::{ClientKind, Code, GenesysWorld, OAuthClient, Refresh};
use crate::crypto::pkce_challenge;
use crate::http::{Call, Reply};
use crate::state::State;

/// The three-member error body. 401 for a client that did not prove itself, else 400 (RFC 6749);
/// what Genesys really uses is not proven.
struct Refused {
    error: &'static str,
    description: &'static str,
}

impl Refused {
    fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }

    fn client() -> Self {
        Self::new("invalid_client", "authentication failed")
    }

    fn into_reply(self) -> Reply {
        let status = if self.error == "invalid_client" {
            401
        } else {
            400
        };
        let body = json!({
            "error": self.error,
            "description": self.description,
            "error_description": self.description,
        });
        Reply::json(status, &body)
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(have, value)| have == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str, missing: &'static str) -> Result<&str, Refused> {
        self.get(name)
            .ok_or_else(|| Refused::new("invalid_request", missing))
    }

    fn repeats_a_name(&self) -> bool {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair.first() == pair.last())
    }
}

pub(crate) fn exchange(state: &Arc<State>, call: &Call) -> Reply {
    if call.method != "POST" {
        return Reply::empty(405).with("allow", "POST");
    }
    let life = state.settings().genesys.token_lifetime;
    let mut world = state.genesys();
    grant(&mut world, call, life).unwrap_or_else(Refused::into_reply)
}

fn grant(world: &mut GenesysWorld, call: &Call, life: Option<Duration>) -> Result<Reply, Refused> {
    if !call.is_form() {
        return Err(Refused::new("invalid_request", "the body must be a form"));
    }
    let form = Form(call.form());
    if form.repeats_a_name() {
        return Err(Refused::new(
            "invalid_request",
            "a parameter was sent more than once",
        ));
    }
    match form.need("grant_type", "grant_type is missing")? {
        "client_credentials" => {
            let client = with_secret(world, call)?;
            allow(&client, ClientKind::ClientCredentials)?;
            Ok(issue(world, &client, None, &client.org_id, life))
        }
        "authorization_code" => authorization_code(world, call, &form, life),
        "refresh_token" => refresh(world, call, &form, life),
        _ => Err(Refused::new(
            "unsupported_grant_type",
            "the grant type is not supported",
        )),
    }
}

/// The client of the Basic header. A secret in the body is not read: no official SDK sends one.
fn with_secret(world: &GenesysWorld, call: &Call) -> Result<OAuthClient, Refused> {
    let (id, secret) = call.basic().ok_or_else(Refused::client)?;
    world
        .client(&id)
        .filter(|client| client.state == "active")
        .filter(|client| client.secret.as_ref() == Some(&secret))
        .cloned()
        .ok_or_else(Refused::client)
}

fn allow(client: &OAuthClient, kind: ClientKind) -> Result<(), Refused> {
    if client.kind == kind {
        Ok(())
    } else {
        Err(Refused::new(
            "unauthorized_client",
            "the client may not use this grant type",
        ))
    }
}

fn authorization_code(
    world: &mut GenesysWorld,
    call: &Call,
    form: &Form,
    life: Option<Duration>,
) -> Result<Reply, Refused> {
    let client = if call.header("authorization").is_some() {
        let client = with_secret(world, call)?;
        allow(&client, ClientKind::Code)?;
        client
    } else {
        let id = form.need("client_id", "client_id is missing")?;
        world
            .client(id)
            .filter(|client| client.kind == ClientKind::Pkce && client.state == "active")
            .cloned()
            .ok_or_else(Refused::client)?
    };
    let value = form.need("code", "code is missing")?;
    let redirect_uri = form.need("redirect_uri", "redirect_uri is missing")?;
    let invalid = || Refused::new("invalid_grant", "the authorization code is not valid");
    let code = world.codes.get_mut(value).ok_or_else(invalid)?;
    let fits = code.client_id == client.id
        && code.redirect_uri == redirect_uri
        && !code.used
        && code.expires_at > Utc::now()
        && verifier_fits(code, form.get("code_verifier"));
    // One attempt is all a code gets, so that nobody can guess verifiers with a stolen one.
    code.used = true;
    let user_id = code.user_id.clone();
    if !fits {
        return Err(invalid());
    }
    let org_id = world
        .user(&user_id)
        .map(|user| user.org_id.clone())
        .ok_or_else(invalid)?;
    Ok(issue(world, &client, Some(&user_id), &org_id, life))
}

fn verifier_fits(code: &Code, verifier: Option<&str>) -> bool {
    match (&code.challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            (43..=128).contains(&verifier.len())
                && verifier.bytes().all(is_allowed)
                && pkce_challenge(verifier) == *challenge
        }
        _ => false,
    }
}

fn refresh(
    world: &mut GenesysWorld,
    call: &Call,
    form: &Form,
    life: Option<Duration>,
) -> Result<Reply, Refused> {
    let client = with_secret(world, call)?;
    allow(&client, ClientKind::Code)?;
    let value = form.need("refresh_token", "refresh_token is missing")?;
    let invalid = || Refused::new("invalid_grant", "the refresh token is not valid");
    let known = world
        .refresh_tokens
        .get(value)
        .filter(|known| known.client_id == client.id);
    let user_id = known
        .map(|known| known.user_id.clone())
        .ok_or_else(invalid)?;
    world.refresh_tokens.remove(value);
    let org_id = world
        .user(&user_id)
        .filter(|user| user.state != "deleted")
        .map(|user| user.org_id.clone())
        .ok_or_else(invalid)?;
    Ok(issue(world, &client, Some(&user_id), &org_id, life))
}

fn issue(
    world: &mut GenesysWorld,
    client: &OAuthClient,
    user_id: Option<&str>,
    org_id: &str,
    life: Option<Duration>,
) -> Reply {
    let life = life.unwrap_or(Duration::from_secs(client.token_seconds));
    let access_token = world.insert_token(&client.id, user_id, org_id, life);
    let mut body = json!({
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": life.as_secs(),
    });
    if let (ClientKind::Code, Some(user_id), Some(members)) =
        (client.kind, user_id, body.as_object_mut())
    {
        let refresh_token = world.insert_refresh(Refresh {
            client_id: client.id.clone(),
            user_id: user_id.to_owned(),
            access_token,
        });
        members.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    Reply::json(200, &body)
}
