//! Which portal role the roles of Genesys give.

use std::collections::HashMap;

use portal_types::Role;

use crate::RoleRef;

/// Built-in roles of Genesys Cloud and their older names (Genesys help pages and Terraform
/// provider). `employee` is held by everybody and gives nothing.
const DEFAULTS: &[(&str, Role)] = &[
    ("admin", Role::Admin),
    ("Master Admin", Role::Admin),
    ("People Admin", Role::Admin),
    ("Communicate - Admin", Role::Admin),
    ("Supervisor", Role::Supervisor),
    ("PureCloud Supervisor", Role::Supervisor),
    ("Engage Supervisor", Role::Supervisor),
    ("Quality Administrator", Role::Supervisor),
    ("User", Role::Agent),
    ("PureCloud User", Role::Agent),
    ("Engage User", Role::Agent),
    ("Communicate - User", Role::Agent),
    ("Outbound Agent", Role::Agent),
];

/// A map from roles of Genesys, by id or name, to portal roles, in layers: of several that know a
/// role the last added decides.
///
/// Names must be equal but for case and outer spaces: `Non-admin` is not `admin`. The highest of
/// a person's roles wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleMap {
    layers: Vec<HashMap<String, Option<Role>>>,
    otherwise: Option<Role>,
}

impl Default for RoleMap {
    /// The built-in roles of Genesys Cloud; whoever has none of them is an agent.
    fn default() -> Self {
        let defaults = DEFAULTS
            .iter()
            .map(|(name, role)| ((*name).to_owned(), *role));
        Self::new(defaults, Some(Role::Agent))
    }
}

impl RoleMap {
    /// A map of an organization's own. `otherwise` is the role of a person whose roles are not in
    /// the map; `None` refuses them.
    pub fn new(roles: impl IntoIterator<Item = (String, Role)>, otherwise: Option<Role>) -> Self {
        Self {
            layers: Vec::new(),
            otherwise,
        }
        .with_roles(roles)
    }

    /// The built-in roles of Genesys Cloud by name, and what each gives.
    pub fn built_in() -> impl Iterator<Item = (&'static str, Role)> {
        DEFAULTS.iter().copied()
    }

    /// The same map with these roles besides; a role that it knows already gets the new meaning.
    #[must_use]
    pub fn with_roles(self, roles: impl IntoIterator<Item = (String, Role)>) -> Self {
        self.with_mappings(roles.into_iter().map(|(name, role)| (name, Some(role))))
    }

    /// As [`RoleMap::with_roles`]; `None` takes the meaning of a role away, as if nobody knew it.
    #[must_use]
    pub fn with_mappings(
        mut self,
        mappings: impl IntoIterator<Item = (String, Option<Role>)>,
    ) -> Self {
        let layer = mappings
            .into_iter()
            .map(|(name, role)| (folded(&name), role));
        self.layers.push(layer.collect());
        self
    }

    /// The same map with another role for people none of whose roles means anything; `None`
    /// refuses them.
    #[must_use]
    pub fn with_otherwise(mut self, otherwise: Option<Role>) -> Self {
        self.otherwise = otherwise;
        self
    }

    /// The portal role of a person with these roles; `None` means no access.
    ///
    /// Do not call it when the roles are unknown ([`crate::Identity::roles`] is `None`): unknown
    /// roles are not the same as none.
    pub fn portal_role(&self, roles: &[RoleRef]) -> Option<Role> {
        let mapped = roles.iter().filter_map(|role| self.meaning(role));
        mapped.max().or(self.otherwise)
    }

    fn meaning(&self, role: &RoleRef) -> Option<Role> {
        let keys = [folded(&role.id), folded(&role.name)];
        let mut layers = self.layers.iter().rev();
        // Within a layer the id goes before the name, which may change.
        layers
            .find_map(|layer| keys.iter().find_map(|key| layer.get(key)))
            .copied()
            .flatten()
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(map: &RoleMap, names: &[&str]) -> Option<Role> {
        let roles: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| RoleRef {
                id: format!("id-{n}"),
                name: (*name).to_owned(),
            })
            .collect();
        map.portal_role(&roles)
    }

