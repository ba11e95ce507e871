//! Asking Genesys again, now and then, whether the person of a session may go on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use portal_auth::RefreshVerdict;
use portal_db::DbError;
use portal_genesys::{ErrorKind, Identity};
use portal_types::{SessionId, TenantId};
use serde_json::json;

use super::{Owner, SessionError, Sessions};
use crate::{
    domain::{GenesysPerson, RefreshToken, RevokeReason, ToldRole, User, merge},
    events::produced::{self, UserEvent},
    store::{
        sessions::{self, Which},
        users,
    },
    usecases::{
        Cause,
        genesys_tokens::Access,
        roles,
        sign_in::{Refusal, check_states},
        token_keys::stored_hash,
    },
};

/// Somebody waits for new tokens meanwhile.
const PATIENCE: Duration = Duration::from_secs(4);
/// When Genesys gives no answer, it is asked again so much later.
const ASK_AGAIN: chrono::Duration = chrono::Duration::minutes(1);

/// What Genesys says of the bearer of a session's token.
enum Told {
    Person(Box<Identity>),
    /// The tokens are worth nothing any more.
    SignedOut,
    /// Nothing can be found out, and will not be: a public client's token has run out.
    Nothing,
    /// Nothing can be found out at the moment.
    Away,
}

/// What the transaction made of it.
enum Applied {
    Done {
        is_role_changed: bool,
    },
    Refused(Refusal),
    /// Genesys speaks of somebody else.
    Stranger,
}

