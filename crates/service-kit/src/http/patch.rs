//! Fields of a PATCH body: absent, null and given are three different things.

use serde::{Deserialize, Deserializer};

/// Reads `Option<Option<T>>`: absent is `None` (with `#[serde(default)]`), null is `Some(None)`.
pub fn double_option<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
