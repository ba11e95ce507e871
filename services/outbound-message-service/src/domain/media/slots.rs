//! Where a message has files.

use portal_service_kit::FieldErrors;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::MediaKind;

/// Members of a message's content below which files stand. Others (what a form is filled with) may
/// hold members with the same names that are no files.
const ABOVE: [&str; 7] = [
    "interactive",
    "header",
    "action",
    "cards",
    "template",
    "components",
    "parameters",
];

/// A place in a message's content that has a file.
pub(crate) struct Slot<'a> {
    /// Its path, for example `template.components[0].parameters[0].image`.
    pub(crate) path: String,
    /// What the file must be.
    pub(crate) kind: MediaKind,
    object: &'a mut Map<String, Value>,
}

/// What stands in a slot that is not Meta's own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file of ours.
    Own(Uuid),
    /// An address that has the file.
    Link(String),
}

impl Slot<'_> {
    /// Where the file is to come from; `None` when Meta has it already.
    pub(crate) fn source(&self) -> Option<Source> {
        let text = |name| self.object.get(name).and_then(Value::as_str);
        match (text("id"), text("link")) {
            (Some(id), _) => Uuid::try_parse(id).ok().map(Source::Own),
            (None, Some(link)) => Some(Source::Link(link.to_owned())),
            (None, None) => None,
        }
    }

    /// Puts Meta's id in; `file_name` is what a document is called that nobody named.
    pub(crate) fn fill(&mut self, meta_media_id: String, file_name: Option<&str>) {
        self.object.remove("link");
        self.object
            .insert("id".to_owned(), Value::String(meta_media_id));
        if let (MediaKind::Document, Some(name)) = (self.kind, file_name) {
            self.object
                .entry("filename")
                .or_insert_with(|| Value::String(name.to_owned()));
        }
    }
}

/// All places of a message's content (as it is stored and as Meta gets it) that have a file.
pub(crate) fn slots(content: &mut Value) -> Vec<Slot<'_>> {
    let mut found = Vec::new();
    collect(content, "", &mut found);
    found
}

fn collect<'a>(value: &'a mut Value, path: &str, found: &mut Vec<Slot<'a>>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                collect(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match (name.parse::<MediaKind>(), member) {
                    (Ok(kind), Value::Object(object)) => found.push(Slot { path, kind, object }),
                    (Err(_), member) if ABOVE.contains(&name.as_str()) => {
                        collect(member, &path, found);
                    }
                    _ => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a file must be to stand in a slot.
pub(crate) fn check_kind(path: &str, slot: MediaKind, file: MediaKind, errors: &mut FieldErrors) {
    if !file.fits(slot) {
        errors.add(
            format!("{path}.id"),
            format!("must name a file of the kind {slot}, and is one of the kind {file}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: &str = "0199a0b0-0000-7000-8000-000000000001";

    fn sources(mut content: Value) -> Vec<(String, MediaKind, Option<Source>)> {
        slots(&mut content)
            .iter()
            .map(|slot| (slot.path.clone(), slot.kind, slot.source()))
            .collect()
    }

    #[test]
    fn files_are_found_wherever_a_message_may_have_them() {
        let own = || Some(Source::Own(OWN.parse().unwrap()));
        let link = Some(Source::Link("https://example.com/a.mp4".to_owned()));
        let found = sources(json!({"type": "image", "image": {"id": OWN, "caption": "x"}}));
        assert_eq!(found, [("image".to_owned(), MediaKind::Image, own())]);
        let found = sources(json!({"type": "image", "image": {"id": "1234567890"}}));
        assert_eq!(found, [("image".to_owned(), MediaKind::Image, None)]);
        let found = sources(json!({"type": "template", "template": {"components": [
            {"type": "header", "parameters": [
                {"type": "video", "video": {"link": "https://example.com/a.mp4"}}]},
            {"type": "carousel", "cards": [{"components": [{"type": "header", "parameters": [
                {"type": "image", "image": {"id": OWN}}]}]}]}]}}));
        let expected = [
            (
                "template.components[0].parameters[0].video".to_owned(),
                MediaKind::Video,
                link,
            ),
            (
                "template.components[1].cards[0].components[0].parameters[0].image".to_owned(),
                MediaKind::Image,
                own(),
            ),
        ];
        assert_eq!(found, expected);
        let found = sources(json!({"type": "interactive", "interactive": {
            "type": "flow", "header": {"type": "document", "document": {"id": OWN}},
            "action": {"parameters": {"flow_action_payload": {"data": {"image": {"id": OWN}}}}}}}));
        assert_eq!(
            found,
            [(
                "interactive.header.document".to_owned(),
                MediaKind::Document,
                own()
            )]
        );
        assert_eq!(
            sources(json!({"type": "text", "text": {"body": "image"}})),
            []
        );
    }

    #[test]
    fn metas_id_takes_the_place_of_ours() {
        let mut content = json!({"type": "document",
            "document": {"link": "https://example.com/a.pdf", "caption": "x"}});
        for mut slot in slots(&mut content) {
            slot.fill("42".to_owned(), Some("a.pdf"));
        }
        assert_eq!(
            content,
            json!({"type": "document",
                "document": {"id": "42", "caption": "x", "filename": "a.pdf"}})
        );
        let mut named = json!({"image": {"id": OWN}, "document": {"id": OWN, "filename": "mine"}});
        for mut slot in slots(&mut named) {
            slot.fill("7".to_owned(), Some("other"));
        }
        assert_eq!(
            named,
            json!({"image": {"id": "7"}, "document": {"id": "7", "filename": "mine"}})
        );
    }

    #[test]
    fn a_document_may_be_anything_and_others_only_what_they_are() {
        let fits = |slot, file| {
            let mut errors = FieldErrors::new();
            check_kind("x", slot, file, &mut errors);
            errors.is_empty()
        };
        assert!(fits(MediaKind::Image, MediaKind::Image));
        assert!(fits(MediaKind::Document, MediaKind::Image));
        assert!(!fits(MediaKind::Image, MediaKind::Document));
        assert!(!fits(MediaKind::Sticker, MediaKind::Image));
    }
}