impl Sessions {
    /// Asks Genesys if it has not been asked for a while; people who may not go on are out, and what
    /// changed of the others is written. While Genesys is away, people go on.
    pub(super) async fn recheck(
        &self,
        token: &RefreshToken,
        cause: &Cause,
    ) -> Result<(), SessionError> {
        let Some(every) = self.recheck_after else {
            return Ok(());
        };
        let Some(owner) = self.claim_check(token, every).await? else {
            return Ok(());
        };
        // A task of its own: a browser that goes away must not lose Genesys' answer with new tokens.
        let (asking, tenant, session) = (self.clone(), owner.tenant.clone(), owner.session);
        let asked = tokio::spawn(async move { asking.ask_genesys(&tenant, session).await });
        let told = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(told)) => told?,
            Ok(Err(failed)) => return Err(SessionError::Unexpected(failed.into())),
            Err(_elapsed) => Told::Away,
        };
        match told {
            Told::Person(identity) => self.apply(&owner, &identity, every, cause).await,
            Told::Nothing => Ok(()),
            Told::Away => self.ask_again(&owner, every).await,
            Told::SignedOut => self.signed_out(&owner, cause).await,
        }
    }

    /// Takes the turn to ask, for a token that may be exchanged.
    async fn claim_check(
        &self,
        token: &RefreshToken,
        every: chrono::Duration,
    ) -> Result<Option<Owner>, DbError> {
        let (now, times) = (self.clock.now(), self.rules.times);
        let (tenant_id, session_id) = (token.tenant_id.clone(), token.session_id);
        let hash = stored_hash(token);
        self.db
            .write("sessions.claim_check", &token.tenant_id, move |tx| {
                let Some(session) = sessions::lock_session(tx, &tenant_id, session_id)? else {
                    return Ok(None);
                };
                let verdict = session.refresh.judge(&hash, &times, now);
                if !matches!(verdict, RefreshVerdict::Current | RefreshVerdict::Repeat)
                    || !sessions::claim_check(tx, &session, now - every, now)?
                {
                    return Ok(None);
                }
                Ok(Some(Owner {
                    tenant: session.tenant_id,
                    user: session.user_id,
                    session: session_id,
                }))
            })
            .await
    }

    async fn ask_genesys(
        &self,
        tenant: &TenantId,
        session: SessionId,
    ) -> Result<Told, SessionError> {
        let mut refused: Option<DateTime<Utc>> = None;
        // A token that Genesys refuses is renewed once: it may have idled out.
        for _ in 0..2 {
            let access = self
                .genesys_tokens
                .access_token(tenant, session, refused)
                .await?;
            let good = match access {
                Access::Token(good) => good,
                Access::RanOut => return Ok(Told::Nothing),
                Access::Away => return Ok(Told::Away),
                Access::SignedOut => return Ok(Told::SignedOut),
            };
            match self.genesys.me(&good.region, &good.token).await {
                Ok(identity) => return Ok(Told::Person(Box::new(identity))),
                Err(error) if error.kind == ErrorKind::Unauthorized => refused = good.issued_at,
                Err(error) => {
                    tracing::info!(%error, "Genesys does not say whether somebody may go on");
                    return Ok(Told::Away);
                }
            }
            if refused.is_none() {
                break;
            }
        }
        Ok(Told::SignedOut)
    }

    async fn apply(
        &self,
        owner: &Owner,
        identity: &Identity,
        every: chrono::Duration,
        cause: &Cause,
    ) -> Result<(), SessionError> {
        if let Err(refusal) = check_states(identity) {
            return self.refuse(owner, refusal, cause).await;
        }
        let profile = match self.tenants.genesys_profile(&owner.tenant).await {
            Ok(Some(profile)) => profile,
            Ok(None) => return Err(SessionError::TenantNotActive),
            Err(error) => {
                tracing::warn!(%error, "what Genesys says of somebody is not weighed yet");
                return self.ask_again(owner, every).await;
            }
        };
        let role = match self.rules.role_in(&profile, identity) {
            Ok(role) => role,
            Err(refusal) => return self.refuse(owner, refusal, cause).await,
        };
        let now = self.clock.now();
        match self.write_person(owner, identity, role, now, cause).await? {
            Applied::Refused(refusal) => self.refuse(owner, refusal, cause).await,
            Applied::Stranger => self.signed_out(owner, cause).await,
            Applied::Done { is_role_changed } => {
                if is_role_changed {
                    self.waker.wake();
                    let clock = self.clock.as_ref();
                    roles::end_old_tokens(&self.revocations, clock, owner.user, now).await;
                }
                Ok(())
            }
        }
    }

    async fn write_person(
        &self,
        owner: &Owner,
        identity: &Identity,
        role: ToldRole,
        now: DateTime<Utc>,
        cause: &Cause,
    ) -> Result<Applied, DbError> {
        let person = GenesysPerson::of(identity, role);
        let context = cause.events();
        let (tenant_id, user_id) = (owner.tenant.clone(), owner.user);
        self.db
            .write("sessions.recheck", &owner.tenant, move |tx| {
                let known = users::lock_user_by_genesys_id(tx, &tenant_id, &person.user_id)?;
                let Some(known) = known.filter(|known| {
                    known.user_id == user_id
                        && (known.genesys_org_id == person.org_id
                            || known.genesys_org_id.is_empty())
                }) else {
                    return Ok(Applied::Stranger);
                };
                if person.role == ToldRole::Nothing && known.role_override.is_none() {
                    return Ok(Applied::Refused(Refusal::NoRole));
                }
                let (user, changes) = merge(&known, &person);
                // Somebody who was switched off meanwhile stays so.
                if !known.is_active || user == known {
                    return Ok(Applied::Done {
                        is_role_changed: false,
                    });
                }
                users::update_user(tx, &user, changes, now)?;
                tell(tx, &context, now, &user, UserEvent::of(changes))?;
                Ok(Applied::Done {
                    is_role_changed: changes.role,
                })
            })
            .await
    }

    /// Ends all sessions of a person who may not go on.
    async fn refuse(
        &self,
        owner: &Owner,
        refusal: Refusal,
        cause: &Cause,
    ) -> Result<(), SessionError> {
        let reason = RevokeReason::GenesysRefused;
        let details = json!({"reason": reason.as_str(), "refusal": refusal.outcome()});
        let which = Which::OfUser(owner.user);
        self.end_by(owner, which, reason, details, cause).await?;
        Err(refusal.into())
    }

    /// Ends a session whose tokens Genesys no longer knows.
    async fn signed_out(&self, owner: &Owner, cause: &Cause) -> Result<(), SessionError> {
        let reason = RevokeReason::GenesysSignedOut;
        let details = json!({"reason": reason.as_str()});
        let which = Which::One(owner.session);
        self.end_by(owner, which, reason, details, cause).await?;
        Err(SessionError::Revoked)
    }

    async fn ask_again(&self, owner: &Owner, every: chrono::Duration) -> Result<(), SessionError> {
        let checked_at = self.clock.now() - every + ASK_AGAIN;
        let (tenant_id, session_id) = (owner.tenant.clone(), owner.session);
        self.db
            .write("sessions.ask_again", &owner.tenant, move |tx| {
                sessions::set_checked_at(tx, &tenant_id, session_id, checked_at)
            })
            .await
            .map_err(SessionError::Db)
    }
}

fn tell(
    tx: &mut portal_db::Tx<'_>,
    context: &portal_events::EventContext,
    now: DateTime<Utc>,
    user: &User,
    events: impl Iterator<Item = UserEvent>,
) -> Result<(), DbError> {
    for event in events {
        produced::append_user_event(tx, context, now, user, event)?;
    }
    Ok(())
}
