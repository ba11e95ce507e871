//! Products of a catalog.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, Body, Checker, Heading};
use crate::message::tagged::constant;

const MAX_SECTIONS: usize = 10;
/// Most products over all sections.
const MAX_PRODUCTS: usize = 30;
const MAX_TITLE_CHARS: usize = 24;

/// One product.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductAction {
    /// The catalog.
    pub catalog_id: String,
    /// The product's id in the catalog.
    pub product_retailer_id: String,
}

impl Action for ProductAction {
    const HEADER: Heading = Heading::None;
    const BODY: Body = Body::Optional;

    fn check(&self, c: &mut Checker<'_>) {
        c.id("catalog_id", &self.catalog_id);
        c.product("product_retailer_id", &self.product_retailer_id);
    }
}

/// Several products.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductListAction {
    /// The catalog.
    pub catalog_id: String,
    /// One to ten sections, with at most 30 products in all.
    #[schema(min_items = 1, max_items = 10)]
    pub sections: Vec<ProductSection>,
}

impl Action for ProductListAction {
    const HEADER: Heading = Heading::TextNeeded;

    fn check(&self, c: &mut Checker<'_>) {
        c.id("catalog_id", &self.catalog_id);
        check_sections(c, &self.sections);
    }
}

/// Checks the sections of a list of products, here and in templates.
pub(in crate::message) fn check_sections(c: &mut Checker<'_>, sections: &[ProductSection]) {
    let is_title_needed = sections.len() > 1;
    c.each("sections", sections, 1..=MAX_SECTIONS, |c, section| {
        c.optional_text("title", section.title.as_deref(), MAX_TITLE_CHARS);
        if is_title_needed && section.title.is_none() {
            c.refuse("title", "is missing: more than one section needs titles");
        }
        c.each(
            "product_items",
            &section.product_items,
            1..=MAX_PRODUCTS,
            |c, item| {
                c.product("product_retailer_id", &item.product_retailer_id);
            },
        );
    });
    let count: usize = sections
        .iter()
        .map(|section| section.product_items.len())
        .sum();
    if count > MAX_PRODUCTS {
        c.refuse(
            "sections",
            format!("must have at most {MAX_PRODUCTS} products over all sections, have {count}"),
        );
    }
}

/// Products under a title.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductSection {
    /// 1 to 24 characters; needed when there is more than one section.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 24)]
    pub title: Option<String>,
    /// The products.
    #[schema(min_items = 1, max_items = 30)]
    pub product_items: Vec<ProductItem>,
}

/// A product.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductItem {
    /// Its id in the catalog.
    pub product_retailer_id: String,
}

constant! {
    /// The name of the action that opens a catalog.
    CatalogName = "catalog_message"
}

/// A button that opens the catalog.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogAction {
    /// `catalog_message`
    pub name: CatalogName,
    /// How it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<CatalogParameters>,
}

impl Action for CatalogAction {
    const HEADER: Heading = Heading::None;

    fn check(&self, c: &mut Checker<'_>) {
        if let Some(parameters) = &self.parameters {
            c.inside("parameters", |c| {
                let thumbnail = &parameters.thumbnail_product_retailer_id;
                c.product("thumbnail_product_retailer_id", thumbnail);
            });
        }
    }
}

/// How a catalog is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogParameters {
    /// The product whose picture is shown.
    pub thumbnail_product_retailer_id: String,
}
