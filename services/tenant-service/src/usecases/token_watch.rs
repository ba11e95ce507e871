//! Tenants' tokens: whether they work and when they end. Those of our app that end soon are exchanged;
//! of others their end is warned of.

use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{CrossTenantPath, DbError, Scope, audit, audit::Actor, audit::Outcome};
use portal_events::catalogue::TenantWhatsappConfigured;
use portal_types::TenantId;
use portal_vault::{fingerprint, mask, places};
use portal_whatsapp::{Caller, ErrorClass, MetaApp, TokenInfo};
use secrecy::SecretString;
use serde_json::json;

use super::{Deps, OpContext, TenantError, meta::Meta};
use crate::{
    domain::whatsapp_account::{TokenStatus, WhatsappAccount},
    events::produced::Producer,
    store::whatsapp_accounts::{self, SealedToken},
};

/// Warnings are given so many days before the end.
const WARNINGS: [i16; 3] = [1, 7, 14];

/// Looks after tokens.
#[derive(Clone)]
pub(crate) struct TokenWatch {
    pub(crate) deps: Deps,
    pub(crate) meta: Meta,
    /// Between two looks at a token.
    pub(crate) interval: TimeDelta,
    /// How long before its end a token is exchanged.
    pub(crate) refresh_before: TimeDelta,
    pub(crate) outcomes: Counter<u64>,
    pub(crate) warnings: Counter<u64>,
}

/// A token to look at.
struct Watched {
    account: WhatsappAccount,
    token: SecretString,
}

impl TokenWatch {
    /// Looks at every token that is due; answers at how many.
    pub(crate) async fn look(&self) -> Result<usize, TenantError> {
        let directory = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
        let since = self.deps.clock.now() - self.interval;
        let tenants = self
            .deps
            .db
            .read("token_watch.list", directory, move |tx| {
                whatsapp_accounts::list_unchecked_any_tenant(tx, since)
            })
            .await?;
        let mut looked = 0;
        for tenant in tenants {
            match self.look_at(&tenant).await {
                Ok(true) => looked += 1,
                Ok(false) => {}
                Err(TenantError::Db(error)) if error.is_transient() => return Err(error.into()),
                // One tenant's trouble is not the others'.
                Err(error) => {
                    tracing::warn!(tenant.id = %tenant, %error, "a token cannot be looked at");
                }
            }
        }
        Ok(looked)
    }

    #[tracing::instrument(name = "usecase.watch_token", skip_all, fields(tenant.id = %tenant))]
    async fn look_at(&self, tenant: &TenantId) -> Result<bool, TenantError> {
        let Some(watched) = self.claim(tenant).await? else {
            return Ok(false);
        };
        let asked_at = self.deps.clock.now();
        let info = self.introspect(&watched.token).await;
        let own_app = self.meta.app.as_ref().filter(|app| {
            let issuer = info.as_ref().and_then(|info| info.app_id.as_ref());
            issuer == Some(&app.id)
        });
        let finding = self.probe(&watched, own_app).await;
        let outcome = match finding {
            Some((TokenStatus::Valid, _)) => "valid",
            Some(_) => "invalid",
            None => "unsaid",
        };
        self.outcomes.add(1, &[KeyValue::new("outcome", outcome)]);
        let known_end = watched.account.token_expires_at;
        let end = info.as_ref().map_or(known_end, |info| info.expires_at);
        let warned = self
            .note(tenant, &watched.account, finding, end, asked_at)
            .await?;
        if let Some(days) = warned {
            self.warnings
                .add(1, &[KeyValue::new("days", i64::from(days))]);
            tracing::warn!(
                token.expires_at = end.map(|end| end.to_rfc3339()),
                "a tenant's token ends within {days} days"
            );
        }
        let ends_soon =
            end.is_some_and(|end| end - asked_at < self.refresh_before && end > asked_at);
        if let Some(app) = own_app.filter(|_| ends_soon) {
            self.refresh(tenant, app, &watched).await?;
        }
        Ok(true)
    }

    /// The tenant's token, if nobody looked at it for the interval; nobody else does now.
    async fn claim(&self, tenant: &TenantId) -> Result<Option<Watched>, TenantError> {
        let (id, interval) = (tenant.clone(), self.interval);
        let vault = std::sync::Arc::clone(&self.deps.vault);
        let now = self.deps.clock.now();
        self.deps
            .db
            .write("token_watch.claim", Scope::from(tenant), move |tx| {
                if !whatsapp_accounts::claim_check(tx, &id, now, now - interval)? {
                    return Ok(None);
                }
                let Some(account) = whatsapp_accounts::find(tx, &id)? else {
                    return Ok(None);
                };
                let sealed = whatsapp_accounts::get_sealed_token(tx, &id)?;
                let row_id = account.config_id.to_string();
                let binding = places::WHATSAPP_TOKEN.of(id.as_str(), &row_id);
                let token = vault.open(&binding, &sealed)?;
                Ok(Some(Watched { account, token }))
            })
            .await
    }

    /// What Meta tells our app of a token; nothing of those that other apps issued.
    async fn introspect(&self, token: &SecretString) -> Option<TokenInfo> {
        let app = self.meta.app.as_ref()?;
        self.meta.graph.debug_token(app, token).await.ok()
    }

