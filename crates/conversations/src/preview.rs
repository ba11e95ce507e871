//! The text of a message, whatever its type.

use serde_json::Value;

/// Longest text that is kept for lists and searches, in characters; WhatsApp's own texts end there.
const MAX_CHARS: usize = 4096;

/// Where each type has its text, the better place first (Cloud API: messages, webhooks).
const PLACES: &[(&str, &[&str])] = &[
    ("text", &["/text/body"]),
    ("image", &["/image/caption"]),
    ("video", &["/video/caption"]),
    ("document", &["/document/caption", "/document/filename"]),
    ("button", &["/button/text"]),
    ("reaction", &["/reaction/emoji"]),
    ("location", &["/location/name", "/location/address"]),
    ("contacts", &["/contacts/0/name/formatted_name"]),
    ("order", &["/order/text"]),
    ("system", &["/system/body"]),
    ("edit", &["/edit/message/text/body", "/edit/text/body"]),
    ("template", &["/template/name"]),
    (
        "interactive",
        &[
            "/interactive/button_reply/title",
            "/interactive/list_reply/title",
            "/interactive/nfm_reply/body",
            "/interactive/body/text",
        ],
    ),
];

/// The text that a message's content (`{"<type>": …}`) has, if there is any.
pub fn preview(message_type: &str, payload: &Value) -> Option<String> {
    let (_, places) = PLACES.iter().find(|(name, _)| *name == message_type)?;
    let text = places
        .iter()
        .find_map(|place| payload.pointer(place)?.as_str())
        .filter(|text| !text.is_empty())?;
    // PostgreSQL has no place for NUL in a text.
    Some(
        text.chars()
            .filter(|c| *c != '\0')
            .take(MAX_CHARS)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_type_has_its_text_somewhere() {
        for (message_type, payload, expected) in [
            ("text", json!({"text": {"body": "hi\0!"}}), Some("hi!")),
            ("image", json!({"image": {"id": "1"}}), None),
            (
                "document",
                json!({"document": {"filename": "a.pdf"}}),
                Some("a.pdf"),
            ),
            (
                "interactive",
                json!({"interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "Yes"}}}),
                Some("Yes"),
            ),
            (
                "never_heard_of",
                json!({"never_heard_of": {"body": "x"}}),
                None,
            ),
            ("text", json!(null), None),
        ] {
            assert_eq!(
                preview(message_type, &payload).as_deref(),
                expected,
                "{message_type}"
            );
        }
    }
}
