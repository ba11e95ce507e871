//! The file.

use encoding_rs::{Encoding, UTF_8};

/// The first line.
const HEADER: [&str; 2] = ["tenant_id", "genesys_org_id"];

/// Why a file cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// It is neither.
    #[error("must be UTF-8, or UTF-16 with a byte order mark")]
    NotText,
    /// The first line is something else.
    #[error("must begin with the line tenant_id,genesys_org_id (or with ; or a tab between)")]
    NoHeader,
    /// There is the header alone.
    #[error("must have at least one row below the header")]
    Empty,
    /// It has more rows than may be.
    #[error("must have at most {0} rows")]
    TooLong(usize),
}

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// In the file; the header is line 1.
    pub line: u64,
    /// The first column.
    pub tenant_id: String,
    /// The second column.
    pub genesys_org_id: String,
    /// Whether it has two columns.
    pub(crate) is_whole: bool,
}

/// Reads a file of at most `most` rows, as spreadsheets write them: UTF-8 or UTF-16, any usual line end,
/// quotes, and comma, semicolon or tab between the columns.
///
/// # Errors
/// When it is no such file.
pub fn read(file: &[u8], most: usize) -> Result<Vec<FileRow>, BadFile> {
    let (encoding, mark) = Encoding::for_bom(file).unwrap_or((UTF_8, 0));
    let text = encoding
        .decode_without_bom_handling_and_without_replacement(file.get(mark..).unwrap_or_default())
        .ok_or(BadFile::NotText)?;
    let header = text.lines().next().unwrap_or_default();
    let delimiter = [b';', b'\t']
        .into_iter()
        .find(|delimiter| header.as_bytes().contains(delimiter));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
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
        let record = record.or(Err(BadFile::NotText))?;
        if rows.len() == most {
            return Err(BadFile::TooLong(most));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_many_makes_are_read() {
        for file in [
            "tenant_id,genesys_org_id\na,o-1\nb,o-2\n",
            "\u{feff}tenant_id,genesys_org_id\r\na,o-1\r\nb,o-2",
            "tenant_id , genesys_org_id\n\"a\", o-1\n\n b,\"o-2\"\n",
            "tenant_id;genesys_org_id\r\na;o-1\r\nb;\"o-2\"\r\n",
            "tenant_id\tgenesys_org_id\na\to-1\nb\to-2\n",
        ] {
            let rows = read(file.as_bytes(), 10).unwrap();
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
            let rows = read(file.as_bytes(), 10).unwrap();
            let lines: Vec<_> = rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 4, 5], "{file:?}");
        }
    }

    #[test]
    fn files_that_are_no_list_are_refused() {
        let long = "tenant_id,genesys_org_id\n".to_owned() + &"a,b\n".repeat(11);
        for (file, error) in [
            (&b""[..], BadFile::NoHeader),
            (b"a,o-1\n", BadFile::NoHeader),
            (b"genesys_org_id,tenant_id\no-1,a\n", BadFile::NoHeader),
            (b"tenant_id,genesys_org_id\n", BadFile::Empty),
            (b"tenant_id,genesys_org_id\na,\xff\n", BadFile::NotText),
            (long.as_bytes(), BadFile::TooLong(10)),
        ] {
            assert_eq!(read(file, 10), Err(error));
        }
    }

    #[test]
    fn utf_16_is_read_in_both_orders() {
        let text = "\u{feff}tenant_id;genesys_org_id\r\na;o-1\r\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for file in [little, big] {
            let rows = read(&file, 10).unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0].line, rows[0].tenant_id.as_str()), (2, "a"));
        }
    }
}
