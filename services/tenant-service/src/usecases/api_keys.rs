//! API keys of tenants: made, shown once, listed, replaced, ended, looked up for sisters.

use chrono::{DateTime, TimeDelta, Utc};
use portal_auth::{API_KEY_PREFIX, random_token, sha256};
use portal_db::{
    CrossTenantPath, Scope, Tx,
    audit::{self, Actor, Outcome},
};
use portal_types::TenantId;
use portal_vault::mask;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tracing::instrument;
use uuid::Uuid;

use super::{
    Deps, OpContext, TenantError,
    tenants::{lock_living, updated},
};
use crate::{
    domain::{
        api_key::{NewApiKey, TenantApiKey},
        tenant::{Tenant, TenantStatus},
    },
    events::produced::Producer,
    store::{self, api_keys::KeyText},
};

/// As much of a key's beginning is shown, `sk_` included: enough to find it in a configuration.
const SHOWN_PREFIX: usize = 8;
/// The use of a key is noted at most so often.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A key that was just made, with its text for the only time.
pub(crate) struct MadeKey {
    pub(crate) key: TenantApiKey,
    pub(crate) text: SecretString,
}

/// A tenant's keys, the newest first.
pub(crate) async fn list_api_keys(
    deps: &Deps,
    id: TenantId,
) -> Result<Vec<TenantApiKey>, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("list_api_keys", scope, move |tx| {
            store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            Ok(store::api_keys::list(tx, &id)?)
        })
        .await
}

/// Makes a key.
#[instrument(name = "usecase.create_api_key", skip_all, fields(tenant.id = %id))]
pub(crate) async fn create_api_key(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    new: NewApiKey,
) -> Result<MadeKey, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let (text, kept) = new_text()?;
    let scope = Scope::from(&id);
    let key = deps
        .db
        .write("create_api_key", scope, move |tx| {
            let tenant = lock_living(tx, &id)?;
            let key = add(tx, &ctx, &id, &new, &kept)?;
            tell(tx, &producer, &tenant)?;
            let entry = ctx.audit(
                "tenant.api_key.create",
                &id,
                Outcome::Succeeded,
                facts(&key),
            );
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(key)
        })
        .await?;
    deps.waker.wake();
    Ok(MadeKey { key, text })
}

/// Makes a successor of a key; both work until the overlap ends.
#[instrument(name = "usecase.rotate_api_key", skip_all, fields(tenant.id = %id))]
pub(crate) async fn rotate_api_key(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    key_id: Uuid,
    overlap: TimeDelta,
) -> Result<MadeKey, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let (text, kept) = new_text()?;
    let now = deps.clock.now();
    let scope = Scope::from(&id);
    let key = deps
        .db
        .write("rotate_api_key", scope, move |tx| {
            // The lock of the tenant keeps two rotations of one key apart, too.
            let tenant = lock_living(tx, &id)?;
            let old = store::api_keys::find(tx, &id, key_id)?.ok_or(TenantError::NoApiKey)?;
            if !old.works(now) || old.replaced_by.is_some() {
                return Err(TenantError::ApiKeyOver);
            }
            let key = add(tx, &ctx, &id, &old.successor(now), &kept)?;
            let end = old.end_after(overlap, now);
            store::api_keys::replace(tx, key_id, key.key_id, end)?;
            tell(tx, &producer, &tenant)?;
            let details = json!({"key_id": key_id, "replaced_by": key.key_id, "ends_at": end});
            let entry = ctx.audit("tenant.api_key.rotate", &id, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(key)
        })
        .await?;
    deps.waker.wake();
    if overlap.is_zero() {
        end_everywhere(deps, key_id).await;
    }
    Ok(MadeKey { key, text })
}

/// Ends a key at once, everywhere; also a deleted tenant's. One that has ended stays as it is.
#[instrument(name = "usecase.revoke_api_key", skip_all, fields(tenant.id = %id))]
pub(crate) async fn revoke_api_key(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    key_id: Uuid,
) -> Result<(), TenantError> {
    let producer = Producer::new(deps, &ctx);
    let now = deps.clock.now();
    let scope = Scope::from(&id);
    deps.db
        .write("revoke_api_key", scope, move |tx| {
            let tenant = store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            let key = store::api_keys::find(tx, &id, key_id)?.ok_or(TenantError::NoApiKey)?;
            if key.revoked_at.is_none() {
                store::api_keys::revoke(tx, key_id, now)?;
                tell(tx, &producer, &tenant)?;
                let entry = ctx.audit(
                    "tenant.api_key.revoke",
                    &id,
                    Outcome::Succeeded,
                    facts(&key),
                );
                audit::append(tx, &entry)?;
            }
            Ok::<_, TenantError>(())
        })
        .await?;
    deps.waker.wake();
    end_everywhere(deps, key_id).await;
    Ok(())
}

