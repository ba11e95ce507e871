//! Looking at dead letters.

use portal_db::{Db, DbError};
use portal_types::TenantId;
use uuid::Uuid;

use super::Letter;
use crate::{
    domain::{dead_letter::LetterFilter, place::Place},
    store::{dead_letters, message_list},
    usecases::list_messages::PageOf,
};

/// A page of the tenant's dead letters, the newest first.
#[tracing::instrument(name = "usecase.list_dead_letters", skip_all, fields(tenant.id = %tenant))]
pub(crate) async fn list_letters(
    db: &Db,
    tenant: &TenantId,
    filter: LetterFilter,
    after: Option<Place>,
    limit: u32,
) -> Result<PageOf<Letter>, DbError> {
    let read = i64::from(limit) + 1;
    let letters = db
        .read("list_dead_letters", tenant, move |tx| {
            let mut letters = Vec::new();
            if filter.wants_messages() {
                let rows = message_list::list_failed(tx, &filter, after, read)?;
                letters.extend(rows.into_iter().map(|(row, discarded_at)| Letter::Message {
                    row: Box::new(row),
                    discarded_at,
                }));
            }
            if filter.wants_deliveries() {
                let rows = dead_letters::list(tx, &filter, after, read)?;
                letters.extend(rows.into_iter().map(Box::new).map(Letter::Delivery));
            }
            letters.sort_by_key(|letter| std::cmp::Reverse(letter.id()));
            Ok::<_, DbError>(letters)
        })
        .await?;
    Ok(PageOf::cut(letters, limit, |letter| Place(letter.id())))
}

/// A dead letter of the tenant.
#[tracing::instrument(name = "usecase.find_dead_letter", skip_all, fields(tenant.id = %tenant))]
pub(crate) async fn find_letter(
    db: &Db,
    tenant: &TenantId,
    id: Uuid,
) -> Result<Option<Letter>, DbError> {
    db.read("find_dead_letter", tenant, move |tx| {
        if let Some((row, discarded_at)) = message_list::find_failed(tx, id)? {
            return Ok(Some(Letter::Message {
                row: Box::new(row),
                discarded_at,
            }));
        }
        let row = dead_letters::find(tx, id)?;
        Ok(row.map(Box::new).map(Letter::Delivery))
    })
    .await
}
