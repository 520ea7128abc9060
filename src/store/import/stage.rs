//! [`Stage`]: takes the bytes of an import in, checks every line, and leaves a sorted [`Staged`] file, or says what is wrong.
//!
//! Blocking, in bounded memory however long the import: see [`sort`](super::sort).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use smol_str::SmolStr;

use super::entries::{Entry, OTHER_HISTORY};
use super::line::{Reader, Wanted, whole};
use super::lines::{LINE_BYTES_MAX, Lines};
use super::sort::{RUN_ENTRIES, Sorter};
use super::staged::{Staged, Writer, temporary_name};
use crate::journal::disk::Disk;
use crate::stock::Once;
use crate::store::Lineage;
use crate::store::chores::{IMPORT_BYTES_MAX, ImportError, LINE_ERRORS_MAX, LineError, StockForm};

/// Between two looks whether the service stops, in levels that were sorted.
const LOOK_EVERY: u64 = 4096;

/// An import whose bytes are coming in. Dropped, it leaves nothing.
#[derive(Debug)]
pub(in crate::store) struct Stage {
    disk: Arc<dyn Disk>,
    id: u128,
    lines: Lines,
    taking: Taking,
    bytes: u64,
    /// The service stops: nothing is to be carried through.
    stop: Arc<AtomicBool>,
}

/// What an import is of.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Source {
    /// Its own id.
    pub(in crate::store) id: u128,
    /// The form of its lines.
    pub(in crate::store) form: StockForm,
    /// The history whose versions there are: a line may name one of another.
    pub(in crate::store) lineage: Lineage,
}

/// What becomes of a line.
#[derive(Debug)]
struct Taking {
    reader: Reader,
    /// The history whose versions there are.
    lineage: Lineage,
    sorter: Sorter,
    wrong: Wrong,
}

/// Lines that are wrong.
#[derive(Debug, Default)]
struct Wrong {
    first: Vec<LineError>,
    total: u64,
}

impl Stage {
    /// Begins an import.
    pub(in crate::store) fn begin(disk: Arc<dyn Disk>, source: Source, stop: Arc<AtomicBool>) -> Self {
        Self::with_runs_of(disk, source, stop, RUN_ENTRIES)
    }

    pub(in crate::store) fn with_runs_of(
        disk: Arc<dyn Disk>,
        Source { id, form, lineage }: Source,
        stop: Arc<AtomicBool>,
        run_entries: usize,
    ) -> Self {
        let name = format!("{}.runs.tmp", temporary_name(id));
        // Of an import of the same id that was cut off.
        let _ = disk.remove(&name);
        let sorter = Sorter::new(Arc::clone(&disk), name, run_entries);
        let taking = Taking { reader: Reader::new(form), lineage, sorter, wrong: Wrong::default() };
        Self { disk, id, lines: Lines::of(form), taking, bytes: 0, stop }
    }

    /// Takes bytes in.
    pub(in crate::store) fn push(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.bytes += bytes.len() as u64;
        if self.stop.load(Ordering::Relaxed) {
            return Err(ImportError::Stopped);
        }
        if self.bytes > IMPORT_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        let taking = &mut self.taking;
        self.lines.push(bytes, |number, line| taking.take(number, line)).map_err(ImportError::Io)
    }

    /// Ends the import: the staged file, whole and synced and not yet named, or everything that is wrong with it.
    pub(in crate::store) fn finish(
        mut self,
        once: Option<Once>,
        actor: Option<SmolStr>,
    ) -> Result<Staged, ImportError> {
        let taking = &mut self.taking;
        self.lines.finish(|number, line| taking.take(number, line)).map_err(ImportError::Io)?;
        let Taking { sorter, wrong, .. } = taking;
        // Wrong lines are told before lines that are there twice: those may be neither.
        wrong.told()?;
        let mut writer = Writer::create(Arc::clone(&self.disk), self.id).map_err(ImportError::Io)?;
        match write(sorter, &mut writer, wrong, &self.stop) {
            Ok(()) if self.stop.load(Ordering::Relaxed) => {
                writer.abandon();
                Err(ImportError::Stopped)
            }
            Ok(()) if writer.levels() == 0 => {
                writer.abandon();
                Err(ImportError::Empty)
            }
            Ok(()) if wrong.total == 0 => writer.finish(once, actor).map_err(ImportError::Io),
            Ok(()) => {
                writer.abandon();
                Err(wrong.told().expect_err("some lines are wrong"))
            }
            Err(error) => {
                writer.abandon();
                Err(ImportError::Io(error))
            }
        }
    }
}

impl Taking {
    fn take(&mut self, number: u64, line: Option<&[u8]>) -> io::Result<()> {
        let read = match line {
            Some(line) => self.reader.read(number, line),
            None => Err(whole(number, format!("is longer than {LINE_BYTES_MAX} bytes"))),
        };
        match read {
            Ok(None) => Ok(()),
            // Once a line is wrong nothing will be applied: the rest is only read.
            Ok(_) if self.wrong.total > 0 => Ok(()),
            Ok(Some(Wanted { key, on_hand, expected })) => {
                let expected = expected.map(|expected| match expected.lineage {
                    // That there is no such level is the same in every history.
                    lineage if lineage == self.lineage || expected.number == 0 => expected.number,
                    _ => OTHER_HISTORY,
                });
                self.sorter.push(Entry { key, line: number, on_hand: on_hand.units(), expected })
            }
            Err(error) => {
                self.wrong.add(error);
                Ok(())
            }
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
