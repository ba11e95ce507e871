//! What of the audit log somebody wants to see.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    pub(crate) tenant_id: Option<String>,
    /// The id of who acted.
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) outcome: Option<&'static str>,
    /// From this moment on.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

impl Place {
    /// The cursor for the next page.
    pub(crate) fn to_cursor(self) -> String {
        let micros = self.occurred_at.timestamp_micros();
        URL_SAFE_NO_PAD.encode(format!("{micros}.{}", self.id.simple()))
    }

    /// Reads a cursor of ours.
    pub(crate) fn from_cursor(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (micros, id) = text.split_once('.')?;
        Some(Self {
            occurred_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            id: Uuid::try_parse(id).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_cursor() {
        let place = Place {
            occurred_at: DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap(),
            id: Uuid::now_v7(),
        };
        assert_eq!(Place::from_cursor(&place.to_cursor()), Some(place));
        for bad in ["", "x", "MTIz", &"a".repeat(500)] {
            assert_eq!(Place::from_cursor(bad), None, "{bad}");
        }
    }
}
