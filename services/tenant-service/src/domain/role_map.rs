//! Which portal role the Genesys roles of a tenant's people give.

use std::collections::HashSet;

use super::tenant::BadText;

/// Mappings of one tenant at the most.
pub(crate) const MOST_MAPPINGS: usize = 200;

/// What a Genesys role gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum MappedRole {
    /// No access.
    None,
    Agent,
    Supervisor,
    Admin,
}

impl MappedRole {
    pub(crate) fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// Reads a role that a caller gave.
    pub(crate) fn given(value: &str) -> Result<Self, BadText> {
        value
            .parse()
            .map_err(|_unknown| BadText("must be none, agent, supervisor or admin"))
    }
}

/// What one Genesys role gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Id or name, as the administrator wrote it.
    pub(crate) genesys_role: String,
    pub(crate) portal_role: MappedRole,
}

/// A tenant's own map, which goes before the built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantRoleMap {
    pub(crate) unmapped_role: MappedRole,
    pub(crate) mappings: Vec<Mapping>,
}

/// A Genesys role's id or name.
pub(crate) fn genesys_role(value: &str) -> Result<String, BadText> {
    let role = value.trim();
    let fits = (1..=255).contains(&role.chars().count()) && !role.chars().any(char::is_control);
    if fits {
        Ok(role.to_owned())
    } else {
        Err(BadText(
            "must be the id or name of a Genesys role, of 1 to 255 characters",
        ))
    }
}

/// The places whose role was named before; case makes no other role.
pub(crate) fn repeated<'a>(roles: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = HashSet::new();
    roles
        .enumerate()
        .filter(|(_, role)| !seen.insert(role.to_lowercase()))
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_trimmed_and_told_apart_without_regard_to_case() {
        assert_eq!(genesys_role(" Team Lead ").unwrap(), "Team Lead");
        for bad in ["", "  ", "a\nb", &"x".repeat(256)] {
            assert!(genesys_role(bad).is_err(), "{bad:?}");
        }
        let roles = ["Team Lead", "Agent", "TEAM LEAD", "ÄRZTE", "ärzte"];
        assert_eq!(repeated(roles.into_iter()), [2, 4]);
    }

    #[test]
    fn portal_roles_are_written_as_tables_have_them() {
        for word in ["none", "agent", "supervisor", "admin"] {
            assert_eq!(MappedRole::given(word).unwrap().as_str(), word);
        }
        for bad in ["", "Agent", "owner"] {
            assert!(MappedRole::given(bad).is_err(), "{bad:?}");
        }
    }
}
