//! `portalctl db backup --out DIR`.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_query,
    sql_types::Text,
};
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::read_only;
use portal_operations::Operation;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Backup, BackupError,
    directory::{self, NewDirectory},
    facts,
    manifest::{Dump, FORMAT, Manifest, sha256_of},
};
use crate::{
    Answer,
    address::Address,
    db::programs::{Program, server_version},
};

/// For tables that somebody has locked for himself; who reads makes nobody wait.
const LOCK_TIMEOUT_MS: u32 = 30_000;

pub(super) fn run(
    arguments: &Backup,
    out: &Path,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    let address = Address::parse(url)?;
    let program = arguments.programs.find("pg_dump", &server_version(conn)?)?;
    let directory = NewDirectory::make(out)?;
    eprintln!(
        "The backup will hold the installation's tokens in clear: keep it as you keep those."
    );
    let operation = Operation::here(
        "db backup",
        json!({ "out": directory.path(), "schema": arguments.schema }),
    );
    let wait = Duration::from_secs(arguments.wait_seconds);
    let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
    portal_operations::run(conn, &operation, wait, tell, |conn| {
        let manifest = take(conn, &arguments.schema, &address, &program, &directory)?;
        let path = directory.path().to_owned();
        let json = describe(&manifest, &path)?;
        directory.finish(&manifest.bytes()?)?;
        let rows: i64 = manifest
            .schemas
            .iter()
            .flat_map(|it| &it.data.tables)
            .map(|it| it.rows)
            .sum();
        let text = format!(
            "Backed up {} with {rows} rows to {} ({} bytes). Prove it: portalctl db backup verify {}",
            manifest.database.name,
            path.display(),
            manifest.dump.bytes,
            path.display()
        );
        let mut details = json.clone();
        // What is in each table is in the manifest.
        details["data"] = json!(manifest.legacy()?.data.overall);
        anyhow::Ok((
            Answer {
                text,
                json,
                as_wanted: true,
            },
            details,
        ))
    })
}

fn describe(manifest: &Manifest, directory: &Path) -> anyhow::Result<Value> {
    let legacy = manifest.legacy()?;
    Ok(json!({
        "directory": directory,
        "database": manifest.database.name,
        "created_at": manifest.created_at,
        "schema": legacy.name,
        "fingerprint": legacy.fingerprint,
        "data": legacy.data,
        "bytes": manifest.dump.bytes,
        "sha256": manifest.dump.sha256,
    }))
}

/// Dumps and hashes on one snapshot, while others go on writing.
fn take(
    conn: &mut PgConnection,
    schema: &str,
    address: &Address,
    program: &Program,
    directory: &NewDirectory,
) -> anyhow::Result<Manifest> {
    let manifest = read_only(conn, |conn| {
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0"
        ))?;
        let schemas = facts::schemas(conn)?;
        hold(conn, schema, &schemas)?;
        let snapshot: Snapshot =
            sql_query("SELECT pg_export_snapshot() AS name").get_result(conn)?;
        let dump = directory.open_dump()?;
        let tell = |table: &str| eprintln!("dumping {table}");
        let running = program.start(
            Some(address),
            &dump_arguments(&snapshot.name),
            None,
            Stdio::from(dump),
            tell,
        )?;
        // Meanwhile, as the snapshot holds for both.
        let mut read = Vec::with_capacity(schemas.len());
        for name in &schemas {
            read.push(facts::schema(conn, name)?);
        }
        let manifest = Manifest {
            format: FORMAT,
            checksum: String::new(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: facts::moment(conn)?,
            server_version: server_version(conn)?,
            database: facts::database(conn)?,
            schema: schema.to_owned(),
            schemas: read,
            extensions: facts::extensions(conn)?,
            roles: facts::roles(conn, &schemas)?,
            dump: Dump {
                file: directory::DUMP.to_owned(),
                bytes: 0,
                sha256: String::new(),
                program: program.version.clone(),
            },
        };
        running.wait()?;
        anyhow::Ok(manifest)
    })?;
    let file = directory.unfinished_dump();
    File::open(&file)
        .and_then(|dump| dump.sync_all())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let dump = Dump {
        bytes: std::fs::metadata(&file)?.len(),
        sha256: sha256_of(&file)?,
        ..manifest.dump
    };
    Manifest { dump, ..manifest }.sealed()
}

fn hold(conn: &mut PgConnection, schema: &str, schemas: &[String]) -> anyhow::Result<()> {
    if !schemas.iter().any(|name| name == schema) {
        let has = schemas.join(", ");
        bail!("there is no schema {schema} to back up (--schema): the database has {has}");
    }
    if let Some(ours) = facts::ours(conn, schemas)? {
        return Err(BackupError::NotWhole(format!(
            "the schema {ours} holds no legacy installation but this system's own model: back it up with \
             pg_dump or your provider's means; this command leaves out what `db migrate` keeps there"
        ))
        .into());
    }
    if let Some(grant) = facts::closed_sequences(conn, schemas)? {
        return Err(BackupError::NotPermitted(format!(
            "the role may not read which numbers come next: as the owner of the sequences, run {grant}"
        ))
        .into());
    }
    Ok(())
}

/// The legacy installation: neither our model nor tables of tools.
fn dump_arguments(snapshot: &str) -> Vec<String> {
    vec![
        "--format=custom".to_owned(),
        "--verbose".to_owned(),
        format!("--snapshot={snapshot}"),
        format!("--lock-wait-timeout={LOCK_TIMEOUT_MS}"),
        format!("--exclude-schema={ORGANIZATION_SCHEMA}"),
        "--exclude-schema=__*".to_owned(),
        "--exclude-table=*.__*".to_owned(),
    ]
}

#[derive(QueryableByName)]
struct Snapshot {
    #[diesel(sql_type = Text)]
    name: String,
}
