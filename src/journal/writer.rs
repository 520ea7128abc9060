//! [`Writer`]: the one thread that writes the log.
//!
//! It takes what the lanes hold, puts it in an order in which every change follows what it depends on ([`Order`]), seals the
//! records (number, time, links, checksum) into one group, writes and syncs that, and then tells those who wait. While it
//! syncs, the next group gathers in the lanes.
//!
//! **Failure is final.** After a failed write or sync nobody knows what is on disk, so nothing is tried again: the watermark
//! stops, everybody who waits is told, and the process is to end. A full disk is not a failure: it is met where the next
//! segment is prepared, before anything is written to it, and waited out ([`Room`]).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::append::Appender;
use super::disk::is_short;
use super::group;
use super::heads::{Head, KeyHash};
use super::metrics;
use super::order::{self, Held, Order, Taken, Twice};
use super::pace::{self, Pace};
use super::record;
use super::retention::trim::Trimmer;
use super::room::{self, Room};
use super::turns::{Turn, Turns};
use super::watermark::GroupEnd;
use super::{JournalConfig, Shared};
use crate::stock::StockKey;

/// How often it looks while somebody waits for records that are held back, where a hand-over alone does not wake it.
const SOON: Duration = Duration::from_micros(100);

/// Between two looks for permits that are still out when the journal closes.
const CLOSING_PAUSE: Duration = Duration::from_millis(1);

/// After the lanes were closed, how long permits that are out may still be used.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// The thread's state.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    appender: Appender,
    order: Order,
    /// A record held back for longer waits for a change that will never come: whoever made it is gone.
    held_back_max: Duration,
    look_every: Duration,
    group: Gathering,
    /// What was taken from the lanes.
    turns: Turns,
    /// A change may be answered before it is written: then the order of all of them counts.
    is_volatile: bool,
    ready: Vec<Held>,
    /// Of each lane, how many records were taken and dealt with.
    taken_count: Vec<u64>,
    /// Of each lane, how many are on disk.
    settled: Vec<u64>,
    /// Whether a group was synced since the lanes were told.
    unsettled: bool,
    pace: Pace,
    room: Room,
    /// In memory: what keeps the log within its bound.
    trimmer: Option<Trimmer>,
}

/// The group that is being gathered.
#[derive(Debug, Default)]
struct Gathering {
    bytes: Vec<u8>,
    /// Where its first byte will be.
    position: u64,
    next_seq: u64,
    first_seq: u64,
    time_ms: u64,
    date_ms: u64,
    /// A record that would make the body longer goes into the next group.
    body_max: usize,
    records: u32,
    movements: u32,
    slots: Vec<usize>,
    told: Vec<oneshot::Sender<()>>,
}

/// Why the writer stops for good.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("writing the log: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Twice(#[from] Twice),
    #[error(
        "it was stopped while no file could be opened, or the disk was full: {records} records of what was changed or refused are not on disk, and are lost; \
         none of them was acknowledged"
    )]
    Unwritten { records: u64 },
    #[error("the change of {key} to version {version} was never handed over, and others wait for it")]
    Gap { key: String, version: u64 },
}

impl Writer {
    /// A writer that goes on where `appender` ends.
    pub fn new(
        shared: Arc<Shared>,
        appender: Appender,
        config: &JournalConfig,
        trimmer: Option<Trimmer>,
    ) -> Self {
        let (lanes, is_volatile) = (shared.lanes.count(), appender.is_volatile());
        let slots = vec![0; lanes];
        Self {
            shared,
            appender,
            order: Order::default(),
            held_back_max: config.held_back_max,
            look_every: config.look_every,
            group: Gathering { slots, ..Gathering::default() },
            turns: Turns::new(lanes),
            is_volatile,
            ready: Vec::new(),
            taken_count: vec![0; lanes],
            settled: vec![0; lanes],
            unsettled: false,
            pace: Pace::default(),
            room: Room::default(),
            trimmer,
        }
    }

    /// Writes until the journal is closed and everything handed over is on disk, or until it fails.
    pub fn run(mut self) {
        let _fails = FailsOnPanic(Arc::clone(&self.shared));
        if let Err(fatal) = self.write_until_closed() {
            tracing::error!(error = %fatal, "the journal has failed; no change is acknowledged any more");
            self.shared.fail(&fatal.to_string());
        }
    }

