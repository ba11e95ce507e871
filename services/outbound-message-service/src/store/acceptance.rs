//! Writing accepted messages, of several tenants in one transaction.

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, RunQueryDsl as _, sql_types};
use portal_db::{CrossTenantPath, DbError, OverRows, Scope, Tx};
use uuid::Uuid;

/// The one who adds messages of all tenants.
pub(crate) const ACCEPTOR: Scope = Scope::CrossTenant(CrossTenantPath::MessageAcceptor);

/// A message to be accepted.
#[derive(Debug)]
pub(crate) struct NewMessage {
    pub(crate) message_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) conversation_id: Uuid,
    pub(crate) phone_number_id: String,
    pub(crate) from_number: String,
    pub(crate) recipient: String,
    pub(crate) type_: String,
    /// JSON, as Meta gets it.
    pub(crate) content: String,
    pub(crate) reply_to: Option<String>,
    pub(crate) send_class: &'static str,
    pub(crate) sent_by_kind: &'static str,
    pub(crate) sent_by: String,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    /// When it is to be sent; at once without.
    pub(crate) send_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) accepted_at: DateTime<Utc>,
    /// Whether it may only be sent within the contact's customer service window.
    pub(crate) needs_window: bool,
    /// Whether it may only be sent to a contact who takes marketing.
    pub(crate) is_marketing: bool,
}

/// A key with the answer that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub(crate) tenant_id: String,
    pub(crate) key: String,
    pub(crate) fingerprint: Vec<u8>,
    /// JSON.
    pub(crate) response: String,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A key that was used before.
#[derive(QueryableByName)]
pub(crate) struct StoredKey {
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) tenant_id: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) key: String,
    #[diesel(sql_type = sql_types::Binary)]
    pub(crate) fingerprint: Vec<u8>,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub(crate) response: serde_json::Value,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = sql_types::Integer)]
    place: i32,
}

/// Which of the rows that were asked for; those beyond `usize` there are none.
fn found(places: &[Place]) -> Vec<usize> {
    let places = places.iter();
    places
        .filter_map(|found| usize::try_from(found.place).ok())
        .collect()
}

/// A window that is known to be closed.
#[derive(QueryableByName)]
pub(crate) struct ClosedWindow {
    #[diesel(sql_type = sql_types::Integer)]
    place: i32,
    /// Nothing when the contact never wrote.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub(crate) expired_at: Option<DateTime<Utc>>,
}

impl ClosedWindow {
    /// Which of the messages asked for.
    pub(crate) fn place(&self) -> usize {
        usize::try_from(self.place).unwrap_or(usize::MAX)
    }
}

fn column<R, V>(rows: &[R], of: impl Fn(&R) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

fn places(count: usize) -> Vec<i32> {
    (0..i32::try_from(count).unwrap_or(i32::MAX)).collect()
}

/// Writes messages that are due at once, or at their time, in this order.
///
/// Due by the database's clock: by that of a host that is ahead, a quick worker would find them not
/// due yet.
pub(crate) fn insert_messages_any_tenant(
    tx: &mut Tx<'_>,
    messages: &[&NewMessage],
) -> Result<(), DbError> {
    if messages.is_empty() {
        return Ok(());
    }
    OverRows::new(
        "INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, \
             recipient, type, content, reply_to, status, send_class, sent_by_kind, sent_by, request_id, \
             traceparent, send_at, expires_at, accepted_at, updated_at, next_attempt_at) \
         SELECT m.message_id, m.tenant_id, m.conversation_id, m.phone_number_id, m.from_number, \
             m.recipient, m.type, m.content::jsonb, m.reply_to, \
             CASE WHEN m.send_at IS NULL THEN 'accepted' ELSE 'scheduled' END, m.send_class, \
             m.sent_by_kind, m.sent_by, m.request_id, m.traceparent, m.send_at, m.expires_at, \
             m.accepted_at, m.accepted_at, coalesce(m.send_at, now()) FROM",
        " WITH ORDINALITY AS m (message_id, tenant_id, conversation_id, phone_number_id, from_number, \
             recipient, type, content, reply_to, send_class, sent_by_kind, sent_by, request_id, \
             traceparent, send_at, expires_at, accepted_at, n) ORDER BY m.n",
    )
    .column(column(messages, |m| m.message_id))
    .column(column(messages, |m| m.tenant_id.clone()))
    .column(column(messages, |m| m.conversation_id))
    .column(column(messages, |m| m.phone_number_id.clone()))
    .column(column(messages, |m| m.from_number.clone()))
    .column(column(messages, |m| m.recipient.clone()))
    .column(column(messages, |m| m.type_.clone()))
    .column(column(messages, |m| m.content.clone()))
    .column(column(messages, |m| m.reply_to.clone()))
    .column(column(messages, |m| m.send_class.to_owned()))
    .column(column(messages, |m| m.sent_by_kind.to_owned()))
    .column(column(messages, |m| m.sent_by.clone()))
    .column(column(messages, |m| m.request_id.clone()))
    .column(column(messages, |m| m.traceparent.clone()))
    .column(column(messages, |m| m.send_at))
    .column(column(messages, |m| m.expires_at))
    .column(column(messages, |m| m.accepted_at))
    .execute(tx.conn())?;
    Ok(())
}

/// Those of the messages whose window is known to be closed, where the tenant does not leave that to
/// Meta.
pub(crate) fn list_closed_windows_any_tenant(
    tx: &mut Tx<'_>,
    messages: &[&NewMessage],
) -> Result<Vec<ClosedWindow>, DbError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let query = OverRows::new(
        "SELECT m.place, w.expires_at AS expired_at FROM",
        concat!(
            " AS m (place, tenant_id, phone_number_id, contact) \
             LEFT JOIN contact_windows w USING (tenant_id, phone_number_id, contact) \
             LEFT JOIN sending_numbers n USING (tenant_id, phone_number_id) \
             LEFT JOIN sending_policies p USING (tenant_id) \
             WHERE coalesce(p.window_policy, 'enforce') = 'enforce' AND ",
            window_is_closed!()
        ),
    );
    Ok(query
        .column(places(messages.len()))
        .column(column(messages, |m| m.tenant_id.clone()))
        .column(column(messages, |m| m.phone_number_id.clone()))
        .column(column(messages, |m| m.recipient.clone()))
        .load(tx.conn())?)
}

