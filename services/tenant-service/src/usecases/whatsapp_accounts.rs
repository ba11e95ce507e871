//! WhatsApp configurations: written, shown masked, removed, handed to the service that sends.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Scope, Tx, audit, audit::Outcome, inbox};
use portal_events::catalogue::{TenantWhatsappConfigured, TenantWhatsappRemoved};
use portal_types::{EventId, TenantId};
use portal_vault::{Vault, fingerprint, mask, places};
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::{Deps, OpContext, TenantError, tenants::lock_living};
use crate::{
    domain::{
        tenant::Tenant,
        whatsapp_account::{NewWhatsappAccount, TokenStatus, WhatsappAccount},
    },
    events::produced::Producer,
    store::{self, whatsapp_accounts::SealedToken},
};

/// Writes a tenant's configuration, new or in place of the present one.
#[instrument(name = "usecase.write_whatsapp_account", skip_all, fields(tenant.id = %id))]
pub(crate) async fn write_whatsapp_account(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    new: NewWhatsappAccount,
) -> Result<WhatsappAccount, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let vault = std::sync::Arc::clone(&deps.vault);
    let scope = Scope::from(&id);
    let account = deps
        .db
        .write("write_whatsapp_account", scope, move |tx| {
            let writer = AccountWriter {
                ctx: &ctx,
                vault: &vault,
                producer: &producer,
            };
            writer.write(tx, &id, &new)
        })
        .await?;
    deps.waker.wake();
    Ok(account)
}

/// What writing a configuration inside a transaction needs.
pub(super) struct AccountWriter<'a> {
    pub(super) ctx: &'a OpContext,
    pub(super) vault: &'a Vault,
    pub(super) producer: &'a Producer,
}

impl AccountWriter<'_> {
    /// Writes the configuration with its event and its audit entry.
    pub(super) fn write(
        &self,
        tx: &mut Tx<'_>,
        id: &TenantId,
        new: &NewWhatsappAccount,
    ) -> Result<WhatsappAccount, TenantError> {
        lock_living(tx, id)?;
        let present = store::whatsapp_accounts::find(tx, id)?;
        let token = self.seal(tx, id, new, present.as_ref())?;
        store::whatsapp_accounts::upsert(tx, id, token.0, new, &token.1)?;
        let configured = TenantWhatsappConfigured {
            tenant_id: id.clone(),
            waba_id: new.waba_id.as_str().to_owned(),
            phone_number_id: new.phone_number_id.as_str().to_owned(),
            display_phone_number: new.display_phone_number.as_e164().to_owned(),
        };
        self.producer.append(tx, id, &configured)?;
        let details = json!({
            "waba_id": new.waba_id.as_str(),
            "phone_number_id": new.phone_number_id.as_str(),
            "token_fingerprint": token.1.fingerprint,
        });
        let action = "tenant.whatsapp.write";
        let entry = self.ctx.audit(action, id, Outcome::Succeeded, details);
        audit::append(tx, &entry)?;
        store::whatsapp_accounts::find(tx, id)?.ok_or(TenantError::NotConfigured)
    }

    fn seal(
        &self,
        tx: &mut Tx<'_>,
        id: &TenantId,
        new: &NewWhatsappAccount,
        present: Option<&WhatsappAccount>,
    ) -> Result<(Uuid, SealedToken), TenantError> {
        // Secrets are bound to the row, and the row keeps its id for as long as it lives.
        let config_id = present.map_or_else(Uuid::now_v7, |present| present.config_id);
        let row_id = config_id.to_string();
        let is_same_number = present
            .is_some_and(|present| present.number.phone_number_id == new.phone_number_id.as_str());
        let sealed_pin = match &new.pin {
            Some(pin) => {
                let binding = places::WHATSAPP_PIN.of(id.as_str(), &row_id);
                Some(self.vault.seal(&binding, pin)?)
            }
            None if is_same_number => store::whatsapp_accounts::get_sealed_pin(tx, id)?,
            None => None,
        };
        let binding = places::WHATSAPP_TOKEN.of(id.as_str(), &row_id);
        let token = SealedToken {
            sealed: self.vault.seal(&binding, &new.access_token)?,
            last4: mask(&new.access_token),
            fingerprint: fingerprint(&new.access_token),
            sealed_pin,
        };
        Ok((config_id, token))
    }
}