    fn write_until_closed(&mut self) -> Result<(), Fatal> {
        let mut closing_since = None;
        let is_volatile = self.is_volatile;
        self.appender.look_ahead();
        loop {
            self.room.goes_on(&self.shared, self.appender.is_tight());
            self.take_all()?;
            // In memory there is no sync to gather for.
            if let Some(wait) = self.pace.wait(self.group.records).filter(|_| !is_volatile) {
                pace::pause(wait);
                self.take_all()?;
            }
            if self.group.records > 0 {
                self.commit()?;
            }
            // What was taken may have filled a group as well, and been synced with it.
            if std::mem::take(&mut self.unsettled) {
                self.settle();
                // Also while there is always more to do. In memory that little would not be worth a group of its own.
                if !is_volatile {
                    self.check_age()?;
                    continue;
                }
            }
            self.check_age()?;
            if self.shared.is_closed() {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if self.shared.lanes.all_slots_free() || since.elapsed() > CLOSING_MAX {
                    return Ok(());
                }
                pace::pause(CLOSING_PAUSE);
                continue;
            }
            let lanes = &self.shared.lanes;
            let at_most = match () {
                () if is_volatile && lanes.have_sleepers() => SOON,
                () if self.room.is_full() => room::LOOK_EVERY,
                () => self.look_every,
            };
            lanes.bell().sleep(at_most, || lanes.hold_enough() || self.shared.is_closed());
        }
    }

    /// Says of each lane how much of it is on disk. All that was taken is in a group that was synced, or is held back.
    fn settle(&mut self) {
        debug_assert!(self.ready.is_empty() && self.group.records == 0, "nothing is on its way");
        self.settled.clone_from(&self.taken_count);
        self.order.lower(&mut self.settled);
        for (lane, records) in self.settled.iter().enumerate() {
            self.shared.lanes.settled(lane).advance(*records);
        }
    }

    /// Takes what the lanes hold and adds each record to the group, or holds it back.
    fn take_all(&mut self) -> Result<(), Fatal> {
        let mut turns = std::mem::take(&mut self.turns);
        turns.take(&self.shared.lanes);
        let taken = self.take_turns(&mut turns);
        // After an error too: who waits for what is left is told by its drop, which comes after the reason is known.
        self.turns = turns;
        taken
    }

    fn take_turns(&mut self, turns: &mut Turns) -> Result<(), Fatal> {
        while let Some(Turn { record, lane, told }) = turns.next_turn() {
            let offered = self.offer(Taken { record, lane, number: self.taken_count[lane] });
            // Now that it is in the group, since stored answers wait for nothing. After an error, too, so that it is not dropped, which
            // tells who waits, before the reason is known.
            self.group.told.extend(told);
            offered?;
            self.taken_count[lane] += 1;
        }
        Ok(())
    }

    /// Adds a record to the group if all it depends on is written, and then those that waited for it; else holds it back.
    fn offer(&mut self, taken: Taken<'_>) -> Result<(), Fatal> {
        if self.is_volatile && self.order.is_behind(taken.record, &self.shared.heads) {
            self.order.park(taken);
            return Ok(());
        }
        self.add(taken)?;
        loop {
            // Those that waited come before what was parked behind them.
            let next = self.ready.pop().or_else(|| self.order.unpark(&self.shared.heads));
            let Some(next) = next else { return Ok(()) };
            self.add(next.taken())?;
        }
    }

    fn add(&mut self, taken: Taken<'_>) -> Result<(), Fatal> {
        match record::trusted_line_count(taken.record) {
            0 => self.add_stored(taken),
            1 => self.add_one(taken),
            _ => self.add_many(taken),
        }
    }

    /// What is stored under a key: no line, nothing it depends on.
    fn add_stored(&mut self, taken: Taken<'_>) -> Result<(), Fatal> {
        let position = self.push(taken.record, taken.lane, |_| 0)?;
        self.used(taken.record, position);
        Ok(())
    }

