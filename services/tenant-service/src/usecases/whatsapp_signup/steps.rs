//! What each step of a signup does. Each may be done again: after a crash its verdict is missing,
//! whether or not Meta did what it was asked.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use portal_db::Scope;
use portal_types::PhoneNumber;
use portal_whatsapp::{Caller, MANAGEMENT_SCOPE, MESSAGING_SCOPE, PhoneNumberProfile, SendError};
use secrecy::SecretString;

use super::{
    SignupError, lease,
    run::{Run, corrupt, no_token},
};
use crate::{
    domain::{
        whatsapp_account::{NewWhatsappAccount, Proven},
        whatsapp_signup::{Choice, Step, StepStatus, codes},
    },
    events::produced::Producer,
    store::{
        self,
        whatsapp_signups::{Progress, SealedSecrets},
    },
    usecases::{TenantError, meta::explain, whatsapp_accounts::AccountWriter},
};

/// The template that every account has from the start.
const TEST_TEMPLATE: (&str, &str) = ("hello_world", "en_US");

/// How a step ended, and what is kept of it.
pub(super) struct Ended {
    pub(super) status: StepStatus,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) numbers: Vec<Choice>,
    pub(super) token: Option<SecretString>,
    pub(super) forget_pin: bool,
}

impl Ended {
    fn plain(status: StepStatus, code: Option<&str>, message: Option<&str>) -> Self {
        Self {
            status,
            code: code.map(str::to_owned),
            message: message.map(str::to_owned),
            numbers: Vec::new(),
            token: None,
            forget_pin: false,
        }
    }

    fn done() -> Self {
        Self::plain(StepStatus::Done, None, None)
    }

    fn failed(code: &str, message: &str) -> Self {
        Self::plain(StepStatus::Failed, Some(code), Some(message))
    }

    fn skipped(code: &str, message: &str) -> Self {
        Self::plain(StepStatus::Skipped, Some(code), Some(message))
    }

    fn refused(error: &SendError) -> Self {
        tracing::info!(%error, "a step of a signup failed");
        let (code, message) = explain(error);
        Self::failed(&code, &message)
    }
}

/// Gives the value of a call, or ends the step as failed.
macro_rules! ask {
    ($call:expr) => {
        match $call.await {
            Ok(value) => value,
            Err(error) => return Ok(Ended::refused(&error)),
        }
    };
}

impl Run {
    pub(super) async fn work(&mut self, step: Step) -> Result<Ended, SignupError> {
        match step {
            Step::ExchangeCode => self.exchange_code().await,
            Step::CheckToken => self.check_token().await,
            Step::ChooseNumber => self.choose_number().await,
            Step::Subscribe => self.subscribe().await,
            Step::Register => self.register().await,
            Step::TestSend => self.test_send().await,
            // It is committed together with what it does.
            Step::Save => Ok(Ended::done()),
        }
    }

    async fn exchange_code(&mut self) -> Result<Ended, SignupError> {
        let Some(code) = self.code.take() else {
            return Ok(match self.signup.verdict(Step::ExchangeCode) {
                Some(verdict) => Ended::plain(
                    verdict.status,
                    verdict.code.as_deref(),
                    verdict.message.as_deref(),
                ),
                None => Ended::failed(
                    "CODE_LOST",
                    "The signup broke off before Meta's code was exchanged; sign up again.",
                ),
            });
        };
        match self.meta.graph.exchange_code(&self.app, &code).await {
            Ok(token) => Ok(Ended {
                token: Some(token),
                ..Ended::done()
            }),
            Err(error) => Ok(match error.subcode {
                Some(36_007) => Ended::failed(
                    "CODE_EXPIRED",
                    "Meta's code was too old when it arrived; sign up again.",
                ),
                Some(36_009) => {
                    Ended::failed("CODE_USED", "Meta's code was used before; sign up again.")
                }
                Some(36_008) => Ended::failed(
                    "CODE_INVALID",
                    "This is no code of Meta's for our app; sign up again.",
                ),
                _ => Ended::refused(&error),
            }),
        }
    }

