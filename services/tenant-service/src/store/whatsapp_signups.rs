//! Table `whatsapp_signups`.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::whatsapp_signups as signups;
use portal_types::TenantId;
use serde_json::Value;
use uuid::Uuid;

use super::word;
use crate::domain::whatsapp_signup::{Signup, SignupStatus, Verdict};

/// The constraint that a tenant has one signup under way.
pub(crate) const ONE_OPEN: &str = "whatsapp_signups_one_open";

#[derive(Queryable, Selectable)]
#[diesel(table_name = signups)]
struct SignupRow {
    signup_id: Uuid,
    status: String,
    waba_id: String,
    phone_number_id: Option<String>,
    business_id: Option<String>,
    token_expires_at: Option<DateTime<Utc>>,
    test_recipient: Option<String>,
    steps: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The secrets of a signup, sealed.
#[derive(Default)]
pub(crate) struct SealedSecrets {
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) pin: Option<Vec<u8>>,
}

fn to_steps(steps: &[Verdict]) -> Result<Value, DbError> {
    serde_json::to_value(steps).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// The tenant's latest signup.
pub(crate) fn find_latest(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Signup>, DbError> {
    let row = signups::table
        .filter(signups::tenant_id.eq(tenant.as_str()))
        .order((signups::created_at.desc(), signups::signup_id.desc()))
        .select(SignupRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| {
        let steps = serde_json::from_value(row.steps)
            .map_err(|error| DbError::Corrupt(format!("whatsapp_signups.steps: {error}")))?;
        Ok(Signup {
            signup_id: row.signup_id,
            status: word("whatsapp_signups.status", &row.status)?,
            waba_id: row.waba_id,
            phone_number_id: row.phone_number_id,
            business_id: row.business_id,
            token_expires_at: row.token_expires_at,
            test_recipient: row.test_recipient,
            steps,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    })
    .transpose()
}

/// The sealed secrets of a signup.
pub(crate) fn get_secrets(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    signup_id: Uuid,
) -> Result<SealedSecrets, DbError> {
    let own = signups::tenant_id
        .eq(tenant.as_str())
        .and(signups::signup_id.eq(signup_id));
    let (token, pin) = signups::table
        .filter(own)
        .select((signups::access_token, signups::pin))
        .first(tx.conn())?;
    Ok(SealedSecrets { token, pin })
}

/// Adds a signup, held by the caller.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    signup: &Signup,
    created_by: &str,
    sealed_pin: Option<Vec<u8>>,
    lease: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(signups::table)
        .values((
            signups::signup_id.eq(signup.signup_id),
            signups::tenant_id.eq(tenant.as_str()),
            signups::waba_id.eq(&signup.waba_id),
            signups::phone_number_id.eq(&signup.phone_number_id),
            signups::business_id.eq(&signup.business_id),
            signups::pin.eq(sealed_pin),
            signups::test_recipient.eq(&signup.test_recipient),
            signups::created_by.eq(created_by),
            signups::created_at.eq(signup.created_at),
            signups::updated_at.eq(signup.created_at),
            signups::lease_until.eq(lease),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes a signup for the caller until `lease`; false when somebody else has it, or it has ended.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    signup_id: Uuid,
    at: DateTime<Utc>,
    lease: DateTime<Utc>,
) -> Result<bool, DbError> {
    let own = signups::tenant_id
        .eq(tenant.as_str())
        .and(signups::signup_id.eq(signup_id))
        .and(signups::status.eq(SignupStatus::Open.as_ref()));
    let free = signups::lease_until
        .is_null()
        .or(signups::lease_until.lt(at));
    let rows = diesel::update(signups::table.filter(own).filter(free))
        .set(signups::lease_until.eq(lease))
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// What is written of a signup by who holds it.
pub(crate) struct Progress<'a> {
    pub(crate) signup: &'a Signup,
    /// The lease by which it is held, and the one that follows; without one it is let go.
    pub(crate) lease: (DateTime<Utc>, Option<DateTime<Utc>>),
    /// Those that are present replace the stored ones.
    pub(crate) secrets: SealedSecrets,
    /// The stored PIN is of no use.
    pub(crate) forget_pin: bool,
}

/// Writes progress; false when the signup is held by somebody else by now.
pub(crate) fn write(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    progress: Progress<'_>,
) -> Result<bool, DbError> {
    let Progress {
        signup,
        lease: (held, next),
        secrets,
        forget_pin,
    } = progress;
    let own = signups::tenant_id
        .eq(tenant.as_str())
        .and(signups::signup_id.eq(signup.signup_id))
        .and(signups::status.eq(SignupStatus::Open.as_ref()))
        .and(signups::lease_until.eq(held));
    let rows = diesel::update(signups::table.filter(own))
        .set((
            signups::status.eq(signup.status.as_ref()),
            signups::phone_number_id.eq(&signup.phone_number_id),
            signups::token_expires_at.eq(signup.token_expires_at),
            signups::test_recipient.eq(&signup.test_recipient),
            signups::steps.eq(to_steps(&signup.steps)?),
            signups::lease_until.eq(next),
            signups::updated_at.eq(now),
            secrets.token.map(|token| signups::access_token.eq(token)),
            secrets.pin.map(|pin| signups::pin.eq(pin)),
        ))
        .execute(tx.conn())?;
    if rows == 1 && forget_pin {
        let row = signups::table.filter(signups::signup_id.eq(signup.signup_id));
        diesel::update(row)
            .set(signups::pin.eq(None::<Vec<u8>>))
            .execute(tx.conn())?;
    }
    if rows == 1 && signup.status != SignupStatus::Open {
        forget_secrets(tx, signup.signup_id)?;
    }
    Ok(rows == 1)
}

/// Ends an open signup for good, whoever holds it; false when none is open.
pub(crate) fn abandon(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Uuid>, DbError> {
    let open = signups::tenant_id
        .eq(tenant.as_str())
        .and(signups::status.eq(SignupStatus::Open.as_ref()));
    let ended: Option<Uuid> = diesel::update(signups::table.filter(open))
        .set((
            signups::status.eq(SignupStatus::Abandoned.as_ref()),
            signups::updated_at.eq(now),
        ))
        .returning(signups::signup_id)
        .get_result(tx.conn())
        .optional()?;
    if let Some(signup_id) = ended {
        forget_secrets(tx, signup_id)?;
    }
    Ok(ended)
}

/// An ended signup keeps no secret and no number of anybody.
fn forget_secrets(tx: &mut Tx<'_>, signup_id: Uuid) -> Result<(), DbError> {
    diesel::update(signups::table.filter(signups::signup_id.eq(signup_id)))
        .set((
            signups::access_token.eq(None::<Vec<u8>>),
            signups::pin.eq(None::<Vec<u8>>),
            signups::test_recipient.eq(None::<String>),
            signups::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(tx.conn())?;
    Ok(())
}
