//! Table `message_templates`.

use chrono::{DateTime, Utc};
use diesel::{pg::upsert::excluded, prelude::*};
use portal_db::{DbError, Tx, containing};
use portal_db_schema::schema::message_templates as templates;
use portal_service_kit::http::Page;
use serde_json::Value;

/// Rows of one statement: PostgreSQL takes 65,535 values.
const BATCH: usize = 500;

/// A template in one language.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = templates)]
pub(crate) struct TemplateRow {
    pub(crate) tenant_id: String,
    pub(crate) waba_id: String,
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) template_id: String,
    pub(crate) status: String,
    pub(crate) category: String,
    pub(crate) sub_category: Option<String>,
    pub(crate) is_named: bool,
    /// None while only a webhook told of the template.
    pub(crate) components: Option<Value>,
    pub(crate) quality: Option<String>,
    pub(crate) rejected_reason: Option<String>,
    pub(crate) status_reason: Option<String>,
    pub(crate) status_at: DateTime<Utc>,
    pub(crate) heard_at: DateTime<Utc>,
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) last_updated: Option<DateTime<Utc>>,
    pub(crate) synced_at: Option<DateTime<Utc>>,
    pub(crate) fetch_due: bool,
    pub(crate) gone_at: Option<DateTime<Utc>>,
}

/// Which templates to list; all words in capitals.
#[derive(Debug, Clone, Default)]
pub(crate) struct TemplateFilter {
    pub(crate) status: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) language: Option<String>,
    /// A part of the name.
    pub(crate) text: Option<String>,
}

/// The templates of an account that Meta has, by name and language, and how many there are.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    waba_id: &str,
    filter: &TemplateFilter,
    page: Page,
) -> Result<(Vec<TemplateRow>, i64), DbError> {
    let matching = || {
        let mut query = present(waba_id).into_boxed();
        if let Some(status) = &filter.status {
            query = query.filter(templates::status.eq(status.clone()));
        }
        if let Some(category) = &filter.category {
            query = query.filter(templates::category.eq(category.clone()));
        }
        if let Some(language) = &filter.language {
            query = query.filter(templates::language.eq(language.clone()));
        }
        if let Some(text) = &filter.text {
            query = query.filter(templates::name.ilike(containing(text)));
        }
        query
    };
    let total = matching().count().get_result(tx.conn())?;
    let rows = matching()
        .order((templates::name, templates::language))
        .limit(page.limit.into())
        .offset(page.offset.into())
        .select(TemplateRow::as_select())
        .load(tx.conn())?;
    Ok((rows, total))
}

/// All languages of a template.
pub(crate) fn list_languages(
    tx: &mut Tx<'_>,
    waba_id: &str,
    name: &str,
) -> Result<Vec<TemplateRow>, DbError> {
    Ok(present(waba_id)
        .filter(templates::name.eq(name))
        .order(templates::language)
        .select(TemplateRow::as_select())
        .load(tx.conn())?)
}

/// All templates of an account that Meta has.
pub(crate) fn list_all(tx: &mut Tx<'_>, waba_id: &str) -> Result<Vec<TemplateRow>, DbError> {
    Ok(present(waba_id)
        .select(TemplateRow::as_select())
        .load(tx.conn())?)
}

#[expect(clippy::elidable_lifetime_names, reason = "auto_type wants it named")]
#[diesel::dsl::auto_type]
fn present<'a>(waba_id: &'a str) -> _ {
    templates::table
        .filter(templates::waba_id.eq(waba_id))
        .filter(templates::gone_at.is_null())
        .filter(templates::components.is_not_null())
}

/// All rows of an account, gone ones too, locked until the transaction ends.
pub(crate) fn lock_all(tx: &mut Tx<'_>, waba_id: &str) -> Result<Vec<TemplateRow>, DbError> {
    Ok(templates::table
        .filter(templates::waba_id.eq(waba_id))
        .select(TemplateRow::as_select())
        .for_update()
        .load(tx.conn())?)
}

/// A template, locked until the transaction ends.
pub(crate) fn lock(
    tx: &mut Tx<'_>,
    waba_id: &str,
    name: &str,
    language: &str,
) -> Result<Option<TemplateRow>, DbError> {
    Ok(templates::table
        .filter(templates::waba_id.eq(waba_id))
        .filter(templates::name.eq(name))
        .filter(templates::language.eq(language))
        .select(TemplateRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// Ids of templates that are to be asked for.
pub(crate) fn list_fetch_due(
    tx: &mut Tx<'_>,
    waba_id: &str,
    limit: i64,
) -> Result<Vec<String>, DbError> {
    Ok(templates::table
        .filter(templates::waba_id.eq(waba_id))
        .filter(templates::fetch_due)
        .order(templates::status_at)
        .limit(limit)
        .select(templates::template_id)
        .load(tx.conn())?)
}

/// Writes these templates, new or in place of what was there.
pub(crate) fn upsert(tx: &mut Tx<'_>, rows: &[TemplateRow]) -> Result<(), DbError> {
    for batch in rows.chunks(BATCH) {
        diesel::insert_into(templates::table)
            .values(batch)
            .on_conflict((
                templates::tenant_id,
                templates::waba_id,
                templates::name,
                templates::language,
            ))
            .do_update()
            .set((
                templates::template_id.eq(excluded(templates::template_id)),
                templates::status.eq(excluded(templates::status)),
                templates::category.eq(excluded(templates::category)),
                templates::sub_category.eq(excluded(templates::sub_category)),
                templates::is_named.eq(excluded(templates::is_named)),
                templates::components.eq(excluded(templates::components)),
                templates::quality.eq(excluded(templates::quality)),
                templates::rejected_reason.eq(excluded(templates::rejected_reason)),
                templates::status_reason.eq(excluded(templates::status_reason)),
                templates::status_at.eq(excluded(templates::status_at)),
                templates::heard_at.eq(excluded(templates::heard_at)),
                templates::paused_until.eq(excluded(templates::paused_until)),
                templates::last_updated.eq(excluded(templates::last_updated)),
                templates::synced_at.eq(excluded(templates::synced_at)),
                templates::fetch_due.eq(excluded(templates::fetch_due)),
                templates::gone_at.eq(excluded(templates::gone_at)),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Forgets the templates of accounts that the tenant had before.
pub(crate) fn delete_of_others(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    diesel::delete(templates::table.filter(templates::waba_id.ne(waba_id))).execute(tx.conn())?;
    Ok(())
}

/// Meta does not have the template by this id: it is not asked for again.
pub(crate) fn clear_fetch_due(
    tx: &mut Tx<'_>,
    waba_id: &str,
    template_id: &str,
) -> Result<(), DbError> {
    let row = templates::table
        .filter(templates::waba_id.eq(waba_id))
        .filter(templates::template_id.eq(template_id));
    diesel::update(row)
        .set(templates::fetch_due.eq(false))
        .execute(tx.conn())?;
    Ok(())
}