    /// The browser's word for the account counts nothing: the token must name it.
    async fn check_token(&mut self) -> Result<Ended, SignupError> {
        let token = self.token().await?;
        let info = ask!(self.meta.graph.debug_token(&self.app, &token));
        if !info.is_valid {
            let message = "Meta does not take the token; sign up again.";
            return Ok(Ended::failed("TOKEN_INVALID", message));
        }
        if info.app_id.as_deref() != Some(self.app.id.as_str()) {
            let message = "The token was issued to another app; sign up again.";
            return Ok(Ended::failed("TOKEN_OF_OTHER_APP", message));
        }
        for scope in [MANAGEMENT_SCOPE, MESSAGING_SCOPE] {
            if !info.has_scope(scope) {
                let message = format!("The permission {scope} was not granted; sign up again.");
                return Ok(Ended::failed("SCOPE_MISSING", &message));
            }
            if !info.has_scope_for(scope, &self.signup.waba_id) {
                let message = "The token was not granted for this WhatsApp Business Account; sign \
                               up again and pick the right one.";
                return Ok(Ended::failed("WABA_NOT_GRANTED", message));
            }
        }
        self.signup.token_expires_at = info.expires_at;
        Ok(Ended::done())
    }

    async fn choose_number(&mut self) -> Result<Ended, SignupError> {
        let token = self.token().await?;
        let waba_id = self.signup.waba_id.clone();
        let numbers = ask!(self.meta.graph.phone_numbers(self.caller(&token), &waba_id));
        let choices = || numbers.iter().map(choice).collect();
        Ok(match (&self.signup.phone_number_id, numbers.as_slice()) {
            (_, []) => Ended::failed(
                "NO_PHONE_NUMBER",
                "The account has no phone number; add one at Meta, then continue.",
            ),
            (Some(chosen), _) if numbers.iter().any(|number| number.id == *chosen) => Ended::done(),
            (Some(_), _) => Ended {
                numbers: choices(),
                ..Ended::failed(
                    codes::NOT_IN_WABA,
                    "The phone number is not one of the account; choose one that is.",
                )
            },
            (None, [only]) => {
                self.signup.phone_number_id = Some(only.id.clone());
                Ended::done()
            }
            (None, _) => Ended {
                numbers: choices(),
                ..Ended::plain(
                    StepStatus::Waiting,
                    Some(codes::CHOOSE),
                    Some("The account has several phone numbers; choose one."),
                )
            },
        })
    }

    async fn subscribe(&mut self) -> Result<Ended, SignupError> {
        let token = self.token().await?;
        let waba_id = self.signup.waba_id.clone();
        ask!(self.meta.graph.subscribe_app(self.caller(&token), &waba_id));
        Ok(Ended::done())
    }

    async fn register(&mut self) -> Result<Ended, SignupError> {
        let token = self.token().await?;
        let number_id = self.number_id()?;
        let number = ask!(
            self.meta
                .graph
                .phone_number(self.caller(&token), &number_id)
        );
        if number.is_on_biz_app {
            return Ok(Ended::skipped(
                "COEXISTENCE",
                "The number stays in the WhatsApp Business app, which registered it.",
            ));
        }
        let is_asked_for = self
            .signup
            .verdict(Step::Register)
            .is_some_and(|verdict| verdict.code.as_deref() == Some(codes::PIN_NEEDED));
        let pin = match self.secrets().await?.1 {
            Some(pin) => pin,
            // Every attempt counts at Meta, and a guess is a wasted one.
            None if is_asked_for => return Ok(pin_needed()),
            None => self.make_pin().await?,
        };
        let caller = self.caller(&token);
        let registered = self
            .meta
            .graph
            .register_number(caller, &number_id, &pin)
            .await;
        Ok(match registered {
            Ok(()) => Ended::done(),
            Err(error) if error.code == Some(133_005) => pin_needed(),
            Err(error) => Ended::refused(&error),
        })
    }

    async fn test_send(&mut self) -> Result<Ended, SignupError> {
        let Some(to) = self.signup.test_recipient.clone() else {
            return Ok(Ended::skipped(
                "NO_RECIPIENT",
                "No test message was asked for.",
            ));
        };
        let Ok(to) = PhoneNumber::parse(&to) else {
            return Ok(Ended::failed(
                "BAD_RECIPIENT",
                "The recipient is no phone number.",
            ));
        };
        let token = self.token().await?;
        let number_id = self.number_id()?;
        let caller = self.caller(&token);
        let graph = &self.meta.graph;
        ask!(graph.send_bare_template(caller, &number_id, &to, TEST_TEMPLATE));
        Ok(Ended::done())
    }

