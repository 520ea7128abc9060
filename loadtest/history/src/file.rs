//! A history as a file: one JSON document a line, gzipped when the path ends in `.gz`.
//!
//! The first line is a header (format, version, facts of the run, names of the keys); every further line is one
//! record, in the order of [`History::records`], so record `n` of a verdict is line `n + 2` of the file; the last line is the
//! end mark, with the number of records. Without it a file that was cut off would pass for a history of which something was
//! lost, and a sound server be accused. Both directions stream. It never judges a history: only what cannot be represented is
//! refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::log::{Log, LogError, Store};
use crate::record::{History, Key, Meta, Outcome, Record, Request};

/// What the first line says the file is.
const FORMAT: &str = "inventory-history";

/// The version of the format that this code writes.
const FORMAT_VERSION: u32 = 4;

/// The version before there were attempts under one key and consistent reads, which is still read: it has neither.
const FORMAT_VERSION_SINGLE: u32 = 3;

/// The version before answers could leave out the version of a level, which is still read.
const FORMAT_VERSION_TOLD: u32 = 2;

/// The version before there were end marks, which is still read.
const FORMAT_VERSION_UNMARKED: u32 = 1;

/// The longest line that is read: a record of 10 000 lines takes about 2 MiB, a header of a million keys 40 MiB.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Why a history could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The header is that of another version of the format.
    #[error(
        "{path}, line 1: format version {found} is not known (this program reads up to version {FORMAT_VERSION})"
    )]
    Version {
        /// The file.
        path: String,
        /// The version it claims.
        found: u32,
    },
    /// A log could not be read while it was written out.
    #[error(transparent)]
    Log(#[from] LogError),
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    format: &'a str,
    version: u32,
    meta: &'a Meta,
    keys: &'a [String],
}

