//! Rules about message templates: what a send of one must give.

pub(crate) mod check;
pub(crate) mod json_schema;
pub(crate) mod schema;

pub(crate) use schema::TemplateSchema;

/// The status of a template that can be sent.
pub(crate) const APPROVED: &str = "APPROVED";
/// The category of templates with one-time passwords.
pub(crate) const AUTHENTICATION: &str = "AUTHENTICATION";
/// The category of templates that a contact may have stopped.
pub(crate) const MARKETING: &str = "MARKETING";
