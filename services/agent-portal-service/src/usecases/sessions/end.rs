//! Ending sessions: the row first, then the revocation list, then Genesys.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, audit, inbox};
use portal_events::EventContext;
use portal_types::{EventId, SessionId, TenantId};
use secrecy::SecretString;
use serde_json::json;

use super::{Owner, SessionError, Sessions};
use crate::{
    ROLE,
    domain::RevokeReason,
    events::produced::{self, SessionRef},
    store::sessions::{self, EndedSession, Which},
    usecases::{Cause, genesys_tokens},
};

/// The name of the inbox of tenant events.
const TENANT_INBOX: &str = "agent-portal-service.tenants";

/// What a signed-in user ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// The session of the call.
    Own,
    /// One of the user's sessions.
    One(SessionId),
    /// All of the user's sessions.
    All,
}

impl Sessions {
    /// Ends sessions of a user; answers how many.
    #[tracing::instrument(name = "usecase.end_sessions", skip_all)]
    pub(crate) async fn end(
        &self,
        owner: &Owner,
        ending: Ending,
        cause: &Cause,
    ) -> Result<usize, SessionError> {
        let (which, reason) = match ending {
            Ending::Own => (
                Which::OneOf(owner.user, owner.session),
                RevokeReason::Logout,
            ),
            Ending::One(session) => (Which::OneOf(owner.user, session), RevokeReason::EndedByUser),
            Ending::All => (Which::OfUser(owner.user), RevokeReason::LogoutAll),
        };
        let details = json!({"reason": reason.as_str()});
        let ended = self.end_by(owner, which, reason, details, cause).await?;
        if ended == 0 && matches!(ending, Ending::One(_)) {
            return Err(SessionError::UnknownSession);
        }
        Ok(ended)
    }

    /// Ends the session that a refresh token belongs to; nothing happens if it is over already.
    #[tracing::instrument(name = "usecase.end_session_of_token", skip_all)]
    pub(crate) async fn end_of_token(
        &self,
        presented: &SecretString,
        cause: &Cause,
    ) -> Result<(), SessionError> {
        let token = self.read_token(presented)?;
        let (scope, session_id) = (token.tenant_id.clone(), token.session_id);
        let tenant_id = token.tenant_id.clone();
        let session = self
            .db
            .write("sessions.of_token", &scope, move |tx| {
                sessions::lock_session(tx, &tenant_id, session_id)
            })
            .await?;
        let Some(session) = session else {
            return Ok(());
        };
        let owner = Owner {
            tenant: session.tenant_id,
            user: session.user_id,
            session: session_id,
        };
        self.end(&owner, Ending::Own, cause).await.map(|_count| ())
    }

    pub(super) async fn end_by(
        &self,
        owner: &Owner,
        which: Which,
        reason: RevokeReason,
        details: serde_json::Value,
        cause: &Cause,
    ) -> Result<usize, SessionError> {
        let now = self.clock.now();
        let context = cause.events();
        let request_id = cause.request_id.clone();
        let tenant_id = owner.tenant.clone();
        let actor = match reason {
            RevokeReason::GenesysSignedOut | RevokeReason::GenesysRefused => {
                audit::Actor::Service("genesys-cloud".to_owned())
            }
            _ => audit::Actor::User(owner.user.to_string()),
        };
        let ended = self
            .db
            .write("sessions.end", &owner.tenant, move |tx| {
                let ended = sessions::end_sessions(tx, &tenant_id, which, reason, now)?;
                tell_ended(tx, &tenant_id, &ended, &context, now, reason)?;
                for session in &ended {
                    audit::append(
                        tx,
                        &audit::AuditEntry {
                            service: ROLE,
                            actor: actor.clone(),
                            action: "session.end",
                            target: Some(session.session_id.to_string()),
                            outcome: audit::Outcome::Succeeded,
                            details: details.clone(),
                            request_id: request_id.clone(),
                        },
                    )?;
                }
                Ok::<_, DbError>(ended)
            })
            .await?;
        let count = ended.len();
        self.after_end(&owner.tenant, ended).await;
        Ok(count)
    }

    /// Ends the sessions of a tenant that began before it was suspended or deleted. Safe to repeat:
    /// the event's id is kept in the same transaction.
    #[tracing::instrument(name = "usecase.end_sessions_of_tenant", skip_all)]
    pub(crate) async fn end_of_tenant(
        &self,
        event_id: EventId,
        tenant_id: &TenantId,
        begun_until: DateTime<Utc>,
        reason: RevokeReason,
        context: EventContext,
    ) -> Result<(), DbError> {
        let now = self.clock.now();
        let scope = tenant_id.clone();
        let tenant = tenant_id.clone();
        let ended = self
            .db
            .write("sessions.end_of_tenant", &scope, move |tx| {
                if !inbox::first_time(tx, TENANT_INBOX, event_id.as_uuid())? {
                    return Ok(Vec::new());
                }
                let which = Which::BegunUntil(begun_until);
                let ended = sessions::end_sessions(tx, &tenant, which, reason, now)?;
                tell_ended(tx, &tenant, &ended, &context, now, reason)?;
                audit::append(
                    tx,
                    &audit::AuditEntry {
                        service: ROLE,
                        actor: audit::Actor::Service("tenant-service".to_owned()),
                        action: "session.end_of_tenant",
                        target: Some(tenant.to_string()),
                        outcome: audit::Outcome::Succeeded,
                        details: json!({
                            "reason": reason.as_str(), "sessions": ended.len(), "event_id": event_id,
                        }),
                        request_id: context.request_id.clone(),
                    },
                )?;
                Ok::<_, DbError>(ended)
            })
            .await?;
        self.after_end(tenant_id, ended).await;
        Ok(())
    }

    /// After the commit: every service refuses the sessions' tokens, and Genesys forgets its own.
    pub(in crate::usecases) async fn after_end(
        &self,
        tenant_id: &TenantId,
        ended: Vec<EndedSession>,
    ) {
        self.asked.ask(tenant_id);
        if ended.is_empty() {
            return;
        }
        self.waker.wake();
        let ids = ended.iter().map(|session| session.session_id).collect();
        self.publish_ended(ids).await;
        for session in ended {
            self.revoke_at_genesys(tenant_id, &session);
        }
    }

    fn revoke_at_genesys(&self, tenant_id: &TenantId, session: &EndedSession) {
        let (Some(sealed), Some(region)) = (
            &session.genesys_access_token,
            self.rules.known_region(&session.genesys_region),
        ) else {
            return;
        };
        match genesys_tokens::open(&self.vault, tenant_id, session.session_id, sealed) {
            Ok(token) => genesys_tokens::revoke_later(&self.genesys, &region, token),
            Err(error) => {
                tracing::warn!(%error, "a token of Genesys cannot be opened, so it is not revoked");
            }
        }
    }
}

/// Tells of ended sessions, in the transaction that ends them.
pub(in crate::usecases) fn tell_ended(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    ended: &[EndedSession],
    context: &EventContext,
    now: DateTime<Utc>,
    reason: RevokeReason,
) -> Result<(), DbError> {
    for session in ended {
        let session = SessionRef {
            session_id: session.session_id,
            user_id: session.user_id,
            tenant: tenant_id,
        };
        produced::append_session_revoked(tx, context, now, session, reason)?;
    }
    Ok(())
}
