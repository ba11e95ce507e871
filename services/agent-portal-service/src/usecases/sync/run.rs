//! Working on a run, from wherever it stands to its end.

use std::{sync::Arc, time::Duration};

use portal_db::{DbError, audit};
use portal_genesys::{ErrorKind, ListedUser, MAX_IDS, OAuthClient, Region, RoleMap, UserPage};
use portal_types::{Role, TenantId};
use secrecy::SecretString;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{SyncError, UserSync, apply::Applied};
use crate::{
    ROLE,
    domain::{Audience, NewLiveEvent, SyncRun, SyncStatus},
    store::{people, sync_runs},
    usecases::live_feed,
};

/// A run that Genesys stopped is tried again after so long.
const TRY_AGAIN_SECONDS: i32 = 60;
/// A run that has not ended after so long will not.
const LONGEST: chrono::Duration = chrono::Duration::hours(24);

/// What a run reads with.
pub(super) struct Reader {
    pub(super) region: Region,
    pub(super) client: OAuthClient,
    pub(super) org_id: String,
    pub(super) roles: RoleMap,
}

/// How work on a run ended for now.
enum Outcome {
    Done,
    /// Somebody else has it, or the process stops.
    Left,
}

impl UserSync {
    /// Works on a run until it ends, if nobody else does.
    #[tracing::instrument(name = "usecase.user_sync", skip_all, fields(tenant.id = %tenant, sync.run = %run_id))]
    pub(crate) async fn work(&self, tenant: &TenantId, run_id: Uuid, stop: &CancellationToken) {
        let result = self.try_work(tenant, run_id, stop).await;
        let settled = match result {
            Ok(Outcome::Done) => {
                self.finish(tenant, run_id, SyncStatus::Completed, None)
                    .await
            }
            Ok(Outcome::Left) => return,
            // A process that stops cuts its own calls off: that says nothing about Genesys.
            Err(_) if stop.is_cancelled() => self.hold(tenant, run_id, 0).await,
            Err(error) => self.settle(tenant, run_id, error).await,
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "the state of a sync cannot be written; it is taken up again");
        }
    }

    async fn try_work(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        stop: &CancellationToken,
    ) -> Result<Outcome, SyncError> {
        if !self.claim(tenant, run_id).await? {
            return Ok(Outcome::Left);
        }
        let reader = self.reader(tenant).await?;
        loop {
            let run = self.show(tenant, run_id).await?;
            if run.status != SyncStatus::Running {
                return Ok(Outcome::Left);
            }
            if run.is_read() {
                break;
            }
            if stop.is_cancelled() {
                self.hold(tenant, run_id, 0).await?;
                return Ok(Outcome::Left);
            }
            let page = self.read_page(tenant, &reader, &run).await?;
            let pause = page.pause;
            if !self.apply_page(&run, &reader, page).await? {
                return Ok(Outcome::Left);
            }
            self.pause(tenant, run_id, pause, stop).await?;
        }
        self.look_for_leavers(tenant, run_id, &reader, stop).await
    }

    async fn claim(&self, tenant: &TenantId, run_id: Uuid) -> Result<bool, DbError> {
        let (of, seconds) = (tenant.clone(), self.lease_seconds());
        self.db
            .write("user_sync.claim", tenant, move |tx| {
                sync_runs::claim(tx, &of, run_id, seconds)
            })
            .await
    }

    async fn hold(&self, tenant: &TenantId, run_id: Uuid, seconds: i32) -> Result<(), DbError> {
        let of = tenant.clone();
        self.db
            .write("user_sync.hold", tenant, move |tx| {
                sync_runs::hold(tx, &of, run_id, seconds)
            })
            .await
    }

    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.rules.lease.as_secs()).unwrap_or(i32::MAX)
    }

    /// Waits as long as Genesys' limit asks for, and keeps the run meanwhile; not longer than the
    /// process lives.
    async fn pause(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        pause: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<(), DbError> {
        let until = Instant::now() + pause.unwrap_or_default();
        loop {
            self.hold(tenant, run_id, self.lease_seconds()).await?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.is_cancelled() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(self.rules.lease / 2)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn reader(&self, tenant: &TenantId) -> Result<Reader, SyncError> {
        let profile = self.tenants.genesys_profile(tenant).await?;
        let profile = profile.ok_or(SyncError::TenantNotActive)?;
        let sealed = profile
            .sync_client
            .as_ref()
            .ok_or(SyncError::NoCredentials)?;
        let region = self.sign_in_rules.known_region(&sealed.region);
        Ok(Reader {
            region: region.ok_or(SyncError::UnknownRegion)?,
            client: self.clients.open(tenant, sealed)?,
            org_id: profile
                .genesys_org_id
                .clone()
                .ok_or(SyncError::NoCredentials)?,
            roles: self.sign_in_rules.roles_of(&profile),
        })
    }

    /// A token of the tenant's client; kept until a tenth of its life is left.
    async fn token(
        &self,
        tenant: &TenantId,
        reader: &Reader,
    ) -> Result<Arc<SecretString>, SyncError> {
        let key = (tenant.clone(), reader.client.client_id.clone());
        if let Some(token) = self.tokens.get(&key).await {
            return Ok(token);
        }
        let genesys = &self.genesys;
        let tokens = genesys
            .client_credentials(&reader.region, &reader.client)
            .await?;
        // A client of another organization would bring its people into this tenant.
        let organization = genesys
            .organization(&reader.region, &tokens.access_token)
            .await?;
        if organization.id != reader.org_id {
            return Err(SyncError::NoCredentials);
        }
        let token = Arc::new(tokens.access_token);
        self.tokens.insert(key, Arc::clone(&token)).await;
        Ok(token)
    }

    /// After a refusal: a new token, once, in place of the one that is remembered, which somebody
    /// revoked.
    async fn new_token(
        &self,
        tenant: &TenantId,
        reader: &Reader,
    ) -> Result<Arc<SecretString>, SyncError> {
        let key = (tenant.clone(), reader.client.client_id.clone());
        self.tokens.invalidate(&key).await;
        self.token(tenant, reader).await
    }

    async fn read_page(
        &self,
        tenant: &TenantId,
        reader: &Reader,
        run: &SyncRun,
    ) -> Result<UserPage, SyncError> {
        let (region, size) = (&reader.region, self.rules.page_size);
        let page = u32::try_from(run.next_page).unwrap_or(1);
        let token = self.token(tenant, reader).await?;
        match self.genesys.users(region, &token, page, size).await {
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                let token = self.new_token(tenant, reader).await?;
                Ok(self.genesys.users(region, &token, page, size).await?)
            }
            other => Ok(other?),
        }
    }

    async fn read_unseen(
        &self,
        tenant: &TenantId,
        reader: &Reader,
        ids: &[String],
    ) -> Result<(Vec<ListedUser>, Option<Duration>), SyncError> {
        let region = &reader.region;
        let token = self.token(tenant, reader).await?;
        match self.genesys.users_by_id(region, &token, ids).await {
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                let token = self.new_token(tenant, reader).await?;
                Ok(self.genesys.users_by_id(region, &token, ids).await?)
            }
            other => Ok(other?),
        }
    }

    async fn look_for_leavers(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        reader: &Reader,
        stop: &CancellationToken,
    ) -> Result<Outcome, SyncError> {
        let may_be_blind = self.may_be_blind(tenant, run_id).await?;
        let mut after = String::new();
        loop {
            if stop.is_cancelled() {
                self.hold(tenant, run_id, 0).await?;
                return Ok(Outcome::Left);
            }
            let unseen = self.unseen(tenant, run_id, &after).await?;
            let Some(last) = unseen.last() else {
                return Ok(Outcome::Done);
            };
            after.clone_from(last);
            let (found, pause) = self.read_unseen(tenant, reader, &unseen).await?;
            let run = self.show(tenant, run_id).await?;
            if !self
                .apply_leavers(&run, unseen, found, may_be_blind)
                .await?
            {
                return Ok(Outcome::Left);
            }
            self.pause(tenant, run_id, pause, stop).await?;
        }
    }

    /// Whether the listing has so few people that the client may have lost its rights. Then only who
    /// is said to be inactive or deleted is taken to have left, and not who is missing.
    async fn may_be_blind(&self, tenant: &TenantId, run_id: Uuid) -> Result<bool, SyncError> {
        let run = self.show(tenant, run_id).await?;
        let of = tenant.clone();
        let (active, _) = self
            .db
            .read("user_sync.count", tenant, move |tx| {
                people::count_people(tx, &of)
            })
            .await?;
        let listed = i64::from(run.total.unwrap_or(0));
        Ok(listed * 2 < active)
    }

    async fn unseen(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        after: &str,
    ) -> Result<Vec<String>, DbError> {
        let (of, after) = (tenant.clone(), after.to_owned());
        let limit = i64::try_from(MAX_IDS).unwrap_or(1);
        self.db
            .read("user_sync.unseen", tenant, move |tx| {
                people::list_unseen(tx, &of, run_id, &after, limit)
            })
            .await
    }

    /// After a failure: what passes by itself is tried again later, the rest ends the run.
    async fn settle(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        error: SyncError,
    ) -> Result<(), DbError> {
        let code = failure_code(&error);
        let began = self.show(tenant, run_id).await.map(|run| run.started_at);
        let is_old = began.is_ok_and(|began| self.clock.now() - began > LONGEST);
        if let (None, false) = (code, is_old) {
            tracing::info!(%error, "a sync waits");
            return self.hold(tenant, run_id, TRY_AGAIN_SECONDS).await;
        }
        tracing::warn!(%error, "a sync has failed");
        let code = code.unwrap_or("GENESYS_UNAVAILABLE");
        self.finish(tenant, run_id, SyncStatus::Failed, Some(code))
            .await
    }

    async fn finish(
        &self,
        tenant: &TenantId,
        run_id: Uuid,
        status: SyncStatus,
        code: Option<&'static str>,
    ) -> Result<(), DbError> {
        let of = tenant.clone();
        self.db
            .write("user_sync.finish", tenant, move |tx| {
                sync_runs::finish(tx, &of, run_id, status, code)?;
                let Some(run) = sync_runs::find(tx, &of, run_id)? else {
                    return Ok(());
                };
                tell_progress(tx, &run)?;
                let counts = run.counts;
                let outcome = match status {
                    SyncStatus::Failed => audit::Outcome::Failed,
                    SyncStatus::Running | SyncStatus::Completed => audit::Outcome::Succeeded,
                };
                let entry = audit::AuditEntry {
                    service: ROLE,
                    actor: audit::Actor::Service("agent-portal-service".to_owned()),
                    action: "user.sync.end",
                    target: Some(run_id.to_string()),
                    outcome,
                    details: json!({
                        "created": counts.created, "updated": counts.updated,
                        "deactivated": counts.deactivated, "skipped": counts.skipped, "code": code,
                    }),
                    request_id: None,
                };
                audit::append(tx, &entry)
            })
            .await
    }

    /// After the commit of a part: rights that were taken away end at once.
    pub(super) async fn after_part(&self, tenant: &TenantId, applied: Applied) {
        self.waker.wake();
        for (user, changed_at) in applied.role_changed {
            // The job publishes again what does not reach the list now.
            let second = changed_at.timestamp();
            if let Err(error) = self.sessions.revocations.revoke_user(user, second).await {
                tracing::warn!(%error, "a changed role is not on the revocation list yet");
            }
        }
        self.sessions.after_end(tenant, applied.ended).await;
    }
}