/// Places of those of the messages whose contact wants no marketing.
pub(crate) fn list_stopped_marketing_any_tenant(
    tx: &mut Tx<'_>,
    messages: &[&NewMessage],
) -> Result<Vec<usize>, DbError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let query = OverRows::new(
        "SELECT m.place FROM",
        concat!(
            " AS m (place, tenant_id, contact) WHERE ",
            has_stopped_marketing!("m.tenant_id", "m.contact")
        ),
    );
    let stopped: Vec<Place> = query
        .column(places(messages.len()))
        .column(column(messages, |m| m.tenant_id.clone()))
        .column(column(messages, |m| m.recipient.clone()))
        .load(tx.conn())?;
    Ok(found(&stopped))
}

/// What stands under the keys, as far as it has not expired.
pub(crate) fn list_keys_any_tenant(
    tx: &mut Tx<'_>,
    keys: &[&NewKey],
) -> Result<Vec<StoredKey>, DbError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let query = OverRows::new(
        "SELECT k.tenant_id, k.key, k.fingerprint, k.response FROM",
        " AS m (tenant_id, key) JOIN idempotency_keys k USING (tenant_id, key) \
         WHERE k.expires_at >= now()",
    );
    Ok(query
        .column(column(keys, |k| k.tenant_id.clone()))
        .column(column(keys, |k| k.key.clone()))
        .load(tx.conn())?)
}

/// Claims keys; answers the places of those that are ours now. The others were taken by somebody who
/// committed meanwhile.
///
/// Waits for a concurrent transaction that has the same key; `keys` must be sorted, so that two do
/// not wait for each other.
pub(crate) fn claim_keys_any_tenant(
    tx: &mut Tx<'_>,
    keys: &[&NewKey],
) -> Result<Vec<usize>, DbError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    OverRows::new(
        "DELETE FROM idempotency_keys k USING",
        " AS m (tenant_id, key) \
         WHERE k.tenant_id = m.tenant_id AND k.key = m.key AND k.expires_at < now()",
    )
    .column(column(keys, |k| k.tenant_id.clone()))
    .column(column(keys, |k| k.key.clone()))
    .execute(tx.conn())?;
    let claim = OverRows::new(
        "WITH m AS MATERIALIZED (SELECT * FROM",
        " AS u (place, tenant_id, key, fingerprint, response, expires_at)), \
         claimed AS ( \
             INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status_code, response, expires_at) \
             SELECT tenant_id, key, fingerprint, 202, response::jsonb, expires_at FROM m ORDER BY place \
             ON CONFLICT DO NOTHING RETURNING tenant_id, key) \
         SELECT m.place FROM m JOIN claimed USING (tenant_id, key)",
    );
    let claimed: Vec<Place> = claim
        .column(places(keys.len()))
        .column(column(keys, |k| k.tenant_id.clone()))
        .column(column(keys, |k| k.key.clone()))
        .column(column(keys, |k| k.fingerprint.clone()))
        .column(column(keys, |k| k.response.clone()))
        .column(column(keys, |k| k.expires_at))
        .load(tx.conn())?;
    Ok(found(&claimed))
}
