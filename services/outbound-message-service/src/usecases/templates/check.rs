//! Whether a template can be sent as asked, before anything is stored.

use chrono::Utc;
use portal_db::DbError;
use portal_service_kit::FieldErrors;
use portal_types::TenantId;
use portal_whatsapp::message::Template;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Templates, memory::KnownTemplate, memory::KnownTemplates};
use crate::domain::templates::{APPROVED, AUTHENTICATION, MARKETING, check};

/// Names that are offered for one that is unknown.
const MAX_NEAR: usize = 3;
/// Templates that are offered when only a template can be sent.
const MAX_USABLE: usize = 50;
/// How alike two names are at least to be offered for each other, of 1.
const ALIKE: f64 = 0.6;

/// What is said of a template before it is sent.
#[derive(Debug, Default)]
pub(crate) struct TemplateFinding {
    /// What Meta would refuse, by field.
    pub(crate) errors: FieldErrors,
    /// What is not known here, so that Meta decides.
    pub(crate) warning: Option<&'static str>,
    /// The status of the template, if it is known.
    pub(crate) status: Option<String>,
    /// Its category, if it is known.
    pub(crate) category: Option<String>,
}

impl TemplateFinding {
    /// Whether the template is known to be marketing.
    pub(crate) fn is_marketing(&self) -> bool {
        self.category.as_deref() == Some(MARKETING)
    }
}

/// A template that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsableTemplate {
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) category: String,
    /// Whether a send must give anything but its name and language.
    pub(crate) needs_parameters: bool,
}

const NEVER_READ: &str = "The templates of your account were not read from Meta yet, so Meta \
     decides whether this one can be sent.";

impl Templates {
    /// Holds a template with its values against what is known of the account's templates. Fields
    /// are named as members of `template`.
    pub(crate) async fn check(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        template: &Template,
    ) -> Result<TemplateFinding, DbError> {
        let known = self.memory.get(tenant, waba_id).await?;
        Ok(find_fault(&known, template, Utc::now().timestamp_millis()))
    }

    /// Templates that can be sent now, those without values first.
    pub(crate) async fn usable(
        &self,
        tenant: &TenantId,
        waba_id: &str,
    ) -> Result<Vec<UsableTemplate>, DbError> {
        let known = self.memory.get(tenant, waba_id).await?;
        let mut usable: Vec<_> = known
            .all()
            .filter(|template| template.status == APPROVED)
            // A code is sent by who makes codes.
            .filter(|template| template.category != AUTHENTICATION)
            .map(|template| UsableTemplate {
                name: template.name.clone(),
                language: template.language.clone(),
                category: template.category.clone(),
                needs_parameters: !template.schema.needs_nothing(),
            })
            .collect();
        usable.sort_by(|a, b| {
            (a.needs_parameters, &a.name, &a.language).cmp(&(
                b.needs_parameters,
                &b.name,
                &b.language,
            ))
        });
        usable.truncate(MAX_USABLE);
        Ok(usable)
    }
}

/// What is wrong with a template at the time `now_ms`.
fn find_fault(known: &KnownTemplates, template: &Template, now_ms: i64) -> TemplateFinding {
    let mut finding = TemplateFinding::default();
    if !known.are_known() {
        finding.warning = Some(NEVER_READ);
        return finding;
    }
    let found = find(
        known,
        &template.name,
        &template.language.code,
        &mut finding.errors,
    );
    let Some(found) = found else {
        return finding;
    };
    finding.status = Some(found.status.clone());
    finding.category = Some(found.category.clone());
    if found.status != APPROVED {
        finding.errors.add("template.name", not_sendable(found));
    }
    check::check(
        &found.schema,
        &template.components,
        "template.components",
        now_ms,
        &mut finding.errors,
    );
    finding
}

fn find<'k>(
    known: &'k KnownTemplates,
    name: &str,
    language: &str,
    errors: &mut FieldErrors,
) -> Option<&'k KnownTemplate> {
    let languages = known.languages(name);
    if languages.is_empty() {
        let near = near_names(known, name);
        errors.add(
            "template.name",
            if near.is_empty() {
                "is not a template of your account: GET /api/templates lists them".to_owned()
            } else {
                format!(
                    "is not a template of your account; near it: {}",
                    near.join(", ")
                )
            },
        );
        return None;
    }
    let found = languages
        .iter()
        .find(|template| template.language == language);
    if found.is_none() {
        let have: Vec<_> = languages
            .iter()
            .map(|have| have.language.as_str())
            .collect();
        errors.add(
            "template.language.code",
            format!(
                "must be one of the languages of this template: {}",
                have.join(", ")
            ),
        );
    }
    found
}

fn not_sendable(template: &KnownTemplate) -> String {
    let status = &template.status;
    let why = template
        .status_reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    match (status.as_str(), template.paused_until) {
        ("PAUSED", Some(until)) => {
            format!(
                "is paused by Meta until about {}{why}: use another template",
                until.format("%Y-%m-%dT%H:%MZ")
            )
        }
        ("PAUSED", None) => format!("is paused by Meta{why}: use another template"),
        ("PENDING" | "IN_APPEAL", _) => format!("is not approved by Meta yet: it is {status}{why}"),
        _ => format!("cannot be sent: Meta has it as {status}{why}; use an approved template"),
    }
}

fn near_names<'k>(known: &'k KnownTemplates, name: &str) -> Vec<&'k str> {
    let mut near: Vec<_> = known
        .names()
        .map(|have| (strsim::normalized_damerau_levenshtein(have, name), have))
        .filter(|(alike, have)| *alike >= ALIKE || have.starts_with(name) || name.starts_with(have))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.truncate(MAX_NEAR);
    near.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
