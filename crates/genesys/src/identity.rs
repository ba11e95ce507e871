//! Who signed in, and for which organization.

use serde::Deserialize;

use crate::ListedUser;

/// The bearer of a token.
///
/// The key of a person is (organization id, user id): names and e-mail addresses change, and two
/// people may swap addresses. `Debug` shows ids only.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Genesys' id of the user.
    pub user_id: String,
    /// Display name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Sign-in is for active users only.
    pub state: EntityState,
    /// Rises with each change of the user.
    pub version: Option<i64>,
    /// Roles of the user; `None` when Genesys did not tell, which is not the same as no roles.
    pub roles: Option<Vec<RoleRef>>,
    /// The organization that the token acts in: the key of the tenant.
    pub organization: Organization,
    /// The organization that the user belongs to. It differs from `organization` for somebody who
    /// works in a customer's organization as a trusted user.
    pub home_organization_id: Option<String>,
}

/// A role, as far as a user's authorization tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoleRef {
    /// Genesys' id of the role.
    #[serde(default)]
    pub id: String,
    /// Its name in the organization.
    #[serde(default)]
    pub name: String,
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Genesys' id of the organization.
    pub id: String,
    /// Display name, may change.
    pub name: String,
    /// Short name, globally unique, never changes.
    pub third_party_org_name: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Sign-in is for active organizations only.
    pub state: EntityState,
}

/// State of a user or an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityState {
    /// In use.
    Active,
    /// Switched off.
    Inactive,
    /// Gone.
    Deleted,
    /// A state that this version does not know, or none at all.
    #[serde(other)]
    Unknown,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("user_id", &self.user_id)
            .field("organization_id", &self.organization.id)
            .finish_non_exhaustive()
    }
}

/// `users/me` with its expansions, each of which may be missing.
#[derive(Deserialize)]
pub(crate) struct UserWire {
    id: String,
    name: Option<String>,
    email: Option<String>,
    username: Option<String>,
    state: Option<EntityState>,
    version: Option<i64>,
    authorization: Option<AuthorizationWire>,
    pub(crate) organization: Option<OrganizationWire>,
    pub(crate) token: Option<TokenWire>,
}

#[derive(Deserialize)]
struct AuthorizationWire {
    roles: Option<Vec<RoleRef>>,
}

/// `organizations/me`.
#[derive(Deserialize)]
pub(crate) struct OrganizationWire {
    id: String,
    name: Option<String>,
    #[serde(rename = "thirdPartyOrgName")]
    third_party_org_name: Option<String>,
    domain: Option<String>,
    state: Option<EntityState>,
}

/// `tokens/me`. Its `OAuthClient.organization` owns the client and is never the tenant.
#[derive(Deserialize)]
pub(crate) struct TokenWire {
    organization: Option<EntityRef>,
    #[serde(rename = "homeOrganization")]
    home_organization: Option<EntityRef>,
}

#[derive(Deserialize)]
struct EntityRef {
    id: Option<String>,
}

impl OrganizationWire {
    /// `None` without an id.
    pub(crate) fn into_organization(self) -> Option<Organization> {
        if self.id.is_empty() {
            return None;
        }
        Some(Organization {
            name: self.name.unwrap_or_else(|| self.id.clone()),
            id: self.id,
            third_party_org_name: self.third_party_org_name,
            domain: self.domain,
            state: self.state.unwrap_or(EntityState::Unknown),
        })
    }
}

impl UserWire {
    /// `None` without an id: then nobody can say who it is.
    pub(crate) fn into_listed(self) -> Option<ListedUser> {
        let user_id = Some(self.id).filter(|id| !id.is_empty())?;
        let email = self.email.or(self.username).filter(|text| !text.is_empty());
        Some(ListedUser {
            name: self
                .name
                .filter(|name| !name.is_empty())
                .or_else(|| email.clone())
                .unwrap_or_else(|| user_id.clone()),
            user_id,
            email,
            state: self.state.unwrap_or(EntityState::Unknown),
            version: self.version,
            roles: self
                .authorization
                .and_then(|authorization| authorization.roles),
        })
    }

    /// `None` when something is missing that every user has, or when the token is said to act in
    /// another organization than the one described.
    pub(crate) fn into_identity(
        self,
        organization: OrganizationWire,
        token: TokenWire,
    ) -> Option<Identity> {
        let id_of = |reference: Option<EntityRef>| reference.and_then(|entity| entity.id);
        let acts_in = id_of(token.organization);
        if acts_in.is_some_and(|id| id != organization.id) {
            return None;
        }
        let email = self
            .email
            .or(self.username)
            .filter(|text| !text.is_empty())?;
        Some(Identity {
            user_id: Some(self.id).filter(|id| !id.is_empty())?,
            name: self
                .name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| email.clone()),
            email,
            state: self.state.unwrap_or(EntityState::Unknown),
            version: self.version,
            roles: self
                .authorization
                .and_then(|authorization| authorization.roles),
            organization: organization.into_organization()?,
            home_organization_id: id_of(token.home_organization),
        })
    }
}
