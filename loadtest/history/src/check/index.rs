//! What a log tells of some levels, sorted for checking: by level, then by version.
//!
//! A flat array of small entries; nothing is allocated for an operation. An index holds as many levels as its maker chose,
//! so memory is bounded however long the log is: all levels in turns, or just those that need a second look.

use std::ops::Range;

use super::scan::{Extent, Scan, record_number};
use crate::log::{Log, LogError, Reader};
use crate::model::{self, Change, Level};
use crate::record::{Answer, Asked, Key, Line, Op, Reason, Record, Refused, Seen, Stock};

/// No such entry.
pub(super) const NONE: u32 = u32::MAX;

/// What an operation tells of one level: that it made a version, or that it saw one.
///
/// A read or an applied write took place at one moment between its invocation and its return. A refusal has one *per
/// level it names*: of a refusal of many lines only each line by itself is promised (P3), not that all lines were true
/// at the same moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) invoked: u64,
    pub(super) returned: u64,
    /// Units that were told, or where in [`Index::stocks`] the stock is that is more than one number.
    told: u64,
    /// Units that were asked for (signed ones as their bits), or where in [`Index::changes`] the change is.
    asked: u64,
    pub(super) record: u32,
    pub(super) key: u32,
    /// Where in the answer's list of levels.
    pub(super) place: u32,
    told_as: Told,
    asked_as: AskedFor,
    pub(super) role: Role,
    /// Whether the operation has events on other levels that took place at the same moment.
    pub(super) is_joint: bool,
}

/// What an event says of its version; in the order in which events of one version are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// It made the version.
    Change,
    /// It read the version.
    #[default]
    Read,
    /// It refused something at the version.
    Refusal(Reason),
}

impl Role {
    fn rank(self) -> u8 {
        match self {
            Role::Change => 0,
            Role::Read => 1,
            Role::Refusal(_) => 2,
        }
    }
}

/// How [`Event::told`] is to be read.
#[derive(Debug, Clone, Copy, Default)]
enum Told {
    #[default]
    Untold,
    Absent,
    OnHand,
    Available,
    Listed,
}

/// How [`Event::asked`] is to be read.
#[derive(Debug, Clone, Copy, Default)]
enum AskedFor {
    #[default]
    Nothing,
    Add,
    AddOrCreate,
    Create,
    Count,
    Delete,
    Listed,
}

/// Where a level's events are, and how the level began.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) key: u32,
    pub(super) events: Range<usize>,
    pub(super) base: Level,
    /// How many writes of unknown outcome could have changed it.
    pub(super) unknown: u64,
    /// Whether answers do not tell its version.
    pub(super) is_untold: bool,
}

/// The events of some levels.
#[derive(Debug)]
pub(super) struct Index<'h> {
    pub(super) log: &'h Log,
    pub(super) scan: &'h Scan,
    /// By key, then version, changes first, then invocation.
    pub(super) events: Vec<Event>,
    /// By key.
    pub(super) rows: Vec<Row>,
    /// By key of the history: where in `rows` it is.
    slots: Vec<u32>,
    /// Stocks that are more than one number.
    stocks: Vec<Stock>,
    /// Changes that ask for more than one number.
    changes: Vec<Change>,
}

impl<'h> Index<'h> {
    /// Sorts what a log tells of these levels (ascending).
    ///
    /// Panics if that is more than 2^32 - 2 events.
    pub(super) fn new(log: &'h Log, scan: &'h Scan, keys: &[u32]) -> Result<Self, LogError> {
        let mut slots = vec![NONE; log.keys.len()];
        let mut rows = Vec::with_capacity(keys.len());
        let mut start = 0;
        for (slot, key) in (0..).zip(keys) {
            let Extent { events, unknown, is_untold } = scan.extents[*key as usize];
            slots[*key as usize] = slot;
            let end = start + events as usize;
            let (events, base) = (start..end, Level::default());
            rows.push(Row { key: *key, events, base, unknown: unknown.into(), is_untold });
            start = end;
        }
        assert!(start < NONE as usize, "events are counted in 32 bits");
        let events = vec![Event::default(); start];
        let mut index = Self { log, scan, events, rows, slots, stocks: Vec::new(), changes: Vec::new() };
        index.fill()?;
        for row in &mut index.rows {
            let events = &mut index.events[row.events.clone()];
            events.sort_unstable_by_key(|event| {
                (event.version, event.role.rank(), event.invoked, event.record, event.place)
            });
        }
        index.find_bases();
        Ok(index)
    }

