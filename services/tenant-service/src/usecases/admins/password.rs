//! A new password, chosen by its owner.

use portal_auth::PlatformAdmin;
use portal_db::{
    Scope,
    audit::{self, Outcome},
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;

use super::{AdminDesk, AdminError};
use crate::{domain::admin::Which, store, usecases::OpContext};

impl AdminDesk {
    /// Changes the password and ends the other sessions; answers how many. The new password was
    /// checked before.
    #[instrument(name = "usecase.change_admin_password", skip_all)]
    pub(crate) async fn change_password(
        &self,
        ctx: OpContext,
        admin: &PlatformAdmin,
        current: SecretString,
        new: SecretString,
        code: Option<SecretString>,
    ) -> Result<usize, AdminError> {
        let (admin_id, session) = (admin.admin_id, admin.session_id);
        let proof = self.proof_of(admin_id, current, code).await?;
        let new_hash = self.passwords.hash(new).await?;
        let now = self.deps.clock.now();
        let ended = self
            .deps
            .db
            .write("change_admin_password", Scope::Service, move |tx| {
                let (outcome, details, ended) = match proof.take(tx)? {
                    Ok(account) => {
                        let old_hash = &account.password_hash;
                        store::admins::replace_password(tx, admin_id, old_hash, &new_hash)?;
                        let which = Which::AllBut(session);
                        let reason = "password_changed";
                        let ended = store::admin_sessions::end(tx, admin_id, which, reason, now)?;
                        let details = json!({"ended_sessions": ended});
                        (Outcome::Succeeded, details, Some(ended))
                    }
                    Err(refusal) => (Outcome::Refused, refusal.details(), None),
                };
                let entry = ctx.audit("admin.password_change", &admin_id, outcome, details);
                audit::append(tx, &entry)?;
                Ok::<_, AdminError>(ended)
            })
            .await?;
        ended.ok_or(AdminError::Refused)
    }
}