#[derive(Deserialize)]
struct HeaderVersion {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct HeaderIn {
    meta: Meta,
    keys: Vec<String>,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndMark {
    /// How many records come before it.
    end: u64,
}

/// A history that was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The history.
    pub history: History,
    /// Whether the file says that it is whole: `false` of a version that had no end mark.
    pub is_whole: bool,
}

/// A history that was read from a file into its compact form.
#[derive(Debug)]
pub struct LoadedLog {
    /// The history.
    pub log: Log,
    /// As in [`Loaded`].
    pub is_whole: bool,
}

/// Writes a history, replacing what was at `path`.
///
/// The file is complete only when this returns `Ok`: it is flushed, not synced.
pub fn save(history: &History, path: &Path) -> Result<(), FileError> {
    let History { meta, keys, records } = history;
    write(path, meta, keys, records.len() as u64, |line| records.iter().try_for_each(line))
}

/// As [`save`], into memory, as a file has it that is not compressed.
pub fn save_to(history: &History, out: &mut Vec<u8>) -> io::Result<()> {
    let History { meta, keys, records } = history;
    write_line(out, &HeaderOut { format: FORMAT, version: FORMAT_VERSION, meta, keys })?;
    records.iter().try_for_each(|record| write_line(out, record))?;
    write_line(out, &EndMark { end: records.len() as u64 })
}

/// Writes a log as the history it is: see [`save`].
pub fn save_log(log: &Log, path: &Path) -> Result<(), FileError> {
    write(path, &log.meta, &log.keys, log.len(), |line| {
        let mut written = Ok(());
        log.for_each(|_, op| {
            if written.is_ok() {
                written = line(&Record::from(op));
            }
        })?;
        written
    })
}

/// Reads a history back.
///
/// An error names the line: one that is not JSON, not a record, names a key the header does not, is cut off, or is the last
/// and no end mark.
pub fn load(path: &Path) -> Result<Loaded, FileError> {
    let mut records = Vec::new();
    let (header, is_whole) = read(path, |record| records.push(record))?;
    Ok(Loaded { history: History { meta: header.meta, keys: header.keys, records }, is_whole })
}

/// Reads a history back into its compact form, which takes a thirtieth of the memory: see [`load`].
pub fn load_log(path: &Path, store: Arc<Store>) -> Result<LoadedLog, FileError> {
    let mut log = Log::new(store);
    let (header, is_whole) = read(path, |record| log.push((&record).into()))?;
    (log.meta, log.keys) = (header.meta, header.keys);
    Ok(LoadedLog { log, is_whole })
}

/// As [`load`], of the bytes of a file that would have that name.
pub fn load_from(name: &Path, bytes: &[u8]) -> Result<Loaded, FileError> {
    let mut records = Vec::new();
    let (header, is_whole) = read_from(name, bytes, |record| records.push(record))?;
    Ok(Loaded { history: History { meta: header.meta, keys: header.keys, records }, is_whole })
}

/// As [`load_log`], of the bytes of a file that would have that name.
pub fn load_log_from(name: &Path, bytes: &[u8], store: Arc<Store>) -> Result<LoadedLog, FileError> {
    let mut log = Log::new(store);
    let (header, is_whole) = read_from(name, bytes, |record| log.push((&record).into()))?;
    (log.meta, log.keys) = (header.meta, header.keys);
    Ok(LoadedLog { log, is_whole })
}

fn read(path: &Path, sink: impl FnMut(Record)) -> Result<(HeaderIn, bool), FileError> {
    let file =
        File::open(path).map_err(|source| FileError::Io { path: path.display().to_string(), source })?;
    read_from(path, BufReader::new(file), sink)
}

fn read_from(
    path: &Path,
    file: impl BufRead,
    mut sink: impl FnMut(Record),
) -> Result<(HeaderIn, bool), FileError> {
    let mut lines = if is_gzip(path) {
        Lines::new(path, Box::new(BufReader::new(MultiGzDecoder::new(file))))
    } else {
        Lines::new(path, Box::new(file))
    };
    let (header, is_whole) = lines.header()?;
    let mut count = 0;
    while let Some(record) = lines.record(header.keys.len(), is_whole, count)? {
        sink(record);
        count += 1;
    }
    Ok((header, is_whole))
}

/// Writes a record as a line of its own.
type WriteLine<'a> = dyn FnMut(&Record) -> Result<(), FileError> + 'a;

fn write(
    path: &Path,
    meta: &Meta,
    keys: &[String],
    count: u64,
    records: impl FnOnce(&mut WriteLine<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let failed = |source| FileError::Io { path: path.display().to_string(), source };
    let header = HeaderOut { format: FORMAT, version: FORMAT_VERSION, meta, keys };
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    if is_gzip(path) {
        let mut out = BufWriter::new(GzEncoder::new(file, Compression::fast()));
        write_line(&mut out, &header).map_err(failed)?;
        records(&mut |record| write_line(&mut out, record).map_err(failed))?;
        write_line(&mut out, &EndMark { end: count }).map_err(failed)?;
        let encoder = out.into_inner().map_err(|error| failed(error.into_error()))?;
        encoder.finish().and_then(|mut file| file.flush()).map_err(failed)
    } else {
        let mut out = file;
        write_line(&mut out, &header).map_err(failed)?;
        records(&mut |record| write_line(&mut out, record).map_err(failed))?;
        write_line(&mut out, &EndMark { end: count }).and_then(|()| out.flush()).map_err(failed)
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// The lines of a file, with the number of the one at hand for messages.
struct Lines<'a> {
    path: &'a Path,
    input: Box<dyn BufRead + 'a>,
    number: u64,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(path: &'a Path, input: Box<dyn BufRead + 'a>) -> Self {
        Self { path, input, number: 0, buffer: Vec::new() }
    }

    /// The header, and whether an end mark is to come.
    fn header(&mut self) -> Result<(HeaderIn, bool), FileError> {
        if !self.advance()? {
            return Err(self.problem("the file is empty"));
        }
        // Format and version are read on their own, so that another version is named and not called broken.
        let version: HeaderVersion = serde_json::from_slice(&self.buffer)
            .map_err(|error| self.problem(format!("not a header: {error}")))?;
        if version.format != FORMAT {
            return Err(self.problem(format!("not a header: format is {:?}", version.format)));
        }
        let is_marked = match version.version {
            FORMAT_VERSION | FORMAT_VERSION_SINGLE | FORMAT_VERSION_TOLD => true,
            FORMAT_VERSION_UNMARKED => false,
            found => return Err(FileError::Version { path: self.path.display().to_string(), found }),
        };
        let header = serde_json::from_slice(&self.buffer);
        Ok((header.map_err(|error| self.problem(format!("not a header: {error}")))?, is_marked))
    }

    /// The next record, after `count`; `None` at the end, which is where the end mark says if there is one.
    fn record(&mut self, keys: usize, is_marked: bool, count: u64) -> Result<Option<Record>, FileError> {
        if !self.advance()? {
            return if is_marked {
                Err(self.problem("there is no end mark: the file is cut off"))
            } else {
                Ok(None)
            };
        }
        if is_marked && let Ok(mark) = serde_json::from_slice::<EndMark>(&self.buffer) {
            return self.ended(&mark, count);
        }
        let record: Record = serde_json::from_slice(&self.buffer)
            .map_err(|error| self.problem(format!("not a record: {error}")))?;
        match unnamed_key(&record, keys) {
            Some(key) => Err(self.problem(format!("key {} is not among the {keys} of the header", key.0))),
            None => Ok(Some(record)),
        }
    }

    fn ended(&mut self, mark: &EndMark, count: u64) -> Result<Option<Record>, FileError> {
        if mark.end != count {
            let end = mark.end;
            return Err(
                self.problem(format!("{end} records were written, {count} are here: lines are missing"))
            );
        }
        if self.advance()? {
            return Err(self.problem("there is more after the end mark"));
        }
        Ok(None)
    }

    /// Reads the next line; `false` at the end.
    fn advance(&mut self) -> Result<bool, FileError> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = io::Read::take(&mut self.input, LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.buffer);
        match read {
            Err(error) => Err(self.problem(error.to_string())),
            Ok(0) => Ok(false),
            Ok(_) if self.buffer.last() == Some(&b'\n') => Ok(true),
            // Every line is written with its end, so a line without one was not written to its end.
            Ok(_) => Err(self.problem("cut off, or too long")),
        }
    }

    fn problem(&self, problem: impl Into<String>) -> FileError {
        FileError::Line { path: self.path.display().to_string(), line: self.number, problem: problem.into() }
    }
}

/// The first key of a record that is not below `keys`.
fn unnamed_key(record: &Record, keys: usize) -> Option<Key> {
    let unnamed = |key: &Key| key.0 as usize >= keys;
    let asked = match &record.request {
        Request::Read(key) => Some(*key).filter(unnamed),
        Request::Snapshot(keys) => keys.iter().copied().find(unnamed),
        Request::Write(lines) => lines.iter().map(|line| line.key).find(unnamed),
    };
    let answered = || match &record.outcome {
        Outcome::Read(seen) => Some(seen.key).filter(unnamed),
        Outcome::Applied(seen) | Outcome::Snapshot { levels: seen, .. } => {
            seen.iter().map(|seen| seen.key).find(unnamed)
        }
        Outcome::Refused(refused) => refused.iter().map(|refused| refused.seen.key).find(unnamed),
        Outcome::NotApplied | Outcome::Unknown => None,
    };
    asked.or_else(answered)
}
