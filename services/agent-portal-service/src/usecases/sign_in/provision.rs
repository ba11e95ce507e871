//! The person and the session, in one transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, audit};
use portal_types::{Role, SessionId, TenantId, UserId};
use serde_json::json;

use super::{Refusal, SignIn, SignInError};
use crate::{
    ROLE,
    domain::{GenesysPerson, ToldRole, User, merge},
    events::produced::{self, SessionRef, UserEvent},
    store::{sessions, users},
    usecases::{
        Cause,
        genesys_tokens::SealedTokens,
        people::tell_person,
        placeholders::{self, Waiting},
        roles,
    },
};

/// The longest that the column takes.
const MAX_USER_AGENT: usize = 400;

/// A person who may come in.
pub(super) struct NewSignIn {
    pub(super) tenant_id: TenantId,
    pub(super) person: GenesysPerson,
    pub(super) session_id: SessionId,
    pub(super) refresh_hash: Vec<u8>,
    pub(super) region: String,
    pub(super) own_client: Option<String>,
    pub(super) sealed: SealedTokens,
    pub(super) genesys_expires_in: Duration,
    pub(super) user_agent: Option<String>,
    pub(super) cause: Cause,
}

impl SignIn {
    /// Finds, claims or creates the person and begins the session.
    pub(super) async fn provision(&self, mut new: NewSignIn) -> Result<User, SignInError> {
        new.user_agent = new.user_agent.map(|text| cut(&text, MAX_USER_AGENT));
        let now = self.clock.now();
        let times = self.rules.times;
        let context = new.cause.events();
        let tenant_id = new.tenant_id.clone();
        let (user, is_role_changed) = self
            .db
            .write("sign_in.provision", &tenant_id, move |tx| {
                let (user, events) = save_user(tx, &new, now)?;
                let is_role_changed = events.contains(&UserEvent::RoleChanged);
                if is_role_changed {
                    tell_person(tx, &user)?;
                }
                let expires_at = now + times.absolute;
                sessions::insert_session(
                    tx,
                    &session_row(
                        &new,
                        user.user_id,
                        now,
                        times.idle_expiry(now, expires_at),
                        expires_at,
                    ),
                )?;
                for event in events {
                    produced::append_user_event(tx, &context, now, &user, event)?;
                }
                let session = SessionRef {
                    session_id: new.session_id,
                    user_id: user.user_id,
                    tenant: &new.tenant_id,
                };
                produced::append_session_started(tx, &context, now, session)?;
                audit::append(tx, &audit_entry(&new, &user))?;
                Ok::<_, SignInError>((user, is_role_changed))
            })
            .await?;
        self.waker.wake();
        if is_role_changed {
            let clock = self.clock.as_ref();
            roles::end_old_tokens(&self.revocations, clock, user.user_id, now).await;
        }
        Ok(user)
    }
}

fn save_user(
    tx: &mut Tx<'_>,
    new: &NewSignIn,
    now: DateTime<Utc>,
) -> Result<(User, Vec<UserEvent>), SignInError> {
    let genesys_user_id = &new.person.user_id;
    let known = users::lock_user_by_genesys_id(tx, &new.tenant_id, genesys_user_id)?;
    let waits = match known {
        Some(_) => None,
        None => waiting(tx, new)?,
    };
    let is_claimed = waits.is_some();
    let known = if let Some(known) = known.or(waits) {
        known
    } else {
        if new.person.role == ToldRole::Nothing {
            return Err(Refusal::NoRole.into());
        }
        let user = first_seen(new, now);
        if users::insert_user(tx, &user)? {
            return Ok((user, vec![UserEvent::Provisioned]));
        }
        // A second sign-in of the same new person was a moment faster.
        users::lock_user_by_genesys_id(tx, &new.tenant_id, genesys_user_id)?
            .ok_or(DbError::NotFound)?
    };
    if !known.is_active && !known.may_come_back() {
        return Err(Refusal::UserDeactivated.into());
    }
    if new.person.role == ToldRole::Nothing && known.role_override.is_none() {
        return Err(Refusal::NoRole.into());
    }
    let (merged, mut changes) = merge(&known, &new.person);
    changes.details |= !known.is_active || is_claimed;
    let user = User {
        is_active: true,
        deactivated_by: None,
        last_login_at: Some(now),
        ..merged
    };
    users::update_user(tx, &user, changes, now)?;
    if is_claimed {
        let actor = audit::Actor::User(user.user_id.to_string());
        placeholders::note_claim(tx, &user, actor, new.cause.request_id.clone())?;
    }
    Ok((user, UserEvent::of(changes).collect()))
}

/// The placeholder that waited for the person, as theirs.
fn waiting(tx: &mut Tx<'_>, new: &NewSignIn) -> Result<Option<User>, SignInError> {
    match placeholders::find(tx, &new.tenant_id, &new.person)? {
        Waiting::None => Ok(None),
        Waiting::One(user) => Ok(Some(user.claimed_by(&new.person))),
        Waiting::Closed(user) => Err(Refusal::PlaceholderDeactivated(user).into()),
    }
}

fn first_seen(new: &NewSignIn, now: DateTime<Utc>) -> User {
    User {
        user_id: UserId::generate(),
        tenant_id: new.tenant_id.clone(),
        genesys_org_id: new.person.org_id.clone(),
        genesys_user_id: new.person.user_id.clone(),
        email: new.person.email.clone(),
        name: new.person.name.clone(),
        // The least, until Genesys tells the roles.
        role: match new.person.role {
            ToldRole::Role(role) => role,
            ToldRole::Unknown | ToldRole::Nothing => Role::Agent,
        },
        role_override: None,
        is_active: true,
        deactivated_by: None,
        genesys_version: new.person.version,
        is_placeholder: false,
        created_at: now,
        last_login_at: Some(now),
    }
}

fn session_row(
    new: &NewSignIn,
    user_id: UserId,
    now: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sessions::NewSession {
    let lifetime = chrono::Duration::from_std(new.genesys_expires_in).unwrap_or_default();
    sessions::NewSession {
        session_id: new.session_id.as_uuid(),
        tenant_id: new.tenant_id.to_string(),
        user_id: user_id.as_uuid(),
        refresh_token_hash: new.refresh_hash.clone(),
        rotated_at: now,
        genesys_region: new.region.clone(),
        genesys_access_token: new.sealed.access.clone(),
        genesys_refresh_token: new.sealed.refresh.clone(),
        genesys_token_expires_at: now + lifetime,
        genesys_token_issued_at: now,
        genesys_client_id: new.own_client.clone(),
        genesys_checked_at: now,
        user_agent: new.user_agent.clone(),
        created_at: now,
        last_used_at: now,
        idle_expires_at,
        expires_at,
    }
}

fn audit_entry(new: &NewSignIn, user: &User) -> audit::AuditEntry {
    audit::AuditEntry {
        service: ROLE,
        actor: audit::Actor::User(user.user_id.to_string()),
        action: "session.start",
        target: Some(new.session_id.to_string()),
        outcome: audit::Outcome::Succeeded,
        details: json!({"genesys_region": new.region, "role": user.role}),
        request_id: new.cause.request_id.clone(),
    }
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
