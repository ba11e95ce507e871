//! A file that gives many tenants their Genesys organizations: `tenant_id,genesys_org_id`.

use std::collections::{HashMap, HashSet};

use portal_types::TenantId;

use super::tenant::{GenesysOrgId, TenantStatus};

/// Rows of one file at the most.
const MOST_ROWS: usize = 10_000;
/// The first line.
const HEADER: [&str; 2] = ["tenant_id", "genesys_org_id"];

/// Why a file cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFile {
    #[error("must be UTF-8")]
    NotUtf8,
    #[error("must begin with the line tenant_id,genesys_org_id")]
    NoHeader,
    #[error("must have at least one row below the header")]
    Empty,
    #[error("must have at most 10000 rows")]
    TooLong,
}

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) line: u64,
    pub(crate) tenant_id: String,
    pub(crate) genesys_org_id: String,
    /// Whether it has two columns.
    is_whole: bool,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowError {
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowResult {
    /// The tenant gets the organization.
    Mapped(Mapping),
    /// It has it already.
    Unchanged,
    Error(RowError),
}

/// A tenant, its present organization and the one that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) tenant_id: TenantId,
    pub(crate) previous: Option<String>,
    pub(crate) org: GenesysOrgId,
}

/// What is known of the tenants that a file names, and of those that have the organizations it names.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Status and organization by tenant.
    pub(crate) tenants: HashMap<String, (TenantStatus, Option<String>)>,
    /// Tenant by organization.
    pub(crate) owners: HashMap<String, String>,
}

/// Reads a file.
pub(crate) fn read(file: &[u8]) -> Result<Vec<FileRow>, BadFile> {
    let text = std::str::from_utf8(file).or(Err(BadFile::NotUtf8))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader.headers().or(Err(BadFile::NoHeader))?;
    if !header.iter().eq(HEADER) {
        return Err(BadFile::NoHeader);
    }
    let mut rows = Vec::new();
    let mut lines = Lines {
        text: text.as_bytes(),
        counted: 0,
        line: 1,
    };
    for record in reader.records() {
        let record = record.or(Err(BadFile::NotUtf8))?;
        if rows.len() == MOST_ROWS {
            return Err(BadFile::TooLong);
        }
        let column = |place| record.get(place).unwrap_or_default().to_owned();
        rows.push(FileRow {
            line: record.position().map_or(0, |place| lines.at(place.byte())),
            tenant_id: column(0),
            genesys_org_id: column(1),
            is_whole: record.len() == HEADER.len(),
        });
    }
    if rows.is_empty() {
        return Err(BadFile::Empty);
    }
    Ok(rows)
}

/// Counts lines. The reader's own count is one behind after a line that ends with CR and LF, and
/// after an empty one.
struct Lines<'a> {
    text: &'a [u8],
    counted: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that begins at `place`, or after the line ends there.
    fn at(&mut self, place: u64) -> u64 {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let rest = self.text.get(place..).unwrap_or_default();
        let ends = rest.iter().take_while(|byte| b"\r\n".contains(byte));
        let begin = place.saturating_add(ends.count());
        let passed = self.text.get(self.counted..begin).unwrap_or_default();
        self.line += passed
            .iter()
            .map(|byte| u64::from(*byte == b'\n'))
            .sum::<u64>();
        self.counted = begin;
        self.line
    }
}

/// Decides each row. Tenants of the file may swap organizations: who has one is asked only of
/// tenants that the file does not name.
pub(crate) fn decide(rows: &[FileRow], present: &Present) -> Vec<RowResult> {
    let named: HashSet<&str> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
    let (mut tenants, mut orgs) = (HashSet::new(), HashSet::new());
    rows.iter()
        .map(|row| {
            let is_new_tenant = tenants.insert(row.tenant_id.as_str());
            let is_new_org = orgs.insert(row.genesys_org_id.as_str());
            decide_row(row, (is_new_tenant, is_new_org), &named, present)
                .unwrap_or_else(RowResult::Error)
        })
        .collect()
}