    /// Configuration, event, audit entry and verdict are one commit.
    pub(super) async fn save(&mut self) -> Result<(), SignupError> {
        let new = match self.account().await? {
            Ok(new) => new,
            Err(ended) => return self.commit(Step::Save, ended).await,
        };
        let mut signup = self.signup.clone();
        signup.note(self.verdict(Step::Save, Ended::done()));
        let (_, next_lease) = lease(&self.deps);
        let held = self.lease;
        let producer = Producer::new(&self.deps, &self.ctx);
        let (ctx, vault) = (self.ctx.clone(), Arc::clone(&self.deps.vault));
        let tenant = self.tenant.clone();
        let saved = self
            .deps
            .db
            .write("save_whatsapp_signup", Scope::from(&tenant), move |tx| {
                let writer = AccountWriter {
                    ctx: &ctx,
                    vault: &vault,
                    producer: &producer,
                };
                writer.write(tx, &tenant, &new)?;
                let progress = Progress {
                    signup: &signup,
                    lease: (held, Some(next_lease)),
                    secrets: SealedSecrets::default(),
                    forget_pin: false,
                };
                if store::whatsapp_signups::write(tx, &tenant, progress)? {
                    Ok(signup)
                } else {
                    Err(SignupError::Busy)
                }
            });
        let ended = match saved.await {
            Ok(signup) => {
                self.signup = signup;
                self.lease = next_lease;
                return Ok(());
            }
            Err(SignupError::Tenant(TenantError::WabaTaken)) => Ended::failed(
                "WABA_TAKEN",
                "The WhatsApp Business Account belongs to another tenant; remove it there, then \
                 continue.",
            ),
            Err(SignupError::Tenant(TenantError::NumberTaken)) => Ended::failed(
                "PHONE_NUMBER_TAKEN",
                "The phone number belongs to another tenant; remove it there, then continue.",
            ),
            Err(SignupError::Tenant(TenantError::Deleted)) => {
                Ended::failed("TENANT_DELETED", "The tenant was deleted meanwhile.")
            }
            Err(other) => return Err(other),
        };
        self.commit(Step::Save, ended).await
    }

    /// The configuration as Meta tells of it now.
    async fn account(&self) -> Result<Result<NewWhatsappAccount, Ended>, SignupError> {
        let (token, pin) = self.secrets().await?;
        let token = token.ok_or_else(no_token)?;
        let number_id = self.number_id()?;
        let number = self
            .meta
            .graph
            .phone_number(self.caller(&token), &number_id)
            .await;
        let number = match number {
            Ok(number) => number,
            Err(error) => return Ok(Err(Ended::refused(&error))),
        };
        let shown = number.display_phone_number.as_deref().unwrap_or_default();
        let (Ok(waba_id), Ok(phone_number_id), Ok(display_phone_number)) = (
            self.signup.waba_id.parse(),
            number_id.parse(),
            PhoneNumber::parse(shown),
        ) else {
            let message = "Meta does not tell the number in a form that we know.";
            return Ok(Err(Ended::failed("PHONE_NUMBER_UNREADABLE", message)));
        };
        Ok(Ok(NewWhatsappAccount {
            waba_id,
            business_id: self
                .signup
                .business_id
                .as_deref()
                .and_then(|id| id.parse().ok()),
            phone_number_id,
            display_phone_number,
            access_token: token,
            pin: if number.is_on_biz_app { None } else { pin },
            proven: Some(Proven {
                token_expires_at: self.signup.token_expires_at,
                ..proven(&number, self.deps.clock.now())
            }),
        }))
    }

    fn caller<'a>(&'a self, token: &'a SecretString) -> Caller<'a> {
        Caller {
            token,
            app: Some(&self.app),
        }
    }

    fn number_id(&self) -> Result<String, SignupError> {
        let missing = || corrupt("a signup went past the choice of a number without one");
        self.signup.phone_number_id.clone().ok_or_else(missing)
    }
}

/// What Meta tells of a number, as the configuration keeps it.
pub(in crate::usecases) fn proven(number: &PhoneNumberProfile, at: DateTime<Utc>) -> Proven {
    let fit = |text: &Option<String>, chars: usize| {
        text.as_ref().map(|text| text.chars().take(chars).collect())
    };
    Proven {
        token_expires_at: None,
        verified_name: fit(&number.verified_name, 255),
        quality_rating: fit(&number.quality_rating, 16),
        messaging_limit: fit(&number.messaging_limit, 32),
        at,
    }
}

fn choice(number: &PhoneNumberProfile) -> Choice {
    Choice {
        phone_number_id: number.id.clone(),
        display_phone_number: number.display_phone_number.clone(),
        verified_name: number.verified_name.clone(),
    }
}

/// The PIN that was tried, if any, is known to be wrong.
fn pin_needed() -> Ended {
    Ended {
        forget_pin: true,
        ..Ended::plain(
            StepStatus::Waiting,
            Some(codes::PIN_NEEDED),
            Some(
                "The number has two-step verification with another PIN; give that one. Meta allows \
                 ten attempts in three days.",
            ),
        )
    }
}
