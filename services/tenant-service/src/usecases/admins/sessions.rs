//! Sessions of administrators: refreshed, listed, ended, forgotten.

use async_trait::async_trait;
use portal_auth::{
    AdminClaims, AdminStanding, AdminTruth, PlatformAdmin, RefreshVerdict, SessionTimes,
    TruthUnavailable,
};
use portal_db::{
    DbError, Scope, Tx,
    audit::{self, Actor, Outcome},
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;

use super::{
    AdminDesk, AdminError, Profile, SignedIn,
    tokens::{RefreshToken, TokenKeys},
};
use crate::{
    domain::admin::{AdminSession, LiveAdminSession, Which},
    store::{self, admins::AdminAccount},
    usecases::{Deps, OpContext},
};

/// How long a session that is over stays in the table, for whoever looks into what happened.
const KEEP_OVER: chrono::Duration = chrono::Duration::days(30);

/// What the transaction made of a token. Refusals are values: what they change is committed.
enum Rotation {
    Done(Box<(AdminAccount, RefreshToken)>),
    Refused(AdminError),
}

impl AdminDesk {
    /// Takes a refresh token and gives its successor, once; a repeat within ten seconds gets the
    /// same one. A token that was used before ends its session: somebody has a copy.
    #[instrument(name = "usecase.admin_refresh", skip_all)]
    pub(crate) async fn refresh(
        &self,
        presented: &SecretString,
        request_id: Option<String>,
    ) -> Result<SignedIn, AdminError> {
        let token = self
            .tokens
            .read(presented)
            .ok_or(AdminError::InvalidToken)?;
        let session_id = token.session_id;
        let (tokens, times) = (self.tokens.clone(), self.rules.times);
        let now = self.deps.clock.now();
        let rotation = self
            .deps
            .db
            .write("admin_refresh", Scope::Service, move |tx| {
                let Some(session) = store::admin_sessions::lock(tx, token.session_id)? else {
                    return Ok(Rotation::Refused(AdminError::InvalidToken));
                };
                let account = store::admins::find(tx, session.admin_id)?;
                let account = account.filter(|account| account.is_active);
                let Some(account) = account else {
                    return Ok(Rotation::Refused(AdminError::SessionRevoked));
                };
                let next = match session.refresh.judge(&token.hash(), &times, now) {
                    RefreshVerdict::Current => rotate(tx, &tokens, &times, &session, &token, now)?,
                    RefreshVerdict::Repeat => tokens
                        .successors(&token)
                        .find(|next| next.hash() == session.refresh.current_hash),
                    RefreshVerdict::Expired => {
                        return Ok(Rotation::Refused(AdminError::SessionExpired));
                    }
                    RefreshVerdict::Revoked => {
                        return Ok(Rotation::Refused(AdminError::SessionRevoked));
                    }
                    RefreshVerdict::Reused => {
                        end_reused(tx, &session, request_id, now)?;
                        return Ok(Rotation::Refused(AdminError::TokenReused));
                    }
                };
                Ok::<_, DbError>(match next {
                    Some(next) => Rotation::Done(Box::new((account, next))),
                    None => Rotation::Refused(AdminError::InvalidToken),
                })
            })
            .await?;
        match rotation {
            Rotation::Done(done) => {
                let (account, next) = *done;
                Ok(SignedIn {
                    access: self.issuer.issue_admin(account.admin_id, session_id)?,
                    refresh: self.tokens.reveal(&next),
                    profile: Profile::from(account),
                })
            }
            Rotation::Refused(error) => Err(error),
        }
    }

    /// Ends the session of a refresh token; a token that is none, or of a session that has ended,
    /// changes nothing. For whoever holds the refresh token in a cookie and no access token.
    pub(crate) async fn sign_out(
        &self,
        presented: &SecretString,
        request_id: Option<String>,
    ) -> Result<(), AdminError> {
        let Some(token) = self.tokens.read(presented) else {
            return Ok(());
        };
        let now = self.deps.clock.now();
        self.deps
            .db
            .write("admin_sign_out", Scope::Service, move |tx| {
                let Some(session) = store::admin_sessions::lock(tx, token.session_id)? else {
                    return Ok(());
                };
                let which = Which::One(session.session_id);
                let ended = store::admin_sessions::end(tx, session.admin_id, which, "logout", now)?;
                if ended == 0 {
                    return Ok(());
                }
                let ctx = OpContext {
                    actor: Actor::PlatformAdmin(session.admin_id.to_string()),
                    request_id,
                };
                let target = session.session_id;
                let entry = ctx.audit("admin.logout", &target, Outcome::Succeeded, json!({}));
                audit::append(tx, &entry)
            })
            .await?;
        Ok(())
    }

    /// Ends sessions of an administrator; answers how many. `action` is for the audit log.
    #[instrument(name = "usecase.end_admin_sessions", skip_all)]
    pub(crate) async fn end_sessions(
        &self,
        ctx: OpContext,
        admin: &PlatformAdmin,
        which: Which,
        action: &'static str,
    ) -> Result<usize, AdminError> {
        let (admin_id, now) = (admin.admin_id, self.deps.clock.now());
        let ended = self
            .deps
            .db
            .write("end_admin_sessions", Scope::Service, move |tx| {
                let reason = action.trim_start_matches("admin.");
                let ended = store::admin_sessions::end(tx, admin_id, which, reason, now)?;
                if ended > 0 {
                    let target = match which {
                        Which::One(session) => session,
                        Which::AllBut(_) | Which::All => admin_id,
                    };
                    let details = json!({"ended_sessions": ended});
                    let entry = ctx.audit(action, &target, Outcome::Succeeded, details);
                    audit::append(tx, &entry)?;
                }
                Ok::<_, DbError>(ended)
            })
            .await?;
        if ended == 0 {
            return Err(AdminError::UnknownSession);
        }
        Ok(ended)
    }

    /// An administrator's sessions that live, the latest used first.
    pub(crate) async fn list_sessions(
        &self,
        admin: &PlatformAdmin,
    ) -> Result<Vec<LiveAdminSession>, AdminError> {
        let (admin_id, now) = (admin.admin_id, self.deps.clock.now());
        Ok(self
            .deps
            .db
            .read("list_admin_sessions", Scope::Service, move |tx| {
                store::admin_sessions::list_live(tx, admin_id, now)
            })
            .await?)
    }

    /// Forgets sessions that were over long ago.
    pub(crate) async fn sweep(&self) -> Result<usize, DbError> {
        let before = self.deps.clock.now() - KEEP_OVER;
        self.deps
            .db
            .write("sweep_admin_sessions", Scope::Service, move |tx| {
                store::admin_sessions::delete_over(tx, before)
            })
            .await
    }
}

fn rotate(
    tx: &mut Tx<'_>,
    tokens: &TokenKeys,
    times: &SessionTimes,
    session: &AdminSession,
    token: &RefreshToken,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Option<RefreshToken>, DbError> {
    let Some(next) = tokens.successors(token).next() else {
        return Ok(None);
    };
    let idle_expires_at = times.idle_expiry(now, session.refresh.expires_at);
    store::admin_sessions::rotate(tx, session, &next.hash(), now, idle_expires_at)?;
    Ok(Some(next))
}

fn end_reused(
    tx: &mut Tx<'_>,
    session: &AdminSession,
    request_id: Option<String>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), DbError> {
    let which = Which::One(session.session_id);
    let reason = "token_reused";
    store::admin_sessions::end(tx, session.admin_id, which, reason, now)?;
    let ctx = OpContext {
        actor: Actor::Anonymous,
        request_id,
    };
    let details = json!({"reason": reason, "admin_id": session.admin_id});
    let entry = ctx.audit(
        "admin.refresh",
        &session.session_id,
        Outcome::Refused,
        details,
    );
    audit::append(tx, &entry)
}

/// What the rows say of administrators' sessions.
pub(crate) struct AdminSessionRows {
    pub(crate) deps: Deps,
    pub(crate) require_totp: bool,
}

#[async_trait]
impl AdminTruth for AdminSessionRows {
    async fn standing(&self, claims: &AdminClaims) -> Result<AdminStanding, TruthUnavailable> {
        let (session_id, admin_id) = (claims.sid, claims.sub);
        let now = self.deps.clock.now();
        let enrolment = self
            .deps
            .db
            .read("admin_session", Scope::Service, move |tx| {
                store::admin_sessions::find_enrolment(tx, session_id, admin_id, now)
            })
            .await;
        match enrolment {
            Ok(None) => Ok(AdminStanding::Ended),
            Ok(Some(false)) if self.require_totp => Ok(AdminStanding::Unenrolled),
            Ok(Some(_)) => Ok(AdminStanding::Live),
            Err(error) => {
                tracing::warn!(%error, "an administrator's session cannot be looked up");
                Err(TruthUnavailable)
            }
        }
    }
}
