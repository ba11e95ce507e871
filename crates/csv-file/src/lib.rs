//! Lists as spreadsheets write them: UTF-8, or UTF-16 with a byte order mark; comma, semicolon or tab
//! between the columns; any usual line end; quotes. The first line names the columns, in any order.
//!
//! A file is read as it comes: what is held at a time is one row, however long the file is.
#![warn(missing_docs)]

mod decoded;

use std::io::Read;

use crate::decoded::{Decoded, NOT_TEXT, TOO_LONG};

/// A column that a file must have.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Other names of it, in small letters with `_` between words.
    pub aliases: &'static [&'static str],
}

/// Why a file cannot be read, or not any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// It is neither.
    #[error("must be UTF-8, or UTF-16 with a byte order mark; line {0} is neither")]
    NotText(u64),
    /// The first line names none of the columns.
    #[error("must begin with the line {0} (or with ; or a tab between)")]
    NoHeader(String),
    /// The first line lacks a column.
    #[error("must have a column {0}: its first line names {1}")]
    NoColumn(&'static str, String),
    /// The first line has a column twice.
    #[error("must name the column {0} once in its first line")]
    ColumnTwice(&'static str),
    /// There is the header alone.
    #[error("must have at least one row below the header")]
    Empty,
    /// It has more rows than may be.
    #[error("must have at most {0} rows")]
    TooLong(usize),
    /// A row does not end; with the line of the one before it.
    #[error("has a row of more than 1 MiB after line {0}: is a quote not closed there?")]
    RowTooLong(u64),
    /// The operating system did not give it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// A row.
#[derive(Debug)]
pub struct Row<'a> {
    /// Where it begins in the file; the header is line 1.
    pub line: u64,
    /// Whether it has as many cells as the header.
    pub is_whole: bool,
    record: &'a csv::StringRecord,
    places: &'a [usize],
}

impl Row<'_> {
    /// What stands in a column, without white space around it; nothing where the row is too short.
    pub fn cell(&self, column: usize) -> &str {
        let place = self.places.get(column).copied().unwrap_or(usize::MAX);
        self.record.get(place).unwrap_or_default()
    }
}

/// The rows of a file.
#[derive(Debug)]
pub struct Rows<R> {
    reader: csv::Reader<Decoded<R>>,
    record: csv::StringRecord,
    /// Where the columns stand.
    places: Vec<usize>,
    /// Columns of the header.
    width: usize,
    /// Bytes of text before what `reader` sees.
    skipped: u64,
    left: usize,
    most: usize,
    /// The line of the last row.
    line: u64,
}

impl<R: Read> Rows<R> {
    /// Reads the header of a file with `columns` and at most `most` rows; other columns are not looked at.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn open(file: R, columns: &[Column], most: usize) -> Result<Self, BadFile> {
        let mut text = Decoded::new(file);
        let mut skipped = 0;
        let mut first = first_line(&mut text)?;
        // Excel says so of the separator.
        let named = first
            .strip_prefix("sep=")
            .and_then(|rest| rest.bytes().next());
        if named.is_some() {
            skipped = text.skip(&first);
            first = first_line(&mut text)?;
        }
        let found = || {
            [b';', b'\t']
                .into_iter()
                .find(|&sign| first.as_bytes().contains(&sign))
        };
        let delimiter = named.or_else(found).unwrap_or(b',');
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .flexible(true)
            .has_headers(false)
            .from_reader(text);
        let mut rows = Self {
            reader,
            record: csv::StringRecord::new(),
            places: Vec::new(),
            width: 0,
            skipped,
            left: most,
            most,
            line: 1,
        };
        rows.advance()?;
        rows.places = places(&rows.record, columns)?;
        rows.width = rows.record.len();
        Ok(rows)
    }

    /// Where a column stands in the file; the first is 1.
    pub fn place(&self, column: usize) -> usize {
        self.places.get(column).map_or(0, |place| place + 1)
    }

    /// The next row; rows of empty cells are passed over.
    ///
    /// # Errors
    /// When the file is not what it seemed to be, or too long.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, BadFile> {
        let line = loop {
            let Some(line) = self.advance()? else {
                if self.left == self.most {
                    return Err(BadFile::Empty);
                }
                return Ok(None);
            };
            if self.record.iter().any(|cell| !cell.is_empty()) {
                break line;
            }
        };
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(BadFile::TooLong(self.most))?;
        let mut more = self.record.iter().skip(self.width);
        Ok(Some(Row {
            line,
            // Empty cells at the end are what is left of a column that was cleared.
            is_whole: self.record.len() >= self.width && more.all(str::is_empty),
            record: &self.record,
            places: &self.places,
        }))
    }

    /// Reads a record; its line.
    fn advance(&mut self) -> Result<Option<u64>, BadFile> {
        let is_there = self.reader.read_record(&mut self.record);
        let read_to = self.reader.get_ref().line();
        let before = self.line;
        let is_there = is_there.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) if says(&error, TOO_LONG) => BadFile::RowTooLong(before),
            csv::ErrorKind::Io(error) => unreadable(&error, read_to),
            _ => BadFile::NotText(read_to),
        })?;
        if !is_there {
            return Ok(None);
        }
        let place = self.record.position().map_or(0, csv::Position::byte);
        self.line = self.reader.get_mut().line_at(self.skipped + place);
        Ok(Some(self.line))
    }
}

