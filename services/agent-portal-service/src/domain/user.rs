//! A person of a tenant, as Genesys tells of them and as we keep them.

use chrono::{DateTime, Utc};
use portal_types::{Role, TenantId, UserId};

/// The longest name that the column takes.
const MAX_NAME: usize = 255;

/// A person that we know.
#[expect(
    clippy::struct_field_names,
    reason = "named as in the table and in the API"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Our id.
    pub(crate) user_id: UserId,
    /// The tenant.
    pub(crate) tenant_id: TenantId,
    /// The Genesys organization.
    pub(crate) genesys_org_id: String,
    /// Genesys' id: with the organization, the key. The e-mail is none, it may change hands.
    pub(crate) genesys_user_id: String,
    /// The e-mail, as Genesys last told it.
    pub(crate) email: Option<String>,
    /// The display name, as Genesys last told it.
    pub(crate) name: String,
    /// What the person may do.
    pub(crate) role: Role,
    /// The role that an administrator of the organization gave, whatever Genesys says.
    pub(crate) role_override: Option<Role>,
    /// Whether the person may sign in.
    pub(crate) is_active: bool,
    /// Who switched the person off.
    pub(crate) deactivated_by: Option<DeactivatedBy>,
    /// Genesys' version of the person's record.
    pub(crate) genesys_version: Option<i64>,
    /// Whether the row waits for the person's first sign-in: a migration knew the e-mail alone.
    pub(crate) is_placeholder: bool,
    /// When we first saw the person.
    pub(crate) created_at: DateTime<Utc>,
    /// The last sign-in.
    pub(crate) last_login_at: Option<DateTime<Utc>>,
}

impl User {
    /// Whether Genesys alone switched the person off: a person who is active there again comes back.
    pub(crate) fn may_come_back(&self) -> bool {
        !self.is_active && self.deactivated_by == Some(DeactivatedBy::Genesys)
    }

    /// The placeholder as the person's own row.
    pub(crate) fn claimed_by(self, told: &GenesysPerson) -> Self {
        Self {
            genesys_user_id: told.user_id.clone(),
            is_placeholder: false,
            ..self
        }
    }
}

/// Who switched a person off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeactivatedBy {
    /// An administrator of the organization.
    Admin,
    /// Genesys: the person left the organization there.
    Genesys,
    /// The operator.
    Operator,
}

impl DeactivatedBy {
    /// The word of the table.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Genesys => "genesys",
            Self::Operator => "operator",
        }
    }

    /// Reads the word of the table.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "admin" => Some(Self::Admin),
            "genesys" => Some(Self::Genesys),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }
}

/// What a person's Genesys roles come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToldRole {
    /// Genesys did not tell the roles, which is not the same as none.
    Unknown,
    /// None of the roles lets the person in.
    Nothing,
    /// This one.
    Role(Role),
}

/// What Genesys says of a person at a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenesysPerson {
    /// The organization's id.
    pub(crate) org_id: String,
    /// The person's id.
    pub(crate) user_id: String,
    /// The e-mail.
    pub(crate) email: Option<String>,
    /// The display name.
    pub(crate) name: String,
    /// What the person's roles come down to.
    pub(crate) role: ToldRole,
    /// The version of the person's record.
    pub(crate) version: Option<i64>,
}

impl GenesysPerson {
    /// The person of a token, with the role that the person's roles come down to.
    pub(crate) fn of(identity: &portal_genesys::Identity, role: ToldRole) -> Self {
        Self {
            org_id: identity.organization.id.clone(),
            user_id: identity.user_id.clone(),
            email: Some(identity.email.clone()),
            name: identity.name.chars().take(MAX_NAME).collect(),
            role,
            version: identity.version,
        }
    }
}

impl GenesysPerson {
    /// A person of a listing, with the role that the person's roles come down to.
    pub(crate) fn listed(org_id: &str, user: &portal_genesys::ListedUser, role: ToldRole) -> Self {
        Self {
            org_id: org_id.to_owned(),
            user_id: user.user_id.clone(),
            email: user.email.clone(),
            name: user.name.chars().take(MAX_NAME).collect(),
            role,
            version: user.version,
        }
    }
}

/// What a sign-in changes of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UserChanges {
    /// Name, e-mail or organization.
    pub(crate) details: bool,
    /// The role.
    pub(crate) role: bool,
}

