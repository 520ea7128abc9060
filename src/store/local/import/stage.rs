//! [`Stage`]: takes the bytes of an import in, checks every line, and leaves a sorted [`Staged`] file, or says what is wrong.
//!
//! Blocking, in bounded memory however long the import: see [`sort`](super::sort).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entries::Entry;
use super::line::{self, LINE_BYTES_MAX, Lines};
use super::sort::{RUN_ENTRIES, Sorter};
use super::staged::{Staged, Writer};
use super::{ImportError, temporary_name};
use crate::journal::disk::Disk;
use crate::stock::Once;
use crate::store::chores::{IMPORT_BYTES_MAX, LINE_ERRORS_MAX, LineError};

/// Between two looks whether the service stops, in levels that were sorted.
const LOOK_EVERY: u64 = 4096;

/// An import whose bytes are coming in. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Stage {
    disk: Arc<dyn Disk>,
    id: u128,
    lines: Lines,
    sorter: Sorter,
    wrong: Wrong,
    bytes: u64,
    /// The service stops: nothing is to be carried through.
    stop: Arc<AtomicBool>,
}

/// Lines that are wrong.
#[derive(Debug, Default)]
struct Wrong {
    first: Vec<LineError>,
    total: u64,
}

impl Stage {
    /// Begins an import with that id, in that folder.
    pub(super) fn begin(disk: Arc<dyn Disk>, id: u128, stop: Arc<AtomicBool>) -> Self {
        Self::with_runs_of(disk, id, stop, RUN_ENTRIES)
    }

    pub(super) fn with_runs_of(
        disk: Arc<dyn Disk>,
        id: u128,
        stop: Arc<AtomicBool>,
        run_entries: usize,
    ) -> Self {
        let name = format!("{}.runs.tmp", temporary_name(id));
        // Of an import of the same id that was cut off.
        let _ = disk.remove(&name);
        let sorter = Sorter::new(Arc::clone(&disk), name, run_entries);
        Self { disk, id, lines: Lines::default(), sorter, wrong: Wrong::default(), bytes: 0, stop }
    }

    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.bytes += bytes.len() as u64;
        if self.stop.load(Ordering::Relaxed) {
            return Err(ImportError::Stopped);
        }
        if self.bytes > IMPORT_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        let (sorter, wrong) = (&mut self.sorter, &mut self.wrong);
        self.lines.push(bytes, |number, line| take(sorter, wrong, number, line)).map_err(ImportError::Io)
    }

    /// Ends the import: the staged file, whole and synced and not yet named, or everything that is wrong with it.
    pub(super) fn finish(mut self, once: Option<Once>) -> Result<Staged, ImportError> {
        let (sorter, wrong) = (&mut self.sorter, &mut self.wrong);
        self.lines.finish(|number, line| take(sorter, wrong, number, line)).map_err(ImportError::Io)?;
        // Wrong lines are told before lines that are there twice: those may be neither.
        self.wrong.told()?;
        let mut writer = Writer::create(Arc::clone(&self.disk), self.id).map_err(ImportError::Io)?;
        match write(&mut self.sorter, &mut writer, &mut self.wrong, &self.stop) {
            Ok(()) if self.stop.load(Ordering::Relaxed) => {
                writer.abandon();
                Err(ImportError::Stopped)
            }
            Ok(()) if writer.levels() == 0 => {
                writer.abandon();
                Err(ImportError::Empty)
            }
            Ok(()) if self.wrong.total == 0 => writer.finish(once).map_err(ImportError::Io),
            Ok(()) => {
                writer.abandon();
                Err(self.wrong.told().expect_err("some lines are wrong"))
            }
            Err(error) => {
                writer.abandon();
                Err(ImportError::Io(error))
            }
        }
    }
}

fn take(sorter: &mut Sorter, wrong: &mut Wrong, number: u64, line: Option<&[u8]>) -> io::Result<()> {
    let parsed = match line {
        Some(line) => line::parse(number, line),
        None => Err(LineError {
            line: number,
            field: String::new(),
            detail: format!("is longer than {LINE_BYTES_MAX} bytes"),
        }),
    };
    match parsed {
        // Once a line is wrong nothing will be applied: the rest is only read.
        Ok(_) if wrong.total > 0 => Ok(()),
        Ok((key, on_hand)) => sorter.push(Entry { key, line: number, on_hand: on_hand.units() }),
        Err(error) => {
            wrong.add(error);
            Ok(())
        }
    }
}

/// Writes the entries in order, and finds those of one level; ends early once it is to stop.
fn write(sorter: &mut Sorter, writer: &mut Writer, wrong: &mut Wrong, stop: &AtomicBool) -> io::Result<()> {
    let mut entries = sorter.sorted()?;
    let mut last: Option<Entry> = None;
    while let Some(entry) = entries.next()? {
        if writer.levels().is_multiple_of(LOOK_EVERY) && stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        match &last {
            Some(last) if last.key == entry.key => wrong.add(LineError {
                line: entry.line,
                field: "sku".to_owned(),
                detail: format!("names the same stock level as line {}: {}", last.line, entry.key),
            }),
            _ => {
                writer.push(&entry)?;
                last = Some(entry);
            }
        }
    }
    Ok(())
}

impl Wrong {
    fn add(&mut self, error: LineError) {
        self.total += 1;
        if self.first.len() < LINE_ERRORS_MAX {
            self.first.push(error);
        }
    }

    fn told(&mut self) -> Result<(), ImportError> {
        if self.total == 0 {
            return Ok(());
        }
        let mut errors = std::mem::take(&mut self.first);
        errors.sort_by_key(|error| error.line);
        Err(ImportError::Lines { errors, total: self.total })
    }
}
