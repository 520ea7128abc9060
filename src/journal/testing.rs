//! For tests: a disk in memory that can stop working at any step, and a small writer of logs.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use super::group;
use super::heads::{Head, Heads};
use super::holds::Holds;
use super::keys::Keys;
use super::log::{Log, Segment};
use super::orders::Orders;
use super::record::{self, RecordHead, RecordKind};
use super::segment::{self, Header};
use super::snapshot::{self, Walked};
use super::stored::{Stored, WrittenAnswer};
use super::watermark::{GroupEnd, Watermark};
use crate::stock::{Change, Changed, Level, Once, Operation, Quantity, StockKey, Term};

pub(crate) const EMPTY: GroupEnd = GroupEnd::GENESIS;

/// Takes a snapshot that says not whose it is, where there are no reservations.
pub(crate) fn snapshot(
    disk: &dyn Disk,
    heads: &Heads,
    keys: &Keys,
    watermark: &Watermark,
    stop: &AtomicBool,
) -> Result<snapshot::Written, snapshot::SnapshotError> {
    let (holds, orders, caught_up) = (Holds::new(0), Orders::new(0), || true);
    snapshot::write(
        disk,
        None,
        &Walked { heads, keys, holds: &holds, orders: &orders, caught_up: &caught_up },
        watermark,
        stop,
    )
}

impl GroupEnd {
    /// The same, without the date, which the snapshots of [`Writer`] do not tell: they are of an earlier version.
    pub(crate) fn undated(self) -> Self {
        Self { date_ms: 0, ..self }
    }
}

/// Files in memory; every call that changes something counts down, and at zero the disk has died.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
    left: Arc<AtomicI64>,
}

