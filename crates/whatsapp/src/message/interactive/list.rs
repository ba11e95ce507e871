//! A menu.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, Body, Checker, Heading, check_label, check_tap_id};

/// Longest body of a list, in characters. The guide says so; Meta's `OpenAPI` document says 1024, and
/// what it refuses fails with code 100.
const MAX_LIST_BODY_CHARS: usize = 4096;
const MAX_SECTIONS: usize = 10;
/// Most rows over all sections.
const MAX_ROWS: usize = 10;
const MAX_ROW_ID_CHARS: usize = 200;
const MAX_TITLE_CHARS: usize = 24;
const MAX_DESCRIPTION_CHARS: usize = 72;

/// A menu of at most ten rows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListAction {
    /// Text of the button that opens the menu, 1 to 20 characters.
    #[schema(max_length = 20)]
    pub button: String,
    /// One to ten sections, with at most ten rows in all.
    #[schema(min_items = 1, max_items = 10)]
    pub sections: Vec<ListSection>,
}

impl Action for ListAction {
    const HEADER: Heading = Heading::Text;
    const BODY: Body = Body::Needed(MAX_LIST_BODY_CHARS);

    fn check(&self, c: &mut Checker<'_>) {
        check_label(c, "button", &self.button);
        let is_title_needed = self.sections.len() > 1;
        c.each(
            "sections",
            &self.sections,
            1..=MAX_SECTIONS,
            |c, section| {
                c.optional_text("title", section.title.as_deref(), MAX_TITLE_CHARS);
                if is_title_needed && section.title.is_none() {
                    c.refuse("title", "is missing: more than one section needs titles");
                }
                c.each("rows", &section.rows, 1..=MAX_ROWS, |c, row| row.check(c));
            },
        );
        let rows = || self.sections.iter().flat_map(|section| &section.rows);
        let count = rows().count();
        if count > MAX_ROWS {
            c.refuse(
                "sections",
                format!("must have at most {MAX_ROWS} rows over all sections, have {count}"),
            );
        }
        c.unique("sections[].rows[].id", rows().map(|row| row.id.as_str()));
    }
}

/// Rows under a title.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSection {
    /// 1 to 24 characters; needed when there is more than one section.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 24)]
    pub title: Option<String>,
    /// The rows.
    #[schema(min_items = 1, max_items = 10)]
    pub rows: Vec<ListRow>,
}

/// A row of a menu.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRow {
    /// Comes back when somebody taps; 1 to 200 characters, unique in the message.
    #[schema(max_length = 200)]
    pub id: String,
    /// 1 to 24 characters.
    #[schema(max_length = 24)]
    pub title: String,
    /// 1 to 72 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 72)]
    pub description: Option<String>,
}

impl ListRow {
    fn check(&self, c: &mut Checker<'_>) {
        check_tap_id(c, &self.id, MAX_ROW_ID_CHARS);
        c.text("title", &self.title, MAX_TITLE_CHARS);
        c.optional_text(
            "description",
            self.description.as_deref(),
            MAX_DESCRIPTION_CHARS,
        );
    }
}
