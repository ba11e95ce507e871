//! Tables `tenant_whatsapp_config` and `tenant_whatsapp_numbers`.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    tenant_whatsapp_config as config, tenant_whatsapp_numbers as numbers, tenants,
};
use portal_types::TenantId;
use uuid::Uuid;

use super::word;
use crate::domain::whatsapp_account::{
    DefaultNumber, MetaId, NewWhatsappAccount, Proven, TokenStatus, WhatsappAccount,
};

/// The constraint that a WABA belongs to one tenant.
pub(crate) const ONE_WABA: &str = "tenant_whatsapp_config_waba_id_key";
/// The constraint that a number belongs to one tenant.
pub(crate) const ONE_NUMBER: &str = "tenant_whatsapp_numbers_phone_number_id_key";

#[derive(Queryable, Selectable)]
#[diesel(table_name = config)]
struct ConfigRow {
    config_id: Uuid,
    waba_id: String,
    business_id: Option<String>,
    access_token_last4: String,
    access_token_fingerprint: String,
    token_status: String,
    token_error_code: Option<i64>,
    token_expires_at: Option<DateTime<Utc>>,
    verified_at: Option<DateTime<Utc>>,
    pin: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = numbers)]
struct NumberRow {
    phone_number_id: String,
    display_phone_number: String,
    quality_rating: Option<String>,
    messaging_limit: Option<String>,
    verified_name: Option<String>,
}

/// A sealed token and what may be shown of it.
pub(crate) struct SealedToken {
    pub(crate) sealed: Vec<u8>,
    pub(crate) last4: String,
    pub(crate) fingerprint: String,
    pub(crate) sealed_pin: Option<Vec<u8>>,
}

