//! Message templates of tenants: read from Meta, kept fresh by webhooks, listed, checked.

mod check;
mod memory;
mod reconcile;
pub(crate) mod sync;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use portal_db::{Db, DbError, Tx, outbox};
use portal_events::{EventContext, RelayWaker, catalogue::TemplateStatusChanged, outbox_event};
use portal_service_kit::http::Page;
use portal_types::TenantId;
use portal_whatsapp::webhook::TemplateUpdate;
use tokio::sync::Notify;

pub(crate) use check::UsableTemplate;
pub(crate) use memory::TemplateMemory;
use reconcile::{Circumstances, StatusNews};

use super::account::{AccountError, Accounts};
use crate::{
    events::SOURCE,
    store::{
        template_syncs::{self, SyncRow},
        templates::{self, TemplateFilter, TemplateRow},
    },
};

/// Why templates cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplatesError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the tenant has no such template")]
    Unknown,
    #[error("Meta's limit of calls is used up")]
    Limited { until: DateTime<Utc> },
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What callers are told of templates, and what webhooks change.
#[derive(Clone)]
pub(crate) struct Templates {
    pub(crate) db: Db,
    pub(crate) accounts: Accounts,
    pub(crate) memory: TemplateMemory,
    pub(crate) relay: RelayWaker,
    /// Tells the worker of this process that something is due.
    pub(crate) due: Arc<Notify>,
}

/// A part of a tenant's templates.
pub(crate) struct TemplateList {
    pub(crate) rows: Vec<TemplateRow>,
    pub(crate) total: i64,
    /// None before the first reading.
    pub(crate) sync: Option<SyncRow>,
}

impl Templates {
    /// A part of the templates that the tenant's account has.
    #[tracing::instrument(name = "usecase.list_templates", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        filter: TemplateFilter,
        page: Page,
    ) -> Result<TemplateList, TemplatesError> {
        let waba_id = self.accounts.waba_id(tenant).await?;
        let list = self.db.read("templates.list", tenant, move |tx| {
            let (rows, total) = templates::list(tx, &waba_id, &filter, page)?;
            let sync = template_syncs::find(tx, &waba_id)?;
            Ok::<_, DbError>(TemplateList { rows, total, sync })
        });
        Ok(list.await?)
    }

    /// A template in all of its languages, or in one.
    #[tracing::instrument(name = "usecase.get_template", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn get(
        &self,
        tenant: &TenantId,
        name: String,
        language: Option<String>,
    ) -> Result<Vec<TemplateRow>, TemplatesError> {
        let waba_id = self.accounts.waba_id(tenant).await?;
        let mut rows = self
            .db
            .read("templates.get", tenant, move |tx| {
                templates::list_languages(tx, &waba_id, &name)
            })
            .await?;
        rows.retain(|row| {
            language
                .as_ref()
                .is_none_or(|language| row.language == *language)
        });
        if rows.is_empty() {
            return Err(TemplatesError::Unknown);
        }
        Ok(rows)
    }
}

/// Applies what a webhook told of a template of the tenant's account `waba_id`. `at` is Meta's time
/// of it. Twice, late or in another order than it happened does no harm. The reader of templates
/// asks Meta for what a webhook does not say.
pub(crate) fn apply_update(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    waba_id: &str,
    update: TemplateUpdate,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let circumstances = Circumstances {
        tenant_id: tenant.to_string(),
        waba_id: waba_id.to_owned(),
        asked_at: at,
        now: Utc::now(),
    };
    let old = templates::lock(tx, waba_id, &update.name, &update.language)?;
    let old_status = old.as_ref().map(|row| row.status.clone());
    let Some(row) = reconcile::updated(old, update, at, &circumstances) else {
        return Ok(());
    };
    if old_status.as_ref() != Some(&row.status) && !reconcile::is_unknown(&row) {
        announce(tx, tenant, &[StatusNews::from(&row)], circumstances.now)?;
    }
    let fetch = row.fetch_due;
    templates::upsert(tx, &[row])?;
    template_syncs::note_change(tx, waba_id, fetch)
}

/// Tells of templates that have another status now.
fn announce(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    news: &[StatusNews],
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let context = EventContext::current(None);
    let rows = news
        .iter()
        .map(|news| {
            let event = TemplateStatusChanged {
                tenant_id: tenant.clone(),
                name: news.name.clone(),
                language: news.language.clone(),
                status: news.status.clone(),
                reason: news.reason.clone(),
            };
            outbox_event(SOURCE, tenant, &context, at, &event)
        })
        .collect::<Result<Vec<_>, _>>()?;
    outbox::append(tx, &rows)
}
