//! P2: what is reserved of a level is what the pending reservations hold, by the log alone; where it is not, the level is named.

use super::*;
use crate::journal::holds::{Found, Holds};
use crate::journal::orders::Orders;
use crate::journal::record::RecordKind;
use crate::journal::snapshot::Walked;
use crate::journal::stored::Stored;
use crate::journal::testing::units;
use crate::stock::{HeldLine, Once, Operation, ReservationId, ReservationState, Term};

fn term(number: u64) -> Term {
    Term { id: ReservationId::new(number, number.into()), expires_date_ms: number + 9, expires_ms: number }
}

fn lines(held: &[(&str, u64)]) -> Box<[HeldLine]> {
    let line = |&(key, quantity): &(&str, u64)| HeldLine { key: key_of(key), quantity: units(quantity) };
    held.iter().map(line).collect()
}

fn key_of(key: &str) -> StockKey {
    StockKey::from_text(key).unwrap()
}

fn found(number: u64, state: ReservationState, held: &[(&str, u64)]) -> Found {
    let finished_ms = if state == ReservationState::Pending { 0 } else { 5 };
    let lines = lines(held);
    let committed = if state == ReservationState::Committed {
        lines.iter().map(|line| line.quantity).collect()
    } else {
        Box::default()
    };
    Found { term: term(number), state, lines, committed, finished_ms }
}

fn holds(all: impl IntoIterator<Item = Found>) -> Holds {
    let holds = Holds::new(100);
    all.into_iter().for_each(|found| holds.restore(found));
    holds
}

impl Writer {
    fn reserve(&mut self, number: u64, held: &[(&str, u64)]) {
        let reserve = |&(key, quantity)| (key, Operation::Reserve { quantity: units(quantity) });
        self.settle(RecordKind::Reserved, number, &held.iter().map(reserve).collect::<Vec<_>>());
    }

    fn let_go(&mut self, kind: RecordKind, number: u64, held: &[(&str, u64)]) {
        let release = |&(key, quantity)| (key, Operation::Release { quantity: units(quantity) });
        self.settle(kind, number, &held.iter().map(release).collect::<Vec<_>>());
    }

    fn settle(&mut self, kind: RecordKind, number: u64, changes: &[(&str, Operation)]) {
        assert!(self.record_of(kind, term(number), changes));
        self.commit();
    }

    fn extend(&mut self, number: u64, held: &[(&str, u64)]) {
        let later = Term { expires_ms: 10_000, ..term(number) };
        let once = Once { key: number.into(), fingerprint: [1; 32] };
        self.store(once, &Stored::Extended(later, lines(held).into()));
        self.commit();
    }

    fn reserved(&self, key: &str) -> u64 {
        self.level(key).reserved()
    }
}

/// Two levels of 100 units each.
fn stocked() -> Writer {
    let mut writer = Writer::new(Memory::new().disk(), 2 * 1024);
    writer.add("a main", 100);
    writer.add("b main", 100);
    writer.commit();
    writer
}

/// Takes a snapshot while `written` was not known to be on disk yet: it starts before that, and has seen it.
fn snapshot_over(writer: &mut Writer, holds: &Holds, written: impl FnOnce(&mut Writer)) -> snapshot::Written {
    let start = writer.watermark.end();
    written(writer);
    // As it was when the snapshot was begun.
    let watermark = crate::journal::watermark::Watermark::new(start);
    let end = writer.end();
    let caught_up = || {
        watermark.advance(end);
        true
    };
    let (orders, heads, keys) = (Orders::new(0), &*writer.heads, &*writer.keys);
    let walked = Walked { heads, keys, holds, orders: &orders, caught_up: &caught_up };
    let disk = writer.disk.as_ref();
    let taken = snapshot::write(disk, None, &walked, &watermark, &AtomicBool::new(false)).unwrap();
    assert_eq!(taken.start.position, start.position);
    taken
}

/// Forgets the segments that a start from that snapshot does not read.
fn drop_before(writer: &Writer, taken: &snapshot::Written) {
    let segments = writer.log.segments();
    let at = segments.iter().rposition(|segment| segment.header.base <= taken.start.position).unwrap();
    assert!(at > 0, "there is something to forget");
    writer.log.take_before(segments[at].header.base);
}

