//! What is known of contacts: who they are, until when they can be written to freely, what they
//! chose; and of the numbers they write to.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{contact_aliases, contact_windows};

/// Who a user id is.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = contact_aliases)]
pub(crate) struct NewAlias {
    pub(crate) tenant_id: String,
    pub(crate) user_id: String,
    pub(crate) contact: String,
    pub(crate) source: &'static str,
    pub(crate) previous_user_id: Option<String>,
    pub(crate) previous_contact: Option<String>,
    pub(crate) seen_at: DateTime<Utc>,
}

/// Keeps what was shown; what is known already stays as it is.
pub(crate) fn insert_aliases(tx: &mut Tx<'_>, aliases: &[NewAlias]) -> Result<(), DbError> {
    if aliases.is_empty() {
        return Ok(());
    }
    diesel::insert_into(contact_aliases::table)
        .values(aliases)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// The contacts that stand for these user ids, by user id: the first that was seen with each.
pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    user_ids: &[String],
) -> Result<HashMap<String, String>, DbError> {
    if user_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String)> = contact_aliases::table
        .filter(contact_aliases::user_id.eq_any(user_ids))
        .order((
            contact_aliases::user_id,
            contact_aliases::seen_at,
            contact_aliases::contact,
        ))
        .distinct_on(contact_aliases::user_id)
        .select((contact_aliases::user_id, contact_aliases::contact))
        .load(tx.conn())?;
    Ok(rows.into_iter().collect())
}

/// Opens windows or keeps them open: number and contact with the time of the contact's latest
/// message. A time that is earlier than what is known changes nothing.
pub(crate) fn open_windows(
    tx: &mut Tx<'_>,
    latest: &BTreeMap<(String, String), DateTime<Utc>>,
) -> Result<(), DbError> {
    if latest.is_empty() {
        return Ok(());
    }
    let numbers: Vec<&str> = latest.keys().map(|(number, _)| &**number).collect();
    let contacts: Vec<&str> = latest.keys().map(|(_, contact)| &**contact).collect();
    let times: Vec<DateTime<Utc>> = latest.values().copied().collect();
    diesel::sql_query(
        "INSERT INTO contact_windows (tenant_id, phone_number_id, contact, last_inbound_at, expires_at) \
         SELECT app_tenant_id(), n, c, t, t + interval '24 hours' FROM unnest($1, $2, $3) AS l (n, c, t) \
         ON CONFLICT (tenant_id, phone_number_id, contact) DO UPDATE SET \
             last_inbound_at = excluded.last_inbound_at, expires_at = excluded.expires_at \
         WHERE contact_windows.last_inbound_at < excluded.last_inbound_at",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(numbers)
    .bind::<sql_types::Array<sql_types::Text>, _>(contacts)
    .bind::<sql_types::Array<sql_types::Timestamptz>, _>(times)
    .execute(tx.conn())?;
    Ok(())
}

/// A window of a contact with a number.
#[derive(Queryable, Selectable)]
#[diesel(table_name = contact_windows)]
pub(crate) struct WindowRow {
    pub(crate) phone_number_id: String,
    pub(crate) last_inbound_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// The windows of a contact, one for each number that it wrote to.
pub(crate) fn list_windows(tx: &mut Tx<'_>, contact: &str) -> Result<Vec<WindowRow>, DbError> {
    Ok(contact_windows::table
        .filter(contact_windows::contact.eq(contact))
        .order(contact_windows::phone_number_id)
        .select(WindowRow::as_select())
        .load(tx.conn())?)
}

/// When Meta last told something of a number, by its clock.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LastSeen {
    pub(crate) status_at: Option<DateTime<Utc>>,
    pub(crate) inbound_at: Option<DateTime<Utc>>,
}

/// Notes when Meta last told of each number; the first time makes it a number whose windows are
/// known here.
pub(crate) fn note_numbers(
    tx: &mut Tx<'_>,
    seen: &BTreeMap<String, LastSeen>,
) -> Result<(), DbError> {
    use sql_types::{Array, Nullable, Text, Timestamptz};
    if seen.is_empty() {
        return Ok(());
    }
    let numbers: Vec<&str> = seen.keys().map(String::as_str).collect();
    let statuses: Vec<_> = seen.values().map(|last| last.status_at).collect();
    let inbound: Vec<_> = seen.values().map(|last| last.inbound_at).collect();
    diesel::sql_query(
        "INSERT INTO sending_numbers AS s (tenant_id, phone_number_id, last_status_at, last_inbound_at) \
         SELECT app_tenant_id(), n, st, i FROM unnest($1, $2, $3) AS l (n, st, i) \
         ON CONFLICT (tenant_id, phone_number_id) DO UPDATE SET \
             last_status_at = greatest(s.last_status_at, excluded.last_status_at), \
             last_inbound_at = greatest(s.last_inbound_at, excluded.last_inbound_at) \
         WHERE greatest(s.last_status_at, excluded.last_status_at) IS DISTINCT FROM s.last_status_at \
            OR greatest(s.last_inbound_at, excluded.last_inbound_at) IS DISTINCT FROM s.last_inbound_at",
    )
    .bind::<Array<Text>, _>(numbers)
    .bind::<Array<Nullable<Timestamptz>>, _>(statuses)
    .bind::<Array<Nullable<Timestamptz>>, _>(inbound)
    .execute(tx.conn())?;
    Ok(())
}

/// Notes what a contact chose; true when that is news.
pub(crate) fn prefer(
    tx: &mut Tx<'_>,
    contact: &str,
    category: &str,
    value: &str,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    use sql_types::{Text, Timestamptz};
    let rows = diesel::sql_query(
        "INSERT INTO contact_preferences AS p (tenant_id, contact, category, value, changed_at) \
         VALUES (app_tenant_id(), $1, $2, $3, $4) \
         ON CONFLICT (tenant_id, contact, category) DO UPDATE SET \
             value = excluded.value, changed_at = excluded.changed_at \
         WHERE p.changed_at < excluded.changed_at",
    )
    .bind::<Text, _>(contact)
    .bind::<Text, _>(category)
    .bind::<Text, _>(value)
    .bind::<Timestamptz, _>(at)
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Whether a contact, in the form of a recipient, wants no marketing of the transaction's tenant.
pub(crate) fn has_stopped_marketing(tx: &mut Tx<'_>, contact: &str) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Stopped {
        #[diesel(sql_type = sql_types::Bool)]
        stopped: bool,
    }
    let found: Stopped = diesel::sql_query(concat!(
        "SELECT ",
        has_stopped_marketing!("app_tenant_id()", "$1"),
        " AS stopped"
    ))
    .bind::<sql_types::Text, _>(contact)
    .get_result(tx.conn())?;
    Ok(found.stopped)
}
