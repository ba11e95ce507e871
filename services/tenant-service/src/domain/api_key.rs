//! API keys of tenants, for other systems of theirs. A key is shown once; its digest is kept.

use chrono::{DateTime, TimeDelta, Utc};
use portal_types::ApiScope;
use uuid::Uuid;

use super::tenant::BadText;

/// The longest life that may be given in days: ten years.
pub(crate) const MAX_DAYS: u32 = 3_650;
/// How long a replaced key still works, when nothing else is said.
pub(crate) const DEFAULT_OVERLAP_SECONDS: u32 = 86_400;
/// The longest time that a replaced key still works: 30 days.
pub(crate) const MAX_OVERLAP_SECONDS: u32 = 30 * 86_400;

/// Where a key stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum KeyStatus {
    Active,
    Expired,
    Revoked,
    /// It has a successor and still works, until it expires.
    Replaced,
}

impl KeyStatus {
    pub(crate) fn as_str(&self) -> &str {
        self.as_ref()
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewApiKey {
    pub(crate) name: String,
    pub(crate) scopes: Vec<ApiScope>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// A key as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantApiKey {
    pub(crate) key_id: Uuid,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) last4: String,
    pub(crate) scopes: Vec<ApiScope>,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) replaced_by: Option<Uuid>,
}

impl TenantApiKey {
    pub(crate) fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyStatus::Expired
        } else if self.replaced_by.is_some() {
            KeyStatus::Replaced
        } else {
            KeyStatus::Active
        }
    }

    /// Whether the key opens anything.
    pub(crate) fn works(&self, now: DateTime<Utc>) -> bool {
        matches!(self.status(now), KeyStatus::Active | KeyStatus::Replaced)
    }

    /// Its successor: for the same, and with as long a life.
    pub(crate) fn successor(&self, now: DateTime<Utc>) -> NewApiKey {
        NewApiKey {
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            expires_at: self.expires_at.map(|end| now + (end - self.created_at)),
        }
    }

    /// When it ends if its successor takes over from now on.
    pub(crate) fn end_after(&self, overlap: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
        let end = now + overlap;
        self.expires_at.map_or(end, |present| present.min(end))
    }
}

/// Checks a key's name.
pub(crate) fn key_name(value: &str) -> Result<String, BadText> {
    let name = value.trim();
    let fits = (1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        Ok(name.to_owned())
    } else {
        Err(BadText("must be 1 to 255 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(now: DateTime<Utc>) -> TenantApiKey {
        TenantApiKey {
            key_id: Uuid::now_v7(),
            name: "CRM".to_owned(),
            prefix: "sk_abcde".to_owned(),
            last4: "wxyz".to_owned(),
            scopes: vec![ApiScope::MessagesSend],
            created_by: "ad01".to_owned(),
            created_at: now - TimeDelta::days(10),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
            replaced_by: None,
        }
    }

    #[test]
    fn a_key_works_until_it_expires_or_is_revoked() {
        let now = Utc::now();
        let (soon, past) = (now + TimeDelta::seconds(1), now - TimeDelta::seconds(1));
        let other = Some(Uuid::now_v7());
        for (expires_at, revoked_at, replaced_by, status, works) in [
            (None, None, None, KeyStatus::Active, true),
            (Some(soon), None, None, KeyStatus::Active, true),
            (Some(now), None, None, KeyStatus::Expired, false),
            (Some(soon), None, other, KeyStatus::Replaced, true),
            (Some(past), None, other, KeyStatus::Expired, false),
            (Some(past), Some(past), other, KeyStatus::Revoked, false),
        ] {
            let key = TenantApiKey {
                expires_at,
                revoked_at,
                replaced_by,
                ..key(now)
            };
            assert_eq!(
                (key.status(now), key.works(now)),
                (status, works),
                "{key:?}"
            );
        }
    }

    #[test]
    fn a_successor_lives_as_long_and_the_old_one_never_longer_than_before() {
        let now = Utc::now();
        let (day, year) = (TimeDelta::days(1), TimeDelta::days(365));
        let endless = key(now);
        assert_eq!(endless.successor(now).expires_at, None);
        assert_eq!(endless.end_after(day, now), now + day);
        let created_at = now - TimeDelta::days(364);
        let ending = TenantApiKey {
            created_at,
            expires_at: Some(created_at + year),
            ..endless
        };
        assert_eq!(ending.successor(now).expires_at, Some(now + year));
        assert_eq!(ending.end_after(day * 5, now), now + day);
    }
}
