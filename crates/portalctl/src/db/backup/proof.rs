//! What a restored copy has proven of a backup.

use std::path::Path;

use anyhow::Context as _;
use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::{BackupError, Manifest, directory};

#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    /// SHA-256 of the manifest that it is of.
    manifest_sha256: String,
    verified_at: String,
    server_version: String,
    holds: bool,
    differences: Vec<String>,
}

/// A backup that was restored once and found to be what it says.
pub(crate) struct Verified {
    pub(crate) manifest: Manifest,
    /// RFC 3339.
    pub(crate) verified_at: String,
}

pub(super) fn write(
    directory: &Path,
    manifest_sha256: &str,
    server_version: &str,
    differences: &[String],
) -> anyhow::Result<()> {
    let proof = Proof {
        manifest_sha256: manifest_sha256.to_owned(),
        verified_at: Utc::now().to_rfc3339(),
        server_version: server_version.to_owned(),
        holds: differences.is_empty(),
        differences: differences.to_vec(),
    };
    directory::replace(
        directory,
        directory::PROOF,
        &serde_json::to_vec_pretty(&proof)?,
    )
}

/// Tells whether the directory holds a backup that `db backup verify` found to hold, and that nobody
/// touched since; the dump is read once for it.
///
/// # Errors
/// [`BackupError::NotWhole`], which says what to do, when it is not.
pub(crate) fn verified(directory: &Path) -> anyhow::Result<Verified> {
    let (manifest, sha256) = Manifest::read(directory)?;
    let path = directory.join(directory::PROOF);
    let unproven = |why: &str| {
        let directory = directory.display();
        let advice = format!("run `portalctl db backup verify {directory}`");
        BackupError::NotWhole(format!("the backup in {directory} {why}: {advice}"))
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(unproven("was never restored to prove it").into());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let proof: Proof = serde_json::from_slice(&bytes)
        .map_err(|error| unproven(&format!("has a proof that cannot be read ({error})")))?;
    if proof.manifest_sha256 != sha256 {
        return Err(unproven("has a proof of another manifest").into());
    }
    if !proof.holds {
        return Err(unproven("was found not to hold what it says").into());
    }
    manifest.hold_dump(directory)?;
    Ok(Verified {
        manifest,
        verified_at: proof.verified_at,
    })
}
