//! Lists of messages, the newest first.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::messages;
use uuid::Uuid;

use super::{messages::MessageRow, tenant_of};
use crate::domain::{
    MessageStatus,
    dead_letter::{LetterFilter, LetterState},
    place::{Place, first_id_since, last_id_until},
};

/// Which messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessageFilter {
    /// In the form of `messages.recipient`.
    pub(crate) recipient: Option<String>,
    pub(crate) status: Option<MessageStatus>,
    pub(crate) conversation_id: Option<Uuid>,
    /// Accepted from this moment on.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Accepted before this moment.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// A failed message, and when it was put aside.
pub(crate) type Failed = (MessageRow, Option<DateTime<Utc>>);

type Query = messages::BoxedQuery<'static, Pg>;

/// The tenant's messages between two moments.
fn between(tx: &Tx<'_>, since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Query {
    let tenant = tenant_of(tx);
    let mut query = messages::table
        .filter(messages::tenant_id.eq(tenant))
        .into_boxed();
    // By the id, which the indexes know; by the moment, which is exact.
    if let Some(since) = since {
        query = query
            .filter(messages::message_id.ge(first_id_since(since)))
            .filter(messages::accepted_at.ge(since));
    }
    if let Some(until) = until {
        query = query
            .filter(messages::message_id.lt(last_id_until(until)))
            .filter(messages::accepted_at.lt(until));
    }
    query
}

/// The newest of them, after a place.
fn newest(query: Query, after: Option<Place>, limit: i64) -> Query {
    let query = query.order(messages::message_id.desc()).limit(limit);
    match after {
        Some(Place(id)) => query.filter(messages::message_id.lt(id)),
        None => query,
    }
}

/// A page of the tenant's messages.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    filter: &MessageFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<MessageRow>, DbError> {
    let mut query = between(tx, filter.since, filter.until);
    if let Some(recipient) = &filter.recipient {
        query = query.filter(messages::recipient.eq(recipient.clone()));
    }
    if let Some(status) = filter.status {
        query = query.filter(messages::status.eq(status.as_str()));
    }
    if let Some(conversation) = filter.conversation_id {
        query = query.filter(messages::conversation_id.eq(conversation));
    }
    Ok(newest(query, after, limit)
        .select(MessageRow::as_select())
        .load(tx.conn())?)
}

/// A page of the tenant's failed messages, each with when it was put aside.
pub(crate) fn list_failed(
    tx: &mut Tx<'_>,
    filter: &LetterFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Failed>, DbError> {
    Ok(newest(failed(tx, filter), after, limit)
        .select((MessageRow::as_select(), messages::discarded_at))
        .load(tx.conn())?)
}

/// The ids of the tenant's failed messages, the oldest first: in the order of their lanes.
pub(crate) fn list_failed_ids(
    tx: &mut Tx<'_>,
    filter: &LetterFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Uuid>, DbError> {
    let mut query = failed(tx, filter);
    if let Some(Place(id)) = after {
        query = query.filter(messages::message_id.gt(id));
    }
    Ok(query
        .order(messages::message_id)
        .limit(limit)
        .select(messages::message_id)
        .load(tx.conn())?)
}

/// How many of the tenant's failed messages come after a place, from the oldest on.
pub(crate) fn count_failed(
    tx: &mut Tx<'_>,
    filter: &LetterFilter,
    Place(id): Place,
) -> Result<i64, DbError> {
    Ok(failed(tx, filter)
        .filter(messages::message_id.gt(id))
        .count()
        .get_result(tx.conn())?)
}

fn failed(tx: &Tx<'_>, filter: &LetterFilter) -> Query {
    let mut query = between(tx, filter.since, filter.until).filter(messages::status.eq("failed"));
    query = match filter.state {
        LetterState::Discarded => query.filter(messages::discarded_at.is_not_null()),
        LetterState::Open | LetterState::Replayed => query.filter(messages::discarded_at.is_null()),
    };
    if let Some(class) = &filter.class {
        let found = messages::error.retrieve_as_text("class");
        query = query.filter(found.eq(class.clone()));
    }
    if let Some(code) = filter.code {
        let found = messages::error.retrieve_as_text("code");
        query = query.filter(found.eq(code.to_string()));
    }
    query
}

/// Puts a failed message aside; false when it is not failed or was put aside before.
pub(crate) fn discard_failed(tx: &mut Tx<'_>, message_id: Uuid) -> Result<bool, DbError> {
    let rows = diesel::update(
        messages::table
            .find(message_id)
            .filter(messages::status.eq("failed"))
            .filter(messages::discarded_at.is_null()),
    )
    .set(messages::discarded_at.eq(diesel::dsl::now))
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// A failed message of the tenant, with when it was put aside.
pub(crate) fn find_failed(tx: &mut Tx<'_>, message_id: Uuid) -> Result<Option<Failed>, DbError> {
    Ok(messages::table
        .find(message_id)
        .filter(messages::status.eq("failed"))
        .select((MessageRow::as_select(), messages::discarded_at))
        .first(tx.conn())
        .optional()?)
}