/// The code of a failure that only somebody can mend; `None` for what passes by itself.
fn failure_code(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::NoCredentials => Some("GENESYS_CREDENTIALS_MISSING"),
        SyncError::TenantNotActive => Some("TENANT_NOT_ACTIVE"),
        SyncError::UnknownRegion => Some("REGION_UNKNOWN"),
        SyncError::Sealed(_) => Some("GENESYS_CREDENTIALS_UNREADABLE"),
        SyncError::Genesys(error) => match error.kind {
            ErrorKind::InvalidClient | ErrorKind::InvalidGrant => Some("GENESYS_CLIENT_REFUSED"),
            ErrorKind::Forbidden => Some("GENESYS_PERMISSION_MISSING"),
            ErrorKind::Refused | ErrorKind::NotFound | ErrorKind::Protocol => {
                Some("GENESYS_REFUSED")
            }
            ErrorKind::Unauthorized | ErrorKind::RateLimited { .. } | ErrorKind::Unavailable => {
                None
            }
        },
        SyncError::Unknown | SyncError::DirectoryAway(_) | SyncError::Db(_) => None,
    }
}

/// Tells the tenant's administrators how far a run is.
pub(super) fn tell_progress(tx: &mut portal_db::Tx<'_>, run: &SyncRun) -> Result<(), DbError> {
    let counts = run.counts;
    let data = json!({
        "run_id": run.run_id, "status": run.status.as_ref(), "page": run.next_page - 1,
        "pages": run.pages, "total": run.total, "created": counts.created,
        "updated": counts.updated, "deactivated": counts.deactivated, "skipped": counts.skipped,
        "error_code": run.error_code,
    });
    let event = NewLiveEvent {
        audience: Audience::AtLeast(Role::Admin),
        kind: "user_sync.progress",
        data: &data,
    };
    live_feed::append(tx, &run.tenant_id, event)
}
