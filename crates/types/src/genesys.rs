//! Ids of Genesys Cloud.

/// Whether a text has the form of an id of Genesys Cloud (an organization's, a person's): a UUID today;
/// Genesys promises only a text.
pub fn is_genesys_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
