//! Table `platform_admins`.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::platform_admins;
use portal_vault::Binding;
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
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password_hash: String,
    pub(crate) is_active: bool,
    pub(crate) last_login_at: Option<DateTime<Utc>>,
    /// Sealed; see [`totp_place`].
    pub(crate) totp_secret: Option<Vec<u8>>,
    pub(crate) totp_confirmed_at: Option<DateTime<Utc>>,
    pub(crate) totp_last_step: Option<i64>,
    pub(crate) failed_logins: i32,
    pub(crate) locked_until: Option<DateTime<Utc>>,
}

impl AdminAccount {
    /// Whether codes of an authenticator app are asked for.
    pub(crate) fn is_enrolled(&self) -> bool {
        self.totp_secret.is_some() && self.totp_confirmed_at.is_some()
    }
}

/// Where an administrator's second factor is sealed for.
pub(crate) fn totp_place(row_id: &str) -> Binding<'_> {
    Binding {
        table: "platform_admins",
        column: "totp_secret",
        tenant_id: "platform",
        row_id,
    }
}

/// An administrator by e-mail, whatever its case.
pub(crate) fn find_by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<AdminAccount>, DbError> {
    Ok(platform_admins::table
        .filter(lower(platform_admins::email).eq(lower(email)))
        .select(AdminAccount::as_select())
        .first(tx.conn())
        .optional()?)
}

/// An administrator.
pub(crate) fn find(tx: &mut Tx<'_>, admin_id: Uuid) -> Result<Option<AdminAccount>, DbError> {
    Ok(platform_admins::table
        .find(admin_id)
        .select(AdminAccount::as_select())
        .first(tx.conn())
        .optional()?)
}

/// An administrator, locked until the end of the transaction: attempts of one account are counted
/// one after the other, and a code is taken once.
pub(crate) fn lock(tx: &mut Tx<'_>, admin_id: Uuid) -> Result<Option<AdminAccount>, DbError> {
    Ok(platform_admins::table
        .find(admin_id)
        .select(AdminAccount::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// Notes a failure.
pub(crate) fn update_failures(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    failures: i32,
    locked_until: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    diesel::update(platform_admins::table.find(admin_id))
        .set((
            platform_admins::failed_logins.eq(failures),
            platform_admins::locked_until.eq(locked_until),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that the account's owner was there, and the step of the code that was taken.
pub(crate) fn update_after_proof(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    step: Option<i64>,
) -> Result<(), DbError> {
    update_failures(tx, admin_id, 0, None)?;
    if let Some(step) = step {
        diesel::update(platform_admins::table.find(admin_id))
            .set(platform_admins::totp_last_step.eq(step))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Notes that an administrator signed in.
pub(crate) fn update_last_login(tx: &mut Tx<'_>, admin_id: Uuid) -> Result<(), DbError> {
    diesel::update(platform_admins::table.find(admin_id))
        .set(platform_admins::last_login_at.eq(now))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts a hash in the place of another one, unless a third came between.
pub(crate) fn replace_password(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    old_hash: &str,
    new_hash: &str,
) -> Result<(), DbError> {
    let admin = platform_admins::table
        .find(admin_id)
        .filter(platform_admins::password_hash.eq(old_hash));
    diesel::update(admin)
        .set(platform_admins::password_hash.eq(new_hash))
        .execute(tx.conn())?;
    Ok(())
}

/// Writes a second factor that is yet to be confirmed, or takes it away.
pub(crate) fn write_totp(
    tx: &mut Tx<'_>,
    admin_id: Uuid,
    sealed: Option<&[u8]>,
) -> Result<(), DbError> {
    diesel::update(platform_admins::table.find(admin_id))
        .set((
            platform_admins::totp_secret.eq(sealed),
            platform_admins::totp_confirmed_at.eq(None::<DateTime<Utc>>),
            platform_admins::totp_last_step.eq(None::<i64>),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// From now on codes are asked for; the one of this step was taken.
pub(crate) fn confirm_totp(tx: &mut Tx<'_>, admin_id: Uuid, step: i64) -> Result<(), DbError> {
    diesel::update(platform_admins::table.find(admin_id))
        .set((
            platform_admins::totp_confirmed_at.eq(now),
            platform_admins::totp_last_step.eq(step),
        ))
        .execute(tx.conn())?;
    Ok(())
}
