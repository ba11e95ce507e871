//! Roles and what they permit.

use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{GenesysWorld, Token, User};

/// Built-in roles: name, stable key, description, permissions.
const BUILT_IN: [(&str, &str, &str, &[&str]); 8] = [
    (
        "employee",
        "employee",
        "Basic access of every user",
        &["directory:user:view"],
    ),
    (
        "User",
        "engageUser",
        "Agent features",
        &[
            "conversation:message:create",
            "conversation:message:receive",
            "conversation:message:view",
            "conversation:communication:disconnect",
            "routing:queue:view",
        ],
    ),
    (
        "Supervisor",
        "engageSupervisor",
        "Dashboards and reports",
        &[
            "analytics:conversationAggregate:view",
            "authorization:grant:view",
            "conversation:message:create",
            "conversation:message:view",
            "conversation:message:assign",
            "routing:queue:view",
        ],
    ),
    (
        "admin",
        "admin",
        "All configuration of the organization",
        ADMIN,
    ),
    (
        "Master Admin",
        "masterAdmin",
        "All configuration of the organization",
        ADMIN,
    ),
    (
        "People Admin",
        "peopleAdmin",
        "Users and their roles",
        &["directory:*:*", "authorization:*:*"],
    ),
    (
        "Communicate - User",
        "communicateUser",
        "Telephony user",
        &["telephony:phone:view"],
    ),
    (
        "Quality Evaluator",
        "qualityEvaluator",
        "Evaluations",
        &["quality:evaluation:view"],
    ),
];

const ADMIN: &[&str] = &[
    "analytics:*:*",
    "authorization:*:*",
    "conversation:*:*",
    "directory:*:*",
    "messaging:*:*",
    "oauth:*:*",
    "routing:*:*",
];

fn built_in(
    name: &str,
) -> Option<&'static (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
)> {
    BUILT_IN.iter().find(|(role, ..)| *role == name)
}

/// Role ids are per organization and never change.
fn role_id(org_id: &str, name: &str) -> String {
    Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{org_id}/role/{name}").as_bytes(),
    )
    .to_string()
}

/// The home division of an organization.
pub(crate) fn home_division(org_id: &str) -> Value {
    let id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{org_id}/division/home").as_bytes(),
    );
    json!({"id": id, "name": "Home", "selfUri": format!("/api/v2/authorization/divisions/{id}")})
}

fn names_in(world: &GenesysWorld, org_id: &str) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    for user in world.users.iter().filter(|user| user.org_id == org_id) {
        for role in &user.roles {
            if !names.contains(role) {
                names.push(role.clone());
            }
        }
    }
    names
}

/// All roles of an organization, as `GET /authorization/roles` lists them.
pub(crate) fn listing(world: &GenesysWorld, org_id: &str) -> Vec<Value> {
    names_in(world, org_id)
        .into_iter()
        .map(|name| {
            let known = built_in(&name);
            let holders = world
                .users
                .iter()
                .filter(|user| user.org_id == org_id && user.roles.contains(&name))
                .count();
            let id = role_id(org_id, &name);
            let mut role = json!({
                "id": id,
                "name": name,
                "description": known.map_or("Custom role", |(_, _, text, _)| text),
                "permissions": known.map_or(&[][..], |(.., permissions)| permissions),
                "permissionPolicies": [],
                "userCount": holders,
                "roleNeedsUpdate": false,
                "default": known.is_some(),
                "base": name == "employee",
                "selfUri": format!("/api/v2/authorization/roles/{id}"),
            });
            if let (Some((_, key, ..)), Some(members)) = (known, role.as_object_mut()) {
                members.insert("defaultRoleId".to_owned(), json!(key));
            }
            role
        })
        .collect()
}

/// The `authorization` expansion, also the body of `GET /users/{id}/roles`.
pub(crate) fn authorization(user: &User) -> Value {
    let roles: Vec<Value> = user
        .roles
        .iter()
        .map(|name| json!({"id": role_id(&user.org_id, name), "name": name}))
        .collect();
    json!({
        "roles": roles,
        "unusedRoles": [],
        "permissions": permissions(user),
        "permissionPolicies": [],
    })
}

/// `GET /authorization/subjects/me`.
pub(crate) fn subject(user: &User) -> Value {
    let mut division = home_division(&user.org_id);
    if let Some(members) = division.as_object_mut() {
        members.remove("selfUri");
        members.insert("homeDivision".to_owned(), json!(true));
    }
    let grants: Vec<Value> = user
        .roles
        .iter()
        .map(|name| {
            json!({
                "subjectId": user.id,
                "division": division,
                "role": {
                    "id": role_id(&user.org_id, name),
                    "name": name,
                    "default": built_in(name).is_some(),
                    "policies": [],
                },
                "grantMadeAt": "2024-01-01T00:00:00.000Z",
            })
        })
        .collect();
    json!({"id": user.id, "name": user.name, "grants": grants, "version": user.version})
}

fn permissions(user: &User) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = user
        .roles
        .iter()
        .filter_map(|name| built_in(name))
        .flat_map(|(.., permissions)| permissions.iter().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether the bearer holds a permission. A client-credentials client has all of them here: its
/// roles are not modelled.
pub(crate) fn allows(world: &GenesysWorld, token: &Token, wanted: &str) -> bool {
    let Some(user_id) = &token.user_id else {
        return true;
    };
    world.user(user_id).is_some_and(|user| {
        permissions(user).iter().any(|held| {
            let mut wanted = wanted.split(':');
            held.split(':').all(|part| {
                let want = wanted.next().unwrap_or_default();
                part == "*" || part == want
            })
        })
    })
}
