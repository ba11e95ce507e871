//! `portalctl db restore DIR`: a backup, in a database that is not there or empty.

mod fill;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, Bool, Nullable, Text},
};
use portal_legacy::identifier;
use portal_operations::Operation;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    backup::{BackupError, DUMP, Database, Manifest, differences, told, verified},
    programs::{Programs, is_refusal, major, server_version},
};
use crate::{Answer, address::Address, connection};

pub(super) use fill::{fill, settings};

/// Where one is connected to make a database; every server has it.
const MAINTENANCE: &str = "postgres";

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory of the backup.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Tell whether it could be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait for another operation that is under way.
    #[arg(long, default_value_t = 60)]
    wait_seconds: u64,
    #[command(flatten)]
    programs: Programs,
}

pub(super) fn run(arguments: &Restore, url: &SecretString) -> anyhow::Result<Answer> {
    let directory = &arguments.directory;
    let (manifest, dump) = match verified(directory) {
        Ok(backup) => {
            eprintln!("The backup was proven at {}.", backup.verified_at);
            (backup.manifest, directory.join(DUMP))
        }
        Err(error) => {
            let (manifest, _) = Manifest::read(directory)?;
            let dump = manifest.hold_dump(directory)?;
            eprintln!("Not proven, though whole: {error:#}");
            (manifest, dump)
        }
    };
    let address = Address::parse(url)?;
    let name = address.database()?.to_owned();
    let mut server = PgConnection::establish(address.of(MAINTENANCE).url().expose_secret())
        .with_context(|| {
            format!("cannot connect to the server's database {MAINTENANCE}, to look for {name}")
        })?;
    let program = arguments
        .programs
        .find("pg_restore", &server_version(&mut server)?)?;
    let exists = exists(&mut server, &name)?;
    let mut wanting = wanting(&mut server, &manifest)?;
    if exists {
        wanting.extend(not_empty(&mut connection::open(url)?, &manifest, &name)?);
    }
    if !wanting.is_empty() {
        return Err(BackupError::NotWhole(wanting.join("\n")).into());
    }
    let made = if exists {
        "is empty and would be filled"
    } else {
        "would be made and filled"
    };
    if arguments.dry_run {
        return Ok(Answer {
            text: format!(
                "Nothing was done: the database {name} {made} as of {}.",
                manifest.created_at
            ),
            json: json!({ "restored": false, "exists": exists, "created_at": manifest.created_at }),
            as_wanted: true,
        });
    }
    let created = if exists {
        None
    } else {
        Some(Made::create(server, &name, &manifest.database)?)
    };
    let mut conn = connection::open(url)?;
    let operation = Operation::here(
        "db restore",
        json!({ "directory": std::path::absolute(directory)?, "created": created.is_some() }),
    );
    let wait = Duration::from_secs(arguments.wait_seconds);
    let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
    let done = portal_operations::run(&mut conn, &operation, wait, tell, |conn| {
        // Another operation may have been faster.
        if let Some(why) = not_empty(conn, &manifest, &name)? {
            return Err(BackupError::NotWhole(why).into());
        }
        fill(&program, url, &dump)?;
        let found = differences(conn, &manifest)?;
        // Plans are made by what it gathers, and a dump does not have it.
        conn.batch_execute("ANALYZE")?;
        let answer = answer(&manifest, &name, &found)?;
        let details = answer.json.clone();
        anyhow::Ok((answer, details))
    });
    drop(conn);
    if done.is_ok()
        && let Some(created) = created
    {
        created.keep();
    }
    done
}

fn answer(manifest: &Manifest, name: &str, found: &[String]) -> anyhow::Result<Answer> {
    let legacy = manifest.legacy()?;
    let as_wanted = found.is_empty();
    let text = if as_wanted {
        format!(
            "Restored into {name} as of {}: the catalog and all rows are those that were backed up. \
             Fingerprint {}, hash of all data {}.",
            manifest.created_at, legacy.fingerprint, legacy.data.overall
        )
    } else {
        told(found)
    };
    Ok(Answer {
        text,
        json: json!({
            "restored": true,
            "holds": as_wanted,
            "differences": found,
            "created_at": manifest.created_at,
            "schema": legacy.name,
            "fingerprint": legacy.fingerprint,
            "data_hash": legacy.data.overall,
        }),
        as_wanted,
    })
}

/// A database that was made for the backup, and goes with the value unless it is kept.
struct Made {
    server: PgConnection,
    name: String,
    is_kept: bool,
}

