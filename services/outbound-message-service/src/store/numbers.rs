//! What Meta says of sending numbers.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::sending_numbers;

use super::{outcomes::NumberOfTenant, tenant_of};

/// Numbers that Meta was not asked about within the last hour.
pub(crate) fn list_unchecked_any_tenant(
    tx: &mut Tx<'_>,
    limit: i64,
) -> Result<Vec<NumberOfTenant>, DbError> {
    Ok(diesel::sql_query(
        "SELECT tenant_id, phone_number_id FROM sending_numbers \
         WHERE checked_at IS NULL OR checked_at < now() - interval '1 hour' \
         ORDER BY checked_at NULLS FIRST LIMIT $1",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .load(tx.conn())?)
}

/// Notes a number that Meta is to be asked about. Whether its inbound messages are seen here is not
/// known by that.
pub(crate) fn note(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<(), DbError> {
    diesel::insert_into(sending_numbers::table)
        .values((
            sending_numbers::tenant_id.eq(tenant_of(tx)),
            sending_numbers::phone_number_id.eq(phone_number_id),
            sending_numbers::tracked_since.eq(None::<DateTime<Utc>>),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// Lets Meta be asked about the number soon.
pub(crate) fn check_again(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<(), DbError> {
    note(tx, phone_number_id)?;
    diesel::update(sending_numbers::table.find((tenant_of(tx), phone_number_id)))
        .set(sending_numbers::checked_at.eq(None::<DateTime<Utc>>))
        .execute(tx.conn())?;
    Ok(())
}

/// Takes the asking upon this process; false when another one was faster.
pub(crate) fn claim_check(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<bool, DbError> {
    let rows = diesel::sql_query(
        "UPDATE sending_numbers SET checked_at = now() \
         WHERE tenant_id = $1 AND phone_number_id = $2 \
           AND (checked_at IS NULL OR checked_at < now() - interval '1 hour')",
    )
    .bind::<sql_types::Text, _>(tenant_of(tx))
    .bind::<sql_types::Text, _>(phone_number_id)
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// What Meta says of a number.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = sending_numbers, treat_none_as_null = true)]
pub(crate) struct NumberFacts {
    pub(crate) messages_per_second: Option<i32>,
    pub(crate) quality_rating: Option<String>,
    pub(crate) messaging_limit: Option<String>,
}

/// Keeps it; answers what was known before.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    facts: &NumberFacts,
) -> Result<NumberFacts, DbError> {
    let number = sending_numbers::table.find((tenant_of(tx), phone_number_id.to_owned()));
    let before = number
        .clone()
        .select(NumberFacts::as_select())
        .for_update()
        .first(tx.conn())?;
    diesel::update(number)
        .set((facts, sending_numbers::checked_at.eq(now)))
        .execute(tx.conn())?;
    Ok(before)
}
