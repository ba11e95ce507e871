//! Patterns of `LIKE`.

/// The pattern of `LIKE` for values that contain `text`, taken literally.
pub fn containing(text: &str) -> String {
    format!("%{}%", escape_like(text))
}

fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('%', r"\%")
        .replace('_', r"\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_literally() {
        assert_eq!(escape_like(r"50%_\x"), r"50\%\_\\x");
        assert_eq!(containing("50%"), r"%50\%%");
    }
}
