//! What the event stream told over all lives, and whether that is everything there was: each change of each level once, in the order of its
//! versions, and from any snapshot on what makes the final stock of it.

use std::fmt;

use history::{Seen, Stock};
use serde::Serialize;

use super::counts::Examples;
use crate::catalogue::Catalogue;

/// An event that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place in the stream.
    pub id: Box<str>,
    /// What it tells of a level of the run; nothing, if it is of something else in the same stock.
    pub change: Option<Change>,
}

/// A change of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its number in the ledger.
    pub seq: u64,
    /// The level after it.
    pub seen: Seen,
}

/// Levels that were shown, and where the stream goes on after them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The place.
    pub id: Box<str>,
    /// The levels.
    pub levels: Vec<Seen>,
}

/// All that one watcher was told.
#[derive(Debug, Default)]
pub struct Feed {
    /// The place before the first change.
    pub begins: Box<str>,
    /// The events, as they were told.
    pub told: Vec<Told>,
    /// What else was asked for.
    pub snapshots: Vec<Snapshot>,
    /// How often the stream was taken up.
    pub streams: u64,
    /// Blocks and answers that are none.
    pub breaches: Examples,
}

/// What that comes to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventsAudit {
    /// Changes that were told.
    pub told: usize,
    /// How often the stream was taken up where it had ended.
    pub streams: u64,
    /// Changes that were not told, though later ones of their level were, or they are its last.
    pub missing: Examples,
    /// Changes that were told again.
    pub repeated: Examples,
    /// Changes that were told after later ones.
    pub out_of_order: Examples,
    /// Snapshots that the stream was joined to.
    pub snapshots: usize,
    /// Levels that a snapshot and the stream make something else of than there was in the end.
    pub differing: Examples,
    /// Answers outside the contract.
    pub breaches: Examples,
}

impl EventsAudit {
    /// Whether everything was told, once, in order.
    pub fn is_sound(&self) -> bool {
        let Self { missing, repeated, out_of_order, differing, .. } = self;
        [missing, repeated, out_of_order, differing].iter().all(|examples| examples.count == 0)
    }
}

impl fmt::Display for EventsAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, streams, missing, repeated, out_of_order, snapshots, differing, .. } = self;
        write!(
            f,
            "Events: {told} changes told, over {streams} streams; {} missing, {} repeated, {} out of order; {snapshots} snapshots joined, {} levels \
             differing",
            missing.count, repeated.count, out_of_order.count, differing.count
        )
    }
}

impl Feed {
    /// Judges what was told by the last there is to say of each level, where it is known.
    pub fn audit(self, last: &[Option<Seen>], catalogue: &Catalogue) -> EventsAudit {
        let mut audit = EventsAudit { streams: self.streams, ..EventsAudit::default() };
        let name = |seen: &Seen| {
            let entry = catalogue.entry(seen.key);
            format!("{} at {}", entry.sku, entry.location)
        };
        let mut versions = vec![0_u64; last.len()];
        let mut newest = 0;
        for Change { seq, seen } in changes(&self.told) {
            audit.told += 1;
            let version = &mut versions[seen.key.0 as usize];
            if seq <= newest {
                audit
                    .out_of_order
                    .add(|| format!("movement {seq} of {} after movement {newest}", name(&seen)));
            }
            newest = newest.max(seq);
            if seen.version <= *version {
                audit.repeated.add(|| format!("version {} of {}", seen.version, name(&seen)));
                continue;
            }
            for missing in *version + 1..seen.version {
                audit.missing.add(|| format!("version {missing} of {}", name(&seen)));
            }
            *version = seen.version;
        }
        for last in last.iter().flatten() {
            for missing in versions[last.key.0 as usize] + 1..=last.version {
                audit
                    .missing
                    .add(|| format!("version {missing} of {}, its last is {}", name(last), last.version));
            }
        }
        for snapshot in &self.snapshots {
            audit.snapshots += 1;
            self.join(snapshot, last, &name, &mut audit.differing);
        }
        audit.breaches = self.breaches;
        audit
    }

    /// What was told after a place.
    fn after(&self, id: &str) -> Option<&[Told]> {
        let at = self.told.iter().position(|told| &*told.id == id);
        at.map(|at| &self.told[at + 1..]).or_else(|| (&*self.begins == id).then_some(&self.told))
    }

