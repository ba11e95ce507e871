//! Paging of admin lists by `limit` and `offset`.

use serde::{Deserialize, Serialize};

use crate::error::FieldErrors;

/// Items of a page when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 50;
/// Most items of a page.
pub const MAX_LIMIT: u32 = 100;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// Items to leave out.
    pub offset: u32,
}

impl Page {
    /// Checks what a query gave. Query structs carry `limit` and `offset` as optional fields of
    /// their own: flattening a struct of numbers does not work for query strings.
    pub fn checked(limit: Option<u32>, offset: Option<u32>, errors: &mut FieldErrors) -> Self {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            errors.add("limit", format!("must be 1 to {MAX_LIMIT}"));
        }
        let offset = offset.unwrap_or(0);
        if i32::try_from(offset).is_err() {
            errors.add("offset", "is too large");
        }
        Self { limit, offset }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            offset: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept() {
        let mut errors = FieldErrors::new();
        assert_eq!(
            Page::checked(None, None, &mut errors),
            Page {
                limit: 50,
                offset: 0
            }
        );
        assert_eq!(
            Page::checked(Some(100), Some(7), &mut errors),
            Page {
                limit: 100,
                offset: 7
            }
        );
        assert!(errors.is_empty());
        Page::checked(Some(0), Some(u32::MAX), &mut errors);
        Page::checked(Some(101), None, &mut errors);
        let fields: Vec<_> = errors.fields().iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["limit", "offset", "limit"]);
    }
}
