//! Rotation of refresh tokens.

use chrono::{DateTime, Utc};
use portal_auth::{AccessSubject, IssuedToken, RefreshVerdict, SessionTimes};
use portal_db::{DbError, Tx, audit};
use portal_events::EventContext;
use portal_tenant_client::TenantStatus;
use portal_types::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{SessionError, Sessions, end::tell_ended};
use crate::{
    ROLE,
    domain::{RefreshToken, RevokeReason, Session, User},
    events::produced::{self, SessionRef},
    store::{
        sessions::{self, EndedSession, Which},
        users,
    },
    usecases::{
        Cause,
        token_keys::{TokenKeys, stored_hash},
    },
};

/// New tokens of a session.
#[derive(Debug)]
pub(crate) struct Refreshed {
    pub(crate) access: IssuedToken,
    pub(crate) refresh: SecretString,
}

/// What the transaction made of the token. Refusals are values: what they change is committed.
enum Rotation {
    Done(Box<(User, RefreshToken)>),
    Reused(Vec<EndedSession>),
    Refused(SessionError),
}

impl Sessions {
    /// Takes a refresh token and gives its successor, once; a repeat within the grace gets the
    /// same one. A token that was used before ends its session: somebody has a copy.
    #[tracing::instrument(name = "usecase.refresh_session", skip_all)]
    pub(crate) async fn refresh(
        &self,
        presented: &SecretString,
        cause: &Cause,
    ) -> Result<Refreshed, SessionError> {
        let token = self.read_token(presented)?;
        if !self.issuer.keys().are_loaded() {
            // Before the token is used up.
            return Err(SessionError::NotReady);
        }
        self.check_tenant(&token.tenant_id).await?;
        self.recheck(&token, cause).await?;
        let (tenant_id, session_id) = (token.tenant_id.clone(), token.session_id);
        match self.rotate(token, cause).await? {
            Rotation::Done(done) => {
                let (user, token) = *done;
                self.waker.wake();
                let access = self.issuer.issue_access(&AccessSubject {
                    user_id: user.user_id,
                    tenant_id,
                    role: user.role,
                    session_id,
                })?;
                Ok(Refreshed {
                    access,
                    refresh: token.reveal(),
                })
            }
            Rotation::Reused(ended) => {
                tracing::warn!(session.id = %session_id, "a refresh token was used twice; its session ends");
                self.after_end(&tenant_id, ended).await;
                Err(SessionError::TokenReused)
            }
            Rotation::Refused(error) => Err(error),
        }
    }

    /// A token that we made, by its own testimony: the row decides what it is worth.
    pub(super) fn read_token(
        &self,
        presented: &SecretString,
    ) -> Result<RefreshToken, SessionError> {
        let token = RefreshToken::parse(presented.expose_secret())
            .map_err(|_form| SessionError::InvalidToken)?;
        if self.token_keys.is_ours(&token) {
            Ok(token)
        } else {
            Err(SessionError::InvalidToken)
        }
    }

    async fn check_tenant(&self, tenant_id: &TenantId) -> Result<(), SessionError> {
        match self.tenants.sending_profile(tenant_id).await {
            Ok(Some(tenant)) if tenant.status == TenantStatus::Active => Ok(()),
            Ok(_) => Err(SessionError::TenantNotActive),
            Err(error) => {
                // A suspended tenant's sessions were ended by the event that told of it. While
                // tenant-service is away, people go on working.
                tracing::warn!(%error, "a session is refreshed without asking for its tenant");
                Ok(())
            }
        }
    }

    async fn rotate(&self, token: RefreshToken, cause: &Cause) -> Result<Rotation, SessionError> {
        let work = Rotate {
            token_keys: self.token_keys.clone(),
            times: self.rules.times,
            now: self.clock.now(),
            context: cause.events(),
            request_id: cause.request_id.clone(),
        };
        let scope = token.tenant_id.clone();
        self.db
            .write("sessions.refresh", &scope, move |tx| work.run(tx, &token))
            .await
            .map_err(SessionError::Db)
    }
}

struct Rotate {
    token_keys: TokenKeys,
    times: SessionTimes,
    now: DateTime<Utc>,
    context: EventContext,
    request_id: Option<String>,
}

impl Rotate {
    fn run(&self, tx: &mut Tx<'_>, token: &RefreshToken) -> Result<Rotation, DbError> {
        // The lock makes concurrent refreshes of one session wait for each other.
        let Some(session) = sessions::lock_session(tx, &token.tenant_id, token.session_id)? else {
            return Ok(Rotation::Refused(SessionError::InvalidToken));
        };
        let user =
            users::find_user(tx, &token.tenant_id, session.user_id)?.ok_or(DbError::NotFound)?;
        let verdict = session
            .refresh
            .judge(&stored_hash(token), &self.times, self.now);
        match verdict {
            RefreshVerdict::Revoked => Ok(Rotation::Refused(SessionError::Revoked)),
            RefreshVerdict::Expired => Ok(Rotation::Refused(SessionError::Expired)),
            RefreshVerdict::Reused => self.end_reused(tx, &session).map(Rotation::Reused),
            _ if !user.is_active => Ok(Rotation::Refused(SessionError::UserDeactivated)),
            RefreshVerdict::Current => self.rotate(tx, &session, user, token),
            RefreshVerdict::Repeat => Ok(self.repeat(&session, user, token)),
        }
    }

    fn rotate(
        &self,
        tx: &mut Tx<'_>,
        session: &Session,
        user: User,
        token: &RefreshToken,
    ) -> Result<Rotation, DbError> {
        let successor = self
            .token_keys
            .successors(token, session.generation + 1)
            .next()
            .ok_or(DbError::NotFound)?;
        let idle_expires_at = self.times.idle_expiry(self.now, session.refresh.expires_at);
        sessions::rotate_session(
            tx,
            session,
            &stored_hash(&successor),
            self.now,
            idle_expires_at,
        )?;
        let session = SessionRef {
            session_id: session.session_id,
            user_id: session.user_id,
            tenant: &session.tenant_id,
        };
        produced::append_session_refreshed(tx, &self.context, self.now, session)?;
        Ok(Rotation::Done(Box::new((user, successor))))
    }

    fn repeat(&self, session: &Session, user: User, token: &RefreshToken) -> Rotation {
        let successor = self
            .token_keys
            .successors(token, session.generation)
            .find(|successor| stored_hash(successor) == session.refresh.current_hash);
        match successor {
            Some(token) => Rotation::Done(Box::new((user, token))),
            None => Rotation::Refused(SessionError::InvalidToken),
        }
    }

    fn end_reused(&self, tx: &mut Tx<'_>, session: &Session) -> Result<Vec<EndedSession>, DbError> {
        let reason = RevokeReason::TokenReused;
        let which = Which::One(session.session_id);
        let ended = sessions::end_sessions(tx, &session.tenant_id, which, reason, self.now)?;
        tell_ended(
            tx,
            &session.tenant_id,
            &ended,
            &self.context,
            self.now,
            reason,
        )?;
        audit::append(
            tx,
            &audit::AuditEntry {
                service: ROLE,
                actor: audit::Actor::Anonymous,
                action: "session.refresh",
                target: Some(session.session_id.to_string()),
                outcome: audit::Outcome::Refused,
                details: json!({"reason": reason.as_str(), "user_id": session.user_id}),
                request_id: self.request_id.clone(),
            },
        )?;
        Ok(ended)
    }
}
