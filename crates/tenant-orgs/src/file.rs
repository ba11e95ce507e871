//! The file.

use std::io::Read;

use portal_csv_file::{BadFile, Column, Rows};

const COLUMNS: [Column; 2] = [
    Column {
        name: "tenant_id",
        aliases: &["tenant"],
    },
    Column {
        name: "genesys_org_id",
        aliases: &["genesys_organization_id", "organization_id", "org_id"],
    },
];

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// In the file; the header is line 1.
    pub line: u64,
    /// The tenant.
    pub tenant_id: String,
    /// The organization.
    pub genesys_org_id: String,
    /// Whether it has a cell for each column.
    pub(crate) is_whole: bool,
}

/// Reads a file of at most `most` rows, as spreadsheets write them (see [`Rows`]).
///
/// # Errors
/// When it is no such file.
pub fn read(file: impl Read, most: usize) -> Result<Vec<FileRow>, BadFile> {
    let mut rows = Rows::open(file, &COLUMNS, most)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next_row()? {
        all.push(FileRow {
            line: row.line,
            tenant_id: row.cell(0).to_owned(),
            genesys_org_id: row.cell(1).to_owned(),
            is_whole: row.is_whole,
        });
    }
    Ok(all)
}
