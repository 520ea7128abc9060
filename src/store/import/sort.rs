//! Sorts the levels of an import by key in bounded memory, which brings two lines of the same level together.
//!
//! Entries are gathered into runs of [`RUN_ENTRIES`]; each run but the last is written, sorted, to one temporary file, and all
//! are merged. Memory: one run (some megabytes), and [`PIECE_BYTES`] for each run: an import of the greatest length with the
//! shortest lines has fewer than 700 of them, which is 22 MiB.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::entries::{Entries, Entry};
use crate::journal::disk::{Disk, DiskFile};

/// Entries that are sorted in memory.
pub(super) const RUN_ENTRIES: usize = 64 * 1024;
/// What is read of a run at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// Takes entries in in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    disk: Arc<dyn Disk>,
    /// Of the temporary file; its ending is one that recovery removes.
    name: String,
    file: Option<Arc<dyn DiskFile>>,
    run: Vec<Entry>,
    run_entries: usize,
    /// Where each run in the file ends.
    ends: Vec<u64>,
}

/// Gives entries out in order.
#[derive(Debug)]
pub(super) struct Sorted {
    sources: Vec<Source>,
    /// The next entry of each source.
    heap: BinaryHeap<Reverse<(Entry, usize)>>,
}

#[derive(Debug)]
enum Source {
    File(Entries),
    Memory(std::vec::IntoIter<Entry>),
}

impl Sorter {
    /// Sorts with a temporary file of that name, if one is needed.
    pub(super) fn new(disk: Arc<dyn Disk>, name: String, run_entries: usize) -> Self {
        Self { disk, name, file: None, run: Vec::new(), run_entries, ends: Vec::new() }
    }

    /// Takes an entry in.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        if self.run.len() >= self.run_entries {
            self.spill()?;
        }
        self.run.push(entry);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(self.disk.create(&self.name)?),
        };
        self.run.sort_unstable();
        let mut bytes = Vec::new();
        let mut end = self.ends.last().copied().unwrap_or(0);
        for entry in self.run.drain(..) {
            entry.write(&mut bytes);
            if bytes.len() >= 1024 * 1024 {
                file.write_at(&bytes, end)?;
                end += bytes.len() as u64;
                bytes.clear();
            }
        }
        file.write_at(&bytes, end)?;
        self.ends.push(end + bytes.len() as u64);
        Ok(())
    }

    /// All entries, in order. The temporary file is in use until the [`Sorter`] is dropped.
    pub(super) fn sorted(&mut self) -> io::Result<Sorted> {
        let mut sources = Vec::with_capacity(self.ends.len() + 1);
        let mut from = 0;
        if let Some(file) = &self.file {
            for &to in &self.ends {
                sources.push(Source::File(Entries::new(Arc::clone(file), from, to, PIECE_BYTES)));
                from = to;
            }
        }
        let mut run = std::mem::take(&mut self.run);
        run.sort_unstable();
        sources.push(Source::Memory(run.into_iter()));
        let mut sorted = Sorted { heap: BinaryHeap::with_capacity(sources.len()), sources };
        for source in 0..sorted.sources.len() {
            sorted.advance(source)?;
        }
        Ok(sorted)
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        if self.file.is_some() {
            // If it stays, the next start removes it.
            let _ = self.disk.remove(&self.name);
        }
    }
}

impl Sorted {
    /// The next entry: `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some(Reverse((entry, source))) = self.heap.pop() else { return Ok(None) };
        self.advance(source)?;
        Ok(Some(entry))
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        let next = match &mut self.sources[source] {
            Source::File(entries) => entries.next()?,
            Source::Memory(entries) => entries.next(),
        };
        self.heap.extend(next.map(|entry| Reverse((entry, source))));
        Ok(())
    }
}
