//! `GET /oauth/authorize`, its login form, and `GET /logout`.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use url::{Url, form_urlencoded};

use super::pages;
use super::world::{ClientKind, Code, GenesysWorld, OAuthClient, User};
use crate::crypto::random_token;
use crate::http::{Call, Reply};
use crate::state::State;

/// The login session of a browser. Cookies ignore ports, hence the unmistakable name.
pub(crate) const COOKIE: &str = "genesys_sandbox_login";

/// Logins remembered; beyond, all are forgotten, which only means that the form is shown again.
const MANY_BROWSERS: usize = 20_000;

/// An authorize request whose client and redirect URI are known to belong together.
struct Request {
    client: OAuthClient,
    redirect_uri: String,
    state: Option<String>,
    challenge: Option<String>,
    target: Option<String>,
    login_hint: Option<String>,
    must_prompt: bool,
}

enum Refused {
    /// The redirect URI cannot be trusted: say it on a page.
    OnPage(String),
    /// Tell the client.
    Redirect { location: String },
}

impl Refused {
    fn into_reply(self) -> Reply {
        match self {
            Self::OnPage(message) => Reply::html(400, pages::refusal(&message)),
            Self::Redirect { location } => Reply::redirect(&location),
        }
    }
}

fn get<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    query
        .iter()
        .find(|(have, value)| have == name && !value.is_empty())
        .map(|(_, value)| value.as_str())
}

fn back(redirect_uri: &str, parameters: &[(&str, &str)], state: Option<&str>) -> String {
    let Ok(mut url) = Url::parse(redirect_uri) else {
        return redirect_uri.to_owned();
    };
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(parameters);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
    }
    url.into()
}

/// The client and the redirect URI, which must be right before anything may redirect.
fn known_client<'q>(
    world: &GenesysWorld,
    query: &'q [(String, String)],
) -> Result<(OAuthClient, &'q str), Refused> {
    for name in ["client_id", "redirect_uri"] {
        if query.iter().filter(|(have, _)| have == name).count() > 1 {
            return Err(page(&format!(
                "The parameter {name} was sent more than once."
            )));
        }
    }
    let client_id =
        get(query, "client_id").ok_or_else(|| page("The parameter client_id is missing."))?;
    let client = world
        .client(client_id)
        .filter(|client| client.state == "active")
        .ok_or_else(|| page(&format!("There is no OAuth client {client_id}.")))?
        .clone();
    let redirect_uri =
        get(query, "redirect_uri").ok_or_else(|| page("The parameter redirect_uri is missing."))?;
    if !client
        .redirect_uris
        .iter()
        .any(|registered| registered == redirect_uri)
    {
        let message =
            format!("{redirect_uri} is not a registered redirect URI of the client {client_id}.");
        return Err(page(&message));
    }
    Ok((client, redirect_uri))
}

