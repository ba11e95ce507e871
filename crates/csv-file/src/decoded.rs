//! Bytes of a file become text, and its lines are counted.

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind, Read},
};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// What an error says of bytes that are no text.
pub(crate) const NOT_TEXT: &str = "this is no text";
/// What an error says of a row that does not end.
pub(crate) const TOO_LONG: &str = "this row is too long";
/// Bytes of a row at the most: one that is not closed would be held as a whole.
const ROW: u64 = 1024 * 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// What a first line has at the most.
const FIRST_LINE: usize = 64 * 1024;

/// The text of a file, as UTF-8.
pub(crate) struct Decoded<R> {
    file: R,
    raw: Vec<u8>,
    decoder: Option<Decoder>,
    text: Vec<u8>,
    /// How far `text` was read.
    read: usize,
    is_over: bool,
    lines: Lines,
    /// Bytes that were handed out, and those before the present row.
    given: u64,
    row_from: u64,
}

impl<R> std::fmt::Debug for Decoded<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Decoded<R> {
    pub(crate) fn new(file: R) -> Self {
        Self {
            file,
            raw: Vec::new(),
            decoder: None,
            text: Vec::new(),
            read: 0,
            is_over: false,
            lines: Lines::default(),
            given: 0,
            row_from: 0,
        }
    }

    /// The line that has been decoded to.
    pub(crate) const fn line(&self) -> u64 {
        self.lines.line
    }

    /// The line of the record that begins at `place`, or after the empty lines there.
    pub(crate) fn line_at(&mut self, place: u64) -> u64 {
        self.row_from = place;
        self.lines.at(place)
    }

    /// The first line of what is left, without its end; nothing of it is consumed.
    pub(crate) fn first_line(&mut self) -> Result<String, Error> {
        loop {
            let rest = self.text.get(self.read..).unwrap_or_default();
            // Lines before the first that are empty are none.
            let begin = rest
                .iter()
                .position(|byte| !is_end(*byte))
                .unwrap_or(rest.len());
            let rest = rest.get(begin..).unwrap_or_default();
            let end = rest.iter().position(|byte| is_end(*byte));
            if end.is_some() || self.is_over || rest.len() > FIRST_LINE {
                let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            self.fill()?;
        }
    }

    /// Passes over the first line of what is left, which is `line`; the bytes until its end.
    pub(crate) fn skip(&mut self, line: &str) -> u64 {
        let rest = self.text.get(self.read..).unwrap_or_default();
        let begin = rest.iter().position(|byte| !is_end(*byte));
        let passed = begin.unwrap_or(rest.len()) + line.len();
        self.read += passed;
        self.given += passed as u64;
        passed as u64
    }

    /// Decodes some more.
    fn fill(&mut self) -> Result<(), Error> {
        self.text.drain(..self.read);
        self.read = 0;
        let had = self.raw.len();
        self.raw.resize(had + CHUNK, 0);
        let got = self
            .file
            .read(self.raw.get_mut(had..).unwrap_or_default())?;
        self.raw.truncate(had + got);
        self.is_over = got == 0;
        if self.decoder.is_none() && self.raw.len() < 3 && !self.is_over {
            return Ok(());
        }
        let decoder = self.decoder.get_or_insert_with(|| {
            let (encoding, _) = Encoding::for_bom(&self.raw).unwrap_or((UTF_8, 0));
            encoding.new_decoder_with_bom_removal()
        });
        let before = self.text.len();
        let room = decoder
            .max_utf8_buffer_length_without_replacement(self.raw.len())
            .unwrap_or(4 * CHUNK);
        self.text.resize(before + room, 0);
        let target = self.text.get_mut(before..).unwrap_or_default();
        let (outcome, _, written) =
            decoder.decode_to_utf8_without_replacement(&self.raw, target, self.is_over);
        self.text.truncate(before + written);
        self.raw.clear();
        let new = self.text.get(before..).unwrap_or_default();
        // UTF-16 without a mark looks like this.
        let zero = new.iter().position(|byte| *byte == 0);
        let text = new.get(..zero.unwrap_or(new.len())).unwrap_or_default();
        self.lines.count(text);
        if zero.is_some() || !matches!(outcome, DecoderResult::InputEmpty) {
            return Err(Error::new(ErrorKind::InvalidData, NOT_TEXT));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.given - self.row_from > ROW {
            return Err(Error::new(ErrorKind::InvalidData, TOO_LONG));
        }
        while self.read == self.text.len() && !self.is_over {
            self.fill()?;
        }
        let rest = self.text.get(self.read..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (Some(from), Some(to)) = (rest.get(..count), buffer.get_mut(..count)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        self.read += count;
        self.given += count as u64;
        Ok(count)
    }
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Counts lines. The CSV reader's own count is one behind after a line that ends with CR and LF, and
/// after an empty one.
#[derive(Debug)]
struct Lines {
    /// Bytes that were counted.
    counted: u64,
    line: u64,
    last: u8,
    /// Where lines that are not empty begin, and their numbers; those that were passed are gone.
    begins: VecDeque<(u64, u64)>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            counted: 0,
            line: 1,
            last: b'\n',
            begins: VecDeque::new(),
        }
    }
}

impl Lines {
    fn count(&mut self, text: &[u8]) {
        for &byte in text {
            let follows_cr = self.last == b'\r' && byte == b'\n';
            if is_end(byte) {
                self.line += u64::from(!follows_cr);
            } else if is_end(self.last) {
                self.begins.push_back((self.counted, self.line));
            }
            self.last = byte;
            self.counted += 1;
        }
    }

    fn at(&mut self, place: u64) -> u64 {
        while self.begins.front().is_some_and(|(begin, _)| *begin < place) {
            self.begins.pop_front();
        }
        self.begins.front().map_or(self.line, |(_, line)| *line)
    }
}
