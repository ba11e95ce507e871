//! Pages: embedded files, filled in with escaped text.

use std::fmt::Write as _;

use rust_embed::RustEmbed;

/// Everything under `web/`: `pages/` are templates, `assets/` are served as they are.
#[derive(RustEmbed)]
#[folder = "web/"]
pub(crate) struct WebFiles;

/// What goes into a place of a template.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Escaped.
    Text(String),
    /// Made by [`fill`] or [`json`], and so escaped already.
    Html(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A page of `web/pages/`.
pub(crate) fn page(name: &str, values: &[(&str, Value)]) -> anyhow::Result<String> {
    let file = WebFiles::get(&format!("pages/{name}"))
        .ok_or_else(|| anyhow::anyhow!("there is no page {name}"))?;
    fill(std::str::from_utf8(&file.data)?, values)
}

/// Puts values into the places `{{name}}`, in one pass: what comes in is never looked at again.
pub(crate) fn fill(template: &str, values: &[(&str, Value)]) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(template.len() + 512);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .ok_or_else(|| anyhow::anyhow!("a place of the page has no end"))?;
        let (_, value) = values
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| anyhow::anyhow!("nothing goes into the place {name}"))?;
        filled.push_str(before);
        match value {
            Value::Text(text) => escape_into(&mut filled, text),
            Value::Html(html) => filled.push_str(html),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn escape_into(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c => page.push(c),
        }
    }
}

/// JSON for a `<script type="application/json">`: no text in it can end the element.
pub(crate) fn json(value: &serde_json::Value) -> Value {
    let mut escaped = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                if write!(escaped, "\\u{:04x}", u32::from(c)).is_err() {
                    escaped.push(' ');
                }
            }
            c => escaped.push(c),
        }
    }
    Value::Html(escaped)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_escaped_and_not_looked_at_again() {
        let values = [("a", Value::from("<i>\"'&{{b}}")), ("b", Value::from("no"))];
        let page = fill("<p>{{a}}</p>", &values).unwrap();
        assert_eq!(page, "<p>&lt;i&gt;&quot;&#39;&amp;{{b}}</p>");
        assert!(fill("{{missing}}", &values).is_err());
        assert!(fill("{{a", &values).is_err());
    }

    #[test]
    fn json_cannot_leave_its_element() {
        let Value::Html(text) = super::json(&json!({"n": "</script><b>&\u{2028}"})) else {
            panic!("JSON is not escaped again");
        };
        assert_eq!(
            text,
            r#"{"n":"\u003c/script\u003e\u003cb\u003e\u0026\u2028"}"#
        );
        let again: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(again["n"], "</script><b>&\u{2028}");
    }
}
