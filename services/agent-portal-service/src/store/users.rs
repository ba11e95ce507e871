//! `genesys_users`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::genesys_users;
use portal_types::{TenantId, UserId};
use uuid::Uuid;

use crate::domain::{DeactivatedBy, User, UserChanges};

diesel::define_sql_function! {
    /// PostgreSQL's `lower`, which the index on placeholders' e-mails uses.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = genesys_users)]
pub(super) struct UserRow {
    user_id: Uuid,
    tenant_id: String,
    genesys_org_id: String,
    genesys_user_id: String,
    genesys_email: Option<String>,
    name: String,
    role: String,
    role_override: Option<String>,
    is_active: bool,
    deactivated_by: Option<String>,
    genesys_version: Option<i64>,
    is_placeholder: bool,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl TryFrom<UserRow> for User {
    type Error = DbError;

    fn try_from(row: UserRow) -> Result<Self, DbError> {
        let corrupt = |what: &str| DbError::Corrupt(format!("genesys_users.{what}"));
        Ok(Self {
            user_id: row.user_id.into(),
            tenant_id: TenantId::parse(&row.tenant_id).map_err(|_form| corrupt("tenant_id"))?,
            genesys_org_id: row.genesys_org_id,
            genesys_user_id: row.genesys_user_id,
            email: row.genesys_email,
            name: row.name,
            role: row.role.parse().map_err(|_word| corrupt("role"))?,
            role_override: row
                .role_override
                .map(|word| word.parse().map_err(|_word| corrupt("role_override")))
                .transpose()?,
            is_active: row.is_active,
            deactivated_by: row.deactivated_by.as_deref().and_then(DeactivatedBy::parse),
            genesys_version: row.genesys_version,
            is_placeholder: row.is_placeholder,
            created_at: row.created_at,
            last_login_at: row.last_login_at,
        })
    }
}

/// The user, if there is one.
pub(crate) fn find_user(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    user_id: UserId,
) -> Result<Option<User>, DbError> {
    genesys_users::table
        .filter(genesys_users::tenant_id.eq(tenant_id.as_str()))
        .filter(genesys_users::user_id.eq(user_id.as_uuid()))
        .select(UserRow::as_select())
        .first(tx.conn())
        .optional()?
        .map(User::try_from)
        .transpose()
}

/// The user with Genesys' id, locked until the end of the transaction.
pub(crate) fn lock_user_by_genesys_id(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    genesys_user_id: &str,
) -> Result<Option<User>, DbError> {
    genesys_users::table
        .filter(genesys_users::tenant_id.eq(tenant_id.as_str()))
        .filter(genesys_users::genesys_user_id.eq(genesys_user_id))
        .select(UserRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?
        .map(User::try_from)
        .transpose()
}

/// Placeholders with this e-mail, whatever the letters' case, locked until the end of the transaction. Of two
/// at once who look, the second finds none that the first has made somebody's own.
pub(crate) fn lock_placeholders(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    email: &str,
) -> Result<Vec<User>, DbError> {
    let rows: Vec<UserRow> = genesys_users::table
        .filter(genesys_users::tenant_id.eq(tenant_id.as_str()))
        .filter(genesys_users::is_placeholder)
        .filter(lower(genesys_users::genesys_email.assume_not_null()).eq(lower(email)))
        .order(genesys_users::user_id)
        .select(UserRow::as_select())
        .for_update()
        .load(tx.conn())?;
    rows.into_iter().map(User::try_from).collect()
}

/// Adds the user; false when somebody else just did.
pub(crate) fn insert_user(tx: &mut Tx<'_>, user: &User) -> Result<bool, DbError> {
    let rows = diesel::insert_into(genesys_users::table)
        .values((
            genesys_users::user_id.eq(user.user_id.as_uuid()),
            genesys_users::tenant_id.eq(user.tenant_id.as_str()),
            genesys_users::genesys_org_id.eq(&user.genesys_org_id),
            genesys_users::genesys_user_id.eq(&user.genesys_user_id),
            genesys_users::genesys_email.eq(user.email.as_deref()),
            genesys_users::name.eq(&user.name),
            genesys_users::role.eq(user.role.as_str()),
            genesys_users::is_active.eq(user.is_active),
            genesys_users::genesys_version.eq(user.genesys_version),
            genesys_users::created_at.eq(user.created_at),
            genesys_users::updated_at.eq(user.created_at),
            genesys_users::last_login_at.eq(user.last_login_at),
        ))
        .on_conflict((genesys_users::tenant_id, genesys_users::genesys_user_id))
        .do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Writes what Genesys says of the user. Whoever Genesys vouches for is active.
pub(crate) fn update_user(
    tx: &mut Tx<'_>,
    user: &User,
    changes: UserChanges,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let is_changed = changes != UserChanges::default();
    let row = genesys_users::table
        .filter(genesys_users::tenant_id.eq(user.tenant_id.as_str()))
        .filter(genesys_users::user_id.eq(user.user_id.as_uuid()));
    diesel::update(row)
        .set((
            genesys_users::genesys_user_id.eq(&user.genesys_user_id),
            genesys_users::is_placeholder.eq(user.is_placeholder),
            genesys_users::genesys_org_id.eq(&user.genesys_org_id),
            genesys_users::genesys_email.eq(user.email.as_deref()),
            genesys_users::name.eq(&user.name),
            genesys_users::role.eq(user.role.as_str()),
            genesys_users::genesys_version.eq(user.genesys_version),
            genesys_users::is_active.eq(true),
            genesys_users::deactivated_at.eq(None::<DateTime<Utc>>),
            genesys_users::deactivated_by.eq(None::<String>),
            is_changed.then_some(genesys_users::updated_at.eq(now)),
            changes
                .role
                .then_some(genesys_users::role_changed_at.eq(now)),
            genesys_users::last_login_at.eq(user.last_login_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Another tenant that has a user with this Genesys id. Across tenants, because a person who moved
/// between organizations must be noticed; the path's role sees ids only.
pub(crate) fn find_other_tenant_any_tenant(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    genesys_user_id: &str,
) -> Result<Option<TenantId>, DbError> {
    let elsewhere: Option<String> = genesys_users::table
        .filter(genesys_users::genesys_user_id.eq(genesys_user_id))
        .filter(genesys_users::tenant_id.ne(tenant_id.as_str()))
        .order(genesys_users::tenant_id)
        .select(genesys_users::tenant_id)
        .first(tx.conn())
        .optional()?;
    elsewhere
        .map(|tenant| {
            TenantId::parse(&tenant)
                .map_err(|_form| DbError::Corrupt("genesys_users.tenant_id".to_owned()))
        })
        .transpose()
}

/// People whose role changed after `after`, of all tenants, and when: access tokens from before name
/// the wrong one.
pub(crate) fn list_role_changed_after_any_tenant(
    tx: &mut Tx<'_>,
    after: DateTime<Utc>,
) -> Result<Vec<(UserId, DateTime<Utc>)>, DbError> {
    let rows: Vec<(Uuid, Option<DateTime<Utc>>)> = genesys_users::table
        .filter(genesys_users::role_changed_at.gt(after))
        .select((genesys_users::user_id, genesys_users::role_changed_at))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .filter_map(|(user, at)| Some((user.into(), at?)))
        .collect())
}
