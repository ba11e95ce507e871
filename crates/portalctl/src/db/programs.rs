//! `pg_dump` and `pg_restore`: found, run without a password in their arguments, and listened to.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use anyhow::{Context as _, bail};
use clap::Args;
use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_types::Text};
use secrecy::ExposeSecret as _;

use super::backup::BackupError;
use crate::address::Address;

/// Where Debian and its kin have one directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Errors of a program that are told; more of them follow from the first.
const MOST_ERRORS: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Programs {
    /// Where PostgreSQL's programs are; otherwise they are looked for on PATH and in
    /// /usr/lib/postgresql, those of the server's version first.
    #[arg(long, env = "PG_BIN", value_name = "DIR")]
    pg_bin: Option<PathBuf>,
}

/// A program that is not older than the server.
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// As it says itself, such as `15.18`.
    pub(super) version: String,
}

impl Programs {
    /// Finds the program of the server's version, or else the next newer one: a much newer
    /// `pg_restore` sets what an older server does not know.
    pub(super) fn find(&self, name: &'static str, server: &str) -> anyhow::Result<Program> {
        let wanted = major(server)?;
        let mut newer: Option<(u32, Program)> = None;
        let mut older = None;
        for path in self.candidates(name) {
            let Some((number, program)) = ask(name, path) else {
                continue;
            };
            if number == wanted {
                return Ok(program);
            }
            if number < wanted {
                older = Some(program);
            } else if newer.as_ref().is_none_or(|(best, _)| number < *best) {
                newer = Some((number, program));
            }
        }
        let advice = format!(
            "install PostgreSQL's client programs of version {wanted} (Debian and Ubuntu: \
             postgresql-client-{wanted}; Alpine: postgresql{wanted}-client; Red Hat: postgresql{wanted}), \
             or say with --pg-bin where they are"
        );
        match (newer, older) {
            (Some((_, program)), _) => Ok(program),
            (None, Some(program)) => bail!(
                "{} is version {}, and the server is {server}, which it may not be older than: {advice}",
                program.path.display(),
                program.version
            ),
            (None, None) => bail!("{name} is not installed: {advice}"),
        }
    }

