//! What Meta says of templates, held against what is known: pure.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use portal_whatsapp::{
    TemplateNode,
    webhook::{TemplateChange, TemplateUpdate},
};

use crate::store::{template_syncs::SyncCounts, templates::TemplateRow};

/// The status of a template that Meta does not have any more.
pub(super) const DELETED: &str = "DELETED";
/// The status of a template that was heard of and not asked for yet.
const UNKNOWN: &str = "UNKNOWN";
/// Webhooks tell the time in seconds.
const CLOCK_GRAIN: TimeDelta = TimeDelta::seconds(1);

/// Of whom, and when.
#[derive(Debug, Clone)]
pub(super) struct Circumstances {
    pub(super) tenant_id: String,
    pub(super) waba_id: String,
    /// When Meta was asked; webhooks that came since know more.
    pub(super) asked_at: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

/// A template that has another status now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusNews {
    pub(super) name: String,
    pub(super) language: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
}

impl From<&TemplateRow> for StatusNews {
    fn from(row: &TemplateRow) -> Self {
        Self {
            name: row.name.clone(),
            language: row.language.clone(),
            status: row.status.clone(),
            reason: row.status_reason.clone(),
        }
    }
}

/// What a listing changes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) writes: Vec<TemplateRow>,
    pub(super) news: Vec<StatusNews>,
    pub(super) counts: SyncCounts,
}

/// Holds a listing against the rows of the account. With `is_complete` what is not listed is gone.
pub(super) fn reconcile(
    known: Vec<TemplateRow>,
    listed: Vec<TemplateNode>,
    circumstances: &Circumstances,
    is_complete: bool,
) -> Plan {
    let key = |name: &str, language: &str| (name.to_owned(), language.to_owned());
    let mut known: HashMap<_, _> = known
        .into_iter()
        .map(|row| (key(&row.name, &row.language), row))
        .collect();
    // While one pages, templates may move from one page to the next.
    let listed: HashMap<_, _> = listed
        .into_iter()
        .map(|node| (key(&node.name, &node.language), node))
        .collect();
    let mut plan = Plan::default();
    plan.counts.total = i32::try_from(listed.len()).unwrap_or(i32::MAX);
    for (key, node) in listed {
        let old = known.remove(&key);
        let new = merge(old.as_ref(), node, circumstances);
        match &old {
            None => plan.counts.created += 1,
            Some(old) if is_same(old, &new) => continue,
            Some(_) => plan.counts.updated += 1,
        }
        if old.is_none_or(|old| old.status != new.status) {
            plan.news.push(StatusNews::from(&new));
        }
        plan.writes.push(new);
    }
    if is_complete {
        for row in known.into_values() {
            plan.remove(&row, circumstances);
        }
    }
    plan.news
        .sort_by(|a, b| (&a.name, &a.language).cmp(&(&b.name, &b.language)));
    plan
}

impl Plan {
    fn remove(&mut self, row: &TemplateRow, circumstances: &Circumstances) {
        if row.gone_at.is_some() || row.heard_at > circumstances.asked_at {
            return;
        }
        self.counts.removed += 1;
        let gone = gone(row.clone(), circumstances.asked_at, circumstances.now);
        if row.status != DELETED {
            self.news.push(StatusNews::from(&gone));
        }
        self.writes.push(gone);
    }
}

fn gone(row: TemplateRow, at: DateTime<Utc>, now: DateTime<Utc>) -> TemplateRow {
    TemplateRow {
        status: DELETED.to_owned(),
        status_reason: None,
        status_at: at,
        heard_at: now,
        paused_until: None,
        fetch_due: false,
        gone_at: Some(now),
        ..row
    }
}

/// Nothing but the time of asking differs.
fn is_same(old: &TemplateRow, new: &TemplateRow) -> bool {
    let timeless = |row: &TemplateRow| TemplateRow {
        synced_at: None,
        heard_at: DateTime::UNIX_EPOCH,
        ..row.clone()
    };
    timeless(old) == timeless(new)
}

