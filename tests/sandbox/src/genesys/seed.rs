//! The organizations, people and OAuth clients that exist at the start. Fixed and readable ids.

use uuid::Uuid;

use super::world::{ClientKind, OAuthClient, Org, User};

/// Callback of the local stack, registered unless others are given.
pub const DEFAULT_REDIRECT_URI: &str = "http://localhost:3000/api/agents/auth/callback";

/// Confidential code client (secret, optional PKCE).
pub const CONFIDENTIAL_CLIENT_ID: &str = "agent-portal-confidential";
/// Its secret.
pub const CONFIDENTIAL_CLIENT_SECRET: &str = "agent-portal-sandbox-secret";
/// Public code client (PKCE, no secret).
pub const PKCE_CLIENT_ID: &str = "agent-portal-pkce";
/// Client-credentials client of Acme.
pub const ACME_CC_CLIENT_ID: &str = "acme-client-credentials";
/// Its secret.
pub const ACME_CC_CLIENT_SECRET: &str = "acme-sandbox-secret";
/// Client-credentials client of Globex.
pub const GLOBEX_CC_CLIENT_ID: &str = "globex-client-credentials";
/// Its secret.
pub const GLOBEX_CC_CLIENT_SECRET: &str = "globex-sandbox-secret";
/// Client-credentials client of Initech.
pub const INITECH_CC_CLIENT_ID: &str = "initech-client-credentials";
/// Its secret.
pub const INITECH_CC_CLIENT_SECRET: &str = "initech-sandbox-secret";

/// Owner of the two sign-in clients; nobody signs in to it.
pub const VENDOR_ORG_ID: &str = "0d5b7c11-2e3f-4a4b-9c5d-6e7f8091a2b3";
/// The demo organization.
pub const ACME_ORG_ID: &str = "6f1d2c3b-4a5e-4f60-8a7b-9c0d1e2f3a4b";
/// A second organization with its own people and number.
pub const GLOBEX_ORG_ID: &str = "7a2e3d4c-5b6f-4071-9b8c-0d1e2f3a4b5c";
/// Active, but no tenant of ours.
pub const INITECH_ORG_ID: &str = "8b3f4e5d-6c70-4182-8c9d-1e2f3a4b5c6d";
/// Inactive organization.
pub const DORMANT_ORG_ID: &str = "9c405f6e-7d81-4293-9dae-2f3a4b5c6d7e";
/// Home of the trustee user.
pub const HOOLI_ORG_ID: &str = "ad51607f-8e92-43a4-8ebf-3a4b5c6d7e8f";

/// Acme: roles employee and User.
pub const ACME_AGENT: &str = "agent@acme.example";
/// Acme: role Supervisor.
pub const ACME_SUPERVISOR: &str = "supervisor@acme.example";
/// Acme: role Master Admin.
pub const ACME_ADMIN: &str = "admin@acme.example";
/// Acme: state inactive.
pub const ACME_INACTIVE: &str = "inactive@acme.example";
/// Acme: role employee and nothing else.
pub const ACME_EMPLOYEE: &str = "employee@acme.example";
/// Acme: a role of the organization's own making.
pub const ACME_CUSTOM_ROLE: &str = "teamlead@acme.example";
/// Belongs to Hooli, works in Acme: `homeOrganization` differs.
pub const TRUSTEE: &str = "trustee@hooli.example";
/// Globex agent.
pub const GLOBEX_AGENT: &str = "agent@globex.example";
/// Globex administrator.
pub const GLOBEX_ADMIN: &str = "admin@globex.example";
/// Agent of the organization without a tenant.
pub const INITECH_AGENT: &str = "agent@initech.example";
/// Agent of the inactive organization.
pub const DORMANT_AGENT: &str = "agent@dormant.example";

/// Id of a seeded user: made from the e-mail, so that it never changes.
pub fn user_id(email: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("mailto:{email}").as_bytes()).to_string()
}

fn org(id: &str, name: &str, short_name: &str, state: &str) -> Org {
    Org {
        id: id.to_owned(),
        name: name.to_owned(),
        short_name: short_name.to_owned(),
        state: state.to_owned(),
    }
}

pub(crate) fn orgs() -> Vec<Org> {
    vec![
        org(
            VENDOR_ORG_ID,
            "Agent Portal Vendor",
            "agent-portal-vendor",
            "active",
        ),
        org(ACME_ORG_ID, "Acme Corp", "acme", "active"),
        org(GLOBEX_ORG_ID, "Globex Corporation", "globex", "active"),
        org(INITECH_ORG_ID, "Initech", "initech", "active"),
        org(DORMANT_ORG_ID, "Dormant Ltd", "dormant", "inactive"),
        org(HOOLI_ORG_ID, "Hooli", "hooli", "active"),
    ]
}

