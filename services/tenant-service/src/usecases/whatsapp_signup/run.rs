//! Holding a signup: what is kept of it between steps, and letting it go.

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};
use portal_db::{Scope, audit, audit::Outcome};
use portal_types::TenantId;
use portal_vault::{VaultError, places};
use portal_whatsapp::MetaApp;
use secrecy::SecretString;
use serde_json::json;

use super::{SignupError, lease, steps::Ended};
use crate::{
    domain::whatsapp_signup::{Signup, SignupStatus, Step, StepStatus, Verdict},
    store::{
        self,
        whatsapp_signups::{Progress, SealedSecrets},
    },
    usecases::{Deps, OpContext, TenantError, meta::Meta},
};

/// Work on a signup by who holds it.
pub(super) struct Run {
    pub(super) deps: Deps,
    pub(super) meta: Meta,
    pub(super) app: MetaApp,
    pub(super) ctx: OpContext,
    pub(super) tenant: TenantId,
    pub(super) signup: Signup,
    pub(super) lease: DateTime<Utc>,
    /// Only while the request that brought it lasts.
    pub(super) code: Option<SecretString>,
}

impl Run {
    /// Goes on until something is missing or all is done.
    pub(super) async fn drive(mut self) -> Result<Signup, SignupError> {
        while let Some(step) = self.signup.next_step() {
            if step == Step::Save {
                self.save().await?;
            } else {
                let ended = self.work(step).await?;
                self.commit(step, ended).await?;
            }
            if !self.signup.is_past(step) {
                break;
            }
        }
        self.release().await
    }

    pub(super) async fn token(&self) -> Result<SecretString, SignupError> {
        self.secrets().await?.0.ok_or_else(no_token)
    }

    /// A new PIN, kept before Meta hears it, so that no crash can lose it.
    pub(super) async fn make_pin(&mut self) -> Result<SecretString, SignupError> {
        let pin = random_pin()?;
        let secrets = SealedSecrets {
            token: None,
            pin: Some(self.seal(places::SIGNUP_PIN, &pin)?),
        };
        self.write(secrets, false).await?;
        Ok(pin)
    }

    pub(super) async fn secrets(
        &self,
    ) -> Result<(Option<SecretString>, Option<SecretString>), SignupError> {
        let (tenant, signup_id) = (self.tenant.clone(), self.signup.signup_id);
        let scope = Scope::from(&tenant);
        let read = self
            .deps
            .db
            .read("get_whatsapp_signup_secrets", scope, move |tx| {
                Ok::<_, TenantError>(store::whatsapp_signups::get_secrets(
                    tx, &tenant, signup_id,
                )?)
            });
        let sealed = read.await?;
        let row_id = signup_id.to_string();
        let open = |place: places::Place, sealed: Option<Vec<u8>>| {
            let binding = place.of(self.tenant.as_str(), &row_id);
            sealed
                .map(|sealed| self.deps.vault.open(&binding, &sealed))
                .transpose()
        };
        Ok((
            open(places::SIGNUP_TOKEN, sealed.token)?,
            open(places::SIGNUP_PIN, sealed.pin)?,
        ))
    }

    fn seal(&self, place: places::Place, secret: &SecretString) -> Result<Vec<u8>, VaultError> {
        let row_id = self.signup.signup_id.to_string();
        let binding = place.of(self.tenant.as_str(), &row_id);
        self.deps.vault.seal(&binding, secret)
    }

    pub(super) fn verdict(&self, step: Step, ended: Ended) -> Verdict {
        Verdict {
            step,
            status: ended.status,
            code: ended.code,
            message: ended.message,
            numbers: ended.numbers,
            at: self.deps.clock.now(),
        }
    }

    pub(super) async fn commit(&mut self, step: Step, mut ended: Ended) -> Result<(), SignupError> {
        let token = ended.token.take();
        let token = token
            .map(|token| self.seal(places::SIGNUP_TOKEN, &token))
            .transpose()?;
        let forget_pin = ended.forget_pin;
        let verdict = self.verdict(step, ended);
        self.signup.note(verdict);
        self.write(SealedSecrets { token, pin: None }, forget_pin)
            .await
    }

    async fn write(&mut self, secrets: SealedSecrets, forget_pin: bool) -> Result<(), SignupError> {
        let (tenant, signup, held) = (self.tenant.clone(), self.signup.clone(), self.lease);
        let (_, next_lease) = lease(&self.deps);
        let scope = Scope::from(&tenant);
        let write = self
            .deps
            .db
            .write("write_whatsapp_signup", scope, move |tx| {
                let progress = Progress {
                    signup: &signup,
                    lease: (held, Some(next_lease)),
                    secrets,
                    forget_pin,
                };
                Ok::<_, TenantError>(store::whatsapp_signups::write(tx, &tenant, progress)?)
            });
        if write.await? {
            self.lease = next_lease;
            Ok(())
        } else {
            Err(SignupError::Busy)
        }
    }

    /// Lets the signup go, completed or not, with an entry that says how far it came.
    async fn release(mut self) -> Result<Signup, SignupError> {
        let open_step = self.signup.next_step();
        if open_step.is_none() {
            self.signup.status = SignupStatus::Completed;
            self.signup.test_recipient = None;
        }
        let stopped = open_step
            .and_then(|step| self.signup.verdict(step))
            .cloned();
        let (tenant, ctx, signup, held) = (self.tenant, self.ctx, self.signup, self.lease);
        let scope = Scope::from(&tenant);
        let write = self
            .deps
            .db
            .write("release_whatsapp_signup", scope, move |tx| {
                let progress = Progress {
                    signup: &signup,
                    lease: (held, None),
                    secrets: SealedSecrets::default(),
                    forget_pin: false,
                };
                if !store::whatsapp_signups::write(tx, &tenant, progress)? {
                    return Err(SignupError::Busy);
                }
                let outcome = match stopped.as_ref().map(|verdict| verdict.status) {
                    Some(StepStatus::Failed) => Outcome::Failed,
                    _ => Outcome::Succeeded,
                };
                let details = json!({
                    "signup_id": signup.signup_id,
                    "status": signup.status.as_ref(),
                    "step": stopped.as_ref().map(|verdict| verdict.step),
                    "step_status": stopped.as_ref().map(|verdict| verdict.status),
                    "code": stopped.as_ref().and_then(|verdict| verdict.code.clone()),
                });
                let action = "tenant.whatsapp.signup.run";
                audit::append(tx, &ctx.audit(action, &tenant, outcome, details))?;
                Ok(signup)
            });
        write.await
    }
}

pub(super) fn no_token() -> SignupError {
    corrupt("a signup went past the exchange of its code without a token")
}

pub(super) fn corrupt(what: &str) -> SignupError {
    portal_db::DbError::Corrupt(what.to_owned()).into()
}

/// Six digits, each as likely as any other.
fn random_pin() -> Result<SecretString, SignupError> {
    loop {
        let mut bytes = [0_u8; 4];
        rand::fill(&mut bytes).map_err(|_unspecified| SignupError::Random)?;
        // The last, incomplete million of the range would favour small numbers.
        let number = u32::from_le_bytes(bytes);
        if number < 4_294_000_000 {
            return Ok(format!("{:06}", number % 1_000_000).into());
        }
    }
}