/// The row of a template as Meta describes it; what a webhook told since Meta was asked stays.
pub(super) fn merge(
    old: Option<&TemplateRow>,
    node: TemplateNode,
    circumstances: &Circumstances,
) -> TemplateRow {
    let is_newer = |row: &&TemplateRow| row.heard_at > circumstances.asked_at;
    let newer = old.filter(is_newer);
    let same = old.filter(|row| row.status == node.status);
    let mut row = TemplateRow {
        tenant_id: circumstances.tenant_id.clone(),
        waba_id: circumstances.waba_id.clone(),
        name: node.name,
        language: node.language,
        template_id: node.id,
        status_reason: same
            .and_then(|row| row.status_reason.clone())
            .or_else(|| node.rejected_reason.clone()),
        status_at: same.map_or(circumstances.asked_at, |row| row.status_at),
        heard_at: circumstances.now,
        paused_until: same.and_then(|row| row.paused_until),
        status: node.status,
        category: node.category,
        sub_category: node.sub_category,
        is_named: node.is_named,
        components: Some(node.components),
        quality: node.quality,
        rejected_reason: node.rejected_reason,
        last_updated: node.last_updated,
        synced_at: Some(circumstances.asked_at),
        fetch_due: false,
        gone_at: None,
    };
    if let Some(newer) = newer {
        row.status.clone_from(&newer.status);
        row.status_reason.clone_from(&newer.status_reason);
        row.status_at = newer.status_at;
        row.heard_at = newer.heard_at;
        row.paused_until = newer.paused_until;
        row.fetch_due = newer.fetch_due;
        row.gone_at = newer.gone_at;
    }
    row
}

/// Whether nothing is known of the template but that it is there.
pub(super) fn is_unknown(row: &TemplateRow) -> bool {
    row.status == UNKNOWN
}

/// What a webhook makes of a template; `None` when it is older than what is known. `at` is Meta's
/// time of the webhook.
pub(super) fn updated(
    old: Option<TemplateRow>,
    update: TemplateUpdate,
    at: DateTime<Utc>,
    circumstances: &Circumstances,
) -> Option<TemplateRow> {
    let is_stale = |row: &TemplateRow| at + CLOCK_GRAIN < row.status_at;
    if old.as_ref().is_some_and(is_stale) {
        return None;
    }
    let mut row = old.unwrap_or_else(|| TemplateRow {
        tenant_id: circumstances.tenant_id.clone(),
        waba_id: circumstances.waba_id.clone(),
        name: update.name,
        language: update.language,
        template_id: update.template_id.clone(),
        status: UNKNOWN.to_owned(),
        category: String::new(),
        sub_category: None,
        is_named: false,
        components: None,
        quality: None,
        rejected_reason: None,
        status_reason: None,
        status_at: at,
        heard_at: at,
        paused_until: None,
        last_updated: None,
        synced_at: None,
        fetch_due: true,
        gone_at: None,
    });
    row.template_id = update.template_id;
    row.heard_at = circumstances.now;
    match update.change {
        TemplateChange::Status {
            event,
            reason,
            title,
            category,
        } => {
            if let Some(category) = category {
                row.category = category;
            }
            apply_status(&mut row, &event, reason, title.as_deref(), at);
        }
        TemplateChange::Quality { quality } => row.quality = Some(quality),
        TemplateChange::Category { category, .. } => row.category = category,
        TemplateChange::Components => row.fetch_due = true,
    }
    if row.status == DELETED && row.gone_at.is_none() {
        return Some(gone(row, at, circumstances.now));
    }
    Some(row)
}

/// Some events say what the status is; of others only Meta knows what came of them.
fn apply_status(
    row: &mut TemplateRow,
    event: &str,
    reason: Option<String>,
    title: Option<&str>,
    at: DateTime<Utc>,
) {
    match event {
        "APPROVED" | "REJECTED" | "PENDING" | "PAUSED" | "DISABLED" | "IN_APPEAL"
        | "PENDING_DELETION" | DELETED | "LIMIT_EXCEEDED" | "ARCHIVED" => {
            event.clone_into(&mut row.status);
            row.status_reason = reason.or_else(|| title.map(str::to_owned));
            row.status_at = at;
            row.paused_until = pause(title)
                .filter(|_| event == "PAUSED")
                .map(|pause| at + pause);
            row.gone_at = None;
            // What was approved may read otherwise than before.
            row.fetch_due |= event == "APPROVED";
        }
        _ => row.fetch_due = true,
    }
}

/// How long a pause lasts (Cloud API, "Template pausing").
fn pause(title: Option<&str>) -> Option<TimeDelta> {
    match title? {
        "FIRST_PAUSE" => Some(TimeDelta::hours(3)),
        "SECOND_PAUSE" => Some(TimeDelta::hours(6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