    fn candidates(&self, name: &str) -> Vec<PathBuf> {
        if let Some(given) = &self.pg_bin {
            return vec![given.join(name)];
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut found: Vec<PathBuf> = std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .collect();
        if let Ok(versions) = std::fs::read_dir(VERSIONS) {
            found.extend(
                versions
                    .flatten()
                    .map(|dir| dir.path().join("bin").join(name)),
            );
        }
        found
    }
}

fn ask(name: &'static str, path: PathBuf) -> Option<(u32, Program)> {
    let said = Command::new(&path).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (_, version) = said.trim().split_once("(PostgreSQL) ")?;
    let version = version.split_whitespace().next()?.to_owned();
    let number = major(&version).ok()?;
    Some((
        number,
        Program {
            name,
            path,
            version,
        },
    ))
}

/// `15` of `15.18` or `15.18 (Debian 15.18-0+deb12u1)`.
pub(super) fn major(version: &str) -> anyhow::Result<u32> {
    let digits = version.split(|it: char| !it.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("{version:?} is no version of PostgreSQL"))
}

pub(super) fn server_version(conn: &mut PgConnection) -> anyhow::Result<String> {
    let found: Version = diesel::sql_query("SELECT current_setting('server_version') AS version")
        .get_result(conn)?;
    Ok(found.version)
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

impl Program {
    /// Starts it. `tell` hears of each table that it begins with.
    pub(super) fn start<S: AsRef<OsStr>>(
        &self,
        login: Option<&Address>,
        arguments: &[S],
        input: Option<String>,
        output: Stdio,
        tell: impl FnMut(&str) + Send + 'static,
    ) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .env("LC_ALL", "C")
            // What holds the password and is not for it.
            .env_remove("DATABASE_URL")
            .env_remove("VAULT_KEYS")
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(output)
            .stderr(Stdio::piped());
        if let Some(address) = login {
            command
                .arg("--no-password")
                .arg(format!("--dbname={}", address.without_password()));
            if let Some(password) = address.password() {
                command.env("PGPASSWORD", password.expose_secret());
            }
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let listener = child.stderr.take().map(|said| listen(said, tell));
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            // One that ends early says why itself.
            drop(pipe.write_all(input.as_bytes()));
        }
        Ok(Running {
            name: self.name,
            child,
            listener,
        })
    }

    /// The table of contents of a dump, a line for each thing.
    pub(super) fn contents(&self, dump: &Path) -> anyhow::Result<String> {
        let arguments = [OsStr::new("--list"), dump.as_os_str()];
        let mut running = self.start(None, &arguments, None, Stdio::piped(), |_| {})?;
        let mut list = String::new();
        if let Some(mut output) = running.child.stdout.take() {
            output.read_to_string(&mut list)?;
        }
        running.wait()?;
        Ok(list)
    }
}

/// A program at work; ended with the value.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    listener: Option<JoinHandle<Vec<String>>>,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`BackupError::NotPermitted`] when the login lacks a privilege; otherwise what the program
    /// said, without what was in a table.
    pub(super) fn wait(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        let errors = self.listener.take().and_then(|thread| thread.join().ok());
        if status.success() {
            return Ok(());
        }
        let mut errors = errors.unwrap_or_default();
        if let Some(signal) = status.signal() {
            errors.push(format!("it was ended by signal {signal}"));
        }
        let told = format!("{} failed: {}", self.name, errors.join("; "));
        if errors.iter().any(|error| is_refusal(error)) {
            let advice = "log in as a superuser, or as a role that has what it lacks";
            return Err(BackupError::NotPermitted(format!("{told} ({advice})")).into());
        }
        bail!(told)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Messages of a server are English for the owner (`deploy/postgres/roles.sql`) and by default.
pub(super) fn is_refusal(error: &str) -> bool {
    [
        "permission denied",
        "must be owner",
        "must be superuser",
        "must be member",
        "must be able to SET ROLE",
    ]
    .iter()
    .any(|known| error.contains(known))
}

fn listen(
    said: impl Read + Send + 'static,
    mut tell: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut errors = Vec::new();
        // Bytes: a name may be in another encoding, and what is not read would block the program.
        for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if let Some(table) = begun(&line) {
                tell(table);
            } else if errors.len() < MOST_ERRORS {
                errors.extend(error(&line));
            }
        }
        errors
    })
}

/// The table that the line says the program begins with.
fn begun(line: &str) -> Option<&str> {
    let (_, found) = line
        .split_once(": dumping contents of table ")
        .or_else(|| line.split_once(": processing data for table "))?;
    Some(found.trim().trim_matches('"'))
}

/// An error, without the value that it is about: lines that follow it, and what PostgreSQL quotes at the
/// end of its message, may hold what is in a row.
fn error(line: &str) -> Option<String> {
    let (_, error) = line.split_once(": error: ")?;
    let message = error.find("ERROR:").unwrap_or(0);
    let (before, after) = error.split_at_checked(message)?;
    let after = after.split_once(": \"").map_or(after, |(kept, _)| kept);
    Some(format!("{before}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{begun, error, is_refusal, major};

    #[test]
    fn what_a_program_says_is_told_without_values() {
        assert_eq!(
            begun("pg_dump: dumping contents of table \"public.agents\""),
            Some("public.agents")
        );
        assert_eq!(
            begun("pg_restore: processing data for table \"public.agents\""),
            Some("public.agents")
        );
        assert_eq!(begun("pg_dump: reading schemas"), None);
        assert_eq!(
            error("pg_restore: error: COPY failed for table \"agents\": ERROR:  invalid input syntax for type uuid: \"EAAtoken\"").unwrap(),
            "COPY failed for table \"agents\": ERROR:  invalid input syntax for type uuid"
        );
        assert_eq!(
            error("CONTEXT:  COPY agents, line 1, column token: \"EAAtoken\""),
            None
        );
        assert!(is_refusal(
            &error("pg_dump: error: query failed: ERROR:  permission denied for table agents")
                .unwrap()
        ));
    }

    #[test]
    fn a_version_is_known_by_its_first_number() {
        assert_eq!(major("15.18 (Debian 15.18-0+deb12u1)").unwrap(), 15);
        assert_eq!(major("19devel").unwrap(), 19);
        assert!(major("devel").is_err());
    }
}
