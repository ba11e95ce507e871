//! What a dry run tells of a number and a contact.

use chrono::{DateTime, Utc};
use diesel::{OptionalExtension as _, QueryableByName, RunQueryDsl as _, sql_types};
use portal_db::{DbError, Tx};

/// More than this is not counted.
const COUNTED: i32 = 100_000;

/// What is known of a number and a contact.
#[derive(QueryableByName)]
pub(crate) struct Outlook {
    /// When the contact's customer service window ends or ended.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub(crate) window_expires_at: Option<DateTime<Utc>>,
    /// Whether that window is known to be closed.
    #[diesel(sql_type = sql_types::Bool)]
    pub(crate) window_is_closed: bool,
    /// Whether the contact wants no marketing.
    #[diesel(sql_type = sql_types::Bool)]
    pub(crate) has_stopped_marketing: bool,
    /// Messages a second that Meta lets the number send, if it said so.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub(crate) messages_per_second: Option<i32>,
    /// Why the number's sending waits, if it does.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) hold: Option<String>,
    /// Messages of the number that wait to be sent.
    #[diesel(sql_type = sql_types::BigInt)]
    pub(crate) waiting: i64,
}

/// What is known of a number of the transaction's tenant, and of a contact in the form of a
/// recipient.
pub(crate) fn find_outlook(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    contact: &str,
) -> Result<Option<Outlook>, DbError> {
    Ok(diesel::sql_query(concat!(
        "SELECT w.expires_at AS window_expires_at, coalesce(",
        window_is_closed!(),
        ", false) AS window_is_closed, ",
        has_stopped_marketing!("app_tenant_id()", "$2"),
        " AS has_stopped_marketing, n.messages_per_second, h.reason AS hold, \
             (SELECT count(*) FROM (SELECT FROM messages m WHERE m.tenant_id = app_tenant_id() \
                 AND m.phone_number_id = $1 AND m.status IN ('accepted', 'sending', 'retry_wait') \
                 LIMIT $3) q) AS waiting \
         FROM (SELECT $1 AS phone_number_id, $2 AS contact) a \
         LEFT JOIN contact_windows w USING (phone_number_id, contact) \
         LEFT JOIN sending_numbers n USING (phone_number_id) \
         LEFT JOIN sending_holds h USING (phone_number_id)"
    ))
    .bind::<sql_types::Text, _>(phone_number_id)
    .bind::<sql_types::Text, _>(contact)
    .bind::<sql_types::Integer, _>(COUNTED)
    .get_result(tx.conn())
    .optional()?)
}
