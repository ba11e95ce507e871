//! A dry run: the same checks as before an acceptance, and what would come of it.

use chrono::{DateTime, Utc};
use portal_db::{Db, DbError};
use portal_types::TenantId;
use portal_whatsapp::Recipient;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accept_message::{AcceptError, ClosedWindow},
    preflight::Preflight,
};
use crate::{
    domain::{Draft, policy::WindowPolicy},
    store::preview::{self, Outlook},
};

/// What Meta lets a number send a second unless it says otherwise.
const DEFAULT_RATE: f64 = 80.0;

/// What would come of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    pub(crate) recipient: RecipientPreview,
    pub(crate) window: WindowPreview,
    /// The template that would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<TemplatePreview>,
    /// Why the number's sending waits, if it does.
    pub(crate) hold: Option<String>,
    /// Whether Meta takes the organization's token, as far as is known.
    pub(crate) token_status: Option<String>,
    /// How long the messages before this one take; nothing while the number's sending waits.
    pub(crate) expected_wait_seconds: Option<f64>,
}

/// Who would get it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecipientPreview {
    /// As it would be stored.
    pub(crate) to: String,
    /// `phone` or `bsuid`.
    pub(crate) form: &'static str,
}

/// The customer service window of the recipient.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WindowPreview {
    /// `open`, `closed`, or `unknown` when the number was not watched long enough to tell.
    pub(crate) state: &'static str,
    /// When it ends or ended.
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// The template that would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplatePreview {
    pub(crate) name: String,
    pub(crate) language: String,
    /// Its status at Meta, if it is known.
    pub(crate) status: Option<String>,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`, if it is known.
    pub(crate) category: Option<String>,
}

/// What a dry run needs.
#[derive(Clone)]
pub(crate) struct DryRun {
    pub(crate) db: Db,
    pub(crate) preflight: Preflight,
}

/// What a dry run found.
pub(crate) struct Found {
    /// What would come of it; nothing when the tenant cannot send at all.
    pub(crate) preview: Option<Preview>,
    /// Why it would not be accepted.
    pub(crate) errors: Vec<AcceptError>,
    /// What Meta may refuse.
    pub(crate) warnings: Vec<String>,
}

impl DryRun {
    /// Checks a message and stores nothing.
    pub(crate) async fn look(&self, tenant: &TenantId, draft: &Draft) -> Result<Found, DbError> {
        let mut errors = Vec::new();
        if let Err(error) = self.preflight.check(tenant, draft).await {
            errors.push(error);
        }
        let Ok(whatsapp) = self.preflight.sender(tenant).await else {
            return Ok(Found {
                preview: None,
                errors,
                warnings: Vec::new(),
            });
        };
        let (number, contact) = (
            whatsapp.phone_number_id.clone(),
            draft.to.as_str().to_owned(),
        );
        let outlook = self
            .db
            .read("preview", tenant, move |tx| {
                preview::find_outlook(tx, &number, &contact)
            })
            .await?
            .ok_or(DbError::NotFound)?;
        let window = window_of(&outlook);
        let mut warnings = Vec::new();
        if draft.is_free_form() {
            let policy = self.preflight.policies.of(tenant).await?.window_policy;
            match fate_of(&window, draft.send_at, policy) {
                WindowFate::Open => {}
                WindowFate::Refused => {
                    errors.push(AcceptError::WindowClosed(ClosedWindow {
                        expired_at: window.expires_at,
                        usable_templates: self.preflight.usable(tenant, &whatsapp.waba_id).await,
                    }));
                }
                WindowFate::Doubtful(why) => warnings.push(why.to_owned()),
            }
        }
        let template = match draft.content.template() {
            Some(template) => {
                let finding = self
                    .preflight
                    .templates
                    .check(tenant, &whatsapp.waba_id, &template)
                    .await?;
                if finding.is_marketing() && outlook.has_stopped_marketing {
                    errors.push(AcceptError::MarketingStopped);
                }
                warnings.extend(finding.warning.map(str::to_owned));
                Some(TemplatePreview {
                    name: template.name.clone(),
                    language: template.language.code.clone(),
                    status: finding.status,
                    category: finding.category,
                })
            }
            None => None,
        };
        let preview = Preview {
            recipient: RecipientPreview {
                to: draft.to.as_str().to_owned(),
                form: match draft.to {
                    Recipient::Phone(_) => "phone",
                    Recipient::Bsuid(_) => "bsuid",
                },
            },
            window,
            template,
            expected_wait_seconds: outlook.hold.is_none().then(|| wait_of(&outlook)),
            hold: outlook.hold,
            token_status: serde_json::to_value(whatsapp.token_status)
                .ok()
                .and_then(|status| status.as_str().map(str::to_owned)),
        };
        Ok(Found {
            preview: Some(preview),
            errors,
            warnings,
        })
    }
}

/// What the customer service window means for a free-form message.
#[derive(Debug, PartialEq, Eq)]
enum WindowFate {
    Open,
    Refused,
    Doubtful(&'static str),
}

fn fate_of(
    window: &WindowPreview,
    send_at: Option<DateTime<Utc>>,
    policy: WindowPolicy,
) -> WindowFate {
    let is_enforced = policy == WindowPolicy::Enforce;
    match (window.state, send_at) {
        ("unknown", _) => {
            WindowFate::Doubtful("It is not known whether the contact wrote within 24 hours.")
        }
        ("closed", None) if is_enforced => WindowFate::Refused,
        ("closed", None) => {
            WindowFate::Doubtful("The customer service window is closed: Meta will refuse it.")
        }
        // The contact may write again until then.
        (_, Some(at)) if window.expires_at.is_none_or(|end| end < at) => {
            WindowFate::Doubtful(if is_enforced {
                "The customer service window will be closed when the message is due: it fails then \
                 unless the contact writes before."
            } else {
                "The customer service window will be closed when the message is due: Meta refuses \
                 it then unless the contact writes before."
            })
        }
        _ => WindowFate::Open,
    }
}

fn window_of(outlook: &Outlook) -> WindowPreview {
    let state = match outlook.window_expires_at {
        _ if outlook.window_is_closed => "closed",
        Some(_) => "open",
        None => "unknown",
    };
    WindowPreview {
        state,
        expires_at: outlook.window_expires_at,
    }
}

fn wait_of(outlook: &Outlook) -> f64 {
    let rate = outlook.messages_per_second.map_or(DEFAULT_RATE, f64::from);
    #[expect(clippy::cast_precision_loss, reason = "a count of messages fits")]
    let waiting = outlook.waiting as f64;
    waiting / rate.max(1.0)
}
