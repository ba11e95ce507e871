//! Where a page of a list ended. Lists are in the order of ids, which is that of time (UUID version
//! 7), so a page stays what it was while rows change their state.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Ids are made just before what they name is stored: bounds by time are so much wider.
const SLACK_MS: i64 = 60_000;

/// The last id of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) Uuid);

impl Place {
    /// The cursor for the next page.
    pub(crate) fn to_cursor(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Reads a cursor of ours.
    pub(crate) fn from_cursor(cursor: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        Uuid::from_slice(&bytes).ok().map(Self)
    }
}

/// No id of what was stored at this moment or later is smaller.
pub(crate) fn first_id_since(at: DateTime<Utc>) -> Uuid {
    bound(at.timestamp_millis().saturating_sub(SLACK_MS))
}

/// No id of what was stored before this moment is larger.
pub(crate) fn last_id_until(at: DateTime<Utc>) -> Uuid {
    bound(at.timestamp_millis().saturating_add(SLACK_MS))
}

fn bound(millis: i64) -> Uuid {
    let millis = u128::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_cursor() {
        let place = Place(Uuid::now_v7());
        assert_eq!(Place::from_cursor(&place.to_cursor()), Some(place));
        for bad in ["", "x", "MTIz", &"a".repeat(500)] {
            assert_eq!(Place::from_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_lie_between_the_bounds_of_their_time() {
        let (now, id) = (Utc::now(), Uuid::now_v7());
        assert!(first_id_since(now) < id);
        assert!(id < last_id_until(now));
        assert!(first_id_since(now + chrono::Duration::minutes(2)) > id);
        assert!(last_id_until(now - chrono::Duration::minutes(2)) < id);
        assert_eq!(first_id_since(DateTime::<Utc>::MIN_UTC), Uuid::nil());
        assert!(last_id_until(DateTime::<Utc>::MAX_UTC) > id);
    }
}