fn user(email: &str, name: &str, org_id: &str, roles: &[&str]) -> User {
    User {
        id: user_id(email),
        org_id: org_id.to_owned(),
        email: email.to_owned(),
        name: name.to_owned(),
        title: roles.last().map(|role| (*role).to_owned()),
        department: None,
        state: "active".to_owned(),
        version: 1,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        home_org_id: None,
        home_user_id: None,
    }
}

pub(crate) fn users() -> Vec<User> {
    vec![
        user(
            ACME_AGENT,
            "Alice Agent",
            ACME_ORG_ID,
            &["employee", "User"],
        ),
        user(
            ACME_SUPERVISOR,
            "Sam Supervisor",
            ACME_ORG_ID,
            &["employee", "Supervisor"],
        ),
        user(
            ACME_ADMIN,
            "Ada Admin",
            ACME_ORG_ID,
            &["employee", "Master Admin"],
        ),
        User {
            state: "inactive".to_owned(),
            ..user(
                ACME_INACTIVE,
                "Ivan Inactive",
                ACME_ORG_ID,
                &["employee", "User"],
            )
        },
        user(ACME_EMPLOYEE, "Emma Employee", ACME_ORG_ID, &["employee"]),
        user(
            ACME_CUSTOM_ROLE,
            "Tom Teamlead",
            ACME_ORG_ID,
            &["employee", "Acme Team Lead"],
        ),
        User {
            home_org_id: Some(HOOLI_ORG_ID.to_owned()),
            home_user_id: Some(user_id("trustee-home@hooli.example")),
            ..user(TRUSTEE, "Trudy Trustee", ACME_ORG_ID, &["employee", "User"])
        },
        user(
            GLOBEX_AGENT,
            "Greta Agent",
            GLOBEX_ORG_ID,
            &["employee", "User"],
        ),
        user(
            GLOBEX_ADMIN,
            "Gus Admin",
            GLOBEX_ORG_ID,
            &["employee", "admin"],
        ),
        user(
            INITECH_AGENT,
            "Ingo Agent",
            INITECH_ORG_ID,
            &["employee", "User"],
        ),
        user(
            DORMANT_AGENT,
            "Dora Agent",
            DORMANT_ORG_ID,
            &["employee", "User"],
        ),
    ]
}

fn client(id: &str, name: &str, org_id: &str, kind: ClientKind) -> OAuthClient {
    OAuthClient {
        id: id.to_owned(),
        name: name.to_owned(),
        org_id: org_id.to_owned(),
        kind,
        secret: None,
        redirect_uris: Vec::new(),
        token_seconds: 86_400,
        scopes: Vec::new(),
        state: "active".to_owned(),
    }
}

pub(crate) fn clients(redirect_uris: &[String]) -> Vec<OAuthClient> {
    let scopes = [
        "user-basic-info",
        "users:readonly",
        "organization:readonly",
        "authorization:readonly",
    ];
    let scopes: Vec<String> = scopes.into_iter().map(str::to_owned).collect();
    let credentials = [
        (
            ACME_CC_CLIENT_ID,
            ACME_CC_CLIENT_SECRET,
            ACME_ORG_ID,
            "Acme background jobs",
        ),
        (
            GLOBEX_CC_CLIENT_ID,
            GLOBEX_CC_CLIENT_SECRET,
            GLOBEX_ORG_ID,
            "Globex background jobs",
        ),
        (
            INITECH_CC_CLIENT_ID,
            INITECH_CC_CLIENT_SECRET,
            INITECH_ORG_ID,
            "Initech background jobs",
        ),
    ];
    let mut clients = vec![
        OAuthClient {
            secret: Some(CONFIDENTIAL_CLIENT_SECRET.to_owned()),
            redirect_uris: redirect_uris.to_vec(),
            scopes: scopes.clone(),
            ..client(
                CONFIDENTIAL_CLIENT_ID,
                "Agent Portal",
                VENDOR_ORG_ID,
                ClientKind::Code,
            )
        },
        OAuthClient {
            redirect_uris: redirect_uris.to_vec(),
            scopes,
            ..client(
                PKCE_CLIENT_ID,
                "Agent Portal (PKCE)",
                VENDOR_ORG_ID,
                ClientKind::Pkce,
            )
        },
    ];
    clients.extend(credentials.map(|(id, secret, org_id, name)| OAuthClient {
        secret: Some(secret.to_owned()),
        ..client(id, name, org_id, ClientKind::ClientCredentials)
    }));
    clients
}
