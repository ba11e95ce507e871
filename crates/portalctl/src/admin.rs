//! `portalctl admin`: people who administer the platform.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_auth::Passwords;
use portal_db_schema::schema::platform_admins;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{Answer, connection};

/// OWASP ASVS 5.0, 6.2.9, asks for 15 where there is no second factor.
const MIN_PASSWORD_CHARS: usize = 15;
const MAX_PASSWORD_CHARS: usize = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Creates an administrator; one who exists is left as he is.
    Create(Create),
}

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
    /// Give an administrator who exists this password.
    #[arg(long)]
    reset_password: bool,
}

pub(crate) fn run(command: &AdminCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let AdminCommand::Create(create) = command;
    create.run(url)
}

impl Create {
    fn run(&self, url: &SecretString) -> anyhow::Result<Answer> {
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

        let mut conn = connection::open(url)?;
        let existing: Option<Uuid> = platform_admins::table
            .filter(platform_admins::email.eq(&email))
            .select(platform_admins::admin_id)
            .first(&mut conn)
            .optional()
            .context("cannot read platform_admins: run `portalctl db migrate` first")?;
        match existing {
            Some(id) if !self.reset_password => {
                Ok(answer(id, "exists", "exists already; nothing was changed"))
            }
            Some(id) => {
                diesel::update(platform_admins::table.find(id))
                    .set(platform_admins::password_hash.eq(hash(password)?))
                    .execute(&mut conn)?;
                Ok(answer(id, "password_reset", "has a new password"))
            }
            None => {
                let id = Uuid::now_v7();
                diesel::insert_into(platform_admins::table)
                    .values((
                        platform_admins::admin_id.eq(id),
                        platform_admins::email.eq(&email),
                        platform_admins::name.eq(self.name.trim()),
                        platform_admins::password_hash.eq(hash(password)?),
                    ))
                    .execute(&mut conn)?;
                Ok(answer(id, "created", "was created"))
            }
        }
    }
}

fn answer(id: Uuid, result: &str, sentence: &str) -> Answer {
    Answer {
        text: format!("The administrator {sentence} ({id})."),
        json: serde_json::json!({ "admin_id": id, "result": result }),
        as_wanted: true,
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
    let length = password.expose_secret().chars().count();
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&length) {
        bail!(
            "the password must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters, has {length}"
        );
    }
    Ok(password)
}

fn hash(password: SecretString) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(Passwords::new().hash(password))?)
}
