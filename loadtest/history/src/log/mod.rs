//! A history in its compact form: a row of blocks of bytes, about 16 bytes an operation, that goes to disk when it gets long.
//!
//! Clients append to a log of their own, without a lock and without an allocation for each operation: an operation is
//! encoded ([`code`]) to the end of a block that was allocated whole. A full block is handed to the [`Store`], which is
//! shared by all clients of a run, and keeps it in memory or, beyond its bound, in a temporary file that has no name
//! any more, so that nothing is left behind however the process ends. Blocks can be read each by itself, which is how
//! several threads read one log, and how one operation is found again among millions.
//!
//! What was written is never moved because a log grows: a full block is copied once, to a place of just its size. To lay a log
//! out in advance would spare the page faults of these places, one in 340 operations: 10 200 000 of one line were appended
//! with 26 000 to 30 000 faults and 0.8 s of CPU time in all, two readings of the clock for each included (two busy cores).
//!
//! [`History`] is the form for tests, for files and for whoever wants to look at single records; a log is the same
//! records, in the same order, with the same numbers.

mod code;
mod store;

use std::sync::Arc;

use crate::record::{History, Meta, Op, Record};
use code::Previous;
pub use code::Reader;
use store::Kept;
pub use store::{LogError, Store};

/// A block is full when it has at least this many bytes; one operation of many lines may take it beyond.
const BLOCK_BYTES: usize = 32 << 10;

/// What is allocated for a block: room for the operation that fills it, if that is one of few lines.
const BLOCK_ROOM_BYTES: usize = BLOCK_BYTES + 256;

/// A recorded run, compactly: see the module.
#[derive(Debug)]
pub struct Log {
    /// Free-form facts of the run.
    pub meta: Meta,
    /// The name of each key, by index.
    pub keys: Vec<String>,
    blocks: Vec<Block>,
    /// The block that is being written.
    open: Vec<u8>,
    open_count: u32,
    previous: Previous,
    /// How many records the full blocks hold.
    sealed: u64,
    store: Arc<Store>,
    /// Whether the store of a log that was appended failed.
    has_failed: bool,
}

/// A full block.
#[derive(Debug)]
struct Block {
    /// The number of its first record.
    first: u64,
    count: u32,
    bytes: Kept,
}

impl Default for Log {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Log {
    /// An empty log that keeps its blocks in a store.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            meta: Meta::default(),
            keys: Vec::new(),
            blocks: Vec::new(),
            open: Vec::new(),
            open_count: 0,
            previous: Previous::default(),
            sealed: 0,
            store,
            has_failed: false,
        }
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.sealed + u64::from(self.open_count)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether blocks could not be written to disk any more: what was appended is still there, in memory, but no
    /// more should be.
    pub fn has_failed(&self) -> bool {
        self.has_failed || self.store.has_failed()
    }

    /// Appends an operation.
    pub fn push(&mut self, op: Op<'_>) {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(BLOCK_ROOM_BYTES);
        }
        code::encode(&op, &mut self.previous, &mut self.open);
        self.open_count += 1;
        if self.open.len() >= BLOCK_BYTES {
            self.seal();
        }
    }

    /// Appends all records of another log, which keep their order.
    pub fn append(&mut self, mut other: Self) {
        self.seal();
        other.seal();
        self.has_failed |= other.has_failed();
        for block in other.blocks {
            self.blocks.push(Block { first: self.sealed, ..block });
            self.sealed += u64::from(self.blocks.last().map_or(0, |block| block.count));
        }
    }

    /// Hands the block that is being written to the store.
    fn seal(&mut self) {
        if self.open_count == 0 {
            return;
        }
        let bytes = self.store.keep(&mut self.open);
        self.blocks.push(Block { first: self.sealed, count: self.open_count, bytes });
        self.sealed += u64::from(self.open_count);
        self.open_count = 0;
        self.previous = Previous::default();
    }

    /// How many blocks there are, the one that is being written included.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len() + usize::from(self.open_count > 0)
    }

    /// Reads the records of one block, in order: each with its number.
    pub(crate) fn read(
        &self,
        block: usize,
        reader: &mut Reader,
        mut each: impl FnMut(u64, Op<'_>),
    ) -> Result<(), LogError> {
        let Some(Block { first, count, bytes }) = self.blocks.get(block) else {
            reader.start(self.open.len()).copy_from_slice(&self.open);
            for number in self.sealed..self.len() {
                each(number, reader.next()?);
            }
            return Ok(());
        };
        bytes.load(reader)?;
        for number in *first..*first + u64::from(*count) {
            each(number, reader.next()?);
        }
        Ok(())
    }

    /// Reads all records in order, each with its number.
    pub fn for_each(&self, mut each: impl FnMut(u64, Op<'_>)) -> Result<(), LogError> {
        let mut reader = Reader::default();
        (0..self.blocks()).try_for_each(|block| self.read(block, &mut reader, &mut each))
    }

    /// One record; nothing if there is none of that number.
    pub fn record(&self, number: u64) -> Result<Option<Record>, LogError> {
        let block = match number.checked_sub(self.sealed) {
            Some(_) => self.blocks.len(),
            None => self.blocks.partition_point(|block| block.first <= number) - 1,
        };
        if block >= self.blocks() {
            return Ok(None);
        }
        let mut found = None;
        self.read(block, &mut Reader::default(), |at, op| {
            if at == number {
                found = Some(Record::from(op));
            }
        })?;
        Ok(found)
    }

    /// All records, one by one: what a history of a few million costs gigabytes for.
    pub fn to_history(&self) -> Result<History, LogError> {
        let mut records = Vec::new();
        self.for_each(|_, op| records.push(Record::from(op)))?;
        Ok(History { meta: self.meta.clone(), keys: self.keys.clone(), records })
    }

    /// Takes all records out, one by one.
    pub fn take_records(&mut self) -> Result<Vec<Record>, LogError> {
        let taken = std::mem::replace(self, Self::new(Arc::clone(&self.store)));
        (self.meta, self.keys) = (taken.meta.clone(), taken.keys.clone());
        taken.to_history().map(|history| history.records)
    }

    /// How many bytes are kept in memory and how many on disk.
    pub fn bytes(&self) -> (u64, u64) {
        let (mut memory, mut disk) = (self.open.len() as u64, 0);
        for block in &self.blocks {
            match &block.bytes {
                Kept::Memory(bytes) => memory += bytes.len() as u64,
                Kept::File { length, .. } => disk += u64::from(*length),
            }
        }
        (memory, disk)
    }
}

impl From<&History> for Log {
    fn from(history: &History) -> Self {
        // Whoever has the records in memory has room for a sixth of that again.
        let mut log = Self::new(Arc::new(Store::in_memory()));
        (log.meta, log.keys) = (history.meta.clone(), history.keys.clone());
        // A short one needs no whole block.
        log.open.reserve((32 * history.records.len()).min(BLOCK_ROOM_BYTES));
        history.records.iter().for_each(|record| log.push(record.into()));
        log
    }
}