/// The first fault of a request, as an OAuth error and its description.
fn fault(client: &OAuthClient, query: &[(String, String)]) -> Option<(&'static str, String)> {
    let invalid = |text: &str| Some(("invalid_request", text.to_owned()));
    let mut names = BTreeSet::new();
    if let Some((name, _)) = query.iter().find(|(name, _)| !names.insert(name)) {
        return invalid(&format!("{name} was sent more than once"));
    }
    if client.kind == ClientKind::ClientCredentials {
        return Some((
            "unauthorized_client",
            "the client may not use the code grant".to_owned(),
        ));
    }
    match get(query, "response_type") {
        Some("code") => {}
        Some(_) => {
            return Some((
                "unsupported_response_type",
                "response_type must be code".to_owned(),
            ));
        }
        None => return invalid("response_type is missing"),
    }
    match (
        get(query, "code_challenge"),
        get(query, "code_challenge_method"),
    ) {
        (None, None) if client.kind == ClientKind::Pkce => {
            return invalid("code_challenge is missing");
        }
        (None, None) => {}
        (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
        (Some(_), Some("S256")) => return invalid("code_challenge is not a SHA-256 hash"),
        _ => return invalid("code_challenge_method must be S256"),
    }
    if get(query, "org").is_some() != get(query, "provider").is_some() {
        return invalid("org and provider must be sent together");
    }
    None
}

fn validate(world: &GenesysWorld, query: &[(String, String)]) -> Result<Request, Refused> {
    let (client, redirect_uri) = known_client(world, query)?;
    let state = get(query, "state");
    if let Some((error, description)) = fault(&client, query) {
        let parameters = [
            ("error", error),
            ("error_description", description.as_str()),
        ];
        return Err(Refused::Redirect {
            location: back(redirect_uri, &parameters, state),
        });
    }
    let owned = |name: &str| get(query, name).map(str::to_owned);
    Ok(Request {
        client,
        redirect_uri: redirect_uri.to_owned(),
        state: owned("state"),
        challenge: owned("code_challenge"),
        target: owned("target"),
        login_hint: owned("login_hint"),
        must_prompt: get(query, "prompt") == Some("login"),
    })
}

fn page(message: &str) -> Refused {
    Refused::OnPage(message.to_owned())
}

/// BASE64URL of 32 bytes without padding.
fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub(crate) fn begin(state: &Arc<State>, call: &Call) -> Reply {
    if call.method != "GET" {
        return Reply::empty(405).with("allow", "GET");
    }
    let life = state.settings().genesys.code_lifetime;
    let mut world = state.genesys();
    let request = match validate(&world, &call.query) {
        Ok(request) => request,
        Err(refused) => return refused.into_reply(),
    };
    let hint = request.login_hint.as_deref().unwrap_or_default();
    let hinted = world
        .user_by_email(hinted_email(hint), request.target.as_deref())
        .cloned();
    let remembered = call
        .cookie(COOKIE)
        .filter(|_| !request.must_prompt && hint.is_empty())
        .and_then(|cookie| world.browsers.get(cookie))
        .and_then(|user_id| world.user(user_id))
        .filter(|user| {
            request
                .target
                .as_ref()
                .is_none_or(|org_id| *org_id == user.org_id)
        })
        .cloned();
    match hinted.or(remembered) {
        Some(user) => sign_in(&mut world, &request, &user, life),
        None => form(&world, &request, &call.query, hint, None),
    }
}

/// A hint is an e-mail, an organization name, or both joined by a colon.
fn hinted_email(hint: &str) -> &str {
    hint.split_once(':').map_or(hint, |(email, _)| email)
}

fn form(
    world: &GenesysWorld,
    request: &Request,
    query: &[(String, String)],
    hint: &str,
    problem: Option<&str>,
) -> Reply {
    let org_hint = hint.split_once(':').map_or(hint, |(_, org)| org);
    let named = world
        .orgs
        .iter()
        .any(|org| org.short_name == org_hint || org.name == org_hint);
    let people: Vec<(&str, Vec<&User>)> = world
        .orgs
        .iter()
        .filter(|org| !named || org.short_name == org_hint || org.name == org_hint)
        .filter(|org| {
            request
                .target
                .as_ref()
                .is_none_or(|target| *target == org.id)
        })
        .map(|org| {
            let users = world
                .users
                .iter()
                .filter(|user| user.org_id == org.id && user.state != "deleted");
            (org.name.as_str(), users.collect::<Vec<_>>())
        })
        .filter(|(_, users)| !users.is_empty())
        .collect();
    let email = if hint.contains('@') {
        hinted_email(hint)
    } else {
        ""
    };
    let page = pages::login(&request.client, query, email, problem, &people);
    Reply::html(200, page).with("x-frame-options", "DENY")
}

/// The posted form: the original request comes back in it and is checked again.
pub(crate) fn submit(state: &Arc<State>, call: &Call) -> Reply {
    if call.method != "POST" {
        return Reply::empty(405).with("allow", "POST");
    }
    let posted = call.form();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(get(&posted, "request").unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let life = state.settings().genesys.code_lifetime;
    let mut world = state.genesys();
    let request = match validate(&world, &query) {
        Ok(request) => request,
        Err(refused) => return refused.into_reply(),
    };
    if get(&posted, "deny").is_some() {
        let parameters = [
            ("error", "access_denied"),
            ("error_description", "the user denied access"),
        ];
        let location = back(&request.redirect_uri, &parameters, request.state.as_deref());
        return Reply::redirect(&location);
    }
    let email = get(&posted, "email").unwrap_or_default();
    let found = world
        .user_by_email(email, request.target.as_deref())
        .cloned();
    match found {
        Some(user) => sign_in(&mut world, &request, &user, life),
        None => form(
            &world,
            &request,
            &query,
            email,
            Some("Nobody here has this e-mail."),
        ),
    }
}

/// Also for inactive people and organizations: the real login page would stop them, but a person
/// can be switched off between the login and users/me, and the client's own check needs a test.
fn sign_in(
    world: &mut GenesysWorld,
    request: &Request,
    user: &User,
    life: std::time::Duration,
) -> Reply {
    let cookie = random_token();
    if world.browsers.len() > MANY_BROWSERS {
        world.browsers.clear();
    }
    world.browsers.insert(cookie.clone(), user.id.clone());
    let code = world.insert_code(Code {
        client_id: request.client.id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        user_id: user.id.clone(),
        expires_at: Utc::now() + life,
        used: false,
    });
    Reply::redirect(&back(
        &request.redirect_uri,
        &[("code", &code)],
        request.state.as_deref(),
    ))
    .with(
        "set-cookie",
        &format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax"),
    )
}

/// Ends the browser's login and, because that is an explicit logout, the person's tokens.
pub(crate) fn logout(state: &Arc<State>, call: &Call) -> Reply {
    let mut world = state.genesys();
    if let Some(user_id) = call
        .cookie(COOKIE)
        .and_then(|cookie| world.browsers.remove(cookie))
    {
        world.revoke_all(Some(&user_id));
    }
    let registered = call
        .query("client_id")
        .and_then(|id| world.client(id))
        .and_then(|client| {
            let wanted = call.query("redirect_uri")?;
            client
                .redirect_uris
                .iter()
                .find(|registered| *registered == wanted)
        });
    let reply = match registered {
        Some(uri) => Reply::redirect(uri),
        None => Reply::html(200, pages::signed_out()),
    };
    reply.with(
        "set-cookie",
        &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    )
}
