//! `GET`, `HEAD` and `DELETE /api/v2/tokens/me`.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::Bearer;
use super::errors::ApiError;
use super::world::{GenesysWorld, Token};
use crate::http::Reply;

pub(crate) fn show(world: &GenesysWorld, bearer: &Bearer) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &view(world, &bearer.token)?))
}

pub(crate) fn revoke(world: &mut GenesysWorld, bearer: &Bearer) -> Reply {
    world.revoke_token(&bearer.value);
    Reply::empty(204)
}

fn org_reference(world: &GenesysWorld, id: &str) -> Result<Value, ApiError> {
    let org = world
        .org(id)
        .ok_or_else(|| ApiError::not_found("organization"))?;
    Ok(json!({"id": org.id, "name": org.name}))
}

/// Also the `token` expansion of users/me. `organization` is where the token acts;
/// `OAuthClient.organization` only owns the client.
pub(crate) fn view(world: &GenesysWorld, token: &Token) -> Result<Value, ApiError> {
    let client = world
        .client(&token.client_id)
        .ok_or_else(|| ApiError::not_found("OAuth client"))?;
    let organization = org_reference(world, &token.org_id)?;
    let user = token.user_id.as_deref().and_then(|id| world.user(id));
    let home = match user.and_then(|user| user.home_org_id.as_deref()) {
        Some(id) => org_reference(world, id)?,
        None => organization.clone(),
    };
    let mut body = json!({
        "organization": organization,
        "homeOrganization": home,
        "authorizedScope": client.scopes,
        "dateTokenIdles": token.expires_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "OAuthClient": {
            "id": client.id,
            "name": client.name,
            "organization": org_reference(world, &client.org_id)?,
            "authorizedGrantType": client.kind.grant_type(),
            "scope": client.scopes,
            "state": client.state,
        },
    });
    let cloned =
        user.and_then(|user| Some((user.home_user_id.as_ref()?, user.home_org_id.as_ref()?)));
    if let (Some((user_id, org_id)), Some(members)) = (cloned, body.as_object_mut()) {
        let cloned = json!({"id": user_id, "organization": org_reference(world, org_id)?});
        members.insert("clonedUser".to_owned(), cloned);
    }
    Ok(body)
}
