//! The people of a tenant, as its administrators look after them.

use std::sync::Arc;

use portal_auth::Revocations;
use portal_db::{Db, DbError, Tx, audit};
use portal_events::RelayWaker;
use portal_types::{Clock, Role, TenantId, UserId};
use serde_json::json;

use super::{Cause, conversations::release_all_of, live_feed, roles, sessions::Sessions};
use crate::{
    ROLE,
    domain::{Audience, DeactivatedBy, NewLiveEvent, PERSON_UPDATED, RevokeReason, User},
    events::produced::{self, UserEvent},
    store::{
        people::{self, PeopleFilter},
        sessions::{self as session_rows, EndedSession, Which},
        users,
    },
};

/// Why a person was not shown or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    #[error("the tenant has no such person")]
    Unknown,
    #[error("the last active administrator would be gone")]
    LastAdmin,
    #[error("nobody switches themselves off")]
    Self_,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What is to become of a person's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleChange {
    Keep,
    /// Back to what Genesys says, at the next sign-in or sync.
    AsInGenesys,
    Set(Role),
}

/// What is to be changed of a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersonChange {
    pub(crate) role: RoleChange,
    pub(crate) active: Option<bool>,
}

/// Looks after people.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) db: Db,
    pub(crate) revocations: Revocations,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: RelayWaker,
}

/// What a change came to, for what follows after the commit.
struct Changed {
    user: User,
    has_other_role: bool,
    ended: Vec<EndedSession>,
}

impl People {
    /// A page of people by name, and how many there are in all.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        filter: PeopleFilter,
        limit: u32,
    ) -> Result<(Vec<User>, i64), PeopleError> {
        let of = tenant.clone();
        self.db
            .read("people.list", tenant, move |tx| {
                Ok(people::list_people(tx, &of, &filter, limit.into())?)
            })
            .await
    }

    /// One person.
    pub(crate) async fn show(&self, tenant: &TenantId, user: UserId) -> Result<User, PeopleError> {
        let of = tenant.clone();
        self.db
            .read("people.show", tenant, move |tx| {
                users::find_user(tx, &of, user)?.ok_or(PeopleError::Unknown)
            })
            .await
    }

    /// Changes a person's role, or whether the person may sign in. Rights are taken away at once,
    /// everywhere.
    #[tracing::instrument(name = "usecase.change_person", skip_all)]
    pub(crate) async fn change(
        &self,
        tenant: &TenantId,
        by: UserId,
        user: UserId,
        change: PersonChange,
        cause: &Cause,
    ) -> Result<User, PeopleError> {
        let now = self.clock.now();
        let work = Change {
            tenant: tenant.clone(),
            by,
            wanted: change,
            now,
            context: cause.events(),
            request_id: cause.request_id.clone(),
        };
        let changed = self
            .db
            .write("people.change", tenant, move |tx| work.run(tx, user))
            .await?;
        self.waker.wake();
        if changed.has_other_role {
            roles::end_old_tokens(&self.revocations, self.clock.as_ref(), user, now).await;
        }
        self.sessions.after_end(tenant, changed.ended).await;
        Ok(changed.user)
    }
}

struct Change {
    tenant: TenantId,
    by: UserId,
    wanted: PersonChange,
    now: chrono::DateTime<chrono::Utc>,
    context: portal_events::EventContext,
    request_id: Option<String>,
}

impl Change {
    fn run(&self, tx: &mut Tx<'_>, user: UserId) -> Result<Changed, PeopleError> {
        // Before the person's own row: all who change administrators take the same turn.
        let admins = people::lock_active_admins(tx, &self.tenant)?;
        let known = people::lock_user(tx, &self.tenant, user)?.ok_or(PeopleError::Unknown)?;
        let mut wanted = known.clone();
        match self.wanted.role {
            RoleChange::Keep => {}
            RoleChange::AsInGenesys => wanted.role_override = None,
            RoleChange::Set(role) => {
                wanted.role = role;
                wanted.role_override = Some(role);
            }
        }
        wanted.is_active = self.wanted.active.unwrap_or(known.is_active);
        if !wanted.is_active && known.is_active && user == self.by {
            return Err(PeopleError::Self_);
        }
        let was_admin = admins.contains(&user);
        let stays_admin = wanted.is_active && wanted.role == Role::Admin;
        if was_admin && !stays_admin && admins.len() == 1 {
            return Err(PeopleError::LastAdmin);
        }
        self.write(tx, &known, wanted)
    }

