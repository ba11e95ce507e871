//! Table `platform_admins`.

use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::platform_admins;
use uuid::Uuid;

diesel::define_sql_function! {
    /// PostgreSQL's `lower`, which the unique index on the e-mail uses.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// An administrator as signing in needs it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = platform_admins)]
pub(crate) struct AdminAccount {
    pub(crate) admin_id: Uuid,
    pub(crate) password_hash: String,
    pub(crate) is_active: bool,
}

/// An administrator by e-mail, whatever its case.
pub(crate) fn find_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<AdminAccount>, DbError> {
    Ok(platform_admins::table
        .filter(lower(platform_admins::email).eq(lower(email)))
        .select(AdminAccount::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Notes that an administrator signed in, and the password's stronger hash if there is one.
pub(crate) fn update_after_login(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    new_hash: Option<&str>,
) -> Result<(), DbError> {
    let admin = platform_admins::table.find(admin_id);
    diesel::update(admin)
        .set(platform_admins::last_login_at.eq(now))
        .execute(tx.conn())?;
    if let Some(hash) = new_hash {
        diesel::update(admin)
            .set(platform_admins::password_hash.eq(hash))
            .execute(tx.conn())?;
    }
    Ok(())
}