/// The person after the sign-in, and what is different from before.
pub(crate) fn merge(known: &User, told: &GenesysPerson) -> (User, UserChanges) {
    let mut user = known.clone();
    let is_stale = matches!(
        (known.genesys_version, told.version),
        (Some(known), Some(told)) if told < known
    );
    if !is_stale {
        user.genesys_org_id.clone_from(&told.org_id);
        user.email.clone_from(&told.email);
        user.name.clone_from(&told.name);
        user.genesys_version = told.version.or(known.genesys_version);
    }
    if known.genesys_org_id.is_empty() {
        user.genesys_org_id.clone_from(&told.org_id);
    }
    // Roles are not part of the versioned record: granting one does not raise the version.
    user.role = match (known.role_override, told.role) {
        (Some(given), _) => given,
        (None, ToldRole::Role(role)) => role,
        (None, ToldRole::Unknown | ToldRole::Nothing) => known.role,
    };
    let details = user.email != known.email
        || user.name != known.name
        || user.genesys_org_id != known.genesys_org_id;
    let changes = UserChanges {
        details,
        role: user.role != known.role,
    };
    (user, changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> User {
        User {
            user_id: UserId::generate(),
            tenant_id: TenantId::parse("acme").unwrap(),
            genesys_org_id: "org".to_owned(),
            genesys_user_id: "genesys-user".to_owned(),
            email: Some("a@acme.example".to_owned()),
            name: "Alice".to_owned(),
            role: Role::Supervisor,
            role_override: None,
            is_active: true,
            deactivated_by: None,
            genesys_version: Some(5),
            is_placeholder: false,
            created_at: Utc::now(),
            last_login_at: None,
        }
    }

    fn told() -> GenesysPerson {
        GenesysPerson {
            org_id: "org".to_owned(),
            user_id: "genesys-user".to_owned(),
            email: Some("a@acme.example".to_owned()),
            name: "Alice".to_owned(),
            role: ToldRole::Role(Role::Supervisor),
            version: Some(5),
        }
    }

    #[test]
    fn nothing_new_changes_nothing() {
        let (user, changes) = merge(&known(), &told());
        assert_eq!(changes, UserChanges::default());
        assert_eq!(user.name, "Alice");
    }

    #[test]
    fn a_new_name_and_a_new_role_are_told_apart() {
        let renamed = GenesysPerson {
            name: "Alicia".to_owned(),
            version: Some(6),
            ..told()
        };
        let (user, changes) = merge(&known(), &renamed);
        assert!(changes.details && !changes.role);
        assert_eq!(
            (user.name.as_str(), user.genesys_version),
            ("Alicia", Some(6))
        );

        let promoted = GenesysPerson {
            role: ToldRole::Role(Role::Admin),
            ..told()
        };
        let (user, changes) = merge(&known(), &promoted);
        assert!(!changes.details && changes.role);
        assert_eq!(user.role, Role::Admin);
    }

    #[test]
    fn an_older_record_and_unknown_roles_leave_what_is_known() {
        let stale = GenesysPerson {
            name: "Old name".to_owned(),
            version: Some(4),
            role: ToldRole::Unknown,
            ..told()
        };
        let (user, changes) = merge(&known(), &stale);
        assert_eq!(changes, UserChanges::default());
        assert_eq!((user.name.as_str(), user.role), ("Alice", Role::Supervisor));
        assert_eq!(user.genesys_version, Some(5));
    }

    #[test]
    fn a_role_that_an_administrator_gave_wins_over_genesys() {
        let given = User {
            role_override: Some(Role::Admin),
            ..known()
        };
        for role in [
            ToldRole::Unknown,
            ToldRole::Nothing,
            ToldRole::Role(Role::Agent),
        ] {
            let (user, changes) = merge(&given, &GenesysPerson { role, ..told() });
            assert!(changes.role);
            assert_eq!(user.role, Role::Admin);
        }
    }

    #[test]
    fn only_whom_genesys_switched_off_comes_back_by_itself() {
        for (by, comes_back) in [("genesys", true), ("admin", false), ("operator", false)] {
            let user = User {
                is_active: false,
                deactivated_by: DeactivatedBy::parse(by),
                ..known()
            };
            assert_eq!(user.may_come_back(), comes_back, "{by}");
        }
        let unknown = User {
            is_active: false,
            ..known()
        };
        assert!(!unknown.may_come_back() && !known().may_come_back());
    }
}
