//! Whether a tenant's configuration works, as Meta sees it now.

use portal_db::{Scope, audit, audit::Outcome};
use portal_types::TenantId;
use portal_vault::places;
use portal_whatsapp::{
    Caller, ErrorClass, MANAGEMENT_SCOPE, MESSAGING_SCOPE, PhoneNumberProfile, SendError, TokenInfo,
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;

use super::{
    Deps, OpContext, TenantError,
    meta::{Meta, explain},
    whatsapp_signup::proven,
};
use crate::{
    domain::whatsapp_account::{Proven, TokenStatus, WhatsappAccount},
    store,
};

/// One question to Meta and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

impl Check {
    fn ok(name: &'static str) -> Self {
        Self {
            name,
            ok: true,
            code: None,
            message: None,
        }
    }

    fn bad(name: &'static str, code: &str, message: &str) -> Self {
        Self {
            name,
            ok: false,
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
        }
    }

    fn refused(name: &'static str, error: &SendError) -> Self {
        let (code, message) = explain(error);
        Self::bad(name, &code, &message)
    }

    /// Passed, with something to know.
    fn noted(name: &'static str, code: &str, message: &str) -> Self {
        Self {
            ok: true,
            ..Self::bad(name, code, message)
        }
    }
}

/// What Meta said.
#[derive(Default)]
struct Findings {
    checks: Vec<Check>,
    /// What the token is found to be, with Meta's code; none when Meta did not say.
    token: Option<(TokenStatus, Option<i64>)>,
    number: Option<Proven>,
}

impl Findings {
    /// An error of a call made with the token tells about the token, too.
    fn refused(&mut self, name: &'static str, error: &SendError) {
        if error.class == ErrorClass::Credential {
            self.token = Some((TokenStatus::Invalid, error.code));
        }
        self.checks.push(Check::refused(name, error));
    }
}

/// Asks Meta and notes what it says.
#[instrument(name = "usecase.verify_whatsapp_account", skip_all, fields(tenant.id = %id))]
pub(crate) async fn verify(
    ctx: OpContext,
    deps: &Deps,
    meta: &Meta,
    id: TenantId,
) -> Result<Vec<Check>, TenantError> {
    let tenant = id.clone();
    let (account, sealed) = deps
        .db
        .read(
            "get_whatsapp_account_to_verify",
            Scope::from(&id),
            move |tx| {
                store::tenants::find(tx, &tenant)?.ok_or(TenantError::NotFound)?;
                let account = store::whatsapp_accounts::find(tx, &tenant)?;
                let account = account.ok_or(TenantError::NotConfigured)?;
                let sealed = store::whatsapp_accounts::get_sealed_token(tx, &tenant)?;
                Ok::<_, TenantError>((account, sealed))
            },
        )
        .await?;
    let row_id = account.config_id.to_string();
    let binding = places::WHATSAPP_TOKEN.of(id.as_str(), &row_id);
    let token = deps.vault.open(&binding, &sealed)?;
    let asked_at = deps.clock.now();
    let findings = ask(deps, meta, &account, &token).await;
    let checks = findings.checks.clone();
    deps.db
        .write("verify_whatsapp_account", Scope::from(&id), move |tx| {
            if let Some((status, code)) = findings.token {
                let waba_id = &account.waba_id;
                store::whatsapp_accounts::update_token_status(
                    tx, &id, waba_id, status, code, asked_at,
                )?;
            }
            if let Some(number) = &findings.number {
                let fingerprint = &account.token_fingerprint;
                store::whatsapp_accounts::update_proven(tx, &id, fingerprint, number)?;
            }
            let failed = findings.checks.iter().filter(|check| !check.ok);
            let failed: Vec<&str> = failed.map(|check| check.name).collect();
            let outcome = if failed.is_empty() {
                Outcome::Succeeded
            } else {
                Outcome::Failed
            };
            let details = json!({"waba_id": account.waba_id, "failed": failed});
            let entry = ctx.audit("tenant.whatsapp.verify", &id, outcome, details);
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(())
        })
        .await?;
    Ok(checks)
}

async fn ask(
    deps: &Deps,
    meta: &Meta,
    account: &WhatsappAccount,
    token: &SecretString,
) -> Findings {
    let mut findings = Findings::default();
    let info = ask_about_token(meta, token, &mut findings).await;
    let is_ours = |info: &TokenInfo| {
        let app = meta.app.as_ref();
        app.is_some_and(|app| info.app_id.as_ref() == Some(&app.id))
    };
    let caller = Caller {
        token,
        app: meta
            .app
            .as_ref()
            .filter(|_| info.as_ref().is_some_and(is_ours)),
    };
    match meta.graph.phone_numbers(caller, &account.waba_id).await {
        Ok(numbers) => {
            // It was used and it works.
            findings.token = Some((TokenStatus::Valid, None));
            if !findings.checks.iter().any(|check| check.name == "token") {
                findings.checks.push(Check::ok("token"));
            }
            let chosen = &account.number.phone_number_id;
            match numbers.iter().find(|number| number.id == *chosen) {
                Some(number) => {
                    findings.checks.push(Check::ok("phone_number"));
                    findings.checks.push(registration(number));
                    findings.number = Some(Proven {
                        token_expires_at: info
                            .as_ref()
                            .map_or(account.token_expires_at, |info| info.expires_at),
                        ..proven(number, deps.clock.now())
                    });
                }
                None => findings.checks.push(Check::bad(
                    "phone_number",
                    "PHONE_NUMBER_NOT_IN_WABA",
                    "The configured phone number is not one of the WhatsApp Business Account.",
                )),
            }
        }
        Err(error) => findings.refused("phone_number", &error),
    }
    match meta.graph.subscribed_apps(caller, &account.waba_id).await {
        Ok(apps) => findings.checks.push(subscription(meta, &apps)),
        Err(error) => findings.refused("subscribed", &error),
    }
    findings
}

/// Meta tells about a token to the app that issued it, and to no other.
async fn ask_about_token(
    meta: &Meta,
    token: &SecretString,
    findings: &mut Findings,
) -> Option<TokenInfo> {
    let app = meta.app.as_ref()?;
    let info = match meta.graph.debug_token(app, token).await {
        Ok(info) => info,
        Err(error) if error.code == Some(100) => {
            findings.checks.push(Check::noted(
                "token",
                "TOKEN_OF_OTHER_APP",
                "The token was issued by another app than ours, so Meta does not tell us about it.",
            ));
            return None;
        }
        Err(error) => {
            findings.checks.push(Check::refused("token", &error));
            return None;
        }
    };
    if info.is_valid {
        findings.checks.push(Check::ok("token"));
        let missing = [MANAGEMENT_SCOPE, MESSAGING_SCOPE]
            .into_iter()
            .find(|scope| !info.has_scope(scope));
        findings.checks.push(match missing {
            None => Check::ok("scopes"),
            Some(scope) => Check::bad(
                "scopes",
                "SCOPE_MISSING",
                &format!("The token lacks the permission {scope}."),
            ),
        });
    } else {
        findings.token = Some((TokenStatus::Invalid, Some(190)));
        findings.checks.push(Check::bad(
            "token",
            "TOKEN_INVALID",
            "Meta does not take the token; sign up again or write another one.",
        ));
    }
    Some(info)
}

fn registration(number: &PhoneNumberProfile) -> Check {
    if number.is_registered() {
        Check::ok("registered")
    } else {
        let message = "The number is not registered and cannot send; sign up again.";
        Check::bad("registered", "NUMBER_NOT_REGISTERED", message)
    }
}

fn subscription(meta: &Meta, apps: &[String]) -> Check {
    let is_subscribed = match &meta.app {
        Some(app) => apps.contains(&app.id),
        None => !apps.is_empty(),
    };
    if is_subscribed {
        Check::ok("subscribed")
    } else {
        Check::bad(
            "subscribed",
            "APP_NOT_SUBSCRIBED",
            "Our app does not receive the account's webhooks, so statuses and answers stay away; \
             sign up again.",
        )
    }
}
