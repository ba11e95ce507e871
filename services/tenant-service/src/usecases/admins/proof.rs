//! Whether it is the account's owner who asks: password and code. Every failure counts, and enough
//! of them lock the account, in the database so that it holds without Redis.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use portal_auth::TotpSecret;
use portal_db::{Scope, Tx};
use portal_vault::Vault;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AdminDesk, AdminError};
use crate::{
    domain::admin::LockRule,
    store::{self, admins::AdminAccount},
};

/// What is presented, with the password compared already: that takes too long for a transaction.
pub(super) struct Proof {
    /// Nobody when there is no such account; all the same work is done for him.
    pub(super) admin_id: Option<Uuid>,
    pub(super) seen_hash: Option<String>,
    pub(super) password_fits: bool,
    /// The stored hash is weaker than new ones.
    pub(super) needs_rehash: bool,
    pub(super) code: Option<SecretString>,
    lock: LockRule,
    vault: Arc<Vault>,
    now: DateTime<Utc>,
}

/// Why a proof was not taken; for the audit log and nobody else.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) locked_until: Option<DateTime<Utc>>,
}

impl Refusal {
    pub(super) fn details(&self) -> Value {
        let mut details = json!({"reason": self.reason});
        if let Some(until) = self.locked_until {
            details["locked_until"] = json!(until);
        }
        details
    }
}

impl AdminDesk {
    /// Compares a password with an account's.
    pub(super) async fn proof(
        &self,
        account: Option<AdminAccount>,
        password: SecretString,
        code: Option<SecretString>,
    ) -> Result<Proof, AdminError> {
        let (admin_id, seen_hash) = account
            .map(|account| (account.admin_id, account.password_hash))
            .unzip();
        let verdict = self.passwords.verify(password, seen_hash.clone()).await?;
        Ok(Proof {
            admin_id,
            seen_hash,
            password_fits: verdict.matches,
            needs_rehash: verdict.needs_rehash,
            code,
            lock: self.rules.lock,
            vault: Arc::clone(&self.deps.vault),
            now: self.deps.clock.now(),
        })
    }

    /// As [`Self::proof`], of an administrator who is signed in.
    pub(super) async fn proof_of(
        &self,
        admin_id: Uuid,
        password: SecretString,
        code: Option<SecretString>,
    ) -> Result<Proof, AdminError> {
        let account = self
            .deps
            .db
            .read("find_admin", Scope::Service, move |tx| {
                store::admins::find(tx, admin_id)
            })
            .await?;
        self.proof(account, password, code).await
    }
}

impl Proof {
    /// Takes the proof, or counts the failure. What it changes must be committed either way.
    pub(super) fn take(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Result<AdminAccount, Refusal>, AdminError> {
        let nobody = Uuid::nil();
        let account = store::admins::lock(tx, self.admin_id.unwrap_or(nobody))?;
        let Some(account) = account else {
            store::admins::update_failures(tx, nobody, 0, None)?;
            return Ok(Err(refusal("unknown")));
        };
        let is_locked = account.locked_until.is_some_and(|until| until > self.now);
        let step = self.step(&account)?;
        if !account.is_active || is_locked {
            store::admins::update_failures(tx, nobody, 0, None)?;
            let reason = if is_locked { "locked" } else { "deactivated" };
            return Ok(Err(refusal(reason)));
        }
        // Somebody may have changed it since it was compared.
        let password_fits =
            self.password_fits && self.seen_hash.as_ref() == Some(&account.password_hash);
        if password_fits && (step.is_some() || !account.is_enrolled()) {
            store::admins::update_after_proof(tx, account.admin_id, step)?;
            return Ok(Ok(account));
        }
        let failures = account.failed_logins.saturating_add(1);
        let locked_until = self.lock.lock_after(failures).map(|lock| self.now + lock);
        store::admins::update_failures(tx, account.admin_id, failures, locked_until)?;
        let reason = if password_fits { "code" } else { "password" };
        Ok(Err(Refusal {
            reason,
            locked_until,
        }))
    }

    /// The step of the code, if it fits and none of this step or a later one was taken before.
    fn step(&self, account: &AdminAccount) -> Result<Option<i64>, AdminError> {
        let (Some(sealed), Some(code)) = (&account.totp_secret, &self.code) else {
            return Ok(None);
        };
        if !account.is_enrolled() {
            return Ok(None);
        }
        let row_id = account.admin_id.to_string();
        let secret = self
            .vault
            .open(&store::admins::totp_place(&row_id), sealed)?;
        let step = fitting_step(&TotpSecret::from_stored(secret), code, self.now)?;
        Ok(step.filter(|step| account.totp_last_step.is_none_or(|last| *step > last)))
    }
}

/// The step that a code belongs to, if it fits now.
pub(super) fn fitting_step(
    secret: &TotpSecret,
    code: &SecretString,
    now: DateTime<Utc>,
) -> Result<Option<i64>, AdminError> {
    let now = u64::try_from(now.timestamp()).unwrap_or(0);
    let step = secret.step_of(code.expose_secret(), now)?;
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

fn refusal(reason: &'static str) -> Refusal {
    Refusal {
        reason,
        locked_until: None,
    }
}
