//! A history sorted for checking: operations by invocation, and what they tell of each level by version.
//!
//! Sorting is the whole cost of a check, so everything here is a flat array of small entries with indices into the
//! next; nothing is allocated per record.

use std::ops::Range;

use super::found::{Findings, Found};
use crate::model::{self, Change, Level};
use crate::record::{History, Key, Line, Outcome, Reason, Record, Request, Seen, Stock};
use crate::shape;

/// No such entry.
pub(super) const NONE: u32 = u32::MAX;

/// An operation that took place at one moment between its invocation and its return.
///
/// A read or an applied write is one. A refusal is one *per level it names*: of a refusal of many lines only each
/// line by itself is promised (P3), not that all lines were true at the same moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) invoked: u64,
    pub(super) returned: u64,
    pub(super) record: u32,
}

/// What an operation tells of one level: that it made a version, or that it saw one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) key: u32,
    pub(super) node: u32,
    /// Where in the answer's list of levels.
    place: u32,
    /// Where in [`Index::changes`] what was asked of the level is; nowhere for a read.
    change: u32,
    /// What was told of the level; a copy, as going to the record for it would cost more than sorting it along.
    pub(super) stock: Stock,
    pub(super) role: Role,
}

impl Event {
    /// The level as told.
    pub(super) fn seen(&self) -> Seen {
        Seen { key: Key(self.key), version: self.version, stock: self.stock }
    }
}

/// What an event says of its version; in the order in which events of one version are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// It made the version.
    Change,
    /// It read the version.
    Read,
    /// It refused something at the version.
    Refusal,
}

/// A write of unknown outcome: it may have happened once, at any moment from its invocation on, or never.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    pub(super) invoked: u64,
    pub(super) changes: Vec<(Key, Change)>,
}

/// Where a level's events are, and how the level began.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) events: Range<usize>,
    pub(super) base: Level,
    /// How many writes of unknown outcome could have changed it.
    pub(super) unknown: u64,
}

/// The sorted history.
#[derive(Debug)]
pub(super) struct Index<'h> {
    pub(super) history: &'h History,
    /// By invocation.
    pub(super) nodes: Vec<Node>,
    /// By key, then version, changes first, then invocation.
    pub(super) events: Vec<Event>,
    /// By key.
    pub(super) rows: Vec<Row>,
    pub(super) unknown: Vec<Unknown>,
    changes: Vec<Change>,
    /// Whether any applied write changed several levels.
    pub(super) joins_levels: bool,
}

impl<'h> Index<'h> {
    /// Sorts a history; records with a defect are reported and left out.
    pub(super) fn new(history: &'h History, findings: &mut Findings) -> Self {
        let mut index = Self {
            history,
            nodes: Vec::with_capacity(history.records.len()),
            events: Vec::with_capacity(history.records.len()),
            rows: vec![Row::default(); history.keys.len()],
            unknown: Vec::new(),
            changes: Vec::new(),
            joins_levels: false,
        };
        let mut order: Vec<u32> = (0..).take(history.records.len()).collect();
        order.sort_unstable_by_key(|record| (history.records[*record as usize].invoked_ns, *record));
        for record in order {
            match shape::defect(&history.records[record as usize], history.keys.len()) {
                Some(defect) => findings.add(Found::Malformed { record, defect }),
                None => index.add(record),
            }
        }
        assert!(index.events.len() < NONE as usize, "events are counted in 32 bits");
        index
            .events
            .sort_unstable_by_key(|event| (event.key, event.version, event.role, event.node, event.place));
        index.find_rows();
        index.find_bases();
        index
    }

