//! Embedded Signup: begun, continued, given up. What each step does is in `steps`.
//!
//! Every step is committed with its verdict before the next one begins, so that a crash loses
//! nothing and a continued signup goes on where it stood. Whoever works on a signup holds a lease on
//! its row; no transaction is open while Meta is asked.

mod run;
mod steps;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use portal_db::{DbError, Scope, audit, audit::Outcome};
use portal_types::{PhoneNumber, TenantId};
use portal_vault::{VaultError, places};
use portal_whatsapp::MetaApp;
use secrecy::SecretString;
use serde_json::json;
use tracing::{Instrument as _, instrument};
use uuid::Uuid;

use self::run::Run;
pub(super) use self::steps::proven;
use super::{Deps, OpContext, TenantError, meta::Meta, tenants::lock_living};
use crate::{
    domain::{
        whatsapp_account::MetaId,
        whatsapp_signup::{Signup, SignupStatus, Step},
    },
    store::{
        self,
        whatsapp_signups::{ONE_OPEN, Progress, SealedSecrets},
    },
};

/// Longer than any step takes; after a crash the signup is anybody's again when it is over.
const LEASE: TimeDelta = TimeDelta::minutes(2);

/// Why nothing was done about a signup. That a step failed is no error but its verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignupError {
    #[error("our Meta app is not configured")]
    NotConfigured,
    #[error("somebody else is working on the signup")]
    Busy,
    #[error("there is no signup")]
    NotFound,
    #[error("the signup was given up")]
    Ended,
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error("no random bytes")]
    Random,
    #[error("the work on the signup broke off")]
    Broken(#[source] tokio::task::JoinError),
}

impl From<DbError> for SignupError {
    fn from(error: DbError) -> Self {
        Self::Tenant(error.into())
    }
}

impl From<VaultError> for SignupError {
    fn from(error: VaultError) -> Self {
        Self::Tenant(error.into())
    }
}

/// What the browser brought.
pub(crate) struct NewSignup {
    pub(crate) code: SecretString,
    pub(crate) waba_id: MetaId,
    pub(crate) phone_number_id: Option<MetaId>,
    pub(crate) business_id: Option<MetaId>,
    pub(crate) pin: Option<SecretString>,
    pub(crate) test_recipient: Option<PhoneNumber>,
}

/// What a person says for a signup to go on.
pub(crate) struct Continuation {
    pub(crate) phone_number_id: Option<MetaId>,
    pub(crate) pin: Option<SecretString>,
    pub(crate) test_recipient: Option<PhoneNumber>,
}

fn lease(deps: &Deps) -> (DateTime<Utc>, DateTime<Utc>) {
    // As the database keeps it, for it is compared.
    let at = deps.clock.now().trunc_subsecs(6);
    (at, at + LEASE)
}

fn app(meta: &Meta) -> Result<MetaApp, SignupError> {
    meta.app
        .clone()
        .filter(|_| meta.offers_signup())
        .ok_or(SignupError::NotConfigured)
}

/// Begins a signup, in place of one that is open, and goes as far as it can.
#[instrument(name = "usecase.begin_whatsapp_signup", skip_all, fields(tenant.id = %id))]
pub(crate) async fn begin(
    ctx: OpContext,
    deps: &Deps,
    meta: &Meta,
    id: TenantId,
    new: NewSignup,
) -> Result<Signup, SignupError> {
    let app = app(meta)?;
    let (at, lease) = lease(deps);
    let signup = Signup {
        signup_id: Uuid::now_v7(),
        status: SignupStatus::Open,
        waba_id: new.waba_id.as_str().to_owned(),
        phone_number_id: new.phone_number_id.map(|id| id.as_str().to_owned()),
        business_id: new.business_id.map(|id| id.as_str().to_owned()),
        token_expires_at: None,
        test_recipient: new.test_recipient.map(|to| to.as_e164().to_owned()),
        steps: Vec::new(),
        created_at: at,
        updated_at: at,
    };
    insert(&ctx, deps, &id, signup.clone(), new.pin, lease).await?;
    let run = Run {
        deps: deps.clone(),
        meta: meta.clone(),
        app,
        ctx,
        tenant: id,
        signup,
        lease,
        code: Some(new.code),
    };
    finish(run).await
}

async fn insert(
    ctx: &OpContext,
    deps: &Deps,
    id: &TenantId,
    signup: Signup,
    pin: Option<SecretString>,
    lease: DateTime<Utc>,
) -> Result<(), SignupError> {
    let (ctx, vault, id) = (ctx.clone(), Arc::clone(&deps.vault), id.clone());
    let at = signup.created_at;
    let scope = Scope::from(&id);
    let inserted = deps
        .db
        .write("begin_whatsapp_signup", scope, move |tx| {
            lock_living(tx, &id)?;
            let latest = store::whatsapp_signups::find_latest(tx, &id)?;
            if let Some(open) = latest.filter(|latest| latest.status == SignupStatus::Open) {
                // Whoever is at work on it must not have it taken away half-way.
                if !store::whatsapp_signups::take(tx, &id, open.signup_id, at, lease)? {
                    return Err(SignupError::Busy);
                }
                store::whatsapp_signups::abandon(tx, &id)?;
            }
            let row_id = signup.signup_id.to_string();
            let binding = places::SIGNUP_PIN.of(id.as_str(), &row_id);
            let sealed_pin = pin.map(|pin| vault.seal(&binding, &pin)).transpose()?;
            let by = ctx.actor_text();
            store::whatsapp_signups::insert(tx, &id, &signup, &by, sealed_pin, lease)?;
            let details = json!({"signup_id": signup.signup_id, "waba_id": signup.waba_id});
            let action = "tenant.whatsapp.signup.begin";
            audit::append(tx, &ctx.audit(action, &id, Outcome::Succeeded, details))?;
            Ok(())
        })
        .await;
    match inserted {
        Err(SignupError::Tenant(TenantError::Db(error))) if error.is_unique(ONE_OPEN) => {
            Err(SignupError::Busy)
        }
        other => other,
    }
}