fn first_line<R: Read>(text: &mut Decoded<R>) -> Result<String, BadFile> {
    let line = text.first_line();
    line.map_err(|error| unreadable(&error, text.line()))
}

fn unreadable(error: &std::io::Error, line: u64) -> BadFile {
    if says(error, NOT_TEXT) {
        BadFile::NotText(line)
    } else {
        BadFile::Unreadable(error.to_string())
    }
}

fn says(error: &std::io::Error, what: &str) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.to_string() == what)
}

fn places(header: &csv::StringRecord, columns: &[Column]) -> Result<Vec<usize>, BadFile> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '-'], "_");
    let names: Vec<String> = header.iter().map(plain).collect();
    let mut places = Vec::new();
    let mut missing = None;
    for column in columns {
        let is_it = |name: &str| name == column.name || column.aliases.contains(&name);
        let mut found = names.iter().enumerate().filter(|(_, name)| is_it(name));
        match (found.next(), found.next()) {
            (Some((place, _)), None) => places.push(place),
            (Some(_), Some(_)) => return Err(BadFile::ColumnTwice(column.name)),
            (None, _) => missing = missing.or(Some(column.name)),
        }
    }
    match missing {
        None => Ok(places),
        Some(name) if !places.is_empty() => Err(BadFile::NoColumn(
            name,
            header.iter().collect::<Vec<_>>().join(", "),
        )),
        Some(_) => {
            let names: Vec<_> = columns.iter().map(|column| column.name).collect();
            Err(BadFile::NoHeader(names.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [
        Column {
            name: "tenant_id",
            aliases: &["tenant"],
        },
        Column {
            name: "genesys_org_id",
            aliases: &["org_id", "organization"],
        },
    ];

    /// Line, cells and whether it is whole, of each row.
    fn read(file: &[u8], most: usize) -> Result<Vec<(u64, String, bool)>, BadFile> {
        // Bytes that come one by one.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let one = buffer.get_mut(..1).unwrap_or_default();
                self.0.read(one)
            }
        }
        let mut all = Vec::new();
        for slow in [false, true] {
            let file: Box<dyn Read> = if slow {
                Box::new(Slow(file))
            } else {
                Box::new(file)
            };
            let mut rows = Rows::open(file, &COLUMNS, most)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next_row()? {
                let cells = format!("{}|{}", row.cell(0), row.cell(1));
                found.push((row.line, cells, row.is_whole));
            }
            all.push(found);
        }
        assert_eq!(all[0], all[1]);
        Ok(all.remove(0))
    }

    fn cells(file: &str) -> Vec<String> {
        let rows = read(file.as_bytes(), 10).unwrap_or_else(|bad| panic!("{file:?} {bad}"));
        assert!(rows.iter().all(|(_, _, is_whole)| *is_whole), "{file:?}");
        rows.into_iter().map(|(_, cells, _)| cells).collect()
    }

    #[test]
    fn files_of_many_makes_are_read() {
        for file in [
            "tenant_id,genesys_org_id\na,o-1\nb,o-2\n",
            "\u{feff}tenant_id,genesys_org_id\r\na,o-1\r\nb,o-2",
            "tenant_id , genesys_org_id\n\"a\", o-1\n\n b,\"o-2\"\n",
            "tenant_id;genesys_org_id\r\na;o-1\r\nb;\"o-2\"\r\n",
            "tenant_id\tgenesys_org_id\na\to-1\nb\to-2\n",
            "tenant_id,genesys_org_id\ra,o-1\rb,o-2\r",
            "sep=;\r\ntenant_id;genesys_org_id\r\na;o-1\r\nb;o-2\r\n",
            "Org-ID,note,TENANT\no-1,x,a\no-2,,b\n",
            "\"Organization\",\"Tenant ID\"\no-1,a,,\n,\no-2,b\n",
        ] {
            assert_eq!(cells(file), ["a|o-1", "b|o-2"], "{file:?}");
        }
    }

    #[test]
    fn rows_are_named_by_their_lines_however_lines_end() {
        for (file, lines) in [
            (
                "tenant_id,genesys_org_id\na,o-1\n\nb,o-2\nc,o-3\n",
                [2, 4, 5],
            ),
            (
                "\u{feff}tenant_id,genesys_org_id\r\na,o-1\r\n\r\nb,o-2\r\nc,o-3",
                [2, 4, 5],
            ),
            ("tenant_id,genesys_org_id\ra,o-1\r\rb,o-2\rc,o-3", [2, 4, 5]),
            (
                "tenant_id,genesys_org_id\na,\"o\n\n1\"\nb,\"o\n2\"\nc,o-3",
                [2, 5, 7],
            ),
            (
                "sep=,\ntenant_id,genesys_org_id\na,o-1\nb,\nc,o-3",
                [3, 4, 5],
            ),
            (
                "\n\ntenant_id,genesys_org_id\na,o-1\nb\n , \nc,o-3",
                [4, 5, 7],
            ),
        ] {
            let rows = read(file.as_bytes(), 10).unwrap();
            let found: Vec<_> = rows.iter().map(|row| row.0).collect();
            assert_eq!(found, lines, "{file:?}");
        }
    }

    #[test]
    fn files_that_are_no_list_are_refused() {
        let no_header = || BadFile::NoHeader("tenant_id,genesys_org_id".to_owned());
        let long = "tenant_id,genesys_org_id\n".to_owned() + &"a,b\n".repeat(11);
        for (file, error) in [
            (&b""[..], no_header()),
            (b"a,o-1\n", no_header()),
            (b"t\0e\0n\0a\0n\0t\0_\0i\0d\0\n\0", BadFile::NotText(1)),
            (
                b"tenant_id,org\n",
                BadFile::NoColumn("genesys_org_id", "tenant_id, org".to_owned()),
            ),
            (
                b"tenant,genesys_org_id,tenant_id\n",
                BadFile::ColumnTwice("tenant_id"),
            ),
            (b"tenant_id,genesys_org_id\n", BadFile::Empty),
            (b"tenant_id,genesys_org_id\n,\n", BadFile::Empty),
            (
                b"tenant_id,genesys_org_id\na,b\na,\xe4\n",
                BadFile::NotText(3),
            ),
            (b"tenant_id,genesys_org_id\na,\xe4", BadFile::NotText(2)),
            (long.as_bytes(), BadFile::TooLong(10)),
        ] {
            assert_eq!(read(file, 10), Err(error), "{file:?}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_take_the_whole_file() {
        let begin = "tenant_id,genesys_org_id\na,o-1\nb,\"o-2\n";
        let rest = "c,o-3\n".repeat(200_000);
        let file = begin.to_owned() + &rest;
        let mut rows = Rows::open(file.as_bytes(), &COLUMNS, 9).unwrap();
        assert!(rows.next_row().is_ok());
        let bad = rows.next_row().map(|row| row.map(|row| row.line));
        assert_eq!(bad, Err(BadFile::RowTooLong(2)));
    }

    #[test]
    fn rows_that_are_not_whole_are_told() {
        let rows = read(b"tenant_id,genesys_org_id\na,b,c\nd\n,e\n", 10).unwrap();
        let expected = [(2, "a|b", false), (3, "d|", false), (4, "|e", true)];
        let expected = expected.map(|(line, cells, whole)| (line, cells.to_owned(), whole));
        assert_eq!(rows, expected);
    }

    #[test]
    fn utf_16_is_read_in_both_orders() {
        let text = "\u{feff}tenant_id;genesys_org_id\r\n\u{674e}\u{1f600};o-1\r\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for file in [little, big] {
            let rows = read(&file, 10).unwrap();
            assert_eq!(rows, [(2, "\u{674e}\u{1f600}|o-1".to_owned(), true)]);
        }
    }
}
