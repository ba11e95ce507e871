//! Where a list goes on, opaque for callers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use portal_auth::{Caller, sha256};
use uuid::Uuid;

/// The time and the id of a list's last item.
type Place = (DateTime<Utc>, Uuid);

/// The list that a cursor belongs to: of this tenant, with this filter. A cursor of another list, or
/// one that was changed, is refused: it would skip items or show some twice. It opens nothing, which
/// is why a digest is enough.
pub(super) struct Listed(String);

impl Listed {
    pub(super) fn new(caller: &Caller, what: &str, filter: &[Option<&str>]) -> Self {
        Self(format!("{}\0{what}\0{filter:?}", caller.tenant_id))
    }

    fn seal(&self, place: &str) -> String {
        let digest = sha256(format!("{}\0{place}", self.0));
        URL_SAFE_NO_PAD.encode(&digest[..9])
    }

    pub(super) fn write(&self, (at, id): Place) -> String {
        let place = format!("{}.{id}", at.timestamp_micros());
        let seal = self.seal(&place);
        URL_SAFE_NO_PAD.encode(format!("{place}.{seal}"))
    }

    pub(super) fn read(&self, cursor: &str) -> Result<Place, &'static str> {
        self.find(cursor)
            .ok_or("must be next_cursor of the page before, with the same filters")
    }

    fn find(&self, cursor: &str) -> Option<Place> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (place, _) = text.rsplit_once('.')?;
        let (micros, id) = place.split_once('.')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        let place = (at, id.parse().ok()?);
        // Written again it is the same: its seal, and each character.
        (self.write(place) == cursor).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_cursor_in_its_own_list() {
        let place = (
            DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap(),
            Uuid::now_v7(),
        );
        let list = Listed("acme".to_owned());
        let cursor = list.write(place);
        assert_eq!(list.read(&cursor), Ok(place));
        assert!(Listed("globex".to_owned()).read(&cursor).is_err());
        for bad in ["", "x", "MTIz", "MTIuYQ"] {
            assert!(list.read(bad).is_err(), "{bad}");
        }
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(list.read(&changed).is_err(), "{at}");
        }
    }
}