fn told(writer: &Writer) -> Vec<String> {
    let report = run(writer, false).unwrap();
    assert_eq!(report.problems_total, report.problems.len() as u64);
    report.problems.iter().map(ToString::to_string).collect()
}

fn assert_told(writer: &Writer, level: &str, reserved: u64, held: u64) {
    let wanted =
        format!("level {level}: {reserved} are reserved, and the reservations that are pending hold {held}");
    assert_eq!(told(writer), [wanted]);
}

/// Reservations in every state there is, and in the log, are what the levels say.
#[test]
fn whatever_became_of_reservations_the_books_balance() {
    let mut writer = stocked();
    let both = [("a main", 3), ("b main", 4)];
    (1..=5).for_each(|number| writer.reserve(number, &both));
    let settled = Operation::Settle { ship: units(2), release: units(1) };
    let unwanted = Operation::Release { quantity: units(4) };
    writer.settle(RecordKind::Committed, 2, &[("a main", settled), ("b main", unwanted)]);
    writer.let_go(RecordKind::Released, 3, &both);
    writer.let_go(RecordKind::Expired, 4, &both);
    writer.extend(5, &both);
    assert_eq!((writer.reserved("a main"), writer.reserved("b main")), (6, 8));
    assert_eq!(told(&writer), [""; 0]);
    let ship = |quantity| Operation::Ship { quantity: units(quantity) };
    writer.settle(RecordKind::Committed, 5, &[("a main", ship(3)), ("b main", ship(4))]);
    assert_eq!((writer.reserved("a main"), writer.reserved("b main")), (3, 4));
    assert_eq!(told(&writer), [""; 0]);
}

/// The snapshot has what was pending and what was not, has seen more than its start says, and has forgotten one that was finished.
#[test]
fn over_a_snapshot_the_books_balance() {
    let mut writer = stocked();
    let (a, b) = ([("a main", 3)], [("b main", 4)]);
    (1..=3).for_each(|number| writer.reserve(number, &a));
    (1..30).for_each(|_| assert!(writer.add("a main", 1) && writer.commit().position > 0));
    writer.reserve(4, &b);
    writer.let_go(RecordKind::Released, 4, &b);
    writer.let_go(RecordKind::Expired, 1, &a);
    let seen = holds([
        found(1, ReservationState::Expired, &a),
        found(2, ReservationState::Pending, &a),
        found(3, ReservationState::Committed, &a),
        found(5, ReservationState::Pending, &b),
        found(6, ReservationState::Released, &b),
    ]);
    let taken = snapshot_over(&mut writer, &seen, |writer| {
        writer.settle(RecordKind::Committed, 3, &[("a main", Operation::Ship { quantity: units(3) })]);
        (5..=6).for_each(|number| writer.reserve(number, &b));
        writer.let_go(RecordKind::Released, 6, &b);
    });
    drop_before(&writer, &taken);
    writer.reserve(7, &b);
    assert_eq!((writer.reserved("a main"), writer.reserved("b main")), (3, 8));
    assert_eq!(told(&writer), [""; 0]);
    assert_eq!(run(&writer, false).unwrap().snapshot, Some(snapshot::name(taken.start.position)));
    writer.let_go(RecordKind::Released, 2, &a);
    assert_eq!(told(&writer), [""; 0]);
}

#[test]
fn units_that_are_reserved_for_nobody_are_told() {
    let mut writer = stocked();
    writer.reserve(1, &[("a main", 3)]);
    assert!(writer.change("a main", Operation::Reserve { quantity: units(2) }));
    writer.commit();
    assert_told(&writer, "a@main", 5, 3);
}

#[test]
fn units_that_are_held_and_not_reserved_are_told() {
    let mut writer = stocked();
    writer.reserve(1, &[("a main", 3), ("b main", 1)]);
    assert!(writer.change("a main", Operation::Release { quantity: units(2) }));
    writer.commit();
    assert_told(&writer, "a@main", 1, 3);
}

/// Both take the same units off the level as off a sum of all lines: only by reservation it shows.
#[test]
fn what_is_settled_twice_or_by_other_lines_is_told() {
    let mut twice = stocked();
    (1..=2).for_each(|number| twice.reserve(number, &[("a main", 3)]));
    (1..=2).for_each(|_| twice.let_go(RecordKind::Released, 1, &[("a main", 3)]));
    assert_told(&twice, "a@main", 0, 3);
    let mut other = stocked();
    other.reserve(1, &[("a main", 3), ("b main", 4)]);
    other.let_go(RecordKind::Expired, 1, &[("a main", 3)]);
    assert_told(&other, "b@main", 4, 0);
}