impl Made {
    fn create(mut server: PgConnection, name: &str, database: &Database) -> anyhow::Result<Self> {
        server
            .batch_execute(&format!(
                "CREATE DATABASE {} OWNER {} {}",
                identifier(name),
                identifier(&database.owner),
                settings(database)
            ))
            .map_err(|error| {
                let told = format!(
                    "the database {name}, of {}, cannot be made: {error}",
                    database.owner
                );
                match error {
                    _ if is_refusal(&told) => BackupError::NotPermitted(told).into(),
                    _ => anyhow::anyhow!(told),
                }
            })?;
        Ok(Self {
            server,
            name: name.to_owned(),
            is_kept: false,
        })
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let sql = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            identifier(&self.name)
        );
        if let Err(error) = self.server.batch_execute(&sql) {
            eprintln!("the database {} is left behind, empty: {error}", self.name);
        }
    }
}

fn exists(server: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    let found: Truth =
        sql_query("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS value")
            .bind::<Text, _>(name)
            .get_result(server)?;
    Ok(found.value)
}

/// What the server lacks, with what to do about it.
fn wanting(server: &mut PgConnection, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let version = server_version(server)?;
    if major(&version)? < major(&manifest.server_version)? {
        found.push(format!(
            "the backup is of PostgreSQL {}, and this server is {version}: use one that is not older",
            manifest.server_version
        ));
    }
    let mut roles = manifest.roles.clone();
    roles.push(manifest.database.owner.clone());
    let missing = missing(server, "SELECT rolname::text FROM pg_roles", &roles)?;
    if !missing.is_empty() {
        let create = missing
            .iter()
            .map(|role| format!("CREATE ROLE {};", identifier(role)));
        found.push(format!(
            "roles that own something or have grants do not exist; as a superuser: {}",
            create.collect::<Vec<_>>().join(" ")
        ));
    }
    let extensions: Vec<String> = manifest
        .extensions
        .iter()
        .map(|it| it.name.clone())
        .collect();
    let available = "SELECT name::text FROM pg_available_extensions";
    let missing = self::missing(server, available, &extensions)?;
    if !missing.is_empty() {
        found.push(format!(
            "the server does not have the extensions {}: install them on its machine (Debian: postgresql-contrib)",
            missing.join(", ")
        ));
    }
    Ok(found)
}

/// Those of `names` that `known` does not give.
fn missing(
    server: &mut PgConnection,
    known: &str,
    names: &[String],
) -> anyhow::Result<Vec<String>> {
    let found: Vec<Name> = sql_query(format!(
        "SELECT DISTINCT name AS value FROM unnest($1) name WHERE name NOT IN ({known}) ORDER BY 1"
    ))
    .bind::<Array<Text>, _>(names)
    .load(server)?;
    Ok(found.into_iter().map(|found| found.value).collect())
}

/// Why the backup cannot be restored into the database that is there; nothing when it is empty.
fn not_empty(
    conn: &mut PgConnection,
    manifest: &Manifest,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let found: Contents = sql_query(CONTENTS).get_result(conn)?;
    let quoted = identifier(name);
    if let Some(things) = found.things {
        return Ok(Some(format!(
            "the database {name} is not empty (it has {things}), and nothing in it is written over. Name \
             another one in the URL, which may not exist yet; or, when nobody needs what is in this one: stop \
             what uses it, and DROP DATABASE {quoted};"
        )));
    }
    if found.encoding != manifest.database.encoding {
        return Ok(Some(format!(
            "the database {name} has the encoding {}, and the backup {}: DROP DATABASE {quoted}; it is then \
             made as it was",
            found.encoding, manifest.database.encoding
        )));
    }
    Ok(None)
}

/// Tables of tools make no database full, nor what extensions bring.
const CONTENTS: &str = "\
WITH s AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
things AS (
    SELECT 'schema ' || nspname AS thing FROM s WHERE nspname <> 'public'
    UNION ALL SELECT s.nspname || '.' || c.relname FROM pg_class c JOIN s ON s.oid = c.relnamespace
        WHERE left(c.relname, 2) <> '__' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                        AND e.deptype = 'e')
    UNION ALL SELECT 'function ' || s.nspname || '.' || p.proname FROM pg_proc p JOIN s ON s.oid = p.pronamespace
        WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                          AND e.deptype = 'e')
    UNION ALL SELECT 'type ' || s.nspname || '.' || t.typname FROM pg_type t JOIN s ON s.oid = t.typnamespace
        WHERE t.typtype IN ('e', 'd') AND NOT EXISTS (
            SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e'))
SELECT (SELECT string_agg(thing, ', ') || CASE WHEN (SELECT count(*) FROM things) > 5 THEN ' and more' ELSE '' END
        FROM (SELECT thing FROM things ORDER BY thing LIMIT 5) first) AS things,
    pg_encoding_to_char(encoding)::text AS encoding
FROM pg_database WHERE datname = current_database()";

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    value: bool,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Contents {
    #[diesel(sql_type = Nullable<Text>)]
    things: Option<String>,
    #[diesel(sql_type = Text)]
    encoding: String,
}
