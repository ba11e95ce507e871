//! What this service keeps of a contact that is erased. Rows that billing and idempotency need stay,
//! without the contact and the content; wamids stay, so that what Meta repeats is known.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::erasures;
use portal_types::TenantId;
use serde_json::Value;
use uuid::Uuid;

/// Rows of each table.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

/// An erasure that waits for this service.
pub(crate) struct Due {
    pub(crate) identities: Vec<String>,
    pub(crate) before: DateTime<Utc>,
    /// Messages go because they were kept for long enough, and not the contact.
    pub(crate) is_of_age: bool,
}

/// Erasures of all tenants whose messages are still here.
pub(crate) fn due_any_tenant(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<(String, Uuid)>, DbError> {
    Ok(erasures::table
        .filter(erasures::sent_done_at.is_null())
        .order(erasures::requested_at)
        .limit(limit)
        .select((erasures::tenant_id, erasures::erasure_id))
        .load(tx.conn())?)
}

/// Locks an erasure that is still to be done, and that nobody else does.
pub(crate) fn lock_due(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
) -> Result<Option<Due>, DbError> {
    let found: Option<(Vec<Option<String>>, DateTime<Utc>, String)> = erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::erasure_id.eq(id))
        .filter(erasures::sent_done_at.is_null())
        .for_no_key_update()
        .skip_locked()
        .select((
            erasures::identities,
            erasures::requested_at,
            erasures::reason,
        ))
        .first(tx.conn())
        .optional()?;
    Ok(found.map(|(identities, before, reason)| Due {
        identities: identities.into_iter().flatten().collect(),
        before,
        is_of_age: reason == "retention",
    }))
}

