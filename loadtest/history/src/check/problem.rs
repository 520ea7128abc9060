//! The order that some levels demand of the operations on them, laid out for sweeping.
//!
//! Every version of a level, missing ones included, becomes a group: the change that makes it, then those who saw it,
//! then the next group. It holds for all levels of a history, or for a few of them: what cannot be ordered on a few
//! levels cannot be ordered on all.

use super::index::{Index, NONE, Role};
use crate::model::{Change, Level};
use crate::record::Key;

/// The groups of some levels of a history, and the operations on them.
pub(super) struct Problem<'i> {
    pub(super) index: &'i Index<'i>,
    /// The operations, by invocation. Elsewhere here they go by their place in this.
    pub(super) nodes: Vec<Node>,
    /// The operations, by return.
    pub(super) by_return: Vec<u32>,
    pub(super) rows: Vec<Row>,
    groups: Vec<Group>,
    /// The levels' events, one level after the other.
    pub(super) entries: Vec<Entry>,
    touch_starts: Vec<u32>,
    touches: Vec<Touch>,
    /// Writes of unknown outcome, by invocation.
    pub(super) candidates: Vec<Candidate>,
}

/// An operation: a read, an applied write, or one line of a refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) invoked: u64,
    pub(super) returned: u64,
    pub(super) record: u32,
}

/// A level of the problem.
pub(super) struct Row {
    pub(super) key: u32,
    pub(super) base: Level,
    /// Its first group (that of the base version) and how many it has, one per version.
    first_group: usize,
    group_count: usize,
    /// The candidates that touch it.
    pub(super) candidates: Vec<u32>,
    pub(super) has_missing: bool,
}

/// One version of a level: entries of those who saw it, and of the change that made it, if one is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) change: Option<u32>,
    pub(super) looks: (u32, u32),
}

/// An event in the problem.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) event: u32,
    pub(super) node: u32,
    /// Of the event, here too because a sweep asks for it all the time.
    pub(super) version: u64,
    pub(super) is_change: bool,
}

/// An operation's part on one level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) row: u32,
    pub(super) entry: u32,
}

/// A write of unknown outcome, with its levels as rows of the problem.
pub(super) struct Candidate {
    pub(super) invoked: u64,
    pub(super) changes: Vec<(u32, Change)>,
    /// Candidates of one class ask for the same and can stand for each other once they have been sent.
    pub(super) class: u32,
}

impl<'i> Problem<'i> {
    /// Lays out the levels with these keys (ascending, all of them in the index) and these writes of unknown outcome
    /// (numbers of the scan, all of whose levels are among the keys).
    ///
    /// Every version missing from a level gets a group, so there must be no more of them than writes to explain them.
    pub(super) fn new(index: &'i Index<'i>, keys: &[u32], candidates: &[u32]) -> Self {
        let mut problem = Self {
            index,
            nodes: Vec::new(),
            by_return: Vec::new(),
            rows: Vec::with_capacity(keys.len()),
            groups: Vec::new(),
            entries: Vec::new(),
            touch_starts: Vec::new(),
            touches: Vec::new(),
            candidates: Vec::new(),
        };
        for key in keys {
            problem.add_row(*key);
        }
        problem.number_nodes();
        problem.link_touches();
        problem.add_candidates(keys, candidates);
        problem
    }

    fn add_row(&mut self, key: u32) {
        let row = self.index.row(Key(key));
        let first_group = self.groups.len();
        let start = self.entries.len();
        self.groups.push(Group { change: None, looks: (len32(start), len32(start)) });
        let mut has_missing = false;
        let mut version = row.base.version;
        let mut number = row.events.start;
        for events in self.index.events[row.events.clone()].chunk_by(|a, b| a.version == b.version) {
            let empty = Group { change: None, looks: (len32(self.entries.len()), len32(self.entries.len())) };
            while version < events[0].version {
                self.groups.push(empty);
                version += 1;
                has_missing |= version < events[0].version || events[0].role != Role::Change;
            }
            for event in events {
                let entry = len32(self.entries.len());
                self.entries.push(Entry {
                    event: len32(number),
                    node: NONE,
                    version: event.version,
                    is_change: event.role == Role::Change,
                });
                number += 1;
                if let Some(group) = self.groups.last_mut() {
                    match event.role {
                        Role::Change => *group = Group { change: Some(entry), looks: (entry + 1, entry + 1) },
                        Role::Read | Role::Refusal(_) => group.looks.1 = entry + 1,
                    }
                }
            }
        }
        let group_count = self.groups.len() - first_group;
        let base = row.base;
        self.rows.push(Row { key, base, first_group, group_count, candidates: Vec::new(), has_missing });
    }

