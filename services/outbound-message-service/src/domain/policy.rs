//! What a tenant chose for its sending.

use portal_service_kit::FieldErrors;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// What becomes of a free-form message outside the customer service window.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum WindowPolicy {
    /// It is refused before anything is stored, if the window is known to be closed.
    #[default]
    Enforce,
    /// It is sent, and Meta refuses it or not.
    MetaDecides,
}

/// What becomes of a message whose outcome stays unknown past the horizon.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum UnknownPolicy {
    /// It fails loudly and is never sent again by itself.
    #[default]
    AtMostOnce,
    /// It is sent again and marked as a possible duplicate.
    AtLeastOnce,
}

/// A tenant's choices; the default holds for who never chose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SendingPolicy {
    pub(crate) window_policy: WindowPolicy,
    pub(crate) unknown_policy: UnknownPolicy,
    /// Seconds that an outcome may stay unknown; null is the deployment's default.
    #[schema(minimum = 120, maximum = 86400)]
    pub(crate) unknown_horizon_seconds: Option<i32>,
    /// Whether a server error with a Graph error object counts as an unknown outcome, too.
    pub(crate) treat_5xx_as_unknown: bool,
    /// Whether message types that are not known here are passed through to Meta.
    pub(crate) allow_raw: bool,
}

impl SendingPolicy {
    /// The bounds of `unknown_horizon_seconds`: webhooks need a while, and nobody waits for days.
    const HORIZON: std::ops::RangeInclusive<i32> = 120..=86_400;

    /// Fails with the fields that cannot be used.
    pub(crate) fn check(&self) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::new();
        if let Some(seconds) = self.unknown_horizon_seconds
            && !Self::HORIZON.contains(&seconds)
        {
            errors.add(
                "unknown_horizon_seconds",
                "must be 120 to 86400, or null for the default",
            );
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_the_default() {
        let policy: SendingPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, SendingPolicy::default());
        assert_eq!(policy.window_policy, WindowPolicy::Enforce);
        assert_eq!(policy.unknown_policy, UnknownPolicy::AtMostOnce);
        assert!(serde_json::from_str::<SendingPolicy>(r#"{"x": 1}"#).is_err());
    }

    #[test]
    fn the_horizon_has_bounds() {
        for (seconds, is_good) in [
            (None, true),
            (Some(119), false),
            (Some(120), true),
            (Some(86_400), true),
            (Some(86_401), false),
        ] {
            let policy = SendingPolicy {
                unknown_horizon_seconds: seconds,
                ..SendingPolicy::default()
            };
            assert_eq!(policy.check().is_ok(), is_good, "{seconds:?}");
        }
    }
}