    /// One line, which is what nearly all records have: one look-up.
    fn add_one(&mut self, taken: Taken<'_>) -> Result<(), Fatal> {
        let Taken { record, lane, .. } = taken;
        let (key, level) = record::trusted_lines(record).next().expect("a record of one line");
        let position = self.room_for(record)?;
        let heads = &self.shared.heads;
        let hash = heads.hash(key);
        match heads.advance(key, hash, Head { level, position }, &mut self.group.told) {
            Ok(before) => {
                self.push(record, lane, |_| before.map_or(0, |head| head.position))?;
                self.used(record, position);
                self.order.written(hash, level.version(), &mut self.ready);
            }
            Err(before) => {
                let missing = order::missing_before(key, level, before)?;
                self.order.hold(taken, missing.map(|version| (hash, version)));
            }
        }
        Ok(())
    }

    /// Several lines, perhaps of one level: then their versions follow each other, and one that follows a line of its own
    /// record waits for nothing and links to that record.
    fn add_many(&mut self, taken: Taken<'_>) -> Result<(), Fatal> {
        let Taken { record, lane, .. } = taken;
        let heads = &self.shared.heads;
        let hashes: Vec<KeyHash> = record::trusted_lines(record).map(|(key, _)| heads.hash(key)).collect();
        let missing_ones = order::missing(heads, record, &hashes)?;
        if !missing_ones.is_empty() {
            self.order.hold(taken, missing_ones.iter().map(|missing| (missing.level, missing.version)));
            return Ok(());
        }
        let position = self.room_for(record)?;
        let mut previous = Vec::with_capacity(hashes.len());
        for ((key, level), hash) in record::trusted_lines(record).zip(&hashes) {
            let head = Head { level, position };
            let before = self.shared.heads.advance(key, *hash, head, &mut self.group.told);
            // It follows what is written, or a line of this record: if not, two lines are of one version.
            let before = before.map_err(|before| Twice::new(key, level, before))?;
            previous.push(before.map_or(0, |head| head.position));
        }
        self.push(record, lane, |line| previous[line])?;
        self.used(record, position);
        for ((_, level), hash) in record::trusted_lines(record).zip(hashes) {
            self.order.written(hash, level.version(), &mut self.ready);
        }
        Ok(())
    }

    /// Where the record will be: in this group, or in a fresh one if this one would get too long.
    fn room_for(&mut self, record: &[u8]) -> Result<u64, Fatal> {
        let body = self.group.bytes.len().saturating_sub(group::HEADER_BYTES) + record.len();
        if self.group.records > 0 && body > self.group.body_max {
            self.commit()?;
        }
        if self.group.records == 0 {
            self.begin(record.len())?;
        }
        Ok(self.group.position + self.group.bytes.len() as u64)
    }

    fn begin(&mut self, body: usize) -> Result<(), Fatal> {
        let clock = &self.shared.clock;
        let (time_ms, date_ms) = (clock.steady_ms().max(self.appender.end().time_ms), clock.date_ms());
        let (shared, room) = (&self.shared, &mut self.room);
        // The group is empty: all that was taken before is on disk.
        let position = self.appender.make_room(body, time_ms, |pause| room.stalls(shared, pause));
        self.group.position = position.map_err(|error| match shared.unwritten() {
            records if is_short(&error) && shared.is_closed() => Fatal::Unwritten { records },
            _ => error.into(),
        })?;
        room.goes_on(shared, self.appender.is_tight());
        if let Some(trimmer) = &mut self.trimmer {
            let trimmed = trimmer.trim()?;
            if trimmed > 0 {
                metrics::add(&self.shared.metrics.segments_trimmed, trimmed);
            }
        }
        (self.group.time_ms, self.group.date_ms) = (time_ms, date_ms);
        self.group.body_max = self.appender.body_max().min(GATHER_BYTES_MAX);
        self.group.first_seq = self.appender.end().next_seq;
        self.group.next_seq = self.group.first_seq;
        group::begin(&mut self.group.bytes);
        Ok(())
    }