    /// Numbers the operations: the events of an applied write are one, each of a refusal is one by itself.
    fn number_nodes(&mut self) {
        let mut order: Vec<(u64, u32, u32, u32)> = Vec::with_capacity(self.entries.len());
        for (number, entry) in (0..).zip(&self.entries) {
            let event = &self.index.events[entry.event as usize];
            let place = if matches!(event.role, Role::Refusal(_)) { event.place } else { 0 };
            order.push((event.invoked, event.record, place, number));
        }
        order.sort_unstable();
        for (invoked, record, place, number) in order {
            let entry = &mut self.entries[number as usize];
            let is_new = self.nodes.last().is_none_or(|last| {
                // Of one record only a refusal has several places, and they come one after another.
                last.record != record || (place > 0 && !entry.is_change)
            });
            if is_new {
                let returned = self.index.events[entry.event as usize].returned;
                self.nodes.push(Node { invoked, returned, record });
            }
            entry.node = len32(self.nodes.len() - 1);
        }
        let mut by_return: Vec<u32> = (0..).take(self.nodes.len()).collect();
        by_return.sort_unstable_by_key(|node| self.returned(*node));
        self.by_return = by_return;
    }

    fn link_touches(&mut self) {
        let mut starts = vec![0u32; self.nodes.len() + 1];
        for entry in &self.entries {
            starts[entry.node as usize + 1] += 1;
        }
        for node in 1..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut next = starts.clone();
        self.touches = vec![Touch { row: NONE, entry: NONE }; self.entries.len()];
        let mut row = 0;
        for (number, entry) in (0..).zip(&self.entries) {
            let key = self.index.events[entry.event as usize].key;
            while self.rows[row].key != key {
                row += 1;
            }
            let slot = &mut next[entry.node as usize];
            self.touches[*slot as usize] = Touch { row: len32(row), entry: number };
            *slot += 1;
        }
        self.touch_starts = starts;
    }

    fn add_candidates(&mut self, keys: &[u32], candidates: &[u32]) {
        for number in candidates {
            let unknown = &self.index.scan.unknown[*number as usize];
            let place = |key: u32| keys.binary_search(&key).map_or(NONE, len32);
            let changes: Vec<_> =
                unknown.changes.iter().map(|(key, change)| (place(key.0), *change)).collect();
            for (row, _) in &changes {
                self.rows[*row as usize].candidates.push(len32(self.candidates.len()));
            }
            self.candidates.push(Candidate { invoked: unknown.invoked, changes, class: 0 });
        }
        let mut alike: Vec<u32> = (0..).take(self.candidates.len()).collect();
        alike.sort_by(|a, b| self.candidates[*a as usize].changes.cmp(&self.candidates[*b as usize].changes));
        for pair in 1..alike.len() {
            let (before, here) = (alike[pair - 1] as usize, alike[pair] as usize);
            let is_same = self.candidates[before].changes == self.candidates[here].changes;
            self.candidates[here].class = self.candidates[before].class + u32::from(!is_same);
        }
    }

    pub(super) fn invoked(&self, node: u32) -> u64 {
        self.nodes[node as usize].invoked
    }

    pub(super) fn returned(&self, node: u32) -> u64 {
        self.nodes[node as usize].returned
    }

    /// The parts of an operation, one per level.
    pub(super) fn touches(&self, node: u32) -> &[Touch] {
        let start = self.touch_starts[node as usize] as usize;
        &self.touches[start..self.touch_starts[node as usize + 1] as usize]
    }

    /// What is known of a version of a level; nothing beyond the last version that anyone saw.
    pub(super) fn group(&self, row: u32, version: u64) -> Option<&Group> {
        let row = &self.rows[row as usize];
        let place = usize::try_from(version.checked_sub(row.base.version)?).ok()?;
        (place < row.group_count).then(|| &self.groups[row.first_group + place])
    }
}

/// Everything is counted in 32 bits: see [`super::check_log`].
fn len32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}
