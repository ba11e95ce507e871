//! Runs `pg_restore`.

use std::{ffi::OsString, path::Path, process::Stdio};

use secrecy::SecretString;

use crate::{
    address::Address,
    db::{backup::Database, programs::Program},
};

/// Restores the dump, all of it or nothing.
///
/// Triggers of tools stay away: what they call was not backed up.
pub(in crate::db) fn fill(
    program: &Program,
    url: &SecretString,
    dump: &Path,
) -> anyhow::Result<()> {
    let contents = program.contents(dump)?;
    let kept = without_tools(&contents);
    let mut arguments: Vec<OsString> = ["--single-transaction", "--exit-on-error", "--verbose"]
        .map(OsString::from)
        .into();
    let list = (kept != contents).then_some(kept);
    if list.is_some() {
        arguments.push("--use-list=/dev/stdin".into());
    }
    arguments.push(dump.into());
    let tell = |table: &str| eprintln!("restoring {table}");
    let address = Address::parse(url)?;
    program
        .start(Some(&address), &arguments, list, Stdio::null(), tell)?
        .wait()
}

/// The lines of a table of contents that are not of triggers whose names begin with two underscores;
/// such a line is `3456; 2620 16999 TRIGGER public agents __trigger owner`.
fn without_tools(contents: &str) -> String {
    let is_of_tool = |line: &str| {
        line.split_once(" TRIGGER ")
            .is_some_and(|(_, named)| named.split(' ').skip(2).any(|word| word.starts_with("__")))
    };
    contents
        .lines()
        .filter(|line| !is_of_tool(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// How a database is made that is like the one that was backed up.
pub(in crate::db) fn settings(database: &Database) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let locale = database.locale.as_deref().unwrap_or_default();
    let provider = match database.locale_provider.as_str() {
        "i" => format!("LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale)),
        "b" => format!("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(locale)),
        // Servers before version 15 know no other.
        _ => String::new(),
    };
    format!(
        "TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} {provider}",
        literal(&database.encoding),
        literal(&database.collate),
        literal(&database.ctype)
    )
}

#[cfg(test)]
mod tests {
    use super::without_tools;

    #[test]
    fn triggers_of_tools_are_left_out_of_what_is_restored() {
        let contents = "; comment\n1; 1259 2 TABLE public agents postgres\n\
            2; 2620 3 TRIGGER public agents __capture_agents postgres\n\
            3; 2620 4 TRIGGER public agents touch postgres\n";
        let kept = without_tools(contents);
        assert!(!kept.contains("__capture"), "{kept}");
        assert_eq!(kept.lines().count(), contents.lines().count() - 1);
    }
}