    fn fill(&mut self) -> Result<(), LogError> {
        let mut ends: Vec<usize> = self.rows.iter().map(|row| row.events.start).collect();
        let mut reader = Reader::default();
        let log = self.log;
        for block in 0..log.blocks() {
            log.read(block, &mut reader, |number, op| self.add(record_number(number), &op, &mut ends))?;
        }
        // Records that another stands for were counted, and are not there.
        for (row, end) in self.rows.iter_mut().zip(ends) {
            row.events.end = end;
        }
        Ok(())
    }

    fn add(&mut self, record: u32, op: &Op<'_>, ends: &mut [usize]) {
        let asking = &mut Asking::of(op.request);
        match op.outcome {
            Answer::Read(seen) => self.tell((record, 0), op, asking, (&seen, Role::Read), ends),
            Answer::Applied(seen) => {
                for (place, seen) in (0..).zip(seen) {
                    self.tell((record, place), op, asking, (seen, Role::Change), ends);
                }
            }
            Answer::Snapshot(seen, _) => {
                for (place, seen) in (0..).zip(seen) {
                    self.tell((record, place), op, asking, (seen, Role::Read), ends);
                }
            }
            Answer::Refused(refused) => {
                for (place, Refused { seen, reason }) in (0..).zip(refused) {
                    self.tell((record, place), op, asking, (seen, Role::Refusal(*reason)), ends);
                }
            }
            Answer::NotApplied | Answer::Unknown => {}
        }
    }

    fn tell(
        &mut self,
        (record, place): (u32, u32),
        op: &Op<'_>,
        asking: &mut Asking<'_>,
        (seen, role): (&Seen, Role),
        ends: &mut [usize],
    ) {
        let slot = self.slots.get(seen.key.0 as usize).copied().unwrap_or(NONE);
        let Some(end) = ends.get_mut(slot as usize) else { return };
        if self.scan.is_defective(record) {
            return;
        }
        let Some((invoked, returned)) = self.scan.attempts.times(record, op.invoked_ns, op.returned_ns)
        else {
            return;
        };
        let (told_as, told) = self.pack_stock(seen.stock);
        let (asked_as, asked) = self.pack_change(asking.change(seen.key));
        let is_joint =
            matches!(op.outcome, Answer::Applied(seen) | Answer::Snapshot(seen, _) if seen.len() > 1);
        self.events[*end] = Event {
            version: seen.version,
            invoked,
            returned,
            told,
            asked,
            record,
            key: seen.key.0,
            place,
            told_as,
            asked_as,
            role,
            is_joint,
        };
        *end += 1;
    }

    fn pack_stock(&mut self, stock: Stock) -> (Told, u64) {
        match stock {
            Stock::Untold => (Told::Untold, 0),
            Stock::Absent => (Told::Absent, 0),
            Stock::Level { on_hand, reserved: 0 } => (Told::OnHand, on_hand),
            Stock::Available(units) => (Told::Available, units),
            Stock::Level { .. } => {
                self.stocks.push(stock);
                (Told::Listed, self.stocks.len() as u64 - 1)
            }
        }
    }

    fn pack_change(&mut self, change: Option<Change>) -> (AskedFor, u64) {
        match change {
            None => (AskedFor::Nothing, 0),
            Some(Change::Add { units, creates: false }) => (AskedFor::Add, units.cast_unsigned()),
            Some(Change::Add { units, creates: true }) => (AskedFor::AddOrCreate, units.cast_unsigned()),
            Some(Change::Create { on_hand }) => (AskedFor::Create, on_hand),
            Some(Change::Count { on_hand, if_version: None }) => (AskedFor::Count, on_hand),
            Some(Change::Delete) => (AskedFor::Delete, 0),
            Some(change @ Change::Count { if_version: Some(_), .. }) => {
                self.changes.push(change);
                (AskedFor::Listed, self.changes.len() as u64 - 1)
            }
        }
    }

