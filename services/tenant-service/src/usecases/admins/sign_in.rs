//! Signing in as a platform administrator. The answer and its time are the same for an unknown
//! account, a wrong password, a wrong, missing or used code, a deactivated and a locked account.

use chrono::{DateTime, Utc};
use portal_auth::sha256_hex;
use portal_db::{
    DbError, Scope,
    audit::{self, Actor, Outcome},
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::{AdminDesk, AdminError, Profile, SignedIn, tokens::RefreshToken};
use crate::{
    store::{self, admin_sessions::NewAdminSession},
    usecases::OpContext,
};

const LONGEST_USER_AGENT: usize = 400;

/// Who says that he is whom.
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: SecretString,
    pub(crate) totp_code: Option<SecretString>,
}

/// Where an attempt comes from.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The key that its address is counted by.
    pub(crate) address: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl AdminDesk {
    /// Signs an administrator in.
    #[instrument(name = "usecase.admin_login", skip_all)]
    pub(crate) async fn sign_in(
        &self,
        credentials: Credentials,
        client: Client,
    ) -> Result<SignedIn, AdminError> {
        let Credentials {
            email,
            password,
            totp_code,
        } = credentials;
        self.admit(&email, &client).await?;
        let account = self.find_by_email(email).await?;
        let proof = self.proof(account, password.clone(), totp_code).await?;
        let admin_id = proof.admin_id;
        let actor = admin_id.map_or(Actor::Anonymous, |id| Actor::PlatformAdmin(id.to_string()));
        let ctx = OpContext {
            actor,
            request_id: client.request_id,
        };
        let session_id = Uuid::now_v7();
        let token = RefreshToken::first(session_id);
        let token = token.map_err(|_unspecified| AdminError::Random)?;
        let session = self.new_session(&token, admin_id, client.user_agent);
        let weak_hash = proof
            .needs_rehash
            .then(|| proof.seen_hash.clone())
            .flatten();
        let signed_in = self
            .deps
            .db
            .write("admin_login", Scope::Service, move |tx| {
                let (outcome, details, account) = match proof.take(tx)? {
                    Ok(account) => {
                        store::admins::update_last_login(tx, account.admin_id)?;
                        store::admin_sessions::insert(tx, &session)?;
                        let details = json!({"session_id": session.session_id});
                        (Outcome::Succeeded, details, Some(account))
                    }
                    Err(refusal) => (Outcome::Refused, refusal.details(), None),
                };
                let entry = ctx.audit("admin.login", &"platform", outcome, details);
                audit::append(tx, &entry)?;
                Ok::<_, AdminError>(account)
            })
            .await?;
        let account = signed_in.ok_or(AdminError::Refused)?;
        if let Some(old) = weak_hash {
            self.strengthen(account.admin_id, old, password).await?;
        }
        Ok(SignedIn {
            access: self.issuer.issue_admin(account.admin_id, session_id)?,
            refresh: self.tokens.reveal(&token),
            profile: Profile::from(account),
        })
    }

    /// Lets an attempt through, or tells when to come again; a limited one is in the audit log.
    async fn admit(&self, email: &str, client: &Client) -> Result<(), AdminError> {
        // A digest: the count is no list of addresses.
        let account_key = sha256_hex(&email.to_lowercase());
        let limits = &self.limits;
        for (limit, who) in [
            (limits.per_address, &client.address),
            (limits.per_account, &account_key),
        ] {
            if let Err(retry_after) = self.limiter.take(limit.of(who)).await {
                let is_line_due = self.limiter.take(limits.lines.of(who)).await.is_ok();
                if is_line_due && let Err(error) = self.note_limited(email, client).await {
                    tracing::warn!(%error, "a limited sign-in is not in the audit log");
                }
                return Err(AdminError::TooMany { retry_after });
            }
        }
        Ok(())
    }

    async fn note_limited(&self, email: &str, client: &Client) -> Result<(), DbError> {
        let (email, request_id) = (email.to_owned(), client.request_id.clone());
        self.deps
            .db
            .write("admin_login_limited", Scope::Service, move |tx| {
                let account = store::admins::find_by_email(tx, &email)?;
                let ctx = OpContext {
                    actor: account.map_or(Actor::Anonymous, |account| {
                        Actor::PlatformAdmin(account.admin_id.to_string())
                    }),
                    request_id,
                };
                let details = json!({"reason": "rate_limited"});
                let entry = ctx.audit("admin.login", &"platform", Outcome::Refused, details);
                audit::append(tx, &entry)
            })
            .await
    }

    async fn find_by_email(
        &self,
        email: String,
    ) -> Result<Option<store::admins::AdminAccount>, DbError> {
        self.deps
            .db
            .read("find_admin", Scope::Service, move |tx| {
                store::admins::find_by_email(tx, &email)
            })
            .await
    }

    fn new_session(
        &self,
        token: &RefreshToken,
        admin_id: Option<Uuid>,
        user_agent: Option<String>,
    ) -> NewAdminSession {
        let now: DateTime<Utc> = self.deps.clock.now();
        let expires_at = now + self.rules.times.absolute;
        NewAdminSession {
            session_id: token.session_id,
            admin_id: admin_id.unwrap_or_default(),
            refresh_token_hash: token.hash(),
            user_agent: user_agent.map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            created_at: now,
            last_used_at: now,
            rotated_at: now,
            idle_expires_at: self.rules.times.idle_expiry(now, expires_at),
            expires_at,
        }
    }

    /// Hashes a password anew, as strong as new ones are.
    async fn strengthen(
        &self,
        admin_id: Uuid,
        old: String,
        password: SecretString,
    ) -> Result<(), AdminError> {
        let new = self.passwords.hash(password).await?;
        self.deps
            .db
            .write("strengthen_admin_password", Scope::Service, move |tx| {
                store::admins::replace_password(tx, admin_id, &old, &new)
            })
            .await?;
        Ok(())
    }
}
