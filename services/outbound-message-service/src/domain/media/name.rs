//! Names of files.

const MAX_CHARS: usize = 240;

/// A name that does no harm wherever it is shown or written: without directories, control
/// characters and what file systems or headers treat specially. `None` when nothing is left.
pub(crate) fn file_name(given: &str) -> Option<String> {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| {
            if matches!(c, '"' | '<' | '>' | '|' | ':' | '*' | '?') {
                '_'
            } else {
                c
            }
        })
        .take(MAX_CHARS)
        .collect();
    let clean = clean.trim().trim_start_matches('.').trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Marks that turn the direction of text around make `exe.pdf` of `fdp.exe`.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_made_harmless() {
        let table = [
            ("invoice.pdf", Some("invoice.pdf")),
            ("Rechnung März.pdf", Some("Rechnung März.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Temp\\a.txt", Some("a.txt")),
            ("a\"\r\nSet-Cookie: x.pdf", Some("a_Set-Cookie_ x.pdf")),
            (".htaccess", Some("htaccess")),
            ("photo\u{202e}gpj.exe", Some("photogpj.exe")),
            ("..", None),
            (" ", None),
            ("", None),
        ];
        for (given, expected) in table {
            assert_eq!(file_name(given).as_deref(), expected, "{given:?}");
        }
        assert_eq!(file_name(&"ü".repeat(1000)).unwrap().chars().count(), 240);
    }
}
