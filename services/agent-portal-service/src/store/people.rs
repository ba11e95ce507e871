//! `genesys_users`, as administrators and syncs look after them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, not},
    prelude::*,
};
use portal_db::{DbError, Tx, containing};
use portal_db_schema::schema::genesys_users as users;
use portal_types::{Role, TenantId, UserId};
use uuid::Uuid;

use super::users::UserRow;
use crate::domain::{DeactivatedBy, User};

/// Which people a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeopleFilter {
    pub(crate) role: Option<Role>,
    pub(crate) is_active: Option<bool>,
    /// Part of the name or of the e-mail.
    pub(crate) text: Option<String>,
    /// The last one of the page before, by name and id.
    pub(crate) after: Option<(String, UserId)>,
}

/// A page of people by name, and how many there are in all.
pub(crate) fn list_people(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    filter: &PeopleFilter,
    limit: i64,
) -> Result<(Vec<User>, i64), DbError> {
    let matching = || {
        let mut query = users::table
            .filter(users::tenant_id.eq(tenant_id.to_string()))
            .into_boxed();
        if let Some(role) = filter.role {
            query = query.filter(users::role.eq(role.as_str()));
        }
        if let Some(is_active) = filter.is_active {
            query = query.filter(users::is_active.eq(is_active));
        }
        if let Some(text) = &filter.text {
            let pattern = containing(text);
            query = query.filter(
                users::name
                    .ilike(pattern.clone())
                    .or(users::genesys_email.ilike(pattern).assume_not_null()),
            );
        }
        query
    };
    let total = matching().select(count_star()).get_result(tx.conn())?;
    let mut page = matching();
    if let Some((name, user_id)) = &filter.after {
        let later = users::name.gt(name.clone()).or(users::name
            .eq(name.clone())
            .and(users::user_id.gt(user_id.as_uuid())));
        page = page.filter(later);
    }
    let rows: Vec<UserRow> = page
        .order((users::name, users::user_id))
        .limit(limit)
        .select(UserRow::as_select())
        .load(tx.conn())?;
    let people = rows.into_iter().map(User::try_from);
    Ok((people.collect::<Result<_, _>>()?, total))
}

/// The user, locked until the end of the transaction.
pub(crate) fn lock_user(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    user_id: UserId,
) -> Result<Option<User>, DbError> {
    users::table
        .filter(users::tenant_id.eq(tenant_id.as_str()))
        .filter(users::user_id.eq(user_id.as_uuid()))
        .select(UserRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?
        .map(User::try_from)
        .transpose()
}

/// Active administrators of the tenant, who have been here, locked until the end of the transaction: of two changes at
/// once the second sees what the first made.
pub(crate) fn lock_active_admins(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
) -> Result<Vec<UserId>, DbError> {
    let ids: Vec<Uuid> = users::table
        .filter(users::tenant_id.eq(tenant_id.as_str()))
        .filter(users::role.eq(Role::Admin.as_str()))
        .filter(users::is_active.and(not(users::is_placeholder)))
        .order(users::user_id)
        .select(users::user_id)
        .for_update()
        .load(tx.conn())?;
    Ok(ids.into_iter().map(UserId::from).collect())
}

/// Writes the role and whether it is an administrator's word.
pub(crate) fn set_role(tx: &mut Tx<'_>, user: &User, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(row(user))
        .set((
            users::role.eq(user.role.as_str()),
            users::role_override.eq(user.role_override.map(Role::as_str)),
            users::role_changed_at.eq(now),
            users::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Switches the person off, in somebody's name.
pub(crate) fn deactivate(
    tx: &mut Tx<'_>,
    user: &User,
    by: DeactivatedBy,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(row(user))
        .set((
            users::is_active.eq(false),
            users::deactivated_at.eq(now),
            users::deactivated_by.eq(by.as_str()),
            users::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Lets the person sign in again.
pub(crate) fn reactivate(tx: &mut Tx<'_>, user: &User, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(row(user))
        .set((
            users::is_active.eq(true),
            users::deactivated_at.eq(None::<DateTime<Utc>>),
            users::deactivated_by.eq(None::<String>),
            users::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

type One<'a> = diesel::dsl::Filter<
    diesel::dsl::Filter<users::table, diesel::dsl::Eq<users::tenant_id, &'a str>>,
    diesel::dsl::Eq<users::user_id, Uuid>,
>;

fn row(user: &User) -> One<'_> {
    users::table
        .filter(users::tenant_id.eq(user.tenant_id.as_str()))
        .filter(users::user_id.eq(user.user_id.as_uuid()))
}

/// Notes that the run saw these people of Genesys.
pub(crate) fn mark_seen(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
    genesys_user_ids: &[String],
) -> Result<(), DbError> {
    let seen = users::table
        .filter(users::tenant_id.eq(tenant_id.as_str()))
        .filter(users::genesys_user_id.eq_any(genesys_user_ids));
    diesel::update(seen)
        .set(users::seen_in_run.eq(run_id))
        .execute(tx.conn())?;
    Ok(())
}

/// Active people that the run has not seen, by Genesys' id, after `after`. Genesys knows no placeholders, which
/// says nothing about those who come.
pub(crate) fn list_unseen(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, DbError> {
    Ok(users::table
        .filter(users::tenant_id.eq(tenant_id.as_str()))
        .filter(users::is_active.and(not(users::is_placeholder)))
        .filter(users::seen_in_run.is_distinct_from(run_id))
        .filter(users::genesys_user_id.gt(after))
        .order(users::genesys_user_id)
        .limit(limit)
        .select(users::genesys_user_id)
        .load(tx.conn())?)
}

/// How many people are active, and how many there are; placeholders are not active yet.
pub(crate) fn count_people(tx: &mut Tx<'_>, tenant_id: &TenantId) -> Result<(i64, i64), DbError> {
    let of_tenant = || users::table.filter(users::tenant_id.eq(tenant_id.to_string()));
    let active = of_tenant()
        .filter(users::is_active.and(not(users::is_placeholder)))
        .count();
    Ok((
        active.get_result(tx.conn())?,
        of_tenant().count().get_result(tx.conn())?,
    ))
}

/// Which of these people of Genesys another tenant has. Across tenants, as at a sign-in.
pub(crate) fn list_known_elsewhere_any_tenant(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    genesys_user_ids: &[String],
) -> Result<Vec<String>, DbError> {
    Ok(users::table
        .filter(users::genesys_user_id.eq_any(genesys_user_ids))
        .filter(users::tenant_id.ne(tenant_id.as_str()))
        .select(users::genesys_user_id)
        .load(tx.conn())?)
}
