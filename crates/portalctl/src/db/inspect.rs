//! `portalctl db inspect`: tells what kind of database it is, and what is in a legacy one.

use std::{fmt::Write as _, fs::OpenOptions, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use diesel::PgConnection;
use portal_legacy::{
    Catalog, DataHash, LegacyError, Mapping, Shape, Survey, data_hash, fingerprint, read_only,
    survey,
};

use crate::Answer;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The schema that the legacy tables are in.
    #[arg(long, default_value = "public")]
    schema: String,
    /// Read from this file which table and column means what, and tell whether it fits.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Write to this new file which table and column means what, to be read and put right.
    #[arg(long, value_name = "FILE", conflicts_with = "mapping")]
    write_mapping: Option<PathBuf>,
    /// Read every row, too, and tell a hash of what is in each table.
    #[arg(long)]
    hash: bool,
}

/// What was seen, all of it on one snapshot.
struct Seen {
    catalog: Catalog,
    shape: Shape,
    mapping: Option<Mapping>,
    /// What a proposed mapping leaves to the operator.
    undecided: Vec<String>,
    survey: Option<Survey>,
    fingerprint: String,
    data: Option<DataHash>,
}

pub(super) fn run(arguments: &Inspect, conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let given = match &arguments.mapping {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            Some(Mapping::read(&text).with_context(|| file.display().to_string())?)
        }
        None => None,
    };
    let seen = read_only(conn, |conn| look(conn, arguments, given))?;
    let mut text = seen.shape.explain();
    write!(text, "\nFingerprint of the catalog: {}", seen.fingerprint)?;
    if let Some(survey) = &seen.survey {
        describe(survey, &mut text)?;
    }
    if let Some(data) = &seen.data {
        for table in &data.tables {
            write!(
                text,
                "\n{}: {} rows, hash {}",
                table.table, table.rows, table.hash
            )?;
        }
        write!(text, "\nHash of all data: {}", data.overall)?;
    }
    if !seen.undecided.is_empty() {
        write!(
            text,
            "\nTo be decided in the mapping:\n{}",
            seen.undecided.join("\n")
        )?;
    }
    match (&arguments.write_mapping, &seen.mapping) {
        (Some(file), Some(mapping)) => {
            write_new(file, &mapping.render(&seen.catalog))?;
            write!(
                text,
                "\nWrote {}: read it and put it right.",
                file.display()
            )?;
        }
        (Some(_), None) => text.push_str("\nThere is nothing to map; no file was written."),
        (None, _) => {}
    }
    let can_go_on = matches!(
        seen.shape,
        Shape::Legacy { .. } | Shape::Ours | Shape::Empty
    );
    Ok(Answer {
        as_wanted: can_go_on && seen.undecided.is_empty(),
        json: serde_json::json!({
            "shape": seen.shape,
            "mapping": seen.mapping,
            "undecided": seen.undecided,
            "survey": seen.survey,
            "fingerprint": seen.fingerprint,
            "data": seen.data,
        }),
        text,
    })
}

fn look(
    conn: &mut PgConnection,
    arguments: &Inspect,
    given: Option<Mapping>,
) -> Result<Seen, LegacyError> {
    let schema = arguments.schema.as_str();
    let catalog = Catalog::read(conn, schema)?;
    let shape = Shape::of(&catalog);
    let proposed = given.is_none();
    let has_agents = matches!(shape, Shape::Legacy { .. } | Shape::PartlyMigrated { .. });
    let mapping = given.or_else(|| has_agents.then(|| Mapping::propose(&catalog)));
    let mut undecided = Vec::new();
    let mut found = None;
    if let Some(mapping) = &mapping {
        match mapping.check(&catalog) {
            Ok(()) => found = Some(survey(conn, &catalog, mapping)?),
            // What is only proposed may have gaps; what an operator confirms may not.
            Err(LegacyError::Mapping(gaps)) if proposed => undecided = gaps,
            Err(error) => return Err(error),
        }
    }
    let mut data = None;
    if arguments.hash {
        data = Some(data_hash(conn, schema, |table, done, total| {
            eprintln!("reading {}/{total}: {table}", done + 1);
        })?);
    }
    Ok(Seen {
        fingerprint: fingerprint(conn, schema)?,
        data,
        catalog,
        shape,
        mapping,
        undecided,
        survey: found,
    })
}

/// Never writes over a file: it may be one that was put right.
pub(super) fn write_new(file: &PathBuf, text: &str) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| {
            format!(
                "cannot write {}, which has to be a new file",
                file.display()
            )
        })
}

fn describe(survey: &Survey, text: &mut String) -> std::fmt::Result {
    for size in &survey.tables {
        let kib = size.bytes / 1024;
        write!(text, "\n{}: {} rows, {kib} KiB", size.table, size.rows)?;
    }
    for finding in &survey.findings {
        write!(
            text,
            "\n{}: {} {}",
            finding.code, finding.count, finding.text
        )?;
    }
    Ok(())
}
