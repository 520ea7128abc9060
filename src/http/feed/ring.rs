//! [`Ring`]: the last events, written once for all who watch.
//!
//! Batches follow each other without a gap, and the oldest go when there are more than [`BYTES_MAX`] of them: who is further back reads the
//! ledger instead. Who holds a piece of a batch holds the whole of it, so a batch is small.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;

use super::event::{self, Place, Told};
use super::wants::Wants;
use crate::alerts::Rules;
use crate::store::{Lineage, MovementPage, Seq};

/// The most bytes of events that are kept.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events that follow each other, as they go over the wire.
#[derive(Debug)]
pub(super) struct Batch {
    /// The last movement before them.
    after: Seq,
    /// The last of them.
    last: Seq,
    lineage: Lineage,
    /// The movements that they are of, and where those of each end in the bytes.
    told: Vec<(Told, usize)>,
    bytes: Bytes,
}

/// The last batches.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// The last movement before all of them.
    after: Seq,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// What there is after a place.
#[derive(Debug)]
pub(super) enum Found {
    /// This batch has what is next.
    Batch(Arc<Batch>),
    /// What is next has left the ring: the ledger has it.
    Ledger,
    /// Nothing yet.
    Nothing,
}

impl Batch {
    /// The movements of a page that begins after that one, and what follows from them by these rules. `None` if there are none.
    pub(super) fn new(after: Seq, page: MovementPage, rules: &Rules) -> Option<Self> {
        let (last, lineage) = (page.movements.last()?.seq, page.lineage);
        let mut bytes = Vec::with_capacity(page.movements.len() * event::BYTES);
        let (from, all) = (Place::after(after), Wants::default());
        let mut told = Vec::with_capacity(page.movements.len());
        for movement in page.movements {
            let movement = Told::new(movement, rules);
            movement.write(&mut bytes, from, &all, lineage);
            told.push((movement, bytes.len()));
        }
        Some(Self { after, last, lineage, told, bytes: bytes.into() })
    }

    /// The place after all of it.
    pub(super) fn end(&self) -> Place {
        Place::after(self.last)
    }

    /// Those of its events that come after a place and are wanted; empty if there are none.
    pub(super) fn wanted(&self, after: Place, wants: &Wants) -> Bytes {
        let from = self.told.partition_point(|(told, _)| told.movement.seq <= after.found_after());
        let begin = from.checked_sub(1).map_or(0, |before| self.told[before].1);
        if wants.is_all() && after == Place::after(after.found_after()) {
            return self.bytes.slice(begin..);
        }
        let mut bytes = Vec::new();
        for (told, _) in &self.told[from..] {
            told.write(&mut bytes, after, wants, self.lineage);
        }
        bytes.into()
    }
}

impl Ring {
    /// Nothing after that movement yet.
    pub(super) fn after(after: Seq) -> Self {
        Self { after, ..Self::default() }
    }

    /// Appends what comes next.
    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!(batch.after, self.end(), "batches follow each other");
        self.bytes += batch.bytes.len();
        self.batches.push_back(batch);
        while self.bytes > BYTES_MAX && self.batches.len() > 1 {
            let oldest = self.batches.pop_front().expect("there are several");
            self.bytes -= oldest.bytes.len();
            self.after = oldest.last;
        }
    }

    /// What there is after a place, which may be ahead of the ring.
    pub(super) fn find(&self, after: Place) -> Found {
        if after.found_after() < self.after {
            return Found::Ledger;
        }
        let at = self.batches.partition_point(|batch| batch.end() <= after);
        self.batches.get(at).map_or(Found::Nothing, |batch| Found::Batch(Arc::clone(batch)))
    }

    fn end(&self) -> Seq {
        self.batches.back().map_or(self.after, |last| last.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{Level, Location, Sku, StockKey};
    use crate::store::{Movement, MovementFilter, MovementKind};

    fn movement(seq: u64, reason: &str) -> Movement {
        Movement {
            seq: Seq::new(seq),
            time_ms: 0,
            kind: if seq.is_multiple_of(2) { MovementKind::Adjusted } else { MovementKind::Counted },
            key: StockKey::new(&Sku::parse("A").unwrap(), &Location::DEFAULT),
            before: (0, 0),
            after: Level::existing(1, 0, seq).unwrap(),
            reason: reason.to_owned(),
            reference: String::new(),
            actor: String::new(),
            reservation: None,
            order: None,
        }
    }

    fn batch(range: std::ops::RangeInclusive<u64>, reason: &str) -> Arc<Batch> {
        let after = Seq::new(range.start() - 1);
        let movements = range.map(|seq| movement(seq, reason)).collect();
        let page = MovementPage { movements, ..MovementPage::default() };
        Arc::new(Batch::new(after, page, &Rules::default()).unwrap())
    }

    fn place(seq: u64) -> Place {
        Place::after(Seq::new(seq))
    }

    /// The numbers of the events in a piece.
    fn numbers(piece: &Bytes) -> Vec<u64> {
        let text = std::str::from_utf8(piece).unwrap();
        let id = |line: &str| line.strip_prefix("id: ")?.parse::<crate::store::MovementCursor>().ok()?.seq();
        text.lines().filter_map(id).map(Seq::number).collect()
    }

    /// P12: from whichever place on, everything after it comes once and in order.
    #[test]
    fn from_every_place_what_comes_after_it_comes_once() {
        let mut ring = Ring::after(Seq::new(10));
        for range in [11..=11, 12..=15, 16..=18] {
            ring.push(batch(range, ""));
        }
        assert!(matches!(ring.find(place(9)), Found::Ledger));
        for from in 10..=20 {
            let (mut at, mut seen) = (Place::after(Seq::new(from)), Vec::new());
            while let Found::Batch(batch) = ring.find(at) {
                seen.extend(numbers(&batch.wanted(at, &Wants::default())));
                at = batch.end();
            }
            assert_eq!(seen, (from + 1..=18).collect::<Vec<_>>(), "after {from}");
        }
        let wants = Wants::new(MovementFilter::default(), Some("adjusted")).unwrap();
        let Found::Batch(batch) = ring.find(place(12)) else { panic!("it is there") };
        assert_eq!(numbers(&batch.wanted(place(12), &wants)), [14]);
        assert_eq!(Batch::new(Seq::new(3), MovementPage::default(), &Rules::default()).map(|_| ()), None);
    }

    /// P10: the ring is bounded, and who is further back than it is told so.
    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut ring = Ring::after(Seq::default());
        let reason = "x".repeat(64 * 1024);
        for seq in 1..=200 {
            ring.push(batch(seq..=seq, &reason));
            assert!(ring.bytes <= BYTES_MAX);
        }
        assert!(matches!(ring.find(place(0)), Found::Ledger));
        assert!(matches!(ring.find(place(ring.after.number() - 1)), Found::Ledger));
        let Found::Batch(oldest) = ring.find(Place::after(ring.after)) else { panic!("it is there") };
        assert_eq!(oldest.last.number(), ring.after.number() + 1);
        assert!(matches!(ring.find(place(200)), Found::Nothing));
    }
}