    /// Appends the record, sealed, to the group.
    fn push(&mut self, record: &[u8], lane: usize, previous: impl FnMut(usize) -> u64) -> Result<u64, Fatal> {
        let position = self.room_for(record)?;
        let group = &mut self.group;
        let start = group.bytes.len();
        group.bytes.extend_from_slice(record);
        record::seal(&mut group.bytes[start..], group.next_seq, group.date_ms, previous);
        let lines = record::trusted_line_count(record);
        group.next_seq += u64::from(lines);
        group.movements += u32::from(lines);
        group.records += 1;
        group.slots[lane] += 1;
        Ok(position)
    }

    /// Notes where the outcome of an idempotency key is.
    fn used(&mut self, record: &[u8], position: u64) {
        let Some(key) = record::trusted_once(record) else { return };
        self.shared.keys.insert(key, position);
        if record::trusted_is_chunk(record) {
            self.shared.keys.chunks().note(key, position);
        }
        if let Some(trimmer) = &mut self.trimmer {
            trimmer.keyed(position);
        }
        // Before the watermark passes it: no snapshot that starts after it has both.
        if let Some(lines) = record::trusted_batch_lines(record) {
            self.shared.keys.forget_lines(key, lines);
        }
    }

    /// Writes and syncs the group, then tells everybody.
    fn commit(&mut self) -> Result<(), Fatal> {
        let group = &mut self.group;
        let header = group::Header {
            body_len: group.bytes.len() - group::HEADER_BYTES,
            records: group.records,
            movements: group.movements,
            first_seq: group.first_seq,
            time_ms: group.time_ms,
            previous: self.appender.end().hash,
        };
        let hash = group::finish(&mut group.bytes, &header);
        let bytes = group.bytes.len() as u64;
        let end = GroupEnd {
            position: group.position + bytes,
            next_seq: group.next_seq,
            hash,
            time_ms: group.time_ms,
            date_ms: group.date_ms,
        };
        let started = Instant::now();
        self.appender.append(&group.bytes, end)?;
        let shared = &self.shared;
        let sync = started.elapsed();
        self.pace.wrote(group.records, sync);
        shared.metrics.syncs.observe(sync);
        shared.metrics.group(u64::from(group.records), bytes);
        shared.keys.mark(group.time_ms, group.position);
        shared.watermark.advance(end);
        self.unsettled = true;
        self.room.goes_on(shared, self.appender.is_tight());
        for told in group.told.drain(..) {
            // Who has gone away meanwhile need not be told.
            let _ = told.send(());
        }
        for (lane, slots) in group.slots.iter_mut().enumerate().filter(|(_, slots)| **slots > 0) {
            shared.lanes.release(lane, std::mem::take(slots));
        }
        shared.metrics.held.store(self.order.len() as u64, Ordering::Relaxed);
        group.bytes.clear();
        (group.records, group.movements) = (0, 0);
        Ok(())
    }

    fn check_age(&self) -> Result<(), Fatal> {
        let (oldest, metrics) = (self.order.oldest(), &self.shared.metrics);
        let age = oldest.map(Held::age).unwrap_or_default();
        metrics.held.store(self.order.len() as u64, Ordering::Relaxed);
        let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        metrics.held_age_ns.store(age_ns, Ordering::Relaxed);
        match oldest.filter(|_| age > self.held_back_max).and_then(|held| self.gap_before(&held.record)) {
            Some(gap) => Err(gap),
            None => Ok(()),
        }
    }

    /// The change that a record waits for.
    fn gap_before(&self, record: &[u8]) -> Option<Fatal> {
        let heads = &self.shared.heads;
        let hashes: Vec<KeyHash> = record::trusted_lines(record).map(|(key, _)| heads.hash(key)).collect();
        let missing = order::missing(heads, record, &hashes).ok()?.into_iter().next()?;
        let key =
            StockKey::from_text(missing.key).map_or_else(|| missing.key.to_owned(), |key| key.to_string());
        Some(Fatal::Gap { key, version: missing.version })
    }
}

/// A writer that panics has failed like any other: nobody may wait for it, and the process is to end.
struct FailsOnPanic(Arc<Shared>);

impl Drop for FailsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("its thread panicked");
        }
    }
}

/// A group takes no further record past this; the slots of the lanes bound it too.
const GATHER_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
