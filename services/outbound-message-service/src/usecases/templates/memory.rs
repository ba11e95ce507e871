//! The templates of accounts as they are remembered for checks: the database is the truth, and is
//! asked every other second whether anything changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use portal_db::{Db, DbError};
use portal_types::TenantId;

use crate::{
    domain::templates::TemplateSchema,
    store::{
        template_syncs,
        templates::{self, TemplateRow},
    },
};

/// How long what is remembered is believed.
const FRESH: Duration = Duration::from_secs(2);
/// Accounts that are remembered.
const MAX_ACCOUNTS: u64 = 2_000;
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// A tenant and its account.
type Key = (TenantId, String);

/// A template as checks need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownTemplate {
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) category: String,
    pub(crate) schema: TemplateSchema,
}

impl From<TemplateRow> for KnownTemplate {
    fn from(row: TemplateRow) -> Self {
        let components = row.components.unwrap_or_default();
        Self {
            schema: TemplateSchema::read(&components, row.is_named),
            name: row.name,
            language: row.language,
            status: row.status,
            status_reason: row.status_reason,
            paused_until: row.paused_until,
            category: row.category,
        }
    }
}

/// The templates of an account.
#[derive(Debug, Default)]
pub(crate) struct KnownTemplates {
    /// None while they were never read wholly: then nothing can be said about any.
    version: Option<i64>,
    by_name: HashMap<String, Vec<KnownTemplate>>,
}

impl KnownTemplates {
    pub(super) fn of(
        version: Option<i64>,
        templates: impl IntoIterator<Item = KnownTemplate>,
    ) -> Self {
        let mut by_name: HashMap<String, Vec<KnownTemplate>> = HashMap::new();
        for template in templates {
            by_name
                .entry(template.name.clone())
                .or_default()
                .push(template);
        }
        Self { version, by_name }
    }

    /// Whether they were read wholly.
    pub(crate) const fn are_known(&self) -> bool {
        self.version.is_some()
    }

    /// All languages of a template.
    pub(crate) fn languages(&self, name: &str) -> &[KnownTemplate] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &KnownTemplate> {
        self.by_name.values().flatten()
    }
}

/// Remembers the templates of accounts.
#[derive(Clone)]
pub(crate) struct TemplateMemory {
    db: Db,
    fresh: Cache<Key, Arc<KnownTemplates>>,
    last: Cache<Key, Arc<KnownTemplates>>,
}

impl TemplateMemory {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            fresh: Cache::builder()
                .max_capacity(MAX_ACCOUNTS)
                .time_to_live(FRESH)
                .build(),
            last: Cache::builder()
                .max_capacity(MAX_ACCOUNTS)
                .time_to_idle(FORGOTTEN_AFTER)
                .build(),
        }
    }

    /// The templates of an account, at most two seconds old. While the database is away, those that
    /// were known last.
    pub(crate) async fn get(
        &self,
        tenant: &TenantId,
        waba_id: &str,
    ) -> Result<Arc<KnownTemplates>, DbError> {
        let key = (tenant.clone(), waba_id.to_owned());
        if let Some(fresh) = self.fresh.get(&key).await {
            return Ok(fresh);
        }
        let load = self.load(&key);
        let loaded = self.fresh.try_get_with_by_ref(&key, load).await;
        // One failure for all who waited.
        loaded.map_err(|shared: Arc<DbError>| {
            if shared.is_transient() {
                DbError::Unavailable(Box::new(shared))
            } else {
                DbError::Other(Box::new(shared))
            }
        })
    }

    /// What was changed by this process is seen at once.
    pub(crate) async fn look_again(&self, tenant: &TenantId, waba_id: &str) {
        let key = (tenant.clone(), waba_id.to_owned());
        self.fresh.invalidate(&key).await;
    }

    async fn load(&self, key: &Key) -> Result<Arc<KnownTemplates>, DbError> {
        let last = self.last.get(key).await;
        let known_version = last.as_ref().and_then(|last| last.version);
        let waba_id = key.1.clone();
        let read = self
            .db
            .read("templates.remember", &key.0, move |tx| {
                let version = template_syncs::find_version(tx, &waba_id)?;
                let rows = match version {
                    Some(version) if known_version == Some(version) => None,
                    Some(_) => Some(templates::list_all(tx, &waba_id)?),
                    None => Some(Vec::new()),
                };
                Ok::<_, DbError>((version, rows))
            })
            .await;
        let (version, rows) = match (read, last) {
            (Ok((_, None)), Some(last)) => return Ok(last),
            (Ok((version, rows)), _) => (version, rows.unwrap_or_default()),
            (Err(error), Some(last)) if error.is_transient() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "templates are checked by what was known last"
                );
                return Ok(last);
            }
            (Err(error), _) => return Err(error),
        };
        let templates = rows.into_iter().map(KnownTemplate::from);
        let known = Arc::new(KnownTemplates::of(version, templates));
        self.last.insert(key.clone(), Arc::clone(&known)).await;
        Ok(known)
    }
}