/// What a sister may know of a key that is valid now.
pub(crate) struct ValidKey {
    pub(crate) tenant_id: TenantId,
    pub(crate) key: TenantApiKey,
}

/// The key with this digest, if it is valid now, and its tenant works.
#[instrument(name = "usecase.verify_api_key", skip_all)]
pub(crate) async fn verify_api_key(deps: &Deps, digest: [u8; 32]) -> Result<ValidKey, TenantError> {
    let directory = Scope::CrossTenant(CrossTenantPath::ApiKeyDirectory);
    let found = deps
        .db
        .read("find_api_key", directory, move |tx| {
            Ok::<_, TenantError>(store::api_keys::find_by_digest_any_tenant(tx, &digest)?)
        })
        .await?;
    let (tenant_id, key_id) = found.ok_or(TenantError::NoApiKey)?;
    let (scope, now, id) = (Scope::from(&tenant_id), deps.clock.now(), tenant_id.clone());
    let key = deps
        .db
        .read("get_api_key", scope.clone(), move |tx| {
            let tenant = store::tenants::find(tx, &id)?;
            let is_active = tenant.is_some_and(|tenant| tenant.status == TenantStatus::Active);
            let key = store::api_keys::find(tx, &id, key_id)?;
            key.filter(|key| is_active && key.works(now))
                .ok_or(TenantError::NoApiKey)
        })
        .await?;
    if key
        .last_used_at
        .is_none_or(|at| now - at >= USE_NOTED_EVERY)
    {
        note_use(deps, scope, key_id, now).await;
    }
    Ok(ValidKey { tenant_id, key })
}

/// A use that cannot be noted is no reason to refuse the key.
async fn note_use(deps: &Deps, scope: Scope, key_id: Uuid, now: DateTime<Utc>) {
    let noted = deps
        .db
        .write("note_api_key_use", scope, move |tx| {
            store::api_keys::note_use(tx, key_id, now)
        })
        .await;
    if let Err(error) = noted {
        tracing::warn!(%error, "the use of an API key was not noted");
    }
}

/// The event does the same a moment later, so that a Redis that is away only costs that moment.
async fn end_everywhere(deps: &Deps, key_id: Uuid) {
    if let Err(error) = deps.revocations.revoke_api_key(key_id).await {
        tracing::warn!(%error, "sisters learn by event only that an API key has ended");
    }
}

fn new_text() -> Result<(SecretString, KeyText), TenantError> {
    let text = random_token(API_KEY_PREFIX).map_err(|error| TenantError::Random(error.into()))?;
    let kept = KeyText {
        digest: sha256(text.expose_secret()),
        prefix: text.expose_secret().chars().take(SHOWN_PREFIX).collect(),
        last4: mask(&text),
    };
    Ok((text, kept))
}

fn add(
    tx: &mut Tx<'_>,
    ctx: &OpContext,
    id: &TenantId,
    new: &NewApiKey,
    kept: &KeyText,
) -> Result<TenantApiKey, TenantError> {
    let by = match &ctx.actor {
        Actor::PlatformAdmin(id) | Actor::User(id) | Actor::Service(id) => id.as_str(),
        _ => "",
    };
    let key_id = Uuid::now_v7();
    store::api_keys::insert(tx, id, key_id, new, kept, by)?;
    store::api_keys::find(tx, id, key_id)?.ok_or(TenantError::NoApiKey)
}

fn tell(tx: &mut Tx<'_>, producer: &Producer, tenant: &Tenant) -> Result<(), TenantError> {
    let event = updated(tenant, vec!["api_keys".to_owned()]);
    Ok(producer.append(tx, &tenant.tenant_id, &event)?)
}

fn facts(key: &TenantApiKey) -> Value {
    json!({"key_id": key.key_id, "scopes": key.scopes, "expires_at": key.expires_at})
}
