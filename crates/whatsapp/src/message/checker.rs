//! Collects what is wrong with a content, by the path of the field.

use std::{collections::HashSet, fmt::Write as _, ops::RangeInclusive};

use portal_service_kit::FieldErrors;
use url::Url;

/// A hostile body gets no longer list.
const MAX_REPORTED: usize = 50;
/// Longest id that is handed through: of media, messages, products. Meta's are shorter.
const MAX_ID_CHARS: usize = 512;
/// Longest id of a product that is handed through; no limit is documented.
const MAX_PRODUCT_CHARS: usize = 512;

/// Where a check stands, and what it found.
pub(crate) struct Checker<'e> {
    errors: &'e mut FieldErrors,
    path: String,
}

impl<'e> Checker<'e> {
    /// Begins at `path`.
    pub(crate) fn new(errors: &'e mut FieldErrors, path: &str) -> Self {
        Self {
            errors,
            path: path.to_owned(),
        }
    }

    /// The value itself cannot be used.
    pub(crate) fn refuse_this(&mut self, message: impl Into<String>) {
        if self.errors.fields().len() < MAX_REPORTED {
            self.errors.add(self.path.as_str(), message);
        }
    }

    /// The member `name` cannot be used.
    pub(crate) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.inside(name, |c| c.refuse_this(message));
    }

    /// Looks at the member `name`.
    pub(crate) fn inside(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        let end = self.path.len();
        self.path.push('.');
        self.path.push_str(name);
        look(self);
        self.path.truncate(end);
    }

    /// Looks at every item of the member `name`, which must have as many as `count` says.
    pub(crate) fn each<T>(
        &mut self,
        name: &str,
        items: &[T],
        count: RangeInclusive<usize>,
        mut look: impl FnMut(&mut Self, &T),
    ) {
        self.inside(name, |c| {
            c.count(items.len(), count);
            c.items(items, &mut look);
        });
    }

    /// The value itself must have as many items as `count` says.
    pub(crate) fn count(&mut self, items: usize, count: RangeInclusive<usize>) {
        if !count.contains(&items) {
            let (from, to) = count.into_inner();
            let wanted = if from == to {
                format!("{from} item")
            } else {
                format!("{from} to {to} items")
            };
            self.refuse_this(format!("must have {wanted}, has {items}"));
        }
    }

    /// Looks at every item of the value itself.
    pub(crate) fn items<T>(&mut self, items: &[T], look: &mut impl FnMut(&mut Self, &T)) {
        let end = self.path.len();
        for (index, item) in items.iter().enumerate() {
            // Writing to a text does not fail.
            write!(self.path, "[{index}]").ok();
            look(self, item);
            self.path.truncate(end);
        }
    }

    /// The member `name` must have 1 to `max` characters, not only blanks.
    pub(crate) fn text(&mut self, name: &str, value: &str, max: usize) {
        if value.trim().is_empty() {
            self.refuse(name, "must not be empty");
        } else {
            self.at_most(name, value, max);
        }
    }

    /// As [`Checker::text`], if there is a value.
    pub(crate) fn optional_text(&mut self, name: &str, value: Option<&str>, max: usize) {
        if let Some(value) = value {
            self.text(name, value, max);
        }
    }

    /// The member `name` must have at most `max` characters.
    pub(crate) fn at_most(&mut self, name: &str, value: &str, max: usize) {
        let length = value.chars().count();
        if length > max {
            self.refuse(
                name,
                format!("must have at most {max} characters, has {length}"),
            );
        }
    }

    /// The member `name` must be an id as Meta gives them: visible characters without blanks.
    pub(crate) fn id(&mut self, name: &str, value: &str) {
        let is_id = (1..=MAX_ID_CHARS).contains(&value.len())
            && value.chars().all(|c| c.is_ascii_graphic());
        if !is_id {
            self.refuse(
                name,
                "must be an id: visible ASCII characters without blanks",
            );
        }
    }

    /// The member `name` must be a web address.
    pub(crate) fn web_address(&mut self, name: &str, value: &str) {
        let is_web = Url::parse(value)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_web {
            self.refuse(
                name,
                "must be an address that begins with https:// (or http://)",
            );
        }
    }

    /// Exactly one of `id` and `link` says where a medium is.
    pub(crate) fn medium(&mut self, id: Option<&str>, link: Option<&str>) {
        match (id, link) {
            (Some(id), None) => self.id("id", id),
            (None, Some(link)) => self.web_address("link", link),
            (Some(_), Some(_)) => self.refuse_this("must have either id or link, has both"),
            (None, None) => self.refuse_this("must have either id or link"),
        }
    }

    /// The member `name` of the items must differ from item to item.
    pub(crate) fn unique<'v>(&mut self, name: &str, values: impl Iterator<Item = &'v str>) {
        let mut seen = HashSet::new();
        for value in values {
            if !seen.insert(value) {
                self.refuse(name, "must differ from one another");
                return;
            }
        }
    }

    /// The member `name` must be the id of a product in a catalog, which the merchant chose.
    pub(crate) fn product(&mut self, name: &str, value: &str) {
        self.text(name, value, MAX_PRODUCT_CHARS);
    }

    /// Each of the `cards` must have a place of its own, from 0 on.
    pub(crate) fn card_order(&mut self, places: impl Iterator<Item = u8>) {
        let mut places: Vec<u8> = places.collect();
        places.sort_unstable();
        if places
            .iter()
            .enumerate()
            .any(|(place, given)| usize::from(*given) != place)
        {
            self.refuse("cards[].card_index", "must count from 0 on without gaps");
        }
    }
}
