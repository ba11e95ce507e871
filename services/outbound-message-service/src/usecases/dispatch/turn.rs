//! A number's turn: claim what is due, and send it.

use std::{sync::Arc, time::Duration};

use portal_db::{DbError, Tx};
use portal_tenant_client::{SendingProfile, TenantClientError, TenantStatus};
use portal_types::TenantId;
use portal_vault::{VaultError, places};
use portal_whatsapp::SendError;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    Inner,
    board::{DEFAULT_RATE, Turn},
    record::{Ending, Settled},
    send::Attempt,
};
use crate::{
    domain::retry_policy::HoldReason,
    events::produced,
    store::{
        holds,
        lanes::{self, ClaimedMessage},
        numbers,
    },
};

/// After the database or the directory of tenants was away.
const PAUSE: Duration = Duration::from_secs(1);

/// What stops a number for now; its turn comes again.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error("the tenant's token cannot be opened")]
    Vault(#[from] VaultError),
}

/// With what a tenant sends.
pub(super) struct Sender {
    pub(super) token: SecretString,
    pub(super) waba_id: String,
}

/// What all messages of a claim share.
pub(super) struct Claim {
    pub(super) tenant: TenantId,
    pub(super) phone_number_id: String,
    pub(super) sender: Sender,
    pub(super) treat_5xx_as_unknown: bool,
    /// Whether the message probes if a hold is over.
    pub(super) is_probe: bool,
    pub(super) rate: u32,
    pub(super) begun: Instant,
}

/// What the database says to a turn.
enum Taken {
    /// Nothing now: nothing is due, or the number is held.
    Nothing,
    /// The token is to be tried before messages are.
    TryToken,
    Messages {
        messages: Vec<ClaimedMessage>,
        treat_5xx_as_unknown: bool,
        is_probe: bool,
        rate: u32,
    },
}