    #[test]
    fn each_built_in_role_has_its_portal_role() {
        let map = RoleMap::default();
        for (names, role) in [
            (
                &[
                    "admin",
                    "Master Admin",
                    "People Admin",
                    "Communicate - Admin",
                ][..],
                Role::Admin,
            ),
            (
                &[
                    "Supervisor",
                    "PureCloud Supervisor",
                    "Engage Supervisor",
                    "Quality Administrator",
                ],
                Role::Supervisor,
            ),
            (
                &[
                    "User",
                    "PureCloud User",
                    "Engage User",
                    "Communicate - User",
                    "Outbound Agent",
                ],
                Role::Agent,
            ),
        ] {
            for name in names {
                // Without a fallback, so that the map itself has to know the name.
                let strict = RoleMap {
                    otherwise: None,
                    ..map.clone()
                };
                assert_eq!(role_of(&strict, &[name]), Some(role), "{name}");
                assert_eq!(
                    role_of(&strict, &[&name.to_uppercase()]),
                    Some(role),
                    "{name}"
                );
                assert_eq!(
                    role_of(&strict, &[&format!(" {name} ")]),
                    Some(role),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn the_highest_role_wins_in_any_order() {
        let map = RoleMap::default();
        assert_eq!(
            role_of(&map, &["employee", "User", "Supervisor"]),
            Some(Role::Supervisor)
        );
        assert_eq!(role_of(&map, &["admin", "User"]), Some(Role::Admin));
        assert_eq!(
            role_of(&map, &["User", "admin", "Supervisor"]),
            Some(Role::Admin)
        );
    }

    #[test]
    fn names_that_only_contain_a_role_give_nothing() {
        let map = RoleMap::default();
        for name in [
            "Non-admin",
            "administrator",
            "admin2",
            "Supervisor (trainee)",
            "Telephony Admin",
        ] {
            assert_eq!(role_of(&map, &[name]), Some(Role::Agent), "{name}");
        }
    }

    #[test]
    fn without_a_mapped_role_the_fallback_decides() {
        assert_eq!(
            role_of(&RoleMap::default(), &["employee"]),
            Some(Role::Agent)
        );
        assert_eq!(role_of(&RoleMap::default(), &[]), Some(Role::Agent));
        let strict = RoleMap::new([("Team lead".to_owned(), Role::Supervisor)], None);
        assert_eq!(role_of(&strict, &["employee", "admin"]), None);
        assert_eq!(role_of(&strict, &["TEAM LEAD"]), Some(Role::Supervisor));
    }

    #[test]
    fn a_role_can_be_named_by_its_id() {
        let map = RoleMap::new([("ID-1".to_owned(), Role::Admin)], None);
        assert_eq!(role_of(&map, &["first", "second"]), Some(Role::Admin));
        assert_eq!(role_of(&map, &["first"]), None);
    }

    #[test]
    fn none_takes_a_meaning_away_and_the_last_layer_decides() {
        let map = RoleMap::default()
            .with_roles([("Chief".to_owned(), Role::Admin)])
            .with_mappings([
                ("SUPERVISOR".to_owned(), None),
                ("id-0".to_owned(), None),
                ("Acme Lead".to_owned(), Some(Role::Supervisor)),
            ])
            .with_otherwise(None);
        // By name; by id although the name means something; and what is left still counts.
        assert_eq!(role_of(&map, &["x", "Supervisor"]), None);
        assert_eq!(role_of(&map, &["Master Admin"]), None);
        assert_eq!(role_of(&map, &["Master Admin", "User"]), Some(Role::Agent));
        assert_eq!(role_of(&map, &["x", "chief"]), Some(Role::Admin));
        assert_eq!(role_of(&map, &["x", "acme lead"]), Some(Role::Supervisor));
        let lenient = map.with_otherwise(Some(Role::Agent));
        assert_eq!(role_of(&lenient, &["x", "Supervisor"]), Some(Role::Agent));
    }

    #[test]
    fn an_organization_may_add_roles_and_change_built_in_ones() {
        let map = RoleMap::default().with_roles([
            ("Acme Team Lead".to_owned(), Role::Supervisor),
            ("People Admin".to_owned(), Role::Agent),
        ]);
        assert_eq!(role_of(&map, &["acme team lead"]), Some(Role::Supervisor));
        assert_eq!(role_of(&map, &["People Admin"]), Some(Role::Agent));
        assert_eq!(role_of(&map, &["Master Admin"]), Some(Role::Admin));
    }
}