    /// The levels of a snapshot, and the changes after it that they do not show yet.
    fn join(
        &self,
        snapshot: &Snapshot,
        last: &[Option<Seen>],
        name: &impl Fn(&Seen) -> String,
        differing: &mut Examples,
    ) {
        let mut levels = vec![None; last.len()];
        for seen in &snapshot.levels {
            levels[seen.key.0 as usize] = Some(*seen);
        }
        let Some(after) = self.after(&snapshot.id) else {
            return differing.add(|| format!("all: the place {} was never told", snapshot.id));
        };
        for Change { seen, .. } in changes(after) {
            let level = &mut levels[seen.key.0 as usize];
            if level.is_none_or(|had| had.version < seen.version) {
                *level = Some(seen);
            }
        }
        let is_there = |seen: &&Seen| seen.stock != Stock::Absent;
        for (made, last) in levels.iter().zip(last) {
            let Some(last) = last else { continue };
            if made.as_ref().filter(is_there) != Some(last).filter(is_there) {
                differing.add(|| {
                    format!(
                        "{} is {made:?} by the events after {}, and was {last:?}",
                        name(last),
                        snapshot.id
                    )
                });
            }
        }
    }
}

/// The changes among some events.
fn changes(told: &[Told]) -> impl Iterator<Item = Change> {
    told.iter().filter_map(|told| told.change)
}

#[cfg(test)]
mod tests {
    use history::Key;

    use super::*;

    fn seen(key: u32, version: u64) -> Seen {
        Seen { key: Key(key), version, stock: Stock::Level { on_hand: 10 * version, reserved: 0 } }
    }

    fn told(seq: u64, key: u32, version: u64) -> Told {
        Told { id: seq.to_string().into(), change: Some(Change { seq, seen: seen(key, version) }) }
    }

    /// Of another run in the same stock.
    fn foreign(seq: u64) -> Told {
        Told { id: seq.to_string().into(), change: None }
    }

    fn audit(told: Vec<Told>, snapshots: Vec<Snapshot>) -> [u64; 4] {
        let catalogue = Catalogue::new(["a", "b"].map(|sku| (sku.to_owned(), "main".to_owned())).into());
        let feed = Feed { begins: "0".into(), told, snapshots, ..Feed::default() };
        let audit = feed.audit(&[Some(seen(0, 3)), Some(seen(1, 1))], &catalogue);
        [audit.missing, audit.repeated, audit.out_of_order, audit.differing].map(|examples| examples.count)
    }

    fn all() -> Vec<Told> {
        vec![told(1, 0, 1), told(2, 1, 1), told(3, 0, 2), told(4, 0, 3)]
    }

    #[test]
    fn everything_once_and_in_order_is_right() {
        let snapshot = |id: &str, levels: Vec<Seen>| Snapshot { id: id.into(), levels };
        let snapshots = vec![
            snapshot("1", vec![seen(0, 1)]),
            // Levels may be ahead of the place that they name.
            snapshot("1", vec![seen(0, 3), seen(1, 1)]),
            snapshot("4", vec![seen(0, 3), seen(1, 1)]),
        ];
        assert_eq!(audit(all(), snapshots), [0, 0, 0, 0]);
    }

    #[test]
    fn what_is_left_out_told_again_or_too_late_is_found() {
        for gone in 0..4 {
            let mut told = all();
            told.remove(gone);
            assert_eq!(audit(told, vec![])[0], 1, "without {gone}");
        }
        let mut twice = all();
        twice.push(told(5, 0, 3));
        assert_eq!(audit(twice, vec![]), [0, 1, 0, 0]);
        let mut swapped = all();
        swapped.swap(2, 3);
        assert_eq!(audit(swapped, vec![]), [1, 1, 1, 0]);
    }

    #[test]
    fn what_others_do_in_the_same_stock_is_a_place_and_no_more() {
        let told = vec![
            told(4, 0, 1),
            foreign(5),
            told(6, 1, 1),
            foreign(7),
            told(9, 0, 2),
            told(11, 0, 3),
            foreign(12),
        ];
        let snapshot = |id: &str, levels: Vec<Seen>| Snapshot { id: id.into(), levels };
        let snapshots = vec![
            snapshot("0", vec![]),
            snapshot("5", vec![seen(0, 1)]),
            snapshot("12", vec![seen(0, 3), seen(1, 1)]),
        ];
        assert_eq!(audit(told.clone(), snapshots), [0, 0, 0, 0]);
        assert_eq!(
            audit(told.clone(), vec![snapshot("7", vec![seen(0, 1)])])[3],
            1,
            "it lacks the other level"
        );
        assert_eq!(audit(told[2..].to_vec(), vec![])[0], 1);
    }

    #[test]
    fn a_snapshot_that_does_not_join_is_found() {
        let snapshot = |id: &str, levels: Vec<Seen>| vec![Snapshot { id: id.into(), levels }];
        assert_eq!(audit(all(), snapshot("3", vec![seen(0, 2)]))[3], 1, "it lacks the other level");
        assert_eq!(
            audit(all(), snapshot("4", vec![seen(0, 2), seen(1, 1)]))[3],
            1,
            "it is older than its place"
        );
        assert_eq!(audit(all(), snapshot("9", vec![]))[3], 1, "a place that was never told");
    }
}