/// Says that this service is done.
pub(crate) fn note_done(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
    counts: &Value,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let own = erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::erasure_id.eq(id));
    diesel::update(own)
        .set((
            erasures::sent_counts.eq(counts),
            erasures::sent_done_at.eq(at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// `$1` are identities, `$2` is the time up to which, `$3` a pattern that finds the contact in texts,
/// `$4` the identities as Meta writes them. The tenant's numbers tell its posts from those of others.
const OWN_NUMBERS: &str = "(SELECT n.phone_number_id FROM sending_numbers n WHERE n.tenant_id = app_tenant_id() \
     UNION SELECT i.phone_number_id FROM inbound_messages i WHERE i.tenant_id = app_tenant_id() \
        AND (i.contact = ANY ($1) OR i.user_id = ANY ($1)))";

/// What is still under way for the contact: it is erased when that has ended.
const UNDER_WAY: &str = "SELECT (SELECT count(*) FROM messages m WHERE m.tenant_id = app_tenant_id() \
        AND m.recipient = ANY ($1) AND m.accepted_at <= $2 \
        AND m.status IN ('scheduled', 'accepted', 'sending', 'retry_wait', 'unknown')) \
    + (SELECT count(*) FROM webhook_intake w WHERE w.state = 'pending' AND w.received_at <= $2 \
        AND encode(w.body, 'escape') ~ $3 AND $4 IS NOT NULL) AS n";

const STEPS: &[(&str, &str)] = &[
    (
        "messages",
        "UPDATE messages m SET recipient = 'erased', content = '{}', reply_to = NULL, request_id = NULL, \
            error = CASE WHEN m.error IS NOT NULL THEN jsonb_build_object('code', m.error -> 'code', \
                'title', 'erased', 'class', m.error -> 'class') END, \
            discarded_at = CASE WHEN m.status = 'failed' THEN coalesce(m.discarded_at, now()) ELSE m.discarded_at END, \
            erased_at = now() \
         WHERE m.tenant_id = app_tenant_id() AND m.recipient = ANY ($1) AND m.accepted_at <= $2 \
            AND $3 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "inbound_messages",
        "UPDATE inbound_messages i SET contact = 'erased', wa_id = NULL, user_id = NULL, profile_name = NULL, \
            username = NULL, payload = '{}', media_id = NULL, erased_at = now() \
         WHERE i.tenant_id = app_tenant_id() AND i.received_at <= $2 \
            AND (i.contact = ANY ($1) OR i.user_id = ANY ($1) OR i.wa_id = ANY ($4)) AND $3 IS NOT NULL",
    ),
    (
        "message_status_events",
        "UPDATE message_status_events s SET error = jsonb_build_object('code', s.error -> 'code', \
            'title', 'erased', 'class', s.error -> 'class') \
         FROM messages m WHERE s.tenant_id = app_tenant_id() AND s.error IS NOT NULL \
            AND m.tenant_id = s.tenant_id AND m.message_id = s.message_id AND m.erased_at = now() \
            AND $1 IS NOT NULL AND $2 IS NOT NULL AND $3 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "erased_messages",
        "INSERT INTO erased_messages (tenant_id, entry_id) \
         SELECT m.tenant_id, m.message_id FROM messages m \
            WHERE m.tenant_id = app_tenant_id() AND m.erased_at = now() \
         UNION ALL SELECT i.tenant_id, i.inbound_id FROM inbound_messages i \
            WHERE i.tenant_id = app_tenant_id() AND i.erased_at = now() \
            AND $1 IS NOT NULL AND $2 IS NOT NULL AND $3 IS NOT NULL AND $4 IS NOT NULL \
         ON CONFLICT DO NOTHING",
    ),
    (
        "outbox_events",
        "DELETE FROM outbox_events o WHERE o.tenant_id = app_tenant_id() AND o.created_at <= $2 \
            AND o.payload::text ~ $3 AND $1 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "dead_letters",
        "DELETE FROM dead_letters d WHERE d.tenant_id = app_tenant_id() AND d.received_at <= $2 \
            AND encode(d.body, 'escape') ~ $3 AND $1 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "idempotency_keys",
        "UPDATE idempotency_keys k SET response = regexp_replace(k.response::text, $3, '\\1erased\\3', 'g')::jsonb \
         WHERE k.tenant_id = app_tenant_id() AND k.created_at <= $2 AND k.response::text ~ $3 \
            AND $1 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "contact_windows",
        "DELETE FROM contact_windows c WHERE c.tenant_id = app_tenant_id() AND c.contact = ANY ($1) \
            AND c.last_inbound_at <= $2 AND $3 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "contact_preferences",
        "DELETE FROM contact_preferences c WHERE c.tenant_id = app_tenant_id() AND c.contact = ANY ($1) \
            AND c.changed_at <= $2 AND $3 IS NOT NULL AND $4 IS NOT NULL",
    ),
    (
        "contact_aliases",
        "DELETE FROM contact_aliases c WHERE c.tenant_id = app_tenant_id() AND c.seen_at <= $2 \
            AND (c.contact = ANY ($1) OR c.user_id = ANY ($1)) AND $3 IS NOT NULL AND $4 IS NOT NULL",
    ),
];

/// Whether something of the contact is still under way.
pub(crate) fn is_under_way(tx: &mut Tx<'_>, due: &Due) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = sql_types::BigInt)]
        n: i64,
    }
    let (pattern, written) = forms(&due.identities);
    let found: Number = diesel::sql_query(UNDER_WAY)
        .bind::<sql_types::Array<sql_types::Text>, _>(&due.identities)
        .bind::<sql_types::Timestamptz, _>(due.before)
        .bind::<sql_types::Text, _>(&pattern)
        .bind::<sql_types::Array<sql_types::Text>, _>(&written)
        .get_result(tx.conn())?;
    Ok(found.n > 0)
}

/// Erases the contact from this service's tables.
pub(crate) fn erase(tx: &mut Tx<'_>, due: &Due) -> Result<Counts, DbError> {
    let mut counts = Counts::new();
    if due.identities.is_empty() {
        // A pattern of nothing finds everything.
        return Ok(counts);
    }
    let (pattern, written) = forms(&due.identities);
    // While the contact's messages still tell the numbers that it wrote to.
    let posts = format!(
        "UPDATE webhook_intake w SET body = '' WHERE w.state <> 'pending' AND w.received_at <= $2 \
            AND encode(w.body, 'escape') ~ $3 AND $4 IS NOT NULL \
            AND EXISTS (SELECT FROM {OWN_NUMBERS} o WHERE position(convert_to(o.phone_number_id, 'UTF8') IN w.body) > 0)"
    );
    let statuses = format!(
        "DELETE FROM unmatched_statuses u WHERE u.received_at <= $2 AND u.payload::text ~ $3 \
            AND u.phone_number_id IN {OWN_NUMBERS} AND $4 IS NOT NULL"
    );
    let first = [
        ("webhook_intake", &*posts),
        ("unmatched_statuses", &*statuses),
    ];
    for (table, sql) in first.into_iter().chain(STEPS.iter().copied()) {
        // Who wanted no marketing years ago wants none today.
        if due.is_of_age && table == "contact_preferences" {
            continue;
        }
        let done = diesel::sql_query(sql)
            .bind::<sql_types::Array<sql_types::Text>, _>(&due.identities)
            .bind::<sql_types::Timestamptz, _>(due.before)
            .bind::<sql_types::Text, _>(&pattern)
            .bind::<sql_types::Array<sql_types::Text>, _>(&written)
            .execute(tx.conn())?;
        counts.insert(table, done);
    }
    Ok(counts)
}

/// A pattern that finds any of the identities in a text, and they as Meta writes them: numbers
/// without their plus.
fn forms(identities: &[String]) -> (String, Vec<String>) {
    let written: Vec<String> = identities
        .iter()
        .map(|identity| identity.trim_start_matches('+').to_owned())
        .collect();
    let quoted: Vec<String> = written.iter().map(|one| one.replace('.', "\\.")).collect();
    (
        format!("(^|[^0-9A-Za-z])({})([^0-9A-Za-z]|$)", quoted.join("|")),
        written,
    )
}
