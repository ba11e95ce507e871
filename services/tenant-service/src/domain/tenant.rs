//! A tenant: one Genesys Cloud organization that sends through one WhatsApp Business Account.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use portal_types::TenantId;

use super::role_map::MappedRole;

/// Whether a tenant works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum TenantStatus {
    Active,
    /// Nobody of it signs in or sends, until it is resumed.
    Suspended,
    /// As suspended, for good; its data is kept until it is erased.
    Deleted,
}

impl TenantStatus {
    pub(crate) fn as_str(&self) -> &str {
        self.as_ref()
    }
}

/// A text that does not fit; goes on after the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadText(pub(crate) &'static str);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadText;

            fn from_str(value: &str) -> Result<Self, BadText> {
                let parse: fn(&str) -> Result<String, BadText> = $parse;
                parse(value).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A tenant's name as people read it.
    TenantName,
    |value| {
        let name = value.trim();
        let fits = (1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if fits { Ok(name.to_owned()) } else { Err(BadText("must be 1 to 255 characters")) }
    }
);

text!(
    /// The id of a Genesys Cloud organization. A UUID today; Genesys promises only a text.
    GenesysOrgId,
    |value| {
        if portal_types::is_genesys_id(value) {
            Ok(value.to_owned())
        } else {
            Err(BadText("must be a Genesys organization id, such as a UUID"))
        }
    }
);

text!(
    /// A Genesys Cloud region by its login domain, such as `mypurecloud.com`, or its AWS name.
    GenesysRegion,
    |value| {
        let fits = (1..=64).contains(&value.len())
            && value.chars().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-')
            });
        if fits {
            Ok(value.to_owned())
        } else {
            Err(BadText("must be a Genesys region, such as mypurecloud.de"))
        }
    }
);

/// A tenant as it is stored.
#[expect(clippy::struct_field_names, reason = "the column is named so, too")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant {
    pub(crate) tenant_id: TenantId,
    pub(crate) name: String,
    pub(crate) status: TenantStatus,
    pub(crate) genesys_org_id: Option<String>,
    pub(crate) genesys_region: Option<String>,
    pub(crate) whatsapp_configured: bool,
    /// Requests a minute of all its people and keys; `None` is the deployment's default.
    pub(crate) rate_limit: Option<u32>,
    /// Whether people of other organizations may work in this one.
    pub(crate) allow_trustees: bool,
    /// Of people none of whose Genesys roles is in the map.
    pub(crate) unmapped_role: MappedRole,
    /// Minutes between two syncs of its people; 0 is never, `None` the deployment's default.
    pub(crate) user_sync_minutes: Option<u32>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
}

/// A tenant to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTenant {
    pub(crate) tenant_id: TenantId,
    pub(crate) name: TenantName,
    pub(crate) genesys_org_id: Option<GenesysOrgId>,
    pub(crate) genesys_region: Option<GenesysRegion>,
}

/// What is to be changed; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct TenantChanges {
    pub(crate) name: Option<TenantName>,
    pub(crate) status: Option<TenantStatus>,
    pub(crate) settings: SettingsChanges,
}

/// What is to be changed of a tenant's settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingsChanges {
    pub(crate) genesys_region: Change<GenesysRegion>,
    pub(crate) rate_limit: Change<u32>,
    pub(crate) allow_trustees: Option<bool>,
    pub(crate) user_sync_minutes: Change<u32>,
}

/// What is to become of something that a tenant may also not have.
#[derive(Debug, Clone, Default)]
pub(crate) enum Change<T> {
    #[default]
    Keep,
    Set(Option<T>),
}

impl<T> Change<T> {
    /// The same, or `Keep` when it is what is to be already.
    pub(crate) fn unless<P: PartialEq + ?Sized>(
        self,
        present: Option<&P>,
        shown: impl Fn(&T) -> &P,
    ) -> Self {
        match self {
            Self::Set(new) if new.as_ref().map(shown) != present => Self::Set(new),
            Self::Set(_) | Self::Keep => Self::Keep,
        }
    }
}

/// Requests a minute that a tenant can be limited to.
pub(crate) const RATE_LIMITS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// The longest time between two syncs of a tenant's people: a week.
pub(crate) const MAX_SYNC_MINUTES: u32 = 10_080;

/// Which tenants a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct TenantFilter {
    /// Without a status all that are not deleted.
    pub(crate) status: Option<TenantStatus>,
    /// Part of the name or of the id.
    pub(crate) text: Option<String>,
    pub(crate) genesys_org_id: Option<String>,
}

/// Ids that would hide paths of the API.
const RESERVED_IDS: [&str; 3] = ["by-genesys-org", "import", "verify-api-key"];

/// A tenant id that may be given to a new tenant.
pub(crate) fn new_tenant_id(value: &str) -> Result<TenantId, BadText> {
    let id = TenantId::parse(value).map_err(|_form| {
        BadText("must be 1 to 255 letters, digits, '_', '.', '-', beginning with a letter or digit")
    })?;
    if RESERVED_IDS.contains(&value) {
        Err(BadText("is reserved"))
    } else {
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_checked() {
        assert_eq!(" Acme ".parse::<TenantName>().unwrap().as_str(), "Acme");
        for bad in ["", "  ", "a\nb", &"x".repeat(256)] {
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?}");
        }
        assert!("é".repeat(255).parse::<TenantName>().is_ok());
    }

    #[test]
    fn organization_ids_and_regions_keep_to_their_form() {
        assert!(
            "3f1f7a2e-0000-4000-8000-00000000acme"
                .parse::<GenesysOrgId>()
                .is_ok()
        );
        for bad in ["", "a b", "a/b", &"x".repeat(256)] {
            assert!(bad.parse::<GenesysOrgId>().is_err(), "{bad:?}");
        }
        for good in ["mypurecloud.com", "usw2.pure.cloud", "eu-central-1"] {
            assert!(good.parse::<GenesysRegion>().is_ok(), "{good}");
        }
        for bad in ["", "https://x", "A", "a/b"] {
            assert!(bad.parse::<GenesysRegion>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_do_not_hide_paths() {
        assert!(new_tenant_id("acme_corp").is_ok());
        for bad in ["by-genesys-org", "import", "verify-api-key", "", "a/b"] {
            assert!(new_tenant_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn statuses_are_written_as_tables_have_them() {
        for (status, text) in [
            (TenantStatus::Active, "active"),
            (TenantStatus::Suspended, "suspended"),
            (TenantStatus::Deleted, "deleted"),
        ] {
            assert_eq!(status.as_str(), text);
            assert_eq!(text.parse::<TenantStatus>().unwrap(), status);
        }
    }
}