/// The tenant's configuration.
pub(crate) fn find(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<WhatsappAccount>, DbError> {
    let row = config::table
        .filter(config::tenant_id.eq(tenant.as_str()))
        .select(ConfigRow::as_select())
        .first(tx.conn())
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let number = numbers::table
        .filter(
            numbers::tenant_id
                .eq(tenant.as_str())
                .and(numbers::is_default),
        )
        .select(NumberRow::as_select())
        .first(tx.conn())
        .optional()?
        .ok_or_else(|| DbError::Corrupt("a configuration has no default number".to_owned()))?;
    Ok(Some(WhatsappAccount {
        config_id: row.config_id,
        waba_id: row.waba_id,
        business_id: row.business_id,
        number: DefaultNumber {
            phone_number_id: number.phone_number_id,
            display_phone_number: number.display_phone_number,
            quality_rating: number.quality_rating,
            messaging_limit: number.messaging_limit,
            verified_name: number.verified_name,
        },
        token_last4: row.access_token_last4,
        token_fingerprint: row.access_token_fingerprint,
        token_status: word("tenant_whatsapp_config.token_status", &row.token_status)?,
        token_error_code: row.token_error_code,
        token_expires_at: row.token_expires_at,
        verified_at: row.verified_at,
        has_pin: row.pin.is_some(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }))
}

/// The sealed token, for the services that can open it.
pub(crate) fn get_sealed_token(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Vec<u8>, DbError> {
    Ok(config::table
        .filter(config::tenant_id.eq(tenant.as_str()))
        .select(config::access_token)
        .first(tx.conn())?)
}

/// Writes the tenant's configuration, new or in place of the one with this id.
pub(crate) fn upsert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    config_id: Uuid,
    account: &NewWhatsappAccount,
    token: &SealedToken,
) -> Result<(), DbError> {
    let proven = account.proven.as_ref();
    let status = proven.map_or(TokenStatus::Unknown, |_| TokenStatus::Valid);
    let values = (
        config::waba_id.eq(account.waba_id.as_str()),
        config::business_id.eq(account.business_id.as_ref().map(MetaId::as_str)),
        config::access_token.eq(&token.sealed),
        config::access_token_last4.eq(&token.last4),
        config::access_token_fingerprint.eq(&token.fingerprint),
        config::token_status.eq(status.as_str()),
        config::token_error_code.eq(None::<i64>),
        config::token_expires_at.eq(proven.and_then(|proven| proven.token_expires_at)),
        config::verified_at.eq(proven.map(|proven| proven.at)),
        config::pin.eq(token.sealed_pin.as_ref()),
        config::token_checked_at.eq(None::<DateTime<Utc>>),
        config::token_warned_days.eq(None::<i16>),
    );
    diesel::insert_into(config::table)
        .values((
            config::config_id.eq(config_id),
            config::tenant_id.eq(tenant.as_str()),
            values,
        ))
        .on_conflict(config::config_id)
        .do_update()
        .set((
            values,
            config::version.eq(config::version + 1),
            config::updated_at.eq(now),
        ))
        .execute(tx.conn())?;

    // What Meta said about the number stays with the number.
    let other = numbers::tenant_id
        .eq(tenant.as_str())
        .and(numbers::phone_number_id.ne(account.phone_number_id.as_str()));
    diesel::delete(numbers::table.filter(other)).execute(tx.conn())?;
    diesel::insert_into(numbers::table)
        .values((
            numbers::tenant_id.eq(tenant.as_str()),
            numbers::phone_number_id.eq(account.phone_number_id.as_str()),
            numbers::config_id.eq(config_id),
            numbers::display_phone_number.eq(account.display_phone_number.as_e164()),
            numbers::is_default.eq(true),
        ))
        .on_conflict((numbers::tenant_id, numbers::phone_number_id))
        .do_update()
        .set((
            numbers::display_phone_number.eq(account.display_phone_number.as_e164()),
            numbers::is_default.eq(true),
            numbers::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    match proven {
        Some(proven) => update_number(tx, tenant, proven),
        None => Ok(()),
    }
}

/// The sealed PIN, if one is kept.
pub(crate) fn get_sealed_pin(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
) -> Result<Option<Vec<u8>>, DbError> {
    let pin = config::table
        .filter(config::tenant_id.eq(tenant.as_str()))
        .select(config::pin)
        .first::<Option<Vec<u8>>>(tx.conn())
        .optional()?;
    Ok(pin.flatten())
}

/// Notes what Meta said of the default number.
fn update_number(tx: &mut Tx<'_>, tenant: &TenantId, proven: &Proven) -> Result<(), DbError> {
    let own = numbers::tenant_id
        .eq(tenant.as_str())
        .and(numbers::is_default);
    diesel::update(numbers::table.filter(own))
        .set((
            numbers::verified_name.eq(&proven.verified_name),
            numbers::quality_rating.eq(&proven.quality_rating),
            numbers::messaging_limit.eq(&proven.messaging_limit),
            numbers::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that Meta answered for everything at `proven.at`; false when the configuration is another
/// by now.
pub(crate) fn update_proven(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    fingerprint: &str,
    proven: &Proven,
) -> Result<bool, DbError> {
    let current = config::tenant_id
        .eq(tenant.as_str())
        .and(config::access_token_fingerprint.eq(fingerprint));
    let rows = diesel::update(config::table.filter(current))
        .set((
            config::verified_at.eq(proven.at),
            config::token_expires_at.eq(proven.token_expires_at),
        ))
        .execute(tx.conn())?;
    if rows == 1 {
        update_number(tx, tenant, proven)?;
    }
    Ok(rows == 1)
}

/// Removes the tenant's configuration with its numbers.
pub(crate) fn delete(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
    diesel::delete(config::table.filter(config::tenant_id.eq(tenant.as_str())))
        .execute(tx.conn())?;
    Ok(())
}

/// Notes what Meta made of the token at `seen_at`; false when the configuration is another by now:
/// written later, or for another WABA.
pub(crate) fn update_token_status(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    waba_id: &str,
    status: TokenStatus,
    error_code: Option<i64>,
    seen_at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let current = config::tenant_id
        .eq(tenant.as_str())
        .and(config::waba_id.eq(waba_id))
        .and(config::updated_at.lt(seen_at));
    let rows = diesel::update(config::table.filter(current))
        .set((
            config::token_status.eq(status.as_str()),
            config::token_error_code.eq(error_code),
            config::version.eq(config::version + 1),
            // Of two reports the later one counts, whatever their order of arrival.
            config::updated_at.eq(seen_at),
        ))
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Tenants at whose tokens nobody looked since `since`.
pub(crate) fn list_unchecked_any_tenant(
    tx: &mut Tx<'_>,
    since: DateTime<Utc>,
) -> Result<Vec<TenantId>, DbError> {
    let due = config::token_checked_at
        .is_null()
        .or(config::token_checked_at.le(since));
    let ids: Vec<String> = config::table
        .filter(due)
        .select(config::tenant_id)
        .order(config::tenant_id)
        .load(tx.conn())?;
    ids.iter()
        .map(|id| TenantId::parse(id).map_err(|error| DbError::Corrupt(error.to_string())))
        .collect()
}

/// Takes on to look at the token of an active tenant at `at`; false when somebody did since `since`.
pub(crate) fn claim_check(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    at: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<bool, DbError> {
    let active = tenants::table
        .filter(tenants::status.eq("active"))
        .select(tenants::tenant_id);
    let due = config::tenant_id
        .eq(tenant.as_str())
        .and(config::tenant_id.eq_any(active))
        .and(
            config::token_checked_at
                .is_null()
                .or(config::token_checked_at.le(since)),
        );
    let rows = diesel::update(config::table.filter(due))
        .set(config::token_checked_at.eq(at))
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Notes when the token ends and which warning of it is due; true when this warning was not given
/// before, nor a more urgent one.
pub(crate) fn update_token_end(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    fingerprint: &str,
    end: Option<DateTime<Utc>>,
    due_warning: Option<i16>,
) -> Result<bool, DbError> {
    let current = config::tenant_id
        .eq(tenant.as_str())
        .and(config::access_token_fingerprint.eq(fingerprint));
    let warned: Option<Option<i16>> = config::table
        .filter(current)
        .select(config::token_warned_days)
        .for_update()
        .first(tx.conn())
        .optional()?;
    let Some(warned) = warned else {
        return Ok(false);
    };
    let is_news = due_warning.is_some_and(|due| warned.is_none_or(|warned| due < warned));
    diesel::update(config::table.filter(current))
        .set((
            config::token_expires_at.eq(end),
            config::token_warned_days.eq(due_warning),
        ))
        .execute(tx.conn())?;
    Ok(is_news)
}

/// Puts a token in the place of the one with this fingerprint; false when that is another by now.
pub(crate) fn replace_token(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    was: &str,
    token: &SealedToken,
    end: Option<DateTime<Utc>>,
) -> Result<bool, DbError> {
    let current = config::tenant_id
        .eq(tenant.as_str())
        .and(config::access_token_fingerprint.eq(was));
    let rows = diesel::update(config::table.filter(current))
        .set((
            config::access_token.eq(&token.sealed),
            config::access_token_last4.eq(&token.last4),
            config::access_token_fingerprint.eq(&token.fingerprint),
            config::token_status.eq(TokenStatus::Valid.as_str()),
            config::token_error_code.eq(None::<i64>),
            config::token_expires_at.eq(end),
            config::token_warned_days.eq(None::<i16>),
            config::version.eq(config::version + 1),
            config::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(rows == 1)
}