/// Goes on at the first step that is not past. One that is completed stays as it is.
#[instrument(name = "usecase.continue_whatsapp_signup", skip_all, fields(tenant.id = %id))]
pub(crate) async fn go_on(
    ctx: OpContext,
    deps: &Deps,
    meta: &Meta,
    id: TenantId,
    said: Continuation,
) -> Result<Signup, SignupError> {
    let app = app(meta)?;
    let (at, lease) = lease(deps);
    let (audit_ctx, vault, tenant) = (ctx.clone(), Arc::clone(&deps.vault), id.clone());
    let scope = Scope::from(&id);
    let signup = deps
        .db
        .write("continue_whatsapp_signup", scope, move |tx| {
            lock_living(tx, &tenant)?;
            let latest = store::whatsapp_signups::find_latest(tx, &tenant)?;
            let mut signup = latest.ok_or(SignupError::NotFound)?;
            match signup.status {
                SignupStatus::Completed => return Ok(signup),
                SignupStatus::Abandoned => return Err(SignupError::Ended),
                SignupStatus::Open => {}
            }
            if !store::whatsapp_signups::take(tx, &tenant, signup.signup_id, at, lease)? {
                return Err(SignupError::Busy);
            }
            let given = said.names();
            let former = signup.phone_number_id.clone();
            if let Some(number) = said.phone_number_id {
                signup.choose(number.as_str().to_owned());
            }
            let is_other = former.is_some() && former != signup.phone_number_id;
            if let Some(to) = said.test_recipient {
                signup.test_recipient = Some(to.as_e164().to_owned());
            }
            let row_id = signup.signup_id.to_string();
            let binding = places::SIGNUP_PIN.of(tenant.as_str(), &row_id);
            let pin = said.pin.filter(|_| !signup.is_past(Step::Register));
            let pin = pin.map(|pin| vault.seal(&binding, &pin)).transpose()?;
            let progress = Progress {
                signup: &signup,
                lease: (lease, Some(lease)),
                // A PIN belongs to its number.
                forget_pin: is_other && pin.is_none(),
                secrets: SealedSecrets { token: None, pin },
            };
            store::whatsapp_signups::write(tx, &tenant, progress)?;
            let details = json!({"signup_id": signup.signup_id, "given": given});
            let action = "tenant.whatsapp.signup.continue";
            let entry = audit_ctx.audit(action, &tenant, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            Ok::<_, SignupError>(signup)
        })
        .await?;
    if signup.status == SignupStatus::Completed {
        return Ok(signup);
    }
    let run = Run {
        deps: deps.clone(),
        meta: meta.clone(),
        app,
        ctx,
        tenant: id,
        signup,
        lease,
        code: None,
    };
    finish(run).await
}

impl Continuation {
    fn names(&self) -> Vec<&'static str> {
        [
            ("phone_number_id", self.phone_number_id.is_some()),
            ("pin", self.pin.is_some()),
            ("test_recipient", self.test_recipient.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
    }
}

/// In a task of its own: a browser that goes away must not cost a code or leave the lease behind.
async fn finish(run: Run) -> Result<Signup, SignupError> {
    let waker = run.deps.waker.clone();
    let signup = tokio::spawn(run.drive().in_current_span())
        .await
        .map_err(SignupError::Broken)??;
    waker.wake();
    Ok(signup)
}

/// The latest signup.
pub(crate) async fn get(deps: &Deps, id: TenantId) -> Result<Signup, SignupError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_whatsapp_signup", scope, move |tx| {
            store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            let latest = store::whatsapp_signups::find_latest(tx, &id)?;
            latest.ok_or(SignupError::NotFound)
        })
        .await
}

/// Gives the open signup up. What was done at Meta stays there.
#[instrument(name = "usecase.abandon_whatsapp_signup", skip_all, fields(tenant.id = %id))]
pub(crate) async fn abandon(ctx: OpContext, deps: &Deps, id: TenantId) -> Result<(), SignupError> {
    let scope = Scope::from(&id);
    deps.db
        .write("abandon_whatsapp_signup", scope, move |tx| {
            store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            let ended = store::whatsapp_signups::abandon(tx, &id)?;
            let signup_id = ended.ok_or(SignupError::NotFound)?;
            let details = json!({"signup_id": signup_id});
            let action = "tenant.whatsapp.signup.abandon";
            audit::append(tx, &ctx.audit(action, &id, Outcome::Succeeded, details))?;
            Ok::<_, SignupError>(())
        })
        .await
}
