//! What Meta tells of business accounts and their numbers: kept, told of, and followed.

use chrono::{DateTime, Utc};
use portal_auth::sha256;
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext,
    catalogue::{EventData, TenantWhatsappAccountChanged, TenantWhatsappQualityChanged},
    outbox_event,
};
use portal_whatsapp::webhook::{AccountChange, TemplateUpdate};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::retry_policy::HoldReason,
    events::SOURCE,
    store::{
        holds,
        notices::{self, NewNotice},
        reports::NumberRoute,
    },
    usecases::templates,
};

/// Fields that are told on as `tenant.whatsapp.account_changed`. Others are kept: some hold the
/// texts of thousands of messages (`history`).
const TOLD: [&str; 7] = [
    "account_update",
    "account_alerts",
    "account_review_update",
    "security",
    "phone_number_name_update",
    "phone_number_quality_update",
    "business_capability_update",
];

/// A change of an account of the tenant.
#[derive(Clone)]
pub(super) struct Notice {
    pub(super) waba_id: String,
    pub(super) field: String,
    pub(super) value: Value,
    pub(super) occurred_at: Option<DateTime<Utc>>,
    pub(super) received_at: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
    /// The account's numbers.
    pub(super) numbers: Vec<NumberRoute>,
}

/// Keeps the notice, and follows it unless it was told before.
pub(super) fn follow(tx: &mut Tx<'_>, notice: &Notice) -> Result<bool, DbError> {
    let tenant_id = tx.own_tenant()?;
    let at = notice.occurred_at.unwrap_or(notice.received_at);
    let is_new = notices::insert(
        tx,
        &NewNotice {
            notice_id: Uuid::now_v7(),
            tenant_id: tenant_id.to_string(),
            waba_id: notice.waba_id.clone(),
            field: notice.field.chars().take(64).collect(),
            digest: digest(notice).to_vec(),
            payload: notice.value.clone(),
            occurred_at: notice.occurred_at,
            received_at: notice.received_at,
        },
    )?;
    if !is_new {
        return Ok(false);
    }
    if let Some(update) = TemplateUpdate::read(&notice.field, &notice.value) {
        templates::apply_update(tx, &tenant_id, &notice.waba_id, update, at)?;
        return Ok(true);
    }
    let effect = match AccountChange::read(&notice.field, &notice.value) {
        AccountChange::Limit { number, limit } => {
            let concerned = notice.numbers.iter().filter(|route| {
                number
                    .as_ref()
                    .is_none_or(|number| digits(&route.display_phone_number) == *number)
            });
            for route in concerned {
                change_limit(tx, notice, &route.phone_number_id, limit.as_deref(), at)?;
            }
            "told"
        }
        AccountChange::Stopped => {
            for route in &notice.numbers {
                holds::hold(
                    tx,
                    &route.phone_number_id,
                    HoldReason::Account,
                    None,
                    Utc::now(),
                )?;
            }
            "stopped"
        }
        AccountChange::Restored => {
            holds::probe_now(tx)?;
            "restored"
        }
        AccountChange::Told => "told",
    };
    if TOLD.contains(&&*notice.field) {
        let event = TenantWhatsappAccountChanged {
            tenant_id,
            waba_id: notice.waba_id.clone(),
            field: notice.field.clone(),
            effect: effect.to_owned(),
            details: notice.value.clone(),
        };
        tell(tx, notice, at, &event)?;
    }
    Ok(true)
}

fn change_limit(
    tx: &mut Tx<'_>,
    notice: &Notice,
    phone_number_id: &str,
    limit: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let (quality, before) = notices::note_limit(tx, phone_number_id, limit)?;
    let Some(limit) = limit.filter(|limit| before.as_deref() != Some(limit)) else {
        return Ok(());
    };
    let event = TenantWhatsappQualityChanged {
        tenant_id: tx.own_tenant()?,
        phone_number_id: phone_number_id.to_owned(),
        quality,
        limit: Some(limit.to_owned()),
    };
    tell(tx, notice, at, &event)
}

fn tell<E: EventData>(
    tx: &mut Tx<'_>,
    notice: &Notice,
    at: DateTime<Utc>,
    event: &E,
) -> Result<(), DbError> {
    let context = EventContext {
        traceparent: notice.traceparent.clone(),
        request_id: None,
    };
    let row = outbox_event(SOURCE, &tx.own_tenant()?, &context, at, event)?;
    outbox::append(tx, &[row])
}

fn digits(display: &str) -> String {
    display.chars().filter(char::is_ascii_digit).collect()
}

fn digest(notice: &Notice) -> [u8; 32] {
    let at = notice.occurred_at.map(|at| at.timestamp());
    let parts = serde_json::json!([notice.field, notice.waba_id, at, notice.value]);
    sha256(parts.to_string())
}
