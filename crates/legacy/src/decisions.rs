//! Which WhatsApp Business Account an organization keeps, where a person has to say so.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    LegacyError,
    ownership::{Candidate, Undecided},
};

const VERSION: u32 = 1;

/// In place of an account: none is taken over.
pub(crate) const NONE: &str = "none";

const HEAD: &str = "\
# Which WhatsApp Business Account an organization keeps, where its agents have several, or another
# organization has the same account or number. Fill in the waba_id that stays. \"none\": no account is
# taken over, and the organization signs up itself.
";

/// What a person decided. A file of it is TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    version: u32,
    #[serde(default)]
    tenants: BTreeMap<String, Decision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    waba_id: String,
}

impl Decisions {
    /// Nothing is decided.
    pub const fn none() -> Self {
        Self {
            version: VERSION,
            tenants: BTreeMap::new(),
        }
    }

    /// Reads a decision file; the error names the line. Whether it fits is told by
    /// [`crate::ownership()`].
    pub fn read(text: &str) -> Result<Self, LegacyError> {
        let decisions: Self = toml::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| LegacyError::Mapping(vec![error.to_string()]))?;
        if decisions.version != VERSION {
            return Err(LegacyError::Mapping(vec![format!(
                "version: this portalctl reads {VERSION}, the file has {}",
                decisions.version
            )]));
        }
        Ok(decisions)
    }

    /// The file in which a person decides for these, with what there is to choose from.
    pub fn render(undecided: &[Undecided]) -> String {
        let mut parts = vec![format!("{HEAD}version = {VERSION}\n")];
        for tenant in undecided {
            parts.push(format!("\n# {}\n", on_one_line(&tenant.tenant_name)));
            parts.extend(
                tenant
                    .candidates
                    .iter()
                    .map(|one| format!("# {}\n", describe(one))),
            );
            parts.push(format!(
                "[{}]\nwaba_id = \"\"\n",
                section(&tenant.tenant_key)
            ));
        }
        parts.concat()
    }

    /// What was decided for a tenant.
    pub(crate) fn of(&self, tenant: &str) -> Option<&str> {
        self.tenants
            .get(tenant)
            .map(|decision| decision.waba_id.trim())
    }

    /// The tenants that something was decided for.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }

    /// The place of a tenant's decision in the file.
    pub(crate) fn place(tenant: &str) -> String {
        format!("{}.waba_id", section(tenant))
    }
}

/// A key that TOML takes without quotes stays without.
fn section(tenant: &str) -> String {
    let is_bare = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    if !tenant.is_empty() && tenant.chars().all(is_bare) {
        format!("tenants.{tenant}")
    } else {
        format!("tenants.{}", basic(tenant))
    }
}

/// A text in TOML's double quotes, on one line.
fn basic(text: &str) -> String {
    let signs = text.chars().map(|sign| match sign {
        '"' | '\\' => format!("\\{sign}"),
        sign if sign.is_control() => format!("\\u{:04X}", u32::from(sign)),
        sign => sign.to_string(),
    });
    format!("\"{}\"", signs.collect::<Vec<_>>().concat())
}

/// A name that breaks the line would end the comment.
fn on_one_line(text: &str) -> String {
    text.chars()
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .collect()
}

fn describe(candidate: &Candidate) -> String {
    let numbers: Vec<_> = candidate
        .numbers
        .iter()
        .map(|number| match &number.display_phone_number {
            Some(shown) => format!("{} ({shown})", number.phone_number_id),
            None => number.phone_number_id.clone(),
        })
        .collect();
    let whose = match candidate.agents.len() {
        0 => "of the organization itself".to_owned(),
        1 => "1 agent".to_owned(),
        some => format!("{some} agents"),
    };
    let mut facts = vec![
        format!("{}: numbers {}", candidate.waba_id, numbers.join(", ")),
        whose,
    ];
    for (what, when) in [
        ("newest made", &candidate.newest_created),
        ("last login", &candidate.newest_login),
    ] {
        facts.extend(when.as_ref().map(|when| format!("{what} {when}")));
    }
    facts.push(format!("{} conversations", candidate.conversations));
    if !candidate.also_of.is_empty() {
        facts.push(format!("also of {}", candidate.also_of.join(", ")));
    }
    on_one_line(&facts.join("; "))
}
