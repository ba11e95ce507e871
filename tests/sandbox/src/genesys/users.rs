//! Users, their roles, and who the bearer is.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::errors::ApiError;
use super::world::{GenesysWorld, User};
use super::{Bearer, organizations, roles, tokens_me};
use crate::crypto::stable_digits;
use crate::http::{Call, Reply};

/// Highest page size of `/users`, as the official Terraform provider uses it.
const MAX_PAGE_SIZE: usize = 500;

fn view(user: &User, expand: &[String]) -> Value {
    let mut body = json!({
        "id": user.id,
        "name": user.name,
        "division": roles::home_division(&user.org_id),
        "chat": {"jabberId": format!("{}@sandbox.orgspan.com", stable_digits(&user.id, 24))},
        "email": user.email,
        "primaryContactInfo": [
            {"address": user.email, "mediaType": "EMAIL", "type": "PRIMARY"},
        ],
        "addresses": [],
        "state": user.state,
        "username": user.email,
        "version": user.version,
        "acdAutoAnswer": false,
        "selfUri": format!("/api/v2/users/{}", user.id),
    });
    let Some(members) = body.as_object_mut() else {
        return body;
    };
    for (name, value) in [("title", &user.title), ("department", &user.department)] {
        if let Some(value) = value {
            members.insert(name.to_owned(), json!(value));
        }
    }
    for wanted in expand {
        let value = match wanted.as_str() {
            "authorization" => roles::authorization(user),
            "groups" | "skills" | "languages" | "locations" | "certifications"
            | "profileSkills" => json!([]),
            "routingStatus" => json!({"userId": user.id, "status": "OFF_QUEUE"}),
            "presence" => json!({
                "presenceDefinition": {
                    "id": "ccf3c10a-aa2c-4845-8e8d-f59fa48c58e5",
                    "systemPresence": "OFFLINE",
                },
                "message": "",
                "primary": true,
                "source": "PURECLOUD",
            }),
            _ => continue,
        };
        members.insert(wanted.clone(), value);
    }
    body
}

fn signed_in<'w>(world: &'w GenesysWorld, bearer: &Bearer) -> Result<&'w User, ApiError> {
    let id = bearer.token.user_id.as_deref().ok_or_else(|| {
        ApiError::bad_request(
            "This request requires a user context. Client credentials cannot be used for \
             requests to this resource.",
        )
    })?;
    world.user(id).ok_or_else(|| ApiError::not_found("user"))
}

pub(crate) fn me(world: &GenesysWorld, call: &Call, bearer: &Bearer) -> Result<Reply, ApiError> {
    let user = signed_in(world, bearer)?;
    let expand = call.query_list("expand");
    let mut body = view(user, &expand);
    if let Some(members) = body.as_object_mut() {
        if expand.iter().any(|name| name == "organization")
            && let Some(org) = world.org(&user.org_id)
        {
            members.insert("organization".to_owned(), organizations::view(org));
        }
        if expand.iter().any(|name| name == "token") {
            members.insert("token".to_owned(), tokens_me::view(world, &bearer.token)?);
        }
        if expand.iter().any(|name| name == "trustors") {
            members.insert("trustors".to_owned(), json!([]));
        }
    }
    Ok(Reply::json(200, &body))
}

pub(crate) fn subject(world: &GenesysWorld, bearer: &Bearer) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &roles::subject(signed_in(world, bearer)?)))
}

fn visible<'w>(world: &'w GenesysWorld, bearer: &Bearer, id: &str) -> Result<&'w User, ApiError> {
    world
        .user(id)
        .filter(|user| user.org_id == bearer.token.org_id)
        .ok_or_else(|| ApiError::not_found("user"))
}

pub(crate) fn show(
    world: &GenesysWorld,
    call: &Call,
    bearer: &Bearer,
    id: &str,
) -> Result<Reply, ApiError> {
    let user = visible(world, bearer, id)?;
    let wants_deleted = call.query("state") == Some("deleted");
    if (user.state == "deleted") != wants_deleted {
        return Err(ApiError::not_found("user"));
    }
    Ok(Reply::json(200, &view(user, &call.query_list("expand"))))
}

