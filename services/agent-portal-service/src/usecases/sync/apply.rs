//! What a page of people changes, in one transaction with the place to go on from.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use portal_db::{CrossTenantPath, DbError, Scope, Tx, audit};
use portal_events::EventContext;
use portal_genesys::{EntityState, ListedUser, UserPage};
use portal_types::{TenantId, UserId};

use super::{
    SyncError, UserSync,
    run::{Reader, tell_progress},
};
use crate::{
    domain::{
        DeactivatedBy, GenesysPerson, SyncCounts, SyncRun, ToldRole, User, UserChanges, merge,
    },
    events::produced::{self, UserEvent},
    store::{people, sessions::EndedSession, sync_runs, users},
    usecases::{
        people::{self as people_events, switch_off},
        placeholders::{self, Waiting},
    },
};

/// What is to be told after the commit.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) counts: SyncCounts,
    pub(super) role_changed: Vec<(UserId, DateTime<Utc>)>,
    pub(super) ended: Vec<EndedSession>,
}

/// One transaction's work.
struct Part<'a> {
    tenant: &'a TenantId,
    now: DateTime<Utc>,
    context: EventContext,
    applied: Applied,
}

impl UserSync {
    /// Writes a page; false when somebody else has gone on with the run.
    pub(super) async fn apply_page(
        &self,
        run: &SyncRun,
        reader: &Reader,
        page: UserPage,
    ) -> Result<bool, SyncError> {
        let ids: Vec<String> = page.users.iter().map(|user| user.user_id.clone()).collect();
        let elsewhere = self.known_elsewhere(&run.tenant_id, ids.clone()).await?;
        let told: Vec<GenesysPerson> = page
            .users
            .iter()
            .filter(|user| !elsewhere.contains(&user.user_id))
            .map(|user| {
                let role = match &user.roles {
                    None => ToldRole::Unknown,
                    Some(roles) => reader
                        .roles
                        .portal_role(roles)
                        .map_or(ToldRole::Nothing, ToldRole::Role),
                };
                GenesysPerson::listed(&reader.org_id, user, role)
            })
            .collect();
        let left_out = page.users.len() - told.len();
        // An empty organization has no page, and is read all the same.
        let pages = i32::try_from(page.pages.max(1)).unwrap_or(i32::MAX);
        let total = i32::try_from(page.total).unwrap_or(i32::MAX);
        self.apply(
            run,
            run.next_page + 1,
            Some((pages, total)),
            move |part, tx, run| {
                for person in &told {
                    part.person(tx, person)?;
                }
                part.skip(left_out);
                people::mark_seen(tx, &run.tenant_id, run.run_id, &ids)
            },
        )
        .await
    }

    /// Switches off those of `unseen` who have left; false when somebody else has gone on with the
    /// run.
    pub(super) async fn apply_leavers(
        &self,
        run: &SyncRun,
        unseen: Vec<String>,
        found: Vec<ListedUser>,
        may_be_blind: bool,
    ) -> Result<bool, SyncError> {
        self.apply(run, run.next_page, None, move |part, tx, run| {
            let mut here = Vec::new();
            for id in unseen {
                let state = found.iter().find(|user| user.user_id == id);
                match state.map(|user| user.state) {
                    Some(EntityState::Inactive | EntityState::Deleted) => part.leaver(tx, &id)?,
                    None if !may_be_blind => part.leaver(tx, &id)?,
                    // The listing passed them over, or nobody can tell.
                    _ => {
                        part.skip(1);
                        here.push(id);
                    }
                }
            }
            people::mark_seen(tx, &run.tenant_id, run.run_id, &here)
        })
        .await
    }

    async fn apply(
        &self,
        run: &SyncRun,
        next_page: i32,
        listing: Option<(i32, i32)>,
        work: impl FnOnce(&mut Part<'_>, &mut Tx<'_>, &SyncRun) -> Result<(), DbError> + Send + 'static,
    ) -> Result<bool, SyncError> {
        let (of, now) = (run.clone(), self.clock.now());
        let applied = self
            .db
            .write("user_sync.apply", &run.tenant_id, move |tx| {
                let mut part = Part {
                    tenant: &of.tenant_id,
                    now,
                    context: EventContext::default(),
                    applied: Applied::default(),
                };
                work(&mut part, tx, &of)?;
                let applied = part.applied;
                if !sync_runs::advance(tx, &of, next_page, listing, applied.counts)? {
                    // Rolls back: what is written here was written by whoever has the run now.
                    return Err(Lost::ToAnother);
                }
                if let Some(after) = sync_runs::find(tx, &of.tenant_id, of.run_id)? {
                    tell_progress(tx, &after)?;
                }
                Ok(applied)
            })
            .await;
        match applied {
            Ok(applied) => {
                self.after_part(&run.tenant_id, applied).await;
                Ok(true)
            }
            Err(Lost::ToAnother) => Ok(false),
            Err(Lost::Db(error)) => Err(error.into()),
        }
    }

