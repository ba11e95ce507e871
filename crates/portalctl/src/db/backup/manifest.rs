//! What a backup says of itself.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256, digest};
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use portal_legacy::DataHash;
use serde::{Deserialize, Serialize};

use super::{BackupError, directory};

/// Changes when what is in a backup changes its meaning.
pub(super) const FORMAT: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(super) format: u32,
    /// SHA-256 of all the rest.
    pub(super) checksum: String,
    pub(crate) tool_version: String,
    /// The moment of the snapshot, RFC 3339.
    pub(crate) created_at: String,
    pub(crate) server_version: String,
    pub(crate) database: Database,
    /// The schema of the legacy tables.
    pub(crate) schema: String,
    /// All schemas that are in the dump.
    pub(crate) schemas: Vec<Schema>,
    pub(crate) extensions: Vec<Extension>,
    /// Those that own something, or that something is granted to.
    pub(crate) roles: Vec<String>,
    pub(crate) dump: Dump,
}

#[derive(Debug, Clone, Serialize, Deserialize, QueryableByName)]
pub(crate) struct Database {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Text)]
    pub(crate) owner: String,
    #[diesel(sql_type = Text)]
    pub(crate) encoding: String,
    /// `c` for libc, `i` for ICU, `b` for PostgreSQL's own, as in `pg_database`.
    #[diesel(sql_type = Text)]
    pub(crate) locale_provider: String,
    #[diesel(sql_type = Text)]
    pub(crate) collate: String,
    #[diesel(sql_type = Text)]
    pub(crate) ctype: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) locale: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    /// What the fingerprint is of.
    pub(crate) catalog: Vec<String>,
    pub(crate) data: DataHash,
}

#[derive(Debug, Clone, Serialize, Deserialize, QueryableByName)]
pub(crate) struct Extension {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Text)]
    pub(crate) version: String,
    #[diesel(sql_type = Text)]
    pub(crate) schema: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dump {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The version of `pg_dump`; an older `pg_restore` may not read it.
    pub(crate) program: String,
}

impl Manifest {
    /// As it is written.
    pub(super) fn sealed(mut self) -> anyhow::Result<Self> {
        self.checksum = self.sum()?;
        Ok(self)
    }

    fn sum(&self) -> anyhow::Result<String> {
        let rest = Self {
            checksum: String::new(),
            ..self.clone()
        };
        Ok(hex::encode(digest(&SHA256, &serde_json::to_vec(&rest)?)))
    }

    /// Reads a backup's manifest; gives also the SHA-256 of the file.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] when there is none, or none that this tool wrote.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<(Self, String)> {
        let file = directory.join(directory::MANIFEST);
        let broken = |why: String| BackupError::NotWhole(format!("{}: {why}", file.display()));
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(broken(
                    "there is none, so this is no whole backup: `portalctl db backup` writes it last"
                        .to_owned(),
                )
                .into());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        let format: Format = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("it cannot be read: {error}")))?;
        if format.format != FORMAT {
            return Err(broken(format!(
                "it has the format {}, and this release knows {FORMAT}: use the release that made it",
                format.format
            ))
            .into());
        }
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("it cannot be read: {error}")))?;
        if manifest.sum()? != manifest.checksum {
            return Err(broken(
                "it was changed since it was written: its checksum is another".to_owned(),
            )
            .into());
        }
        Ok((manifest, hex::encode(digest(&SHA256, &bytes))))
    }

    /// Tells whether the dump is the one that was written.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] when it is not.
    pub(crate) fn hold_dump(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let file = directory.join(directory::DUMP);
        let broken = |why: String| BackupError::NotWhole(format!("{}: {why}", file.display()));
        let bytes = match std::fs::metadata(&file) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(
                    broken("it is gone; the manifest alone is no backup".to_owned()).into(),
                );
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        if bytes != self.dump.bytes {
            let written = self.dump.bytes;
            return Err(broken(format!("it has {bytes} bytes, and {written} were written")).into());
        }
        if sha256_of(&file)? != self.dump.sha256 {
            return Err(broken(
                "its SHA-256 is not the one in the manifest: it was changed or damaged".to_owned(),
            )
            .into());
        }
        Ok(file)
    }

    /// The schema of the legacy tables.
    pub(crate) fn legacy(&self) -> anyhow::Result<&Schema> {
        let found = self
            .schemas
            .iter()
            .find(|schema| schema.name == self.schema);
        found.context("the manifest does not say what is in its schema")
    }

    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

pub(super) fn sha256_of(file: &Path) -> anyhow::Result<String> {
    let complaint = || format!("cannot read {}", file.display());
    let mut opened = File::open(file).with_context(complaint)?;
    let mut sum = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = opened.read(&mut buffer).with_context(complaint)?;
        match buffer.get(..read) {
            Some(bytes) if !bytes.is_empty() => sum.update(bytes),
            _ => return Ok(hex::encode(sum.finish())),
        }
    }
}
