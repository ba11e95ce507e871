//! Fingerprints the migrations, so that a changed one makes a new template database.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

fn main() {
    let root = Path::new("../../migrations");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files: Vec<PathBuf> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|entry| {
            [
                entry.path().join("up.sql"),
                entry.path().join("metadata.toml"),
            ]
        })
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    println!(
        "cargo::rustc-env=TEMPLATE_FINGERPRINT={:016x}",
        hasher.finish()
    );
}
