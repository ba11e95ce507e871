//! `portalctl admin create`.

use std::io::Read as _;

use anyhow::{Context as _, ensure};
use clap::Args;
use diesel::prelude::*;
use portal_auth::{Passwords, check_new_password};
use portal_db_schema::schema::platform_admins;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::{enrol, find, look_after::end_sessions, shown};
use crate::{Answer, connection, operator::audit, vault_keys::VaultKeys, work::answer};

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The address to sign in with.
    #[arg(long)]
    email: String,
    /// The name to show.
    #[arg(long)]
    name: String,
    /// Read the password (15 to 256 characters) from this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    password_file: String,
    /// Give an administrator who exists this password, and end his sessions.
    #[arg(long)]
    reset_password: bool,
    /// Give a new administrator a second factor at once and print its address for an authenticator
    /// app. Needs the vault's keys.
    #[arg(long)]
    totp: bool,
}

impl Create {
    pub(super) fn run(&self, url: &SecretString, vault: &VaultKeys) -> anyhow::Result<Answer> {
        let email = self.email.trim().to_lowercase();
        let has_form = email.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !host.contains('@')
        });
        ensure!(
            has_form && email.len() <= 320,
            "--email must be an e-mail address"
        );
        ensure!(!self.name.trim().is_empty(), "--name must not be empty");
        let password = read_password(&self.password_file)?;
        // Before anything is written.
        let vault = self.totp.then(|| vault.vault()).transpose()?;

        let mut conn = connection::open(url)?;
        match find(&mut conn, &email)? {
            Some(id) if !self.reset_password => Ok(answer(
                format!("The administrator exists already; nothing was changed ({id})."),
                json!({ "admin_id": id, "result": "exists" }),
            )),
            Some(id) => {
                let hash = hash(password)?;
                let ended = connection::transaction(&mut conn, |conn| {
                    diesel::update(platform_admins::table.find(id))
                        .set((
                            platform_admins::password_hash.eq(hash),
                            platform_admins::failed_logins.eq(0),
                            platform_admins::locked_until.eq(None::<chrono::DateTime<chrono::Utc>>),
                        ))
                        .execute(conn)?;
                    let ended = end_sessions(conn, id, "password_reset")?;
                    let details = json!({ "ended_sessions": ended });
                    audit(conn, "admin.password_reset", &id, &details)?;
                    Ok(ended)
                })?;
                Ok(answer(
                    format!(
                        "The administrator has a new password; {ended} session(s) ended ({id})."
                    ),
                    json!({ "admin_id": id, "result": "password_reset", "ended_sessions": ended }),
                ))
            }
            None => {
                let (id, hash) = (Uuid::now_v7(), hash(password)?);
                let uri = connection::transaction(&mut conn, |conn| {
                    diesel::insert_into(platform_admins::table)
                        .values((
                            platform_admins::admin_id.eq(id),
                            platform_admins::email.eq(&email),
                            platform_admins::name.eq(self.name.trim()),
                            platform_admins::password_hash.eq(hash),
                        ))
                        .execute(conn)?;
                    audit(conn, "admin.create", &id, &json!({ "totp": self.totp }))?;
                    let vault = vault.as_ref();
                    vault
                        .map(|vault| enrol(conn, vault, id, &email))
                        .transpose()
                })?;
                let mut json = json!({ "admin_id": id, "result": "created" });
                let mut text = format!("The administrator was created ({id}).");
                if let Some(uri) = uri {
                    text.push_str(&shown(&uri));
                    json["otpauth_uri"] = uri.expose_secret().into();
                }
                Ok(answer(text, json))
            }
        }
    }
}

/// From a file and not from an argument: arguments can be seen by every process of the machine.
fn read_password(file: &str) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    if file == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    }
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    check_new_password(&password).map_err(|unfit| anyhow::anyhow!("the password {unfit}"))?;
    Ok(password)
}

fn hash(password: SecretString) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(Passwords::new().hash(password))?)
}
