//! The outbox: what a transaction has to tell, committed with it and published afterwards.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db_schema::schema::{outbox_events, relay_leases};
use uuid::Uuid;

use crate::{DbError, OverRows, Tx};

/// A message to be published.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = outbox_events)]
pub struct NewOutboxEvent {
    /// The event's id, which is the broker message's id, too.
    pub event_id: Uuid,
    /// The service that publishes; the database checks that it is the one logged in.
    pub service: &'static str,
    /// The tenant that the event is about.
    pub tenant_id: String,
    /// The exchange, without the deployment's namespace.
    pub exchange: &'static str,
    /// The routing key.
    pub routing_key: String,
    /// The entity that the event is about: events of one subject leave in the order of commits.
    pub subject: String,
    /// The body.
    pub payload: serde_json::Value,
    /// W3C trace context of the cause.
    pub traceparent: Option<String>,
}

/// Adds messages to the transaction, in this order.
pub fn append<E: Borrow<NewOutboxEvent>>(tx: &mut Tx<'_>, events: &[E]) -> Result<(), DbError> {
    fn column<E: Borrow<NewOutboxEvent>, V>(
        events: &[E],
        of: impl Fn(&NewOutboxEvent) -> V,
    ) -> Vec<V> {
        events.iter().map(|event| of(event.borrow())).collect()
    }
    if events.is_empty() {
        return Ok(());
    }
    OverRows::new(
        "INSERT INTO outbox_events (event_id, service, tenant_id, exchange, routing_key, subject, \
             payload, traceparent) \
         SELECT e.event_id, e.service, e.tenant_id, e.exchange, e.routing_key, e.subject, \
             e.payload::jsonb, e.traceparent FROM",
        " WITH ORDINALITY AS e (event_id, service, tenant_id, exchange, routing_key, subject, \
             payload, traceparent, n) ORDER BY e.n",
    )
    .column(column(events, |event| event.event_id))
    .column(column(events, |event| event.service.to_owned()))
    .column(column(events, |event| event.tenant_id.clone()))
    .column(column(events, |event| event.exchange.to_owned()))
    .column(column(events, |event| event.routing_key.clone()))
    .column(column(events, |event| event.subject.clone()))
    .column(column(events, |event| event.payload.to_string()))
    .column(column(events, |event| event.traceparent.clone()))
    .execute(tx.conn())?;
    Ok(())
}

/// A message that waits to be published.
#[derive(Debug, Clone, Queryable)]
pub struct UnpublishedEvent {
    /// The event's id.
    pub event_id: Uuid,
    /// The tenant that the event is about.
    pub tenant_id: String,
    /// The exchange, without the deployment's namespace.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The body, as JSON: read here it would only be written again.
    pub payload: String,
    /// W3C trace context of the cause.
    pub traceparent: Option<String>,
    /// When it was committed, nearly.
    pub created_at: DateTime<Utc>,
}

/// Takes or keeps the right to publish for `service` until `seconds` from now; false when another
/// replica has it.
pub fn hold_relay_lease(
    tx: &mut Tx<'_>,
    service: &str,
    holder: Uuid,
    seconds: i32,
) -> Result<bool, DbError> {
    let rows = diesel::sql_query(
        "INSERT INTO relay_leases (service, holder, expires_at) \
         VALUES ($1, $2, now() + make_interval(secs => $3)) \
         ON CONFLICT (service) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
         WHERE relay_leases.holder = excluded.holder OR relay_leases.expires_at < now()",
    )
    .bind::<diesel::sql_types::Text, _>(service)
    .bind::<diesel::sql_types::Uuid, _>(holder)
    .bind::<diesel::sql_types::Integer, _>(seconds)
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Gives the right to publish back, so that another replica need not wait for its end.
pub fn release_relay_lease(tx: &mut Tx<'_>, holder: Uuid) -> Result<(), DbError> {
    diesel::update(relay_leases::table.filter(relay_leases::holder.eq(holder)))
        .set(relay_leases::expires_at.eq(diesel::dsl::now))
        .execute(tx.conn())?;
    Ok(())
}

/// The oldest messages of `service` that wait, of all tenants.
pub fn list_unpublished_any_tenant(
    tx: &mut Tx<'_>,
    service: &str,
    limit: i64,
) -> Result<Vec<UnpublishedEvent>, DbError> {
    Ok(outbox_events::table
        .filter(
            outbox_events::service
                .eq(service)
                .and(outbox_events::published_at.is_null()),
        )
        .order(outbox_events::seq)
        .limit(limit)
        .select((
            outbox_events::event_id,
            outbox_events::tenant_id,
            outbox_events::exchange,
            outbox_events::routing_key,
            diesel::dsl::sql::<diesel::sql_types::Text>("payload::text"),
            outbox_events::traceparent,
            outbox_events::created_at,
        ))
        .load(tx.conn())?)
}

/// Marks messages as confirmed by the broker.
pub fn mark_published_any_tenant(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    diesel::update(outbox_events::table.filter(outbox_events::event_id.eq_any(ids)))
        .set(outbox_events::published_at.eq(diesel::dsl::now))
        .execute(tx.conn())?;
    Ok(())
}

/// How many messages of `service` wait, and since when the oldest does.
pub fn backlog_any_tenant(
    tx: &mut Tx<'_>,
    service: &str,
) -> Result<(i64, Option<DateTime<Utc>>), DbError> {
    use diesel::dsl::{count_star, min};
    Ok(outbox_events::table
        .filter(
            outbox_events::service
                .eq(service)
                .and(outbox_events::published_at.is_null()),
        )
        .select((count_star(), min(outbox_events::created_at)))
        .first(tx.conn())?)
}

/// Forgets messages that were published before `before`; answers how many.
pub fn delete_published_any_tenant(
    tx: &mut Tx<'_>,
    service: &str,
    before: DateTime<Utc>,
) -> Result<usize, DbError> {
    Ok(diesel::delete(
        outbox_events::table.filter(
            outbox_events::service
                .eq(service)
                .and(outbox_events::published_at.lt(before)),
        ),
    )
    .execute(tx.conn())?)
}
