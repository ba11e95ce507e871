//! What Meta told of a tenant's business account.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{account_notices, sending_numbers};
use serde_json::Value;
use uuid::Uuid;

use super::tenant_of;

/// Something to be kept.
#[derive(Insertable)]
#[diesel(table_name = account_notices)]
pub(crate) struct NewNotice {
    pub(crate) notice_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) waba_id: String,
    pub(crate) field: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) payload: Value,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) received_at: DateTime<Utc>,
}

/// Keeps it; false when it was told before.
pub(crate) fn insert(tx: &mut Tx<'_>, notice: &NewNotice) -> Result<bool, DbError> {
    let rows = diesel::insert_into(account_notices::table)
        .values(notice)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Notes that limits of a number are others: the new messaging limit if it was told, and that Meta
/// is to be asked for the rest soon. Answers the number's quality and its limit before.
pub(crate) fn note_limit(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    limit: Option<&str>,
) -> Result<(Option<String>, Option<String>), DbError> {
    let tenant_id = tenant_of(tx);
    let before: Option<(Option<String>, Option<String>)> = sending_numbers::table
        .find((&tenant_id, phone_number_id))
        .select((
            sending_numbers::quality_rating,
            sending_numbers::messaging_limit,
        ))
        .for_update()
        .first(tx.conn())
        .optional()?;
    diesel::insert_into(sending_numbers::table)
        .values((
            sending_numbers::tenant_id.eq(&tenant_id),
            sending_numbers::phone_number_id.eq(phone_number_id),
            sending_numbers::tracked_since.eq(now),
            sending_numbers::messaging_limit.eq(limit),
        ))
        .on_conflict((sending_numbers::tenant_id, sending_numbers::phone_number_id))
        .do_update()
        .set((
            limit.map(|limit| sending_numbers::messaging_limit.eq(limit)),
            Some(sending_numbers::checked_at.eq(None::<DateTime<Utc>>)),
        ))
        .execute(tx.conn())?;
    Ok(before.unwrap_or_default())
}