    async fn known_elsewhere(
        &self,
        tenant: &TenantId,
        ids: Vec<String>,
    ) -> Result<HashSet<String>, DbError> {
        let identity = Scope::CrossTenant(CrossTenantPath::Identity);
        let tenant = tenant.clone();
        let known = self
            .db
            .read("user_sync.known_elsewhere", identity, move |tx| {
                people::list_known_elsewhere_any_tenant(tx, &tenant, &ids)
            })
            .await?;
        Ok(known.into_iter().collect())
    }
}

/// Why a transaction of a run was rolled back.
enum Lost {
    ToAnother,
    Db(DbError),
}

impl From<DbError> for Lost {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl Part<'_> {
    fn skip(&mut self, count: usize) {
        self.applied.counts.skipped += i32::try_from(count).unwrap_or(i32::MAX);
    }

    fn person(&mut self, tx: &mut Tx<'_>, told: &GenesysPerson) -> Result<(), DbError> {
        let Some(known) = users::lock_user_by_genesys_id(tx, self.tenant, &told.user_id)? else {
            return self.newcomer(tx, told);
        };
        let has_no_role = told.role == ToldRole::Nothing && known.role_override.is_none();
        if has_no_role && known.is_active {
            return self.switch_off(tx, &known);
        }
        if has_no_role || (!known.is_active && !known.may_come_back()) {
            self.skip(1);
            return Ok(());
        }
        let (merged, mut changes) = merge(&known, told);
        changes.details |= !known.is_active;
        if changes == UserChanges::default() {
            self.skip(1);
            return Ok(());
        }
        self.update(tx, merged, changes).map(drop)
    }

    fn claim(&mut self, tx: &mut Tx<'_>, user: User, told: &GenesysPerson) -> Result<(), DbError> {
        let (merged, mut changes) = merge(&user.claimed_by(told), told);
        changes.details = true;
        let user = self.update(tx, merged, changes)?;
        let actor = audit::Actor::Service("agent-portal-service".to_owned());
        placeholders::note_claim(tx, &user, actor, None)
    }

    fn update(
        &mut self,
        tx: &mut Tx<'_>,
        merged: User,
        changes: UserChanges,
    ) -> Result<User, DbError> {
        let user = User {
            is_active: true,
            deactivated_by: None,
            ..merged
        };
        users::update_user(tx, &user, changes, self.now)?;
        for event in UserEvent::of(changes) {
            produced::append_user_event(tx, &self.context, self.now, &user, event)?;
        }
        people_events::tell_person(tx, &user)?;
        if changes.role {
            self.applied.role_changed.push((user.user_id, self.now));
        }
        self.applied.counts.updated += 1;
        Ok(user)
    }

    fn newcomer(&mut self, tx: &mut Tx<'_>, told: &GenesysPerson) -> Result<(), DbError> {
        let ToldRole::Role(role) = told.role else {
            // Without a role there is no place for the person; with unknown ones the sign-in tells.
            self.skip(1);
            return Ok(());
        };
        match placeholders::find(tx, self.tenant, told)? {
            Waiting::None => {}
            Waiting::One(user) => return self.claim(tx, user, told),
            Waiting::Closed(_) => {
                self.skip(1);
                return Ok(());
            }
        }
        let user = User {
            user_id: UserId::generate(),
            tenant_id: self.tenant.clone(),
            genesys_org_id: told.org_id.clone(),
            genesys_user_id: told.user_id.clone(),
            email: told.email.clone(),
            name: told.name.clone(),
            role,
            role_override: None,
            is_active: true,
            deactivated_by: None,
            genesys_version: told.version,
            is_placeholder: false,
            created_at: self.now,
            last_login_at: None,
        };
        if users::insert_user(tx, &user)? {
            let event = UserEvent::Provisioned;
            produced::append_user_event(tx, &self.context, self.now, &user, event)?;
            self.applied.counts.created += 1;
        } else {
            // The person signed in a moment ago.
            self.skip(1);
        }
        Ok(())
    }

    fn leaver(&mut self, tx: &mut Tx<'_>, genesys_user_id: &str) -> Result<(), DbError> {
        match users::lock_user_by_genesys_id(tx, self.tenant, genesys_user_id)? {
            Some(user) if user.is_active => self.switch_off(tx, &user),
            _ => Ok(()),
        }
    }

    fn switch_off(&mut self, tx: &mut Tx<'_>, user: &User) -> Result<(), DbError> {
        let by = DeactivatedBy::Genesys;
        let ended = switch_off(tx, user, by, &self.context, self.now)?;
        self.applied.ended.extend(ended);
        self.applied.counts.deactivated += 1;
        Ok(())
    }
}