    /// A level begins as its opening reads show it: reads answered before any write of the history was sent. Without
    /// one it begins absent, at version 0. Of several the lowest version counts; the others are checked against it.
    fn find_bases(&mut self) {
        for row in 0..self.rows.len() {
            let opening = self.events[self.rows[row].events.clone()].iter().find_map(|event| {
                let is_opening = event.role == Role::Read && self.is_before_writes(event);
                is_opening.then(|| Level::told(&self.seen(event)))?
            });
            self.rows[row].base = opening.unwrap_or_default();
        }
    }

    /// Whether an answer came before any write of the history was sent.
    fn is_before_writes(&self, event: &Event) -> bool {
        self.scan.first_write.is_none_or(|first| event.returned < first)
    }

    /// A level's place among the rows; it has to be one of this index.
    pub(super) fn row(&self, key: Key) -> &Row {
        &self.rows[self.slots[key.0 as usize] as usize]
    }

    /// The stock an event tells.
    pub(super) fn stock(&self, event: &Event) -> Stock {
        match event.told_as {
            Told::Untold => Stock::Untold,
            Told::Absent => Stock::Absent,
            Told::OnHand => Stock::Level { on_hand: event.told, reserved: 0 },
            Told::Available => Stock::Available(event.told),
            Told::Listed => entry(&self.stocks, event.told).unwrap_or(Stock::Untold),
        }
    }

    /// The level as an event tells it.
    pub(super) fn seen(&self, event: &Event) -> Seen {
        Seen { key: Key(event.key), version: event.version, stock: self.stock(event) }
    }

    /// What the write asked of the event's level; nothing for a read.
    pub(super) fn change(&self, event: &Event) -> Option<Change> {
        match event.asked_as {
            AskedFor::Nothing => None,
            AskedFor::Add => Some(Change::Add { units: event.asked.cast_signed(), creates: false }),
            AskedFor::AddOrCreate => Some(Change::Add { units: event.asked.cast_signed(), creates: true }),
            AskedFor::Create => Some(Change::Create { on_hand: event.asked }),
            AskedFor::Count => Some(Change::Count { on_hand: event.asked, if_version: None }),
            AskedFor::Delete => Some(Change::Delete),
            AskedFor::Listed => entry(&self.changes, event.asked),
        }
    }

    /// Whether a refusal's reason was true of the level; a read has nothing to justify.
    pub(super) fn is_justified(&self, event: &Event, level: Level) -> bool {
        match (self.change(event), event.role) {
            (Some(change), Role::Refusal(reason)) => level.refuses(change, reason),
            _ => true,
        }
    }

    /// The record an event belongs to, for telling; nothing if it cannot be read any more.
    pub(super) fn record(&self, number: u32) -> Option<Record> {
        self.log.record(number.into()).ok().flatten()
    }
}

fn entry<T: Copy>(list: &[T], at: u64) -> Option<T> {
    list.get(usize::try_from(at).ok()?).copied()
}

/// Beyond so many lines those of one level are not looked for one by one.
const LINES_FEW: usize = 16;

/// What a request asks, of which it is known that it can be combined.
struct Asking<'a> {
    lines: &'a [Line],
    /// All lines combined: made when first needed, if they are many.
    combined: Option<Vec<(Key, Change)>>,
}

impl<'a> Asking<'a> {
    fn of(request: Asked<'a>) -> Self {
        let lines = match request {
            Asked::Write(lines) => lines,
            Asked::Read(_) | Asked::Snapshot(_) => &[],
        };
        Self { lines, combined: None }
    }

    fn change(&mut self, key: Key) -> Option<Change> {
        if self.lines.len() <= LINES_FEW {
            return model::combine_on(self.lines, key);
        }
        let combined = self.combined.get_or_insert_with(|| model::combine(self.lines).unwrap_or_default());
        combined.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| combined[at].1)
    }
}
