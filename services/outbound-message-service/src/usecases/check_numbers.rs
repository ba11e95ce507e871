//! Asking Meta hourly what a number may send and how it is thought of.

use std::sync::Arc;

use portal_db::{Db, DbError};
use portal_events::{
    EventContext, RelayWaker, catalogue::TenantWhatsappQualityChanged, outbox_event,
};
use portal_tenant_client::TenantClient;
use portal_types::TenantId;
use portal_vault::{Vault, places};
use portal_whatsapp::{GraphClient, PhoneNumberProfile};

use crate::{
    events::SOURCE,
    store::{
        delivery,
        numbers::{self, NumberFacts},
        sweep::SWEEPER,
    },
};

const BATCH: i64 = 50;
/// Messages a second by Meta's levels (Cloud API, throughput): none other than `HIGH` has more.
const HIGH_RATE: i32 = 1000;
/// Of a number that stays in the app on a phone.
const COEXISTENCE_RATE: i32 = 20;

/// What asking needs.
#[derive(Clone)]
pub(crate) struct NumberChecker {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
    pub(crate) graph: GraphClient,
    pub(crate) relay: RelayWaker,
}

impl NumberChecker {
    /// Asks about all numbers that were not asked about within the last hour.
    pub(crate) async fn check_due(&self) -> Result<(), DbError> {
        let due = self
            .db
            .read("numbers.list_unchecked", SWEEPER, |tx| {
                numbers::list_unchecked_any_tenant(tx, BATCH)
            })
            .await?;
        for number in due {
            let tenant = TenantId::parse(&number.tenant_id)
                .map_err(|_invalid| DbError::Corrupt("sending_numbers.tenant_id".to_owned()))?;
            self.check(&tenant, &number.phone_number_id).await?;
        }
        Ok(())
    }

    #[tracing::instrument(name = "usecase.check_number", skip_all, fields(tenant.id = %tenant, phone_number.id = %number))]
    async fn check(&self, tenant: &TenantId, number: &str) -> Result<(), DbError> {
        let id = number.to_owned();
        let is_ours = self
            .db
            .write("numbers.claim_check", tenant, move |tx| {
                numbers::claim_check(tx, &id)
            })
            .await?;
        if !is_ours {
            return Ok(());
        }
        let profile = match self.tenants.sending_profile(tenant).await {
            Ok(profile) => profile,
            Err(error) => {
                tracing::debug!(error = %error, "a number is asked about later");
                return Ok(());
            }
        };
        let whatsapp = profile.and_then(|profile| profile.whatsapp.clone());
        let Some(whatsapp) = whatsapp.filter(|whatsapp| whatsapp.phone_number_id == number) else {
            return Ok(());
        };
        let binding = places::WHATSAPP_TOKEN.of(tenant.as_str(), &whatsapp.credential_row_id);
        let Ok(token) = self.vault.open(&binding, &whatsapp.sealed_access_token) else {
            return Ok(());
        };
        match self.graph.probe_phone_number(&token, number).await {
            Ok(profile) => self.keep(tenant, number, facts(&profile)).await,
            Err(error) => {
                tracing::debug!(error = %error, "Meta does not tell of a number");
                Ok(())
            }
        }
    }

    async fn keep(
        &self,
        tenant: &TenantId,
        number: &str,
        facts: NumberFacts,
    ) -> Result<(), DbError> {
        let (owner, id) = (tenant.clone(), number.to_owned());
        self.db
            .write("numbers.keep", tenant, move |tx| {
                let before = numbers::keep(tx, &id, &facts)?;
                let is_same = before.quality_rating == facts.quality_rating
                    && before.messaging_limit == facts.messaging_limit;
                if is_same {
                    return Ok::<_, DbError>(());
                }
                let event = TenantWhatsappQualityChanged {
                    tenant_id: owner.clone(),
                    phone_number_id: id,
                    quality: facts.quality_rating,
                    limit: facts.messaging_limit,
                };
                let at = delivery::database_now(tx)?;
                let context = EventContext::current(None);
                let row = outbox_event(SOURCE, &owner, &context, at, &event)?;
                portal_db::outbox::append(tx, &[row])
            })
            .await?;
        self.relay.wake();
        Ok(())
    }
}

fn facts(profile: &PhoneNumberProfile) -> NumberFacts {
    NumberFacts {
        messages_per_second: if profile.is_on_biz_app {
            Some(COEXISTENCE_RATE)
        } else {
            (profile.throughput_level.as_deref() == Some("HIGH")).then_some(HIGH_RATE)
        },
        quality_rating: profile.quality_rating.clone(),
        messaging_limit: profile.messaging_limit.clone(),
    }
}