pub(crate) fn roles(world: &GenesysWorld, bearer: &Bearer, id: &str) -> Result<Reply, ApiError> {
    let own = bearer.token.user_id.as_deref() == Some(id);
    if !own && !roles::allows(world, &bearer.token, "authorization:grant:view") {
        return Err(ApiError::missing_permission("authorization:grant:view"));
    }
    Ok(Reply::json(
        200,
        &roles::authorization(visible(world, bearer, id)?),
    ))
}

pub(crate) fn list(world: &GenesysWorld, call: &Call, bearer: &Bearer) -> Result<Reply, ApiError> {
    let state = call.query("state").unwrap_or("active");
    if !["active", "inactive", "deleted", "any"].contains(&state) {
        return Err(ApiError::new(
            400,
            "invalid.value",
            "The value of state is not valid.",
        ));
    }
    let descending = match call
        .query("sortOrder")
        .unwrap_or("ASC")
        .to_ascii_lowercase()
        .as_str()
    {
        "asc" | "ascending" => false,
        "desc" | "descending" => true,
        _ => {
            return Err(ApiError::new(
                400,
                "invalid.value",
                "The value of sortOrder is not valid.",
            ));
        }
    };
    let ids = call.query_list("id");
    let mut users: Vec<&User> = world
        .users
        .iter()
        .filter(|user| user.org_id == bearer.token.org_id)
        .filter(|user| state == "any" || user.state == state)
        .filter(|user| ids.is_empty() || ids.contains(&user.id))
        .collect();
    users.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    if descending {
        users.reverse();
    }
    let expand = call.query_list("expand");
    let views = users.into_iter().map(|user| view(user, &expand)).collect();
    page(call, "/api/v2/users", views)
}

pub(crate) fn role_list(
    world: &GenesysWorld,
    call: &Call,
    bearer: &Bearer,
) -> Result<Reply, ApiError> {
    if !roles::allows(world, &bearer.token, "authorization:role:view") {
        return Err(ApiError::missing_permission("authorization:role:view"));
    }
    let mut all = roles::listing(world, &bearer.token.org_id);
    if let Some(pattern) = call.query("name") {
        let wanted = pattern.trim_matches('*').to_lowercase();
        all.retain(|role| {
            let name = role
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_lowercase();
            if pattern.contains('*') {
                name.contains(&wanted)
            } else {
                name == wanted
            }
        });
    }
    page(call, "/api/v2/authorization/roles", all)
}

fn number(call: &Call, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
    let Some(text) = call.query(name) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(value) if (1..=max).contains(&value) => Ok(value),
        _ => Err(ApiError::bad_request(format!(
            "{name} must be between 1 and {max}."
        ))),
    }
}

/// The listing that all entities share. The URIs are paths; those of pages that do not exist are
/// absent.
fn page(call: &Call, path: &str, entities: Vec<Value>) -> Result<Reply, ApiError> {
    let size = number(call, "pageSize", 25, MAX_PAGE_SIZE)?;
    let current = number(call, "pageNumber", 1, usize::MAX)?;
    let total = entities.len();
    let pages = total.div_ceil(size);
    let uri = |number: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("pageSize", &size.to_string());
        query.append_pair("pageNumber", &number.to_string());
        let kept = call
            .query
            .iter()
            .filter(|(name, _)| name != "pageSize" && name != "pageNumber");
        query.extend_pairs(kept);
        format!("{path}?{}", query.finish())
    };
    let shown: Vec<Value> = entities
        .into_iter()
        .skip((current - 1).saturating_mul(size))
        .take(size)
        .collect();
    let mut body = json!({
        "entities": shown,
        "pageSize": size,
        "pageNumber": current,
        "total": total,
        "pageCount": pages,
        "firstUri": uri(1),
        "selfUri": uri(current),
        "lastUri": uri(pages.max(1)),
    });
    if let Some(members) = body.as_object_mut() {
        if current < pages {
            members.insert("nextUri".to_owned(), json!(uri(current + 1)));
        }
        if current > 1 {
            members.insert("previousUri".to_owned(), json!(uri(current - 1)));
        }
    }
    Ok(Reply::json(200, &body))
}
