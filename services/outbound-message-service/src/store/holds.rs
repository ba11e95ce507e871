//! Numbers whose sending waits.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::sending_holds;

use super::tenant_of;
use crate::domain::retry_policy::{HoldReason, hold_wait};

/// A number that waits.
#[derive(Queryable, Selectable)]
#[diesel(table_name = sending_holds)]
pub(crate) struct HoldRow {
    pub(crate) phone_number_id: String,
    pub(crate) reason: String,
    pub(crate) error_code: Option<i64>,
    pub(crate) probes: i32,
    pub(crate) since: DateTime<Utc>,
    pub(crate) next_probe_at: DateTime<Utc>,
}

/// The hold of a number.
pub(crate) fn find(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<Option<HoldRow>, DbError> {
    Ok(sending_holds::table
        .find((tenant_of(tx), phone_number_id))
        .select(HoldRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// All holds of the tenant, by number.
pub(crate) fn list(tx: &mut Tx<'_>) -> Result<Vec<HoldRow>, DbError> {
    Ok(sending_holds::table
        .filter(sending_holds::tenant_id.eq(tenant_of(tx)))
        .order(sending_holds::phone_number_id)
        .select(HoldRow::as_select())
        .load(tx.conn())?)
}

/// The hold of a number, locked so that one worker at a time probes it.
pub(crate) fn lock(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<Option<HoldRow>, DbError> {
    Ok(sending_holds::table
        .find((tenant_of(tx), phone_number_id))
        .select(HoldRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// Holds a number, or prolongs its hold; true when it was not held for this reason before.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    reason: HoldReason,
    error_code: Option<i64>,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let existing = lock(tx, phone_number_id)?;
    let same = existing.filter(|hold| hold.reason == reason.as_str());
    let probes = same.as_ref().map_or(0, |hold| hold.probes + 1);
    let next_probe_at = at + hold_wait(probes);
    let tenant_id = tenant_of(tx);
    diesel::insert_into(sending_holds::table)
        .values((
            sending_holds::tenant_id.eq(tenant_id),
            sending_holds::phone_number_id.eq(phone_number_id),
            sending_holds::reason.eq(reason.as_str()),
            sending_holds::error_code.eq(error_code),
            sending_holds::probes.eq(probes),
            sending_holds::next_probe_at.eq(next_probe_at),
        ))
        .on_conflict((sending_holds::tenant_id, sending_holds::phone_number_id))
        .do_update()
        .set((
            sending_holds::reason.eq(reason.as_str()),
            sending_holds::error_code.eq(error_code),
            sending_holds::probes.eq(probes),
            sending_holds::next_probe_at.eq(next_probe_at),
        ))
        .execute(tx.conn())?;
    Ok(same.is_none())
}

/// Keeps other workers from probing while this one does.
pub(crate) fn claim_probe(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    until: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(sending_holds::table.find((tenant_of(tx), phone_number_id)))
        .set(sending_holds::next_probe_at.eq(until))
        .execute(tx.conn())?;
    Ok(())
}

/// Ends the hold of a number; answers its reason when there was one.
pub(crate) fn release(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<Option<String>, DbError> {
    let hold = sending_holds::table.find((tenant_of(tx), phone_number_id));
    Ok(diesel::delete(hold)
        .returning(sending_holds::reason)
        .get_result(tx.conn())
        .optional()?)
}

/// Lets every hold of the tenant be probed at once: something about the tenant changed.
pub(crate) fn probe_now(tx: &mut Tx<'_>) -> Result<usize, DbError> {
    let of_tenant = sending_holds::table.filter(sending_holds::tenant_id.eq(tenant_of(tx)));
    Ok(diesel::update(of_tenant)
        .set(sending_holds::next_probe_at.eq(diesel::dsl::now))
        .execute(tx.conn())?)
}