#[derive(Debug)]
pub(crate) struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    left: Arc<AtomicI64>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { files: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// A copy that works, with the same content.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for (name, file) in self.files.lock().iter() {
            copy.put(name, file.bytes.lock().clone());
        }
        copy
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let file = MemoryFile { bytes: Mutex::new(bytes), left: Arc::clone(&self.left) };
        self.files.lock().insert(name.to_owned(), Arc::new(file));
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        self.files.lock()[name].bytes.lock().clone()
    }

    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        edit(&mut self.files.lock()[name].bytes.lock());
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files.lock().keys().cloned().collect()
    }

    pub(crate) fn delete(&self, name: &str) {
        self.files.lock().remove(name);
    }

    /// Everything there is, for comparison.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.lock().iter().map(|(name, file)| (name.clone(), file.bytes.lock().clone())).collect()
    }

    /// Lets that many changing calls succeed.
    pub(crate) fn die_after(&self, calls: i64) {
        self.left.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn died(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

fn spend(left: &AtomicI64) -> io::Result<()> {
    match left.fetch_sub(1, Ordering::SeqCst) {
        1.. => Ok(()),
        _ => Err(io::Error::other("the disk has died")),
    }
}

fn found<T>(file: Option<T>) -> io::Result<T> {
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Disk for Memory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.left)?;
        if self.files.lock().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(name, Vec::new());
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = found(self.files.lock().get(name).cloned())?;
        Ok(file)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        spend(&self.left)?;
        let mut files = self.files.lock();
        let file = found(files.remove(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        spend(&self.left)?;
        found(self.files.lock().remove(name)).map(|_| ())
    }

    fn sync_names(&self) -> io::Result<()> {
        spend(&self.left)
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let read = buffer.len().min(bytes.len() - from);
        buffer[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        spend(&self.left)?;
        let mut bytes = self.bytes.lock();
        let from = usize::try_from(offset).unwrap();
        let len = bytes.len().max(from + written.len());
        bytes.resize(len, 0);
        bytes[from..from + written.len()].copy_from_slice(written);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        spend(&self.left)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        spend(&self.left)?;
        self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
}

/// One movement as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) seq: u64,
    pub(crate) key: String,
    pub(crate) operation: Operation,
    pub(crate) before: Level,
    pub(crate) after: Level,
}

/// Writes logs the way the service does, one call after the other.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: Arc<Log>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) watermark: Arc<Watermark>,
    pub(crate) segment_bytes: u64,
    pub(crate) time_ms: u64,
    /// All movements ever, if `tells` is set.
    pub(crate) told: Vec<Told>,
    pub(crate) tells: bool,
    /// Whether groups are synced.
    pub(crate) syncs: bool,
    tail: Option<Arc<Segment>>,
    end: GroupEnd,
    group: Vec<u8>,
    records: u32,
    movements: u32,
}

impl Writer {
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        let mut group = Vec::new();
        group::begin(&mut group);
        Self {
            disk,
            log: Arc::new(Log::default()),
            heads: Arc::new(Heads::new()),
            keys: Arc::new(Keys::new()),
            watermark: Arc::new(Watermark::new(EMPTY)),
            segment_bytes,
            time_ms: 1_000_000,
            told: Vec::new(),
            tells: true,
            syncs: true,
            tail: None,
            end: EMPTY,
            group,
            records: 0,
            movements: 0,
        }
    }

    /// Goes on where a recovery ended.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        recovered: super::recovery::Recovered,
        segment_bytes: u64,
    ) -> Self {
        let mut writer = Self::new(disk, segment_bytes);
        writer.log = Arc::new(recovered.log);
        writer.heads = Arc::new(recovered.heads);
        writer.keys = Arc::new(recovered.keys);
        writer.watermark = Arc::new(Watermark::new(recovered.end));
        writer.time_ms = writer.time_ms.max(recovered.end.time_ms);
        writer.tail = recovered.tail;
        writer.end = recovered.end;
        writer
    }

    pub(crate) fn end(&self) -> GroupEnd {
        self.end
    }

    pub(crate) fn level(&self, key: &str) -> Level {
        self.heads.get(key, self.heads.hash(key)).map_or(Level::ABSENT, |head| head.level)
    }

    /// One change, if the rules allow it, in the group under way.
    pub(crate) fn change(&mut self, key: &str, operation: Operation) -> bool {
        self.record(&[(key, operation)], None)
    }

    /// An adjustment that creates the level where it is missing.
    pub(crate) fn add(&mut self, key: &str, delta: i64) -> bool {
        self.change(key, Operation::Adjust { delta, if_missing: crate::stock::IfMissing::Create })
    }

    pub(crate) fn record(&mut self, changes: &[(&str, Operation)], once: Option<Once>) -> bool {
        self.record_as(RecordKind::Change, changes, once, None)
    }

    /// The same of a reservation: `kind` says what became of it.
    pub(crate) fn record_of(&mut self, kind: RecordKind, term: Term, changes: &[(&str, Operation)]) -> bool {
        self.record_as(kind, changes, None, Some(term))
    }

    fn record_as(
        &mut self,
        kind: RecordKind,
        changes: &[(&str, Operation)],
        once: Option<Once>,
        term: Option<Term>,
    ) -> bool {
        // Several lines may be of one level: each is judged by what the one before made of it.
        let mut levels = HashMap::new();
        let judged: Option<Vec<(StockKey, Operation, Level, Level)>> = changes
            .iter()
            .map(|&(key, operation)| {
                let level = levels.entry(key).or_insert_with(|| self.level(key));
                let before = *level;
                *level = Change::unconditional(operation).judge(before).ok()?;
                Some((StockKey::from_text(key).unwrap(), operation, before, *level))
            })
            .collect();
        let Some(judged) = judged else { return false };
        let start = self.begin_record();
        let head = RecordHead { kind, once, reason: "test", reference: "", actor: "" };
        let lines = judged.iter().map(|(key, operation, before, after)| Changed {
            key,
            operation: *operation,
            before: *before,
            after: *after,
        });
        let tail = |out: &mut Vec<u8>| term.iter().for_each(|term| record::put_term(out, term));
        record::encode_with(&mut self.group, &head, lines, tail);
        let position = self.seal_record(start, changes);
        for (key, operation, before, after) in judged {
            let head = Head { level: after, position };
            self.heads.set(key.text(), self.heads.hash(key.text()), head, &mut Vec::new());
            if self.tells {
                let (seq, key) = (self.end.next_seq + u64::from(self.movements), key.text().to_owned());
                self.told.push(Told { seq, key, operation, before, after });
            }
            self.movements += 1;
        }
        if let Some(once) = once {
            self.keys.insert(once.key, position);
        }
        true
    }

    pub(crate) fn answer(&mut self, key: u128, body: &[u8]) {
        let once = Once { key, fingerprint: [7; 32] };
        self.store(once, &Stored::Written(WrittenAnswer { status: 409, body: body.to_vec() }));
    }

    /// What is stored under a key instead of a change.
    pub(crate) fn store(&mut self, once: Once, stored: &Stored) {
        let start = self.begin_record();
        let kind = match stored {
            Stored::Extended(..) => RecordKind::Extended,
            Stored::Order(_) => RecordKind::Ordered,
            Stored::Written(_) => RecordKind::Answer,
            Stored::Refused(_) => RecordKind::Refused,
            Stored::Batch(_) => RecordKind::Batch,
            Stored::Imported(_) => RecordKind::Imported,
            Stored::Moved(_) => RecordKind::Moved,
        };
        let head = RecordHead { kind, once: Some(once), reason: "", reference: "", actor: "" };
        record::encode_stored(&mut self.group, &head, stored);
        let position = self.seal_record(start, &[]);
        self.keys.insert(once.key, position);
        if let Stored::Batch(lines) = stored {
            self.keys.forget_lines(once.key, u32::try_from(lines.len()).unwrap());
        }
    }

    /// A record must not be cut by a segment's end, so room is made before the first of a group.
    fn begin_record(&mut self) -> usize {
        if self.records == 0 {
            let room = |tail: &Arc<Segment>| self.end.position - tail.header.base < self.segment_bytes;
            if !self.tail.as_ref().is_some_and(room) {
                self.seal();
                self.next_segment();
            }
        }
        self.records += 1;
        self.group.len()
    }

    fn seal_record(&mut self, start: usize, changes: &[(&str, Operation)]) -> u64 {
        let heads = &self.heads;
        let position = self.end.position + start as u64;
        let previous = |line: usize| {
            let key: &str = changes[line].0;
            if changes[..line].iter().any(|(before, _)| *before == key) {
                return position;
            }
            heads.get(key, heads.hash(key)).map_or(0, |head| head.position)
        };
        let seq = self.end.next_seq + u64::from(self.movements);
        record::seal(&mut self.group[start..], seq, self.time_ms, previous);
        position
    }

    /// Writes the group under way, and syncs it.
    pub(crate) fn commit(&mut self) -> GroupEnd {
        self.write_only();
        self.publish();
        self.end
    }

    /// Writes the group, and does not say that it is on disk.
    pub(crate) fn write_only(&mut self) {
        let header = group::Header {
            body_len: 0,
            records: self.records,
            movements: self.movements,
            first_seq: self.end.next_seq,
            time_ms: self.time_ms,
            previous: self.end.hash,
        };
        let hash = group::finish(&mut self.group, &header);
        let tail = self.tail.as_ref().unwrap();
        let offset = self.end.position - tail.header.base;
        tail.file.write_at(&self.group, offset).unwrap();
        if self.syncs {
            tail.file.sync().unwrap();
        }
        tail.index_group(self.end.next_seq, offset);
        self.keys.mark(self.time_ms, self.end.position);
        self.end = GroupEnd {
            position: self.end.position + self.group.len() as u64,
            next_seq: self.end.next_seq + u64::from(self.movements),
            hash,
            time_ms: self.time_ms,
            date_ms: self.time_ms,
        };
        tail.set_end(self.end.position);
        group::begin(&mut self.group);
        (self.records, self.movements) = (0, 0);
    }

    pub(crate) fn publish(&self) {
        self.watermark.advance(self.end);
    }

    pub(crate) fn seal(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        let offset = self.end.position - tail.header.base;
        let footer = segment::footer_to_bytes(&tail.index());
        tail.file.write_at(&footer, offset).unwrap();
        tail.file.set_len(offset + footer.len() as u64).unwrap();
        self.end.position += footer.len() as u64;
        tail.set_end(self.end.position);
    }

    fn next_segment(&mut self) {
        let GroupEnd { position: base, next_seq: first_seq, hash: anchor, time_ms, .. } = self.end;
        // As before segments said whose they are: such a log needs no other file.
        let header = Header { version: 2, base, first_seq, time_ms, anchor, whose: None, prepared: 0 };
        let file = self.disk.create(&segment::name(base)).unwrap();
        file.set_len(self.segment_bytes).unwrap();
        file.write_at(&header.to_bytes(), 0).unwrap();
        self.end.position += group::SECTOR as u64;
        let segment = Arc::new(Segment::new(header, file, Vec::new(), self.end.position));
        self.log.push(Arc::clone(&segment));
        self.tail = Some(segment);
    }
}

pub(crate) fn units(units: u64) -> Quantity {
    Quantity::new(units).unwrap()
}

/// All levels, for comparison.
pub(crate) fn levels(heads: &Heads) -> HashMap<String, Head> {
    let mut levels = HashMap::new();
    heads.walk(|key, head| assert_eq!(levels.insert(key.text().to_owned(), head), None));
    levels
}

/// All keys, for comparison.
pub(crate) fn all_keys(keys: &Keys) -> BTreeMap<u128, u64> {
    let mut all = BTreeMap::new();
    keys.walk(|key, position| assert_eq!(all.insert(key, position), None));
    all
}