/// A tenant's configuration.
pub(crate) async fn get_whatsapp_account(
    deps: &Deps,
    id: TenantId,
) -> Result<WhatsappAccount, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_whatsapp_account", scope, move |tx| {
            store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            store::whatsapp_accounts::find(tx, &id)?.ok_or(TenantError::NotConfigured)
        })
        .await
}

/// Removes a tenant's configuration; also a deleted tenant's, so that another one can have it.
#[instrument(name = "usecase.remove_whatsapp_account", skip_all, fields(tenant.id = %id))]
pub(crate) async fn remove_whatsapp_account(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
) -> Result<(), TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    deps.db
        .write("remove_whatsapp_account", scope, move |tx| {
            store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            let present =
                store::whatsapp_accounts::find(tx, &id)?.ok_or(TenantError::NotConfigured)?;
            store::whatsapp_accounts::delete(tx, &id)?;
            let removed = TenantWhatsappRemoved {
                tenant_id: id.clone(),
                waba_id: present.waba_id.clone(),
                phone_number_id: present.number.phone_number_id,
                display_phone_number: present.number.display_phone_number,
            };
            producer.append(tx, &id, &removed)?;
            let details = json!({"waba_id": present.waba_id});
            let entry = ctx.audit("tenant.whatsapp.remove", &id, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(())
        })
        .await?;
    deps.waker.wake();
    Ok(())
}

/// What a service needs to send for a tenant; the token is sealed, and only who has the vault's
/// keys can open it.
pub(crate) struct SendingProfile {
    pub(crate) tenant: Tenant,
    pub(crate) whatsapp: Option<(WhatsappAccount, Vec<u8>)>,
}

/// The sending profile of a tenant, also of a suspended or deleted one: the status says so.
pub(crate) async fn get_sending_profile(
    deps: &Deps,
    id: TenantId,
) -> Result<SendingProfile, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_sending_profile", scope, move |tx| {
            let tenant = store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            let whatsapp = store::whatsapp_accounts::find(tx, &id)?
                .map(|account| {
                    let sealed = store::whatsapp_accounts::get_sealed_token(tx, &id)?;
                    Ok::<_, DbError>((account, sealed))
                })
                .transpose()?;
            Ok(SendingProfile { tenant, whatsapp })
        })
        .await
}

/// What a service that sends saw Meta make of a tenant's token.
#[derive(Debug, Clone)]
pub(crate) struct TokenReport {
    pub(crate) event_id: EventId,
    pub(crate) tenant_id: TenantId,
    pub(crate) waba_id: String,
    pub(crate) status: TokenStatus,
    pub(crate) error_code: Option<i64>,
    pub(crate) seen_at: DateTime<Utc>,
}

/// Notes a report, once. A report about a configuration that was written since is passed over.
#[instrument(name = "usecase.record_token_report", skip_all, fields(tenant.id = %report.tenant_id))]
pub(crate) async fn record_token_report(
    ctx: OpContext,
    deps: &Deps,
    consumer: &'static str,
    report: TokenReport,
) -> Result<(), TenantError> {
    let scope = Scope::from(&report.tenant_id);
    deps.db
        .write("record_token_report", scope, move |tx| {
            if !inbox::first_time(tx, consumer, report.event_id.as_uuid())? {
                return Ok(());
            }
            let is_current = store::whatsapp_accounts::update_token_status(
                tx,
                &report.tenant_id,
                &report.waba_id,
                report.status,
                report.error_code,
                report.seen_at,
            )?;
            if !is_current {
                tracing::info!("a report about another configuration was passed over");
                return Ok(());
            }
            let details = json!({
                "token_status": report.status.as_str(),
                "error_code": report.error_code,
            });
            let action = "tenant.whatsapp.token_status";
            let entry = ctx.audit(action, &report.tenant_id, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(())
        })
        .await
}