    fn add(&mut self, number: u32) {
        let record = &self.history.records[number as usize];
        match (&record.request, &record.outcome) {
            (_, Outcome::Read(seen)) => {
                let node = self.add_node(record, number);
                self.add_event(node, seen, 0, Role::Read, NONE);
            }
            (Request::Write(lines), Outcome::Applied(seen)) => {
                let node = self.add_node(record, number);
                self.joins_levels |= seen.len() > 1;
                let combined = (lines.len() > 1).then(|| model::combine(lines).unwrap_or_default());
                for (place, seen) in (0..).zip(seen) {
                    let change = self.add_change(lines, combined.as_deref(), seen.key);
                    self.add_event(node, seen, place, Role::Change, change);
                }
            }
            (Request::Write(lines), Outcome::Refused(refused)) => {
                let combined = (lines.len() > 1).then(|| model::combine(lines).unwrap_or_default());
                for (place, refused) in (0..).zip(refused) {
                    let node = self.add_node(record, number);
                    let change = self.add_change(lines, combined.as_deref(), refused.seen.key);
                    self.add_event(node, &refused.seen, place, Role::Refusal, change);
                }
            }
            (Request::Write(lines), Outcome::Unknown) => {
                // Lines without a meaning together cannot have been applied.
                if let Ok(changes) = model::combine(lines) {
                    for (key, _) in &changes {
                        self.rows[key.0 as usize].unknown += 1;
                    }
                    self.unknown.push(Unknown { invoked: record.invoked_ns, changes });
                }
            }
            _ => {}
        }
    }

    fn add_node(&mut self, record: &Record, number: u32) -> u32 {
        let node = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node { invoked: record.invoked_ns, returned: record.returned_ns, record: number });
        node
    }

    fn add_event(&mut self, node: u32, seen: &Seen, place: u32, role: Role, change: u32) {
        self.events.push(Event {
            version: seen.version,
            key: seen.key.0,
            node,
            place,
            change,
            stock: seen.stock,
            role,
        });
    }

    /// Keeps what a write asks of a level: the only line, or the combined ones.
    fn add_change(&mut self, lines: &[Line], combined: Option<&[(Key, Change)]>, key: Key) -> u32 {
        let change = match (lines, combined) {
            (_, Some(combined)) => {
                combined.binary_search_by_key(&key, |(key, _)| *key).ok().map(|at| combined[at].1)
            }
            ([line], None) => Some(Change::from(line.effect)),
            _ => None,
        };
        let Some(change) = change else { return NONE };
        self.changes.push(change);
        u32::try_from(self.changes.len() - 1).unwrap_or(NONE)
    }

    fn find_rows(&mut self) {
        let mut start = 0;
        for events in self.events.chunk_by(|a, b| a.key == b.key) {
            self.rows[events[0].key as usize].events = start..start + events.len();
            start += events.len();
        }
    }

    /// A level begins as its opening reads show it: reads answered before any write of the history was sent. Without
    /// one it begins absent, at version 0. Of several the lowest version counts; the others are checked against it.
    fn find_bases(&mut self) {
        let is_write = |record: &&Record| matches!(record.request, Request::Write(_));
        let first_write = self.history.records.iter().filter(is_write).map(|record| record.invoked_ns).min();
        for row in &mut self.rows {
            let opening = self.events[row.events.clone()].iter().find_map(|event| {
                let node = &self.nodes[event.node as usize];
                let is_opening =
                    event.role == Role::Read && first_write.is_none_or(|first| node.returned < first);
                is_opening.then(|| Level::told(&event.seen()))?
            });
            row.base = opening.unwrap_or_default();
        }
    }

    /// The record an event belongs to.
    pub(super) fn record(&self, event: &Event) -> &'h Record {
        &self.history.records[self.nodes[event.node as usize].record as usize]
    }

    /// What the write asked of the event's level; nothing for a read.
    pub(super) fn change(&self, event: &Event) -> Option<Change> {
        self.changes.get(event.change as usize).copied()
    }

    /// The reason a refusal gave for the event's level.
    pub(super) fn reason(&self, event: &Event) -> Option<Reason> {
        match &self.record(event).outcome {
            Outcome::Refused(refused) => Some(refused[event.place as usize].reason),
            _ => None,
        }
    }

    /// Whether a refusal's reason was true of the level; a read has nothing to justify.
    pub(super) fn is_justified(&self, event: &Event, level: Level) -> bool {
        match (self.change(event), self.reason(event)) {
            (Some(change), Some(reason)) => level.refuses(change, reason),
            _ => true,
        }
    }

    pub(super) fn node(&self, event: &Event) -> &Node {
        &self.nodes[event.node as usize]
    }
}