    /// What the token is found to be, with Meta's code; none when Meta did not say.
    async fn probe(
        &self,
        watched: &Watched,
        app: Option<&MetaApp>,
    ) -> Option<(TokenStatus, Option<i64>)> {
        let caller = Caller {
            token: &watched.token,
            app,
        };
        let number = &watched.account.number.phone_number_id;
        match self.meta.graph.phone_number(caller, number).await {
            Ok(_) => Some((TokenStatus::Valid, None)),
            Err(error) if error.class == ErrorClass::Credential => {
                Some((TokenStatus::Invalid, error.code))
            }
            Err(error) => {
                tracing::info!(%error, "Meta does not say whether a token works");
                None
            }
        }
    }

    /// Notes what was found; answers the warning that is to be given.
    async fn note(
        &self,
        tenant: &TenantId,
        account: &WhatsappAccount,
        finding: Option<(TokenStatus, Option<i64>)>,
        end: Option<DateTime<Utc>>,
        asked_at: DateTime<Utc>,
    ) -> Result<Option<i16>, TenantError> {
        let (id, account, ctx) = (tenant.clone(), account.clone(), by_ourselves());
        self.deps
            .db
            .write("token_watch.note", Scope::from(tenant), move |tx| {
                let changed = finding.filter(|(status, _)| *status != account.token_status);
                if let Some((status, code)) = changed {
                    let waba_id = &account.waba_id;
                    whatsapp_accounts::update_token_status(
                        tx, &id, waba_id, status, code, asked_at,
                    )?;
                    let details = json!({"token_status": status.as_str(), "error_code": code});
                    let action = "tenant.whatsapp.token_status";
                    audit::append(tx, &ctx.audit(action, &id, Outcome::Succeeded, details))?;
                }
                let due = due_warning(end, asked_at);
                let fingerprint = &account.token_fingerprint;
                let is_news = whatsapp_accounts::update_token_end(tx, &id, fingerprint, end, due)?;
                Ok::<_, DbError>(due.filter(|_| is_news))
            })
            .await
            .map_err(TenantError::from)
    }

    /// Exchanges the token, unless the configuration is another by now.
    async fn refresh(
        &self,
        tenant: &TenantId,
        app: &MetaApp,
        watched: &Watched,
    ) -> Result<(), TenantError> {
        let token = match self.meta.graph.refresh_token(app, &watched.token).await {
            Ok(token) => token,
            Err(error) => {
                tracing::warn!(%error, "a token that ends soon cannot be exchanged");
                return Ok(());
            }
        };
        let info = self.introspect(&token).await.filter(|info| info.is_valid);
        let Some(info) = info else {
            tracing::warn!("a token was exchanged for one that does not work; the old one stays");
            return Ok(());
        };
        let ctx = by_ourselves();
        let producer = Producer::new(&self.deps, &ctx);
        let (id, old) = (tenant.clone(), watched.account.clone());
        let row_id = old.config_id.to_string();
        let binding = places::WHATSAPP_TOKEN.of(id.as_str(), &row_id);
        let sealed = SealedToken {
            sealed: self.deps.vault.seal(&binding, &token)?,
            last4: mask(&token),
            fingerprint: fingerprint(&token),
            sealed_pin: None,
        };
        self.deps
            .db
            .write("token_watch.refresh", Scope::from(tenant), move |tx| {
                let (was, end) = (&old.token_fingerprint, info.expires_at);
                if !whatsapp_accounts::replace_token(tx, &id, was, &sealed, end)? {
                    return Ok(());
                }
                // As any other change of the configuration: who remembers the old token forgets it.
                let configured = TenantWhatsappConfigured {
                    tenant_id: id.clone(),
                    waba_id: old.waba_id.clone(),
                    phone_number_id: old.number.phone_number_id.clone(),
                    display_phone_number: old.number.display_phone_number.clone(),
                };
                producer.append(tx, &id, &configured)?;
                let details = json!({
                    "waba_id": old.waba_id, "token_fingerprint": sealed.fingerprint,
                    "token_expires_at": end,
                });
                let action = "tenant.whatsapp.token_refresh";
                audit::append(tx, &ctx.audit(action, &id, Outcome::Succeeded, details))?;
                Ok::<_, DbError>(())
            })
            .await?;
        self.deps.waker.wake();
        tracing::info!("a token was exchanged before its end");
        Ok(())
    }
}

fn by_ourselves() -> OpContext {
    OpContext {
        actor: Actor::Service("tenant-service".to_owned()),
        request_id: None,
    }
}

/// The nearest warning that a token with this end is due for.
fn due_warning(end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<i16> {
    let left = end? - now;
    WARNINGS
        .into_iter()
        .find(|days| left <= TimeDelta::days(i64::from(*days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_warning_is_given() {
        let now = DateTime::from_timestamp(1_767_000_000, 0).unwrap();
        for (hours, expected) in [
            (24 * 15, None),
            (24 * 14, Some(14)),
            (24 * 8, Some(14)),
            (24 * 7, Some(7)),
            (25, Some(7)),
            (24, Some(1)),
            (0, Some(1)),
            (-5, Some(1)),
        ] {
            let end = Some(now + TimeDelta::hours(hours));
            assert_eq!(due_warning(end, now), expected, "{hours}");
        }
        assert_eq!(due_warning(None, now), None);
    }
}
