//! Organizations, people, clients, accounts and tokens, changed while the sandbox runs.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refused, parse};
use crate::genesys::world::{OAuthClient, Org, User};
use crate::graph::signup;
use crate::graph::world::{NewWaba, TokenState, both_scopes};
use crate::http::Call;
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    /// Everybody when absent.
    email: Option<String>,
}

pub(super) fn revoke_genesys(state: &Arc<State>, call: &Call) -> Answer {
    let revocation: Revocation = parse(call)?;
    let revoked = match &revocation.email {
        Some(email) => revoke_user(state, email).ok_or_else(|| Refused::unknown("user"))?,
        None => state.genesys().revoke_all(None),
    };
    Ok(json!({"revoked": revoked}))
}

/// Ends a user's Genesys tokens; none when there is no such user.
pub(crate) fn revoke_user(state: &State, email: &str) -> Option<usize> {
    let mut world = state.genesys();
    let user_id = world.user_by_email(email, None)?.id.clone();
    Some(world.revoke_all(Some(&user_id)))
}

pub(super) fn graph_token(state: &Arc<State>, which: &str, verb: &str) -> Answer {
    let token_state = match verb {
        "revoke" => TokenState::Revoked,
        "restore" => TokenState::Active,
        "expire" => TokenState::Expired,
        _ => return Err(Refused::unknown("control")),
    };
    if state.graph().set_token_state(which, token_state) {
        Ok(json!({"state": token_state}))
    } else {
        Err(Refused::unknown("token"))
    }
}

/// Adds or replaces an organization.
pub(crate) fn put_org(state: &State, org: Org) {
    let mut world = state.genesys();
    world.orgs.retain(|old| old.id != org.id);
    world.orgs.push(org);
}

/// Adds or replaces a user.
pub(crate) fn put_user(state: &State, user: User) -> Result<(), Refused> {
    let mut world = state.genesys();
    let home = user.home_org_id.as_deref().unwrap_or(&user.org_id);
    if world.org(&user.org_id).is_none() || world.org(home).is_none() {
        return Err(Refused::bad(
            "org_id and home_org_id must name known organizations.",
        ));
    }
    world.users.retain(|old| old.id != user.id);
    world.users.push(user);
    Ok(())
}

/// Adds or replaces an OAuth client.
pub(crate) fn put_client(state: &State, client: OAuthClient) -> Result<(), Refused> {
    let mut world = state.genesys();
    if world.org(&client.org_id).is_none() {
        return Err(Refused::bad("org_id must name a known organization."));
    }
    world.clients.retain(|old| old.id != client.id);
    world.clients.push(client);
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgChange {
    name: Option<String>,
    state: Option<String>,
}

pub(super) fn change_org(state: &Arc<State>, id: &str, call: &Call) -> Answer {
    let change: OrgChange = parse(call)?;
    let mut world = state.genesys();
    let org = world
        .orgs
        .iter_mut()
        .find(|org| org.id == id || org.short_name == id)
        .ok_or_else(|| Refused::unknown("organization"))?;
    if let Some(name) = change.name {
        org.name = name;
    }
    if let Some(state) = change.state {
        org.state = state;
    }
    Ok(json!(org))
}

/// Members of a user that can be changed; absent ones stay.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// New e-mail.
    pub email: Option<String>,
    /// New name.
    pub name: Option<String>,
    /// New state.
    pub state: Option<String>,
    /// New role names.
    pub roles: Option<Vec<String>>,
}

pub(super) fn change_user(state: &Arc<State>, which: &str, call: &Call) -> Answer {
    update_user(state, which, parse(call)?)
        .map(|user| json!(user))
        .ok_or_else(|| Refused::unknown("user"))
}

/// Changes a user given by id or e-mail and raises the version.
pub(crate) fn update_user(state: &State, which: &str, change: UserChange) -> Option<User> {
    let mut world = state.genesys();
    let user = world
        .users
        .iter_mut()
        .find(|user| user.id == which || user.email.eq_ignore_ascii_case(which))?;
    if let Some(email) = change.email {
        user.email = email;
    }
    if let Some(name) = change.name {
        user.name = name;
    }
    if let Some(state) = change.state {
        user.state = state;
    }
    if let Some(roles) = change.roles {
        user.roles = roles;
    }
    user.version += 1;
    Some(user.clone())
}

pub(super) fn add_org(state: &Arc<State>, call: &Call) -> Answer {
    let org: Org = parse(call)?;
    put_org(state, org.clone());
    Ok(json!(org))
}

pub(super) fn add_user(state: &Arc<State>, call: &Call) -> Answer {
    let user: User = parse(call)?;
    put_user(state, user.clone())?;
    Ok(json!(user))
}

pub(super) fn add_client(state: &Arc<State>, call: &Call) -> Answer {
    let client: OAuthClient = parse(call)?;
    let id = client.id.clone();
    put_client(state, client)?;
    Ok(json!({"id": id}))
}

pub(super) fn add_waba(state: &Arc<State>, call: &Call) -> Answer {
    let new: NewWaba = parse(call)?;
    let id = new.waba.id.clone();
    state.graph().put_waba(new);
    Ok(json!({"id": id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeOrder {
    waba_id: String,
    /// Checked only: what a code grants is an account, not a number.
    phone_number_id: Option<String>,
    scopes: Option<Vec<String>>,
}

pub(super) fn signup_code(state: &Arc<State>, call: &Call) -> Answer {
    let order: CodeOrder = parse(call)?;
    let mut world = state.graph();
    let waba = world
        .waba_mut(&order.waba_id)
        .ok_or_else(|| Refused::unknown("account"))?;
    if let Some(id) = &order.phone_number_id
        && !waba.phones.iter().any(|phone| phone.id == *id)
    {
        return Err(Refused::unknown("number of this account"));
    }
    let scopes = order.scopes.unwrap_or_else(both_scopes);
    Ok(json!({"code": signup::make_code(&mut world, &order.waba_id, scopes)}))
}

pub(super) fn expire_signup_codes(state: &Arc<State>) -> Value {
    json!({"expired": signup::expire_codes(&mut state.graph())})
}

pub(super) fn expire_codes(state: &Arc<State>) -> Value {
    let mut world = state.genesys();
    let count = world.codes.len();
    world.codes.clear();
    json!({"expired": count})
}