    fn write(
        &self,
        tx: &mut Tx<'_>,
        known: &User,
        mut wanted: User,
    ) -> Result<Changed, PeopleError> {
        let is_role_changed = wanted.role != known.role;
        if is_role_changed || wanted.role_override != known.role_override {
            people::set_role(tx, &wanted, self.now)?;
        }
        let mut ended = Vec::new();
        match (known.is_active, wanted.is_active) {
            (true, false) => {
                wanted.deactivated_by = Some(DeactivatedBy::Admin);
                ended = switch_off(tx, &wanted, DeactivatedBy::Admin, &self.context, self.now)?;
            }
            (false, true) => {
                wanted.deactivated_by = None;
                people::reactivate(tx, &wanted, self.now)?;
                self.tell(tx, &wanted, UserEvent::Updated)?;
            }
            _ => {}
        }
        if is_role_changed {
            self.tell(tx, &wanted, UserEvent::RoleChanged)?;
        }
        let details = json!({
            "role": wanted.role, "role_override": wanted.role_override, "active": wanted.is_active,
            "previous_role": known.role, "previously_active": known.is_active,
        });
        audit::append(
            tx,
            &audit::AuditEntry {
                service: ROLE,
                actor: audit::Actor::User(self.by.to_string()),
                action: "user.change",
                target: Some(wanted.user_id.to_string()),
                outcome: audit::Outcome::Succeeded,
                details,
                request_id: self.request_id.clone(),
            },
        )?;
        Ok(Changed {
            user: wanted,
            has_other_role: is_role_changed,
            ended,
        })
    }

    fn tell(&self, tx: &mut Tx<'_>, user: &User, event: UserEvent) -> Result<(), DbError> {
        produced::append_user_event(tx, &self.context, self.now, user, event)?;
        tell_person(tx, user)
    }
}

/// Tells the person's own browsers that they have another name or role, or may not sign in any more:
/// a stream ends with that event when it was opened with other rights.
pub(crate) fn tell_person(tx: &mut Tx<'_>, user: &User) -> Result<(), DbError> {
    let data = json!({"role": user.role, "name": user.name, "is_active": user.is_active});
    let event = NewLiveEvent {
        audience: Audience::User(user.user_id),
        kind: PERSON_UPDATED,
        data: &data,
    };
    live_feed::append(tx, &user.tenant_id, event)
}

/// Switches a person off and ends their sessions, in one transaction; what ended is to be told after
/// the commit ([`Sessions::after_end`]).
pub(super) fn switch_off(
    tx: &mut Tx<'_>,
    user: &User,
    by: DeactivatedBy,
    context: &portal_events::EventContext,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<EndedSession>, DbError> {
    people::deactivate(tx, user, by, now)?;
    let gone = User {
        is_active: false,
        ..user.clone()
    };
    tell_person(tx, &gone)?;
    let (tenant, who) = (&user.tenant_id, user.user_id);
    release_all_of(tx, tenant, who, context, "user_deactivated", now)?;
    produced::append_user_event(tx, context, now, user, UserEvent::Deactivated)?;
    let reason = RevokeReason::UserDeactivated;
    let which = Which::OfUser(user.user_id);
    let ended = session_rows::end_sessions(tx, &user.tenant_id, which, reason, now)?;
    super::sessions::tell_ended(tx, &user.tenant_id, &ended, context, now, reason)?;
    Ok(ended)
}
