//! The second factor: an authenticator app, enrolled and taken away by its owner.

use std::sync::Arc;

use portal_auth::{PlatformAdmin, TotpSecret};
use portal_db::{
    Scope,
    audit::{self, Outcome},
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::{AdminDesk, AdminError, proof::fitting_step};
use crate::{
    domain::admin::Which,
    store::{self, admins::totp_place},
    usecases::OpContext,
};

/// What an authenticator app needs; shown once.
pub(crate) struct Enrolment {
    pub(crate) secret: SecretString,
    pub(crate) uri: SecretString,
}

impl AdminDesk {
    /// Makes a second factor, which counts from its first code on.
    #[instrument(name = "usecase.enrol_totp", skip_all)]
    pub(crate) async fn enrol_totp(
        &self,
        ctx: OpContext,
        admin: &PlatformAdmin,
    ) -> Result<Enrolment, AdminError> {
        let secret = TotpSecret::generate()?;
        let text = secret.text().clone();
        let (admin_id, vault) = (admin.admin_id, Arc::clone(&self.deps.vault));
        let email = self
            .deps
            .db
            .write("enrol_totp", Scope::Service, move |tx| {
                let account = store::admins::lock(tx, admin_id)?;
                let account = account.ok_or(AdminError::UnknownAdmin)?;
                if account.is_enrolled() {
                    return Err(AdminError::AlreadyEnrolled);
                }
                let row_id = admin_id.to_string();
                let sealed = vault.seal(&totp_place(&row_id), &text)?;
                store::admins::write_totp(tx, admin_id, Some(&sealed))?;
                let entry = ctx.audit("admin.totp_begin", &admin_id, Outcome::Succeeded, json!({}));
                audit::append(tx, &entry)?;
                Ok(account.email)
            })
            .await?;
        Ok(Enrolment {
            uri: secret.uri(&email)?,
            secret: secret.text().clone(),
        })
    }

    /// Takes the first code of a second factor.
    #[instrument(name = "usecase.confirm_totp", skip_all)]
    pub(crate) async fn confirm_totp(
        &self,
        ctx: OpContext,
        admin: &PlatformAdmin,
        code: SecretString,
    ) -> Result<(), AdminError> {
        let (admin_id, vault) = (admin.admin_id, Arc::clone(&self.deps.vault));
        let now = self.deps.clock.now();
        self.deps
            .db
            .write("confirm_totp", Scope::Service, move |tx| {
                let account = store::admins::lock(tx, admin_id)?;
                let account = account.ok_or(AdminError::UnknownAdmin)?;
                if account.is_enrolled() {
                    return Err(AdminError::AlreadyEnrolled);
                }
                let sealed = account.totp_secret.ok_or(AdminError::NotEnrolled)?;
                let row_id = admin_id.to_string();
                let secret = TotpSecret::from_stored(vault.open(&totp_place(&row_id), &sealed)?);
                let step = fitting_step(&secret, &code, now)?.ok_or(AdminError::WrongCode)?;
                store::admins::confirm_totp(tx, admin_id, step)?;
                let entry = ctx.audit("admin.totp_enrol", &admin_id, Outcome::Succeeded, json!({}));
                audit::append(tx, &entry)?;
                Ok(())
            })
            .await
    }

    /// Takes the second factor away; its owner proves that he is there. Ends his other sessions.
    #[instrument(name = "usecase.remove_totp", skip_all)]
    pub(crate) async fn remove_totp(
        &self,
        ctx: OpContext,
        admin: &PlatformAdmin,
        password: SecretString,
        code: SecretString,
    ) -> Result<(), AdminError> {
        let proof = self.proof_of(admin.admin_id, password, Some(code)).await?;
        let session: Uuid = admin.session_id;
        let now = self.deps.clock.now();
        self.deps
            .db
            .write("remove_totp", Scope::Service, move |tx| {
                let (outcome, details, target) = match proof.take(tx)? {
                    Ok(account) if !account.is_enrolled() => return Err(AdminError::NotEnrolled),
                    Ok(account) => {
                        let (id, which) = (account.admin_id, Which::AllBut(session));
                        store::admins::write_totp(tx, id, None)?;
                        let ended = store::admin_sessions::end(tx, id, which, "totp_removed", now)?;
                        (
                            Outcome::Succeeded,
                            json!({"ended_sessions": ended}),
                            Some(id),
                        )
                    }
                    Err(refusal) => (Outcome::Refused, refusal.details(), None),
                };
                let entry = ctx.audit(
                    "admin.totp_remove",
                    &proof.admin_id.unwrap_or_default(),
                    outcome,
                    details,
                );
                audit::append(tx, &entry)?;
                Ok(target)
            })
            .await?
            .map(drop)
            .ok_or(AdminError::Refused)
    }
}
