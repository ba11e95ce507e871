//! Fields of a PATCH body: absent, null and given are three different things.

use serde::{Deserialize, Deserializer};

/// A field that may be left as it is, cleared or set. Give it `#[serde(default)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Absent: it stays as it is.
    #[default]
    Keep,
    /// Null: it is cleared.
    Clear,
    /// Given: it is set.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        field: Patch<u8>,
    }

    #[test]
    fn absent_null_and_given_differ() {
        for (text, expected) in [
            ("{}", Patch::Keep),
            (r#"{"field":null}"#, Patch::Clear),
            (r#"{"field":7}"#, Patch::Set(7)),
        ] {
            assert_eq!(
                serde_json::from_str::<Body>(text).unwrap().field,
                expected,
                "{text}"
            );
        }
    }
}
