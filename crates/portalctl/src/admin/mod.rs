//! `portalctl admin`: people who administer the platform.

mod create;
mod look_after;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_auth::TotpSecret;
use portal_db_schema::schema::platform_admins;
use portal_vault::{Binding, Vault};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{Answer, vault_keys::VaultKeys};

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Creates an administrator; one who exists is left as he is.
    Create(create::Create),
    /// Lists the administrators.
    List,
    /// Ends all sessions of an administrator, who cannot sign in any more.
    Deactivate(Email),
    /// Lets a deactivated administrator sign in again.
    Activate(Email),
    /// Takes an administrator's authenticator app away; the next sign-in enrols another one.
    ResetTotp(Email),
    /// Lets an administrator who was locked out sign in again.
    Unlock(Email),
}

/// Whom it is about.
#[derive(Debug, Args)]
pub(crate) struct Email {
    /// The administrator's address.
    #[arg(long)]
    email: String,
}

pub(crate) fn run(
    command: &AdminCommand,
    url: &SecretString,
    vault: &VaultKeys,
) -> anyhow::Result<Answer> {
    match command {
        AdminCommand::Create(create) => create.run(url, vault),
        AdminCommand::List => look_after::list(url),
        AdminCommand::Deactivate(who) => look_after::set_active(url, &who.email, false),
        AdminCommand::Activate(who) => look_after::set_active(url, &who.email, true),
        AdminCommand::ResetTotp(who) => look_after::reset_totp(url, &who.email),
        AdminCommand::Unlock(who) => look_after::unlock(url, &who.email),
    }
}

/// The administrator's id, if there is one with this address.
fn find(conn: &mut PgConnection, email: &str) -> anyhow::Result<Option<Uuid>> {
    platform_admins::table
        .filter(platform_admins::email.eq(email.trim().to_lowercase()))
        .select(platform_admins::admin_id)
        .first(conn)
        .optional()
        .context("cannot read platform_admins: run `portalctl db migrate` first")
}

/// Gives an administrator a second factor, confirmed, and answers its address for the app.
fn enrol(
    conn: &mut PgConnection,
    vault: &Vault,
    admin_id: Uuid,
    email: &str,
) -> anyhow::Result<SecretString> {
    let secret = TotpSecret::generate()?;
    let row_id = admin_id.to_string();
    let place = Binding {
        table: "platform_admins",
        column: "totp_secret",
        tenant_id: "platform",
        row_id: &row_id,
    };
    let sealed = vault.seal(&place, secret.text())?;
    diesel::update(platform_admins::table.find(admin_id))
        .set((
            platform_admins::totp_secret.eq(sealed),
            platform_admins::totp_confirmed_at.eq(diesel::dsl::now),
            platform_admins::totp_last_step.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(secret.uri(email)?)
}

/// The text of an address that is shown once.
fn shown(uri: &SecretString) -> String {
    format!(
        "\nScan or type this into an authenticator app; it is not shown again:\n{}",
        uri.expose_secret()
    )
}
