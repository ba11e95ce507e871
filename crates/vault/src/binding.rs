//! Where a sealed value lives.

use crate::VaultError;

/// The place that a sealed value is bound to: it opens there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Table that stores the record.
    pub table: &'a str,
    /// Column that stores the record.
    pub column: &'a str,
    /// Tenant that owns the row.
    pub tenant_id: &'a str,
    /// Primary key of the row, as text. It must never change while the record lives.
    pub row_id: &'a str,
}

impl Binding<'_> {
    /// Additional authenticated data of the sealed value.
    pub(crate) fn value_aad(&self) -> Result<Vec<u8>, VaultError> {
        self.encode("portal-vault/value/v1", None)
    }

    /// Additional authenticated data of the wrapped data key, which names the wrapping key too.
    pub(crate) fn wrap_aad(&self, key_id: &str) -> Result<Vec<u8>, VaultError> {
        self.encode("portal-vault/wrap/v1", Some(key_id))
    }

    /// Each part goes in behind its length: with separators alone `a|b` + `c` and `a` + `b|c`
    /// would be the same bytes, and a tenant could choose an id that collides with another's.
    fn encode(&self, purpose: &str, key_id: Option<&str>) -> Result<Vec<u8>, VaultError> {
        let places = [
            ("table", self.table),
            ("column", self.column),
            ("tenant_id", self.tenant_id),
            ("row_id", self.row_id),
        ];
        if let Some((part, _)) = places.iter().find(|(_, value)| value.is_empty()) {
            return Err(VaultError::EmptyBinding { part });
        }
        let values = places.into_iter().map(|(_, value)| value);
        let mut aad = Vec::with_capacity(128);
        for part in std::iter::once(purpose).chain(key_id).chain(values) {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        Ok(aad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_border_between_two_parts_changes_the_bytes() {
        let one = Binding {
            table: "ab",
            column: "c",
            tenant_id: "t",
            row_id: "r",
        };
        let other = Binding {
            table: "a",
            column: "bc",
            tenant_id: "t",
            row_id: "r",
        };
        assert_ne!(one.value_aad(), other.value_aad());
        assert_ne!(one.value_aad(), one.wrap_aad("k"));
        assert_ne!(one.wrap_aad("k"), one.wrap_aad("l"));
    }

    #[test]
    fn an_empty_part_is_refused_by_name() {
        let binding = Binding {
            table: "t",
            column: "c",
            tenant_id: "",
            row_id: "r",
        };
        assert_eq!(
            binding.value_aad(),
            Err(VaultError::EmptyBinding { part: "tenant_id" })
        );
    }
}
