//! Embeds the text of each migration by its version, which `embed_migrations!` keeps to itself; and rebuilds
//! when a migration is added, which it does not notice alone.
#![allow(
    clippy::expect_used,
    reason = "a build that cannot read its migrations stops"
)]

use std::{env, fmt::Write as _, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says where"))
        .join("../../migrations");
    let mut found: Vec<_> = fs::read_dir(&root)
        .expect("the migrations are there")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let (version, _) = path.file_name()?.to_str()?.split_once('_')?;
            let up = path.join("up.sql").canonicalize().ok()?;
            Some((version.replace('-', ""), up))
        })
        .collect();
    found.sort();
    let mut text = String::from("[\n");
    for (version, up) in found {
        writeln!(
            text,
            "({version:?}, include_str!(r#\"{}\"#)),",
            up.display()
        )
        .expect("a text grows");
    }
    text.push(']');
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where")).join("migrations.in");
    fs::write(out, text).expect("it is written");
}