impl Inner {
    /// Claims and sends what is due of a number, within the turn's budget.
    #[tracing::instrument(name = "usecase.take_turn", skip_all, fields(tenant.id = %turn.tenant, phone_number.id = %turn.phone_number_id))]
    pub(super) async fn take_turn(self: &Arc<Self>, turn: Turn) {
        let (tenant, number) = (&turn.tenant, turn.phone_number_id.as_str());
        if let Some(wait) = self.pacer.pause_of(tenant, number) {
            self.end_turn(&turn, 0, None);
            self.wake_later(tenant, number, wait);
            return;
        }
        match self.claim(&turn).await {
            Ok(None) => self.end_turn(&turn, 0, None),
            Ok(Some((claim, messages))) => {
                self.end_turn(&turn, messages.len(), Some(claim.rate));
                self.send_all(claim, messages).await;
            }
            // A token that no key opens stays so until somebody acts: the sweeper comes back to it.
            Err(error @ TurnError::Vault(_)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "sending is not possible"
                );
                self.end_turn(&turn, 0, None);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a number's turn is put off"
                );
                self.end_turn(&turn, 0, None);
                self.wake_later(tenant, number, PAUSE);
            }
        }
    }

    fn end_turn(&self, turn: &Turn, count: usize, rate: Option<u32>) {
        self.desk.board().claimed(turn, count, rate);
        self.desk.changed.notify_one();
    }

    async fn claim(
        self: &Arc<Self>,
        turn: &Turn,
    ) -> Result<Option<(Claim, Vec<ClaimedMessage>)>, TurnError> {
        let sender = match self.sender(&turn.tenant).await? {
            Ok(sender) => sender,
            Err(reason) => {
                self.hold(turn, reason).await?;
                return Ok(None);
            }
        };
        match self.take(turn).await? {
            Taken::Nothing => Ok(None),
            Taken::TryToken => {
                self.try_token(turn, &sender).await?;
                Ok(None)
            }
            Taken::Messages {
                messages,
                treat_5xx_as_unknown,
                is_probe,
                rate,
            } => {
                let claim = Claim {
                    tenant: turn.tenant.clone(),
                    phone_number_id: turn.phone_number_id.clone(),
                    sender,
                    treat_5xx_as_unknown,
                    is_probe,
                    rate,
                    begun: Instant::now(),
                };
                Ok(Some((claim, messages)))
            }
        }
    }

    /// The token to send with, or why the tenant cannot send at all.
    async fn sender(&self, tenant: &TenantId) -> Result<Result<Sender, HoldReason>, TurnError> {
        let profile = self.parts.tenants.sending_profile(tenant).await?;
        let Some(SendingProfile {
            status: TenantStatus::Active,
            whatsapp,
            ..
        }) = profile
        else {
            return Ok(Err(HoldReason::Tenant));
        };
        let Some(whatsapp) = whatsapp else {
            return Ok(Err(HoldReason::NotConfigured));
        };
        let binding = places::WHATSAPP_TOKEN.of(tenant.as_str(), &whatsapp.credential_row_id);
        let token = self
            .parts
            .vault
            .open(&binding, &whatsapp.sealed_access_token)?;
        Ok(Ok(Sender {
            token,
            waba_id: whatsapp.waba_id.clone(),
        }))
    }

    async fn hold(&self, turn: &Turn, reason: HoldReason) -> Result<(), DbError> {
        let number = turn.phone_number_id.clone();
        let is_new = self
            .parts
            .db
            .write("dispatch.hold", &turn.tenant, move |tx| {
                let at = lanes::open_turn(tx, &number)?.now;
                let is_new = holds::hold(tx, &number, reason, None, at)?;
                Ok::<_, DbError>(is_new)
            })
            .await?;
        if is_new {
            tracing::warn!(hold.reason = reason.as_str(), "sending waits");
        }
        Ok(())
    }

    async fn take(&self, turn: &Turn) -> Result<Taken, DbError> {
        let number = turn.phone_number_id.clone();
        let lease = self.parts.lease;
        let limit = i64::try_from(turn.budget).unwrap_or(i64::MAX);
        let resting = self.pacer.resting(&number);
        self.parts
            .db
            .write("dispatch.claim", &turn.tenant, move |tx| {
                take(tx, &number, limit, lease, &resting)
            })
            .await
    }

    /// Asks Meta with the token of a held number: no message is risked on it.
    async fn try_token(self: &Arc<Self>, turn: &Turn, sender: &Sender) -> Result<(), DbError> {
        let (number, graph) = (&turn.phone_number_id, &self.parts.graph);
        let answer = graph.probe_phone_number(&sender.token, number).await;
        let code = answer.as_ref().err().and_then(|error| error.code);
        let is_over = answer.is_ok();
        let (id, waba_id) = (number.clone(), sender.waba_id.clone());
        self.parts
            .db
            .write("dispatch.end_hold", &turn.tenant, move |tx| {
                let at = lanes::open_turn(tx, &id)?.now;
                if !is_over {
                    return holds::hold(tx, &id, HoldReason::Credential, code, at).map(drop);
                }
                match holds::release(tx, &id)? {
                    Some(_) => produced::token_restored(tx, &waba_id, at),
                    None => Ok(()),
                }
            })
            .await?;
        if is_over {
            self.parts.relay.wake();
            self.desk.board().wake(&turn.tenant, number);
        }
        Ok(())
    }

    async fn send_all(self: &Arc<Self>, claim: Claim, messages: Vec<ClaimedMessage>) {
        if messages.is_empty() {
            return;
        }
        let claim = Arc::new(claim);
        let (tenant, number) = (&claim.tenant, claim.phone_number_id.as_str());
        let recipients: Vec<_> = messages.iter().map(|m| m.recipient.as_str()).collect();
        let waits = self.pacer.enter_pairs(tenant, number, &recipients).await;
        let pace = self.pacer.number(tenant, number, claim.rate);
        for (message, wait) in messages.into_iter().zip(waits) {
            let attempt = Attempt {
                claim: Arc::clone(&claim),
                message,
            };
            if let Some(wait) = wait {
                // Another process sends to the same recipient.
                self.settle(attempt, Ending::GivenBack(wait));
                continue;
            }
            let (inner, pace) = (Arc::clone(self), Arc::clone(&pace));
            self.tasks
                .spawn(async move { inner.send(attempt, pace).await });
        }
    }

    /// Hands an attempt whose request never began to the recorder.
    pub(super) fn settle(&self, attempt: Attempt, ending: Ending) {
        let claim = &attempt.claim;
        self.desk
            .board()
            .begun(&claim.tenant, &claim.phone_number_id);
        self.hand_over(attempt, ending);
    }

    /// Hands an attempt to the recorder.
    pub(super) fn hand_over(&self, attempt: Attempt, ending: Ending) {
        let settled = Settled { attempt, ending };
        // The recorder outlives all senders: there is always somebody who takes it.
        if self.settle.send(settled).is_err() {
            tracing::error!("an outcome finds no recorder; its lease will end it");
        }
    }

    /// What a limit of Meta means for others than the message.
    pub(super) fn note_limits(&self, claim: &Claim, recipient: &str, error: &SendError) {
        use portal_whatsapp::ErrorClass as Class;
        let (tenant, number) = (&claim.tenant, claim.phone_number_id.as_str());
        let wait = error.retry_after.unwrap_or(Duration::from_mins(1));
        let pace = self.pacer.number(tenant, number, claim.rate);
        match error.class {
            Class::RateLimitNumber => pace.slow_down(),
            Class::RateLimitAccount => pace.pause(wait),
            Class::RateLimitApp => self.pacer.pause_all(wait),
            Class::RateLimitPair => self.pacer.rest(number, recipient, Duration::from_secs(1)),
            _ => {}
        }
    }
}

fn take(
    tx: &mut Tx<'_>,
    number: &str,
    limit: i64,
    lease: Duration,
    resting: &[String],
) -> Result<Taken, DbError> {
    let state = lanes::open_turn(tx, number)?;
    if !state.is_known {
        numbers::note(tx, number)?;
    }
    let is_probe = match state.next_probe_at {
        None => false,
        Some(at) if at > state.now => return Ok(Taken::Nothing),
        Some(_) => {
            // Nobody else probes while this one does.
            holds::claim_probe(tx, number, state.now + lease)?;
            if state.hold_reason.as_deref() == Some(HoldReason::Credential.as_str()) {
                return Ok(Taken::TryToken);
            }
            true
        }
    };
    let limit = if is_probe { 1 } else { limit };
    let messages = lanes::claim_heads(tx, number, limit, lease, resting)?;
    Ok(Taken::Messages {
        messages,
        treat_5xx_as_unknown: state.treat_5xx_as_unknown,
        is_probe,
        rate: state
            .messages_per_second
            .and_then(|rate| u32::try_from(rate).ok())
            .unwrap_or(DEFAULT_RATE),
    })
}