fn decide_row(
    row: &FileRow,
    (is_new_tenant, is_new_org): (bool, bool),
    named: &HashSet<&str>,
    present: &Present,
) -> Result<RowResult, RowError> {
    let error = |code, message| RowError { code, message };
    if !row.is_whole {
        return Err(error("ROW_INVALID", "The row must have two columns."));
    }
    let tenant_id = TenantId::parse(&row.tenant_id)
        .map_err(|_form| error("TENANT_ID_INVALID", "This is not the id of a tenant."))?;
    let org: GenesysOrgId = row.genesys_org_id.parse().map_err(|_form| {
        error(
            "GENESYS_ORG_ID_INVALID",
            "This is not the id of a Genesys organization, such as a UUID.",
        )
    })?;
    if !is_new_tenant {
        return Err(error(
            "TENANT_DUPLICATE",
            "The tenant stands in the file before.",
        ));
    }
    if !is_new_org {
        return Err(error(
            "GENESYS_ORG_DUPLICATE",
            "The organization stands in the file before.",
        ));
    }
    let Some((status, previous)) = present.tenants.get(&row.tenant_id) else {
        return Err(error("TENANT_NOT_FOUND", "There is no such tenant."));
    };
    if *status == TenantStatus::Deleted {
        return Err(error("TENANT_DELETED", "The tenant is deleted."));
    }
    if previous.as_deref() == Some(org.as_str()) {
        return Ok(RowResult::Unchanged);
    }
    let owner = present.owners.get(org.as_str());
    if owner.is_some_and(|owner| !named.contains(owner.as_str())) {
        return Err(error(
            "GENESYS_ORG_TAKEN",
            "The organization belongs to a tenant that is not in the file.",
        ));
    }
    Ok(RowResult::Mapped(Mapping {
        tenant_id,
        previous: previous.clone(),
        org,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<FileRow> {
        read(format!("tenant_id,genesys_org_id\n{text}").as_bytes()).unwrap()
    }

    #[test]
    fn files_of_many_makes_are_read() {
        for file in [
            "tenant_id,genesys_org_id\na,o-1\nb,o-2\n",
            "\u{feff}tenant_id,genesys_org_id\r\na,o-1\r\nb,o-2",
            "tenant_id , genesys_org_id\n\"a\", o-1\n\n b,\"o-2\"\n",
        ] {
            let rows = read(file.as_bytes()).unwrap();
            let found: Vec<_> = rows
                .iter()
                .map(|row| (row.tenant_id.as_str(), row.genesys_org_id.as_str()))
                .collect();
            assert_eq!(found, [("a", "o-1"), ("b", "o-2")], "{file:?}");
        }
    }

    #[test]
    fn rows_are_named_by_their_lines_however_lines_end() {
        for file in [
            "tenant_id,genesys_org_id\na,o-1\n\nb,o-2\nc,o-3\n",
            "\u{feff}tenant_id,genesys_org_id\r\na,o-1\r\n\r\nb,o-2\r\nc,o-3",
        ] {
            let rows = read(file.as_bytes()).unwrap();
            let lines: Vec<_> = rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 4, 5], "{file:?}");
        }
    }

    #[test]
    fn files_that_are_no_list_are_refused() {
        let long = "tenant_id,genesys_org_id\n".to_owned() + &"a,b\n".repeat(10_001);
        for (file, error) in [
            (&b""[..], BadFile::NoHeader),
            (b"a,o-1\n", BadFile::NoHeader),
            (b"genesys_org_id,tenant_id\no-1,a\n", BadFile::NoHeader),
            (b"tenant_id,genesys_org_id\n", BadFile::Empty),
            (b"tenant_id,genesys_org_id\na,\xff\n", BadFile::NotUtf8),
            (long.as_bytes(), BadFile::TooLong),
        ] {
            assert_eq!(read(file), Err(error));
        }
    }

    #[test]
    fn every_row_is_decided() {
        let mut present = Present::default();
        for (tenant, status, org) in [
            ("a", TenantStatus::Active, Some("o-1")),
            ("b", TenantStatus::Suspended, Some("o-2")),
            ("c", TenantStatus::Active, None),
            ("d", TenantStatus::Active, Some("o-4")),
            ("gone", TenantStatus::Deleted, None),
            ("outside", TenantStatus::Active, Some("o-9")),
        ] {
            let org = org.map(str::to_owned);
            if let Some(org) = &org {
                present.owners.insert(org.clone(), tenant.to_owned());
            }
            present.tenants.insert(tenant.to_owned(), (status, org));
        }
        let file = "a,o-2\nb,o-1\nd,o-4\nc,o-9\nc,o-7\ngone,o-8\nnone,o-5\nx y,o-6\ne,o 6\na,b,c\nf\nh,o-1";
        let shown: Vec<_> = decide(&rows(file), &present)
            .into_iter()
            .map(|result| match result {
                RowResult::Mapped(mapping) => format!("{} {}", mapping.tenant_id, mapping.org),
                RowResult::Unchanged => "unchanged".to_owned(),
                RowResult::Error(error) => error.code.to_owned(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a o-2",
                "b o-1",
                "unchanged",
                "GENESYS_ORG_TAKEN",
                "TENANT_DUPLICATE",
                "TENANT_DELETED",
                "TENANT_NOT_FOUND",
                "TENANT_ID_INVALID",
                "GENESYS_ORG_ID_INVALID",
                "ROW_INVALID",
                "ROW_INVALID",
                "GENESYS_ORG_DUPLICATE"
            ]
        );
    }
}