#[test]
fn a_hold_of_a_snapshot_of_which_the_level_says_less_is_told() {
    let mut writer = stocked();
    writer.reserve(1, &[("a main", 3)]);
    (1..30).for_each(|_| assert!(writer.add("b main", 1) && writer.commit().position > 0));
    let more = holds([
        found(1, ReservationState::Pending, &[("a main", 3)]),
        found(2, ReservationState::Pending, &[("a main", 2)]),
        found(3, ReservationState::Pending, &[("nowhere main", 7)]),
    ]);
    let taken = snapshot_over(&mut writer, &more, |_| ());
    drop_before(&writer, &taken);
    let told = told(&writer);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("a@main: 3 are reserved") && told[0].ends_with("hold 5"), "{told:?}");
    assert!(told[1].contains("nowhere@main: 0 are reserved") && told[1].ends_with("hold 7"), "{told:?}");
}

/// Retention may have dropped the snapshot that was there when the end was noted: what a later one has of a level that moved on says nothing
/// of that end.
#[test]
fn a_level_that_moved_on_in_a_later_snapshot_is_not_compared() {
    let mut writer = stocked();
    writer.reserve(1, &[("a main", 3)]);
    (1..30).for_each(|_| assert!(writer.add("b main", 1) && writer.commit().position > 0));
    let end = writer.watermark.end();
    // Walked before the second was made; and the level after it.
    let seen = holds([found(1, ReservationState::Pending, &[("a main", 3)])]);
    let taken = snapshot_over(&mut writer, &seen, |writer| writer.reserve(2, &[("a main", 5)]));
    drop_before(&writer, &taken);
    let report = run_to(&writer, end, true).unwrap();
    assert!(report.is_clean() && report.snapshot.is_some(), "{:?}", report.problems);
    assert_eq!(told(&writer), [""; 0]);
}

#[test]
fn a_record_that_is_no_reservations_is_told() {
    let mut writer = stocked();
    let add = Operation::Adjust { delta: 1, if_missing: crate::stock::IfMissing::Refuse };
    writer.settle(RecordKind::Reserved, 1, &[("a main", add)]);
    let told = told(&writer);
    assert!(told.len() == 1 && told[0].contains("a record of a reservation has a line"), "{told:?}");
}

/// What a snapshot has of what was before its start counts, whatever became of the records.
#[test]
fn what_is_damaged_before_the_snapshot_starts_takes_nothing_along() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 2 * 1024);
    for _ in 0..3 {
        writer.add("a main", 100);
        writer.commit();
    }
    writer.reserve(1, &[("a main", 3)]);
    let lost = writer.end().position;
    writer.let_go(RecordKind::Released, 1, &[("a main", 3)]);
    let taken = snapshot_over(&mut writer, &holds([]), |_| ());
    drop_before(&writer, &taken);
    assert_eq!(told(&writer), [""; 0]);
    let Header { base, .. } = writer.log.segments()[0].header;
    memory.edit(&segment::name(base), |bytes| bytes[usize::try_from(lost - base).unwrap() + 80] ^= 1);
    let told = told(&writer);
    assert!(told.len() == 1 && told[0].starts_with("segment"), "{told:?}");
}

/// Each fault once: a level of which a change is missing is told for that, and not for what it took along.
#[test]
fn what_damage_takes_along_is_not_told_besides() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 64 * 1024);
    writer.add("a main", 100);
    writer.commit();
    writer.reserve(1, &[("a main", 3)]);
    let lost = writer.end().position;
    writer.let_go(RecordKind::Released, 1, &[("a main", 3)]);
    writer.add("a main", 1);
    writer.commit();
    assert_eq!(told(&writer), [""; 0]);
    let segment = segment::name(writer.log.segments()[0].header.base);
    memory.edit(&segment, |bytes| bytes[usize::try_from(lost).unwrap() + 80] ^= 1);
    let told = told(&writer);
    assert_eq!(told.len(), 2, "the group, and the version that is missing: {told:?}");
    assert!(told[1].contains("version 4 follows version 2"), "{told:?}");
}
