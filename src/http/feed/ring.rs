//! [`Ring`]: the last events, written once for all who watch.
//!
//! Batches follow each other without a gap, and the oldest go when there are more than [`BYTES_MAX`] of them: who is further back reads the
//! ledger instead. Who holds a piece of a batch holds the whole of it, so a batch is small.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;

use super::event;
use crate::store::{Movement, MovementFilter, MovementPage, Seq};

/// The most bytes of events that are kept.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events that follow each other, as they go over the wire.
#[derive(Debug)]
pub(super) struct Batch {
    /// The last movement before them.
    after: Seq,
    /// The last of them.
    last: Seq,
    /// What each is of, and where it ends in the bytes.
    events: Vec<(Movement, usize)>,
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
    /// The movements of a page that begins after that one. `None` if there are none.
    pub(super) fn new(after: Seq, page: MovementPage) -> Option<Self> {
        let last = page.movements.last()?.seq;
        let mut bytes = Vec::with_capacity(page.movements.len() * event::BYTES);
        let mut written = |movement: Movement| {
            event::write(&mut bytes, &movement, page.lineage);
            (movement, bytes.len())
        };
        let events = page.movements.into_iter().map(&mut written).collect();
        Some(Self { after, last, events, bytes: bytes.into() })
    }

    /// The last movement of it.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Those of its events that come after a place and are wanted; empty if there are none.
    pub(super) fn wanted(&self, after: Seq, wants: &MovementFilter) -> Bytes {
        let from = self.events.partition_point(|(movement, _)| movement.seq <= after);
        let begin = |at: usize| at.checked_sub(1).map_or(0, |before| self.events[before].1);
        if wants.is_all() {
            return self.bytes.slice(begin(from)..);
        }
        let mut bytes = Vec::new();
        for (at, (movement, end)) in self.events.iter().enumerate().skip(from) {
            if wants.has(movement) {
                bytes.extend_from_slice(&self.bytes[begin(at)..*end]);
            }
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
    pub(super) fn find(&self, after: Seq) -> Found {
        if after < self.after {
            return Found::Ledger;
        }
        let at = self.batches.partition_point(|batch| batch.last <= after);
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
    use crate::store::{Lineage, MovementKind};

    fn movement(seq: u64, reason: &str) -> Movement {
        Movement {
            seq: Seq::new(seq),
            time_ms: 0,
            kind: if seq.is_multiple_of(2) { MovementKind::Adjusted } else { MovementKind::Counted },
            key: StockKey::new(Sku::parse("A").unwrap(), Location::DEFAULT),
            before: (0, 0),
            after: Level::existing(1, 0, seq).unwrap(),
            reason: reason.to_owned(),
            reference: String::new(),
            reservation: None,
            order: None,
        }
    }

    fn batch(range: std::ops::RangeInclusive<u64>, reason: &str) -> Arc<Batch> {
        let after = Seq::new(range.start() - 1);
        let movements = range.map(|seq| movement(seq, reason)).collect();
        let page = MovementPage { movements, ..MovementPage::default() };
        Arc::new(Batch::new(after, page).unwrap())
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
        assert!(matches!(ring.find(Seq::new(9)), Found::Ledger));
        for from in 10..=20 {
            let (mut at, mut seen) = (Seq::new(from), Vec::new());
            while let Found::Batch(batch) = ring.find(at) {
                seen.extend(numbers(&batch.wanted(at, &MovementFilter::default())));
                at = batch.last();
            }
            assert_eq!(seen, (from + 1..=18).collect::<Vec<_>>(), "after {from}");
        }
        let kinds = Some(vec![MovementKind::Adjusted]);
        let wants = MovementFilter { kinds, ..MovementFilter::default() };
        let Found::Batch(batch) = ring.find(Seq::new(12)) else { panic!("it is there") };
        assert_eq!(numbers(&batch.wanted(Seq::new(12), &wants)), [14]);
        assert_eq!(
            Batch::new(Seq::new(3), MovementPage { lineage: Lineage::FIRST, ..MovementPage::default() })
                .map(|_| ()),
            None
        );
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
        assert!(matches!(ring.find(Seq::default()), Found::Ledger));
        assert!(matches!(ring.find(Seq::new(ring.after.number() - 1)), Found::Ledger));
        let Found::Batch(oldest) = ring.find(ring.after) else { panic!("it is there") };
        assert_eq!(oldest.last().number(), ring.after.number() + 1);
        assert!(matches!(ring.find(Seq::new(200)), Found::Nothing));
    }
}
