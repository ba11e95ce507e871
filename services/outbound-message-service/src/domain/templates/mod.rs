//! Rules about message templates: what a send of one must give.

pub(crate) mod check;
pub(crate) mod schema;

pub(crate) use schema::TemplateSchema;

/// The status of a template that can be sent.
pub(crate) const APPROVED: &str = "APPROVED";
