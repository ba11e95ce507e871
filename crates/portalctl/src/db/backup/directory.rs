//! The directory of a backup, which is one only when everything in it is written.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

pub(in crate::db) const DUMP: &str = "database.dump";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const PROOF: &str = "proof.json";

/// A directory for a new backup; what was written goes with the value unless it was finished.
pub(super) struct NewDirectory {
    path: PathBuf,
    made: bool,
    is_finished: bool,
}

impl NewDirectory {
    pub(super) fn make(path: &Path) -> anyhow::Result<Self> {
        let made = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(_) if path.is_dir() => false,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        };
        let mut entries =
            std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        if entries.next().is_some() {
            bail!(
                "{} is not empty: a backup wants a directory of its own; give a new one with --out",
                path.display()
            );
        }
        Ok(Self {
            // For the log, which is read elsewhere.
            path: path.canonicalize()?,
            made,
            is_finished: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The dump's file while it is written; nobody else may read it.
    pub(super) fn open_dump(&self) -> anyhow::Result<File> {
        private(&unfinished(&self.path, DUMP))
    }

    pub(super) fn unfinished_dump(&self) -> PathBuf {
        unfinished(&self.path, DUMP)
    }

    /// Gives the dump its name, and then the manifest: from then on it is a backup.
    pub(super) fn finish(mut self, manifest: &[u8]) -> anyhow::Result<()> {
        std::fs::rename(unfinished(&self.path, DUMP), self.path.join(DUMP))?;
        replace(&self.path, MANIFEST, manifest)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        for name in [DUMP, MANIFEST] {
            drop(std::fs::remove_file(unfinished(&self.path, name)));
            drop(std::fs::remove_file(self.path.join(name)));
        }
        if self.made {
            drop(std::fs::remove_dir(&self.path));
        }
    }
}

/// Writes a file, in the place of one of that name, so that it is there as a whole or not at all, also after
/// a power cut.
pub(super) fn replace(directory: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let unfinished = unfinished(directory, name);
    drop(std::fs::remove_file(&unfinished));
    let mut file = private(&unfinished)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&unfinished, directory.join(name)))
        .and_then(|()| File::open(directory)?.sync_all())
        .with_context(|| format!("cannot write {}", directory.join(name).display()))
}

fn unfinished(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.part"))
}

fn private(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}
