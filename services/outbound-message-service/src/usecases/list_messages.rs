//! Lists of messages.

use portal_db::{Db, DbError};
use portal_types::TenantId;

use crate::{
    domain::place::Place,
    store::{
        message_list::{self, MessageFilter},
        messages::MessageRow,
    },
};

/// A part of a list, and where it ended if there is more.
pub(crate) struct PageOf<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<Place>,
}

impl<T> PageOf<T> {
    /// Cuts what was read with one more than `limit`.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> Place) -> Self {
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| has_more).map(place);
        Self { items, next }
    }
}

/// A page of the tenant's messages, the newest first.
#[tracing::instrument(name = "usecase.list_messages", skip_all, fields(tenant.id = %tenant))]
pub(crate) async fn list_messages(
    db: &Db,
    tenant: &TenantId,
    filter: MessageFilter,
    after: Option<Place>,
    limit: u32,
) -> Result<PageOf<MessageRow>, DbError> {
    let read = i64::from(limit) + 1;
    let rows = db
        .read("list_messages", tenant, move |tx| {
            message_list::list(tx, &filter, after, read)
        })
        .await?;
    Ok(PageOf::cut(rows, limit, |row| Place(row.message_id)))
}
