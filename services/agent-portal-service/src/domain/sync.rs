//! A sync of a tenant's people with Genesys.

use chrono::{DateTime, Utc};
use portal_types::TenantId;
use uuid::Uuid;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SyncStatus {
    Running,
    Completed,
    Failed,
}

/// Why a run was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SyncCause {
    Admin,
    Schedule,
}

/// What a run, or a part of it, has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SyncCounts {
    /// People we did not know.
    pub(crate) created: i32,
    /// People whose facts or role are different now, or who came back.
    pub(crate) updated: i32,
    /// People who may no longer sign in.
    pub(crate) deactivated: i32,
    /// People who stayed as they were, or have no business here.
    pub(crate) skipped: i32,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncRun {
    pub(crate) run_id: Uuid,
    pub(crate) tenant_id: TenantId,
    pub(crate) status: SyncStatus,
    pub(crate) cause: String,
    /// The next page to read, from 1.
    pub(crate) next_page: i32,
    /// Pages of the listing, once known.
    pub(crate) pages: Option<i32>,
    /// People of the listing, once known.
    pub(crate) total: Option<i32>,
    pub(crate) counts: SyncCounts,
    /// Why it failed.
    pub(crate) error_code: Option<String>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl SyncRun {
    /// Whether all pages have been read.
    pub(crate) fn is_read(&self) -> bool {
        self.pages.is_some_and(|pages| self.next_page > pages)
    }
}
