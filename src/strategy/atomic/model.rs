//! The lock-free protocol under the model checker (loom): every interleaving of a few threads within a stated bound.
//!
//! What runs is the code of [`super::protocol`] itself, on loom's atomics: see [`memory`]. What is *not* modelled: papaya's
//! map, timeouts in the middle of a wait (the models know none and zero), and all of sequential consistency, of which
//! loom knows a part. What passes here holds with less.
//!
//! Each model is a script per thread. After every interleaving it is asked whether *some* order of what the threads
//! say they did, each thread's own order kept, leads from the first levels to the last ([`explains`]); whether no claim
//! is left and the register is empty; and over all interleavings whether the outcomes the model is about occurred.
//!
//! Bounds: [`PREEMPTIONS`] unless the model says otherwise, [`BRANCHES_MAX`] scheduling points per interleaving.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loom::sync::atomic::{AtomicBool, Ordering};

use self::memory::{Loom, LoomWord};
use super::protocol::{Patience, Protocol};
use super::word::{State, Word};
use crate::stock::{
    Applied, Change, Entry, IfMissing, Level, Location, Operation, Sku, StockKey, Transaction,
};
use crate::strategy::{Meter, Rejected, TransactRejected};

mod memory;

/// How often a thread may be interrupted where it need not be. Bugs of this kind of protocol need one or two.
const PREEMPTIONS: usize = 4;
/// Scheduling points of one interleaving, past which loom calls it a livelock.
const BRANCHES_MAX: usize = 2_000;
/// A lock timeout that never runs out.
const FOREVER: Duration = Duration::from_hours(1);

/// One call of one thread. Cells are numbered; their keys ascend with their numbers.
#[derive(Debug, Clone, Copy)]
enum Call {
    Read(usize),
    Adjust(usize, i64),
    Transact(&'static [(usize, i64)]),
    /// Of these cells, in that order, with that many rounds of reading before they are claimed.
    Snapshot(&'static [usize], usize),
}

/// What a call turned out to have been, as instants in the life of the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    /// At one instant the cell was so: a read, or a refusal's witness.
    Saw(usize, Level),
    /// At one instant all these cells were so.
    SawAll(Vec<(usize, Level)>),
    /// At one instant all these cells changed.
    Changed(Vec<(usize, Applied)>),
    /// The lock timeout ran out; nothing happened.
    TimedOut,
}

/// The cells of one interleaving.
struct Stock {
    protocol: Protocol<Loom>,
    cells: Vec<LoomWord>,
    /// Whether those cells are there that are not at first: they come to be with the first change, as in the map. (The others are not
    /// looked for here, which would only be more to interleave.)
    there: Vec<AtomicBool>,
    comes_later: &'static [usize],
    meter: Meter,
    timeout: Duration,
}

impl Stock {
    fn make(&self, asked: Call) -> Vec<Event> {
        match asked {
            Call::Read(cell) => vec![Event::Saw(cell, self.protocol.read(&self.cells[cell]))],
            Call::Adjust(cell, delta) => {
                self.find_or_create(cell);
                match self.protocol.apply(&self.cells[cell], adjust(delta), self.patience()) {
                    Ok(applied) => vec![Event::Changed(vec![(cell, applied)])],
                    Err(Rejected::Refused(refusal)) => {
                        assert_eq!(adjust(delta).judge(refusal.found), Err(refusal), "a refusal is true");
                        vec![Event::Saw(cell, refusal.found)]
                    }
                    Err(Rejected::Contention(_)) => vec![Event::TimedOut],
                }
            }
            Call::Transact(lines) => self.transact(lines),
            Call::Snapshot(cells, rounds) => {
                let is_there = |cell: &usize| {
                    !self.comes_later.contains(cell) || self.there[*cell].load(Ordering::SeqCst)
                };
                let cell = |index: usize| Some(cells[index]).filter(is_there).map(|cell| &self.cells[cell]);
                match self.protocol.snapshot(cells.len(), cell, rounds, self.patience()) {
                    Ok(levels) => vec![Event::SawAll(cells.iter().copied().zip(levels).collect())],
                    Err(_) => vec![Event::TimedOut],
                }
            }
        }
    }

    fn transact(&self, lines: &[(usize, i64)]) -> Vec<Event> {
        let transaction = transaction(lines);
        let numbers: Vec<usize> = transaction.entries().iter().map(cell_of).collect();
        for cell in &numbers {
            self.find_or_create(*cell);
        }
        let cells: Vec<&LoomWord> = numbers.iter().map(|&cell| &self.cells[cell]).collect();
        match self.protocol.transact(&transaction, &cells, self.patience()) {
            Ok(applied) => vec![Event::Changed(numbers.into_iter().zip(applied).collect())],
            Err(TransactRejected::Refused(refused)) => {
                assert_eq!(
                    transaction.judge(&refused.found),
                    Err(refused.refusals.clone()),
                    "a refusal is true"
                );
                let short = refused.refusals.iter().map(|short| (numbers[short.entry], short.refusal.found));
                short.map(|(cell, found)| Event::Saw(cell, found)).collect()
            }
            Err(TransactRejected::Contention(_)) => vec![Event::TimedOut],
        }
    }

    fn find_or_create(&self, cell: usize) {
        if self.comes_later.contains(&cell) {
            self.there[cell].store(true, Ordering::SeqCst);
        }
    }

    fn patience(&self) -> Patience<'_> {
        Patience::new(self.timeout, &self.meter)
    }

    /// The levels when all is over: no claim may be left.
    fn levels_at_rest(&self) -> Vec<Level> {
        let level = |word: &LoomWord| match word.load() {
            State::Level(level) => level,
            State::Claimed(claim) => panic!("a claim is left behind: {claim:?}"),
        };
        self.cells.iter().map(level).collect()
    }
}

fn adjust(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Create })
}

/// In the order given where they are ascending; a model may break the order on purpose by breaking the protocol only.
fn transaction(lines: &[(usize, i64)]) -> Transaction {
    let key = |cell: usize| StockKey::new(&Sku::parse(["a", "b", "c"][cell]).unwrap(), &Location::DEFAULT);
    Transaction::new(lines.iter().map(|&(cell, delta)| (key(cell), adjust(delta))).collect()).unwrap()
}

fn cell_of(entry: &Entry) -> usize {
    usize::from(entry.key.sku().as_bytes()[0] - b'a')
}

/// Whether some order of the events, each thread's own kept, leads from `levels` to `last`.
fn explains(levels: &[Level], threads: &[&[Event]], last: &[Level]) -> bool {
    if threads.iter().all(|events| events.is_empty()) {
        return levels == last;
    }
    (0..threads.len()).any(|thread| {
        let Some((event, later)) = threads[thread].split_first() else { return false };
        let mut threads = threads.to_vec();
        threads[thread] = later;
        match event {
            Event::TimedOut => explains(levels, &threads, last),
            Event::Saw(cell, level) => levels[*cell] == *level && explains(levels, &threads, last),
            Event::SawAll(seen) => {
                seen.iter().all(|(cell, level)| levels[*cell] == *level) && explains(levels, &threads, last)
            }
            Event::Changed(cells) => {
                let mut levels = levels.to_vec();
                let fits = cells.iter().all(|&(cell, Applied { before, after })| {
                    std::mem::replace(&mut levels[cell], after) == before
                });
                fits && explains(&levels, &threads, last)
            }
        }
    })
}

/// A model: the units of each cell at first, and what each thread does.
struct Model {
    preemptions: usize,
    timeout: Duration,
    on_hand: &'static [u64],
    /// Cells that are not there at first.
    comes_later: &'static [usize],
    threads: &'static [&'static [Call]],
}

impl Model {
    fn new(on_hand: &'static [u64], threads: &'static [&'static [Call]]) -> Self {
        Self { preemptions: PREEMPTIONS, timeout: FOREVER, on_hand, comes_later: &[], threads }
    }

    /// Checks every interleaving, and that the outcomes that occurred are exactly these: see [`summary`].
    fn occurs(self, expected: &[&str]) {
        let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
        let occurred = Arc::clone(&outcomes);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = BRANCHES_MAX;
        builder.check(move || {
            let outcome = self.interleaving();
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
        });
        let occurred = occurred.lock().unwrap();
        assert_eq!(*occurred, expected.iter().map(|&outcome| outcome.to_owned()).collect::<BTreeSet<_>>());
    }

    fn interleaving(&self) -> String {
        let level = |(cell, &units): (usize, &u64)| {
            let existing = Level::existing(units, 0, 1).unwrap();
            if self.comes_later.contains(&cell) { Level::ABSENT } else { existing }
        };
        let first: Vec<Level> = self.on_hand.iter().enumerate().map(level).collect();
        let is_there = |cell| AtomicBool::new(!self.comes_later.contains(&cell));
        let stock = Arc::new(Stock {
            protocol: Protocol::default(),
            cells: first.iter().map(|&level| LoomWord::new(level)).collect(),
            there: (0..first.len()).map(is_there).collect(),
            comes_later: self.comes_later,
            meter: Meter::default(),
            timeout: self.timeout,
        });
        let (mine, others) = self.threads.split_first().unwrap();
        let spawn = |calls: &&'static [Call]| {
            let (stock, calls) = (Arc::clone(&stock), *calls);
            loom::thread::spawn(move || events(&stock, calls))
        };
        let handles: Vec<_> = others.iter().map(spawn).collect();
        let mut threads = vec![events(&stock, mine)];
        threads.extend(handles.into_iter().map(|handle| handle.join().unwrap()));
        let last = stock.levels_at_rest();
        assert!(stock.protocol.register.is_empty(), "a transaction is still registered");
        let events: Vec<&[Event]> = threads.iter().map(Vec::as_slice).collect();
        assert!(explains(&first, &events, &last), "no order explains {threads:?}, which ended in {last:?}");
        summary(&threads, &last)
    }
}

fn events(stock: &Stock, calls: &[Call]) -> Vec<Event> {
    calls.iter().flat_map(|&call| stock.make(call)).collect()
}

/// What each thread did, and the units at last: `ok` a change, `5` a level of 5 units seen or refused by, `late` a timeout.
fn summary(threads: &[Vec<Event>], last: &[Level]) -> String {
    let mut text = String::new();
    for events in threads {
        for event in events {
            match event {
                Event::Saw(_, level) => write!(text, "{} ", level.on_hand()),
                Event::SawAll(seen) => {
                    seen.iter().try_for_each(|(_, level)| write!(text, "{} ", level.on_hand()))
                }
                Event::Changed(_) => write!(text, "ok "),
                Event::TimedOut => write!(text, "late "),
            }
            .unwrap();
        }
        text.push_str("| ");
    }
    let units: Vec<String> = last.iter().map(|level| level.on_hand().to_string()).collect();
    text + &units.join(" ")
}

use Call::{Adjust, Read, Snapshot, Transact};

/// P1, P2, P3: of two who take 2 from 3 units, one gets them, and the other is refused by the 1 that is left.
#[test]
fn two_changes_of_one_cell() {
    Model::new(&[3], &[&[Adjust(0, -2)], &[Adjust(0, -2)]]).occurs(&["ok | 1 | 1", "1 | ok | 1"]);
}

/// P1: no change is lost among three.
#[test]
fn three_changes_of_one_cell() {
    const ADD: &[Call] = &[Adjust(0, 1)];
    Model::new(&[0], &[ADD, ADD, ADD]).occurs(&["ok | ok | ok | 3"]);
}

/// P1, P3, P4: a transaction and a change of its first cell, for which there are not units enough.
#[test]
fn a_transaction_and_a_change_of_its_first_cell() {
    Model::new(&[3, 3], &[&[Transact(&[(0, -2), (1, -2)])], &[Adjust(0, -2)]])
        .occurs(&["ok | 1 | 1 1", "1 | ok | 1 3"]);
}

/// P1, P3, P4: the same with its last cell, which it claims while it holds the first.
#[test]
fn a_transaction_and_a_change_of_its_last_cell() {
    Model::new(&[3, 3], &[&[Transact(&[(0, -2), (1, -2)])], &[Adjust(1, -2)]])
        .occurs(&["ok | 1 | 1 1", "1 | ok | 3 1"]);
}

/// P1: whoever meets the claim of a decided transaction swaps it away; that the owner, or a second helper, does so
/// too and late must not undo what came in between.
#[test]
fn helpers_release_a_claim_only_once() {
    const TAKE: &[Call] = &[Adjust(0, -1)];
    let model = Model::new(&[9], &[&[Transact(&[(0, -1)])], TAKE, TAKE]);
    Model { preemptions: 2, ..model }.occurs(&["ok | ok | ok | 6"]);
}

/// P4, P5: a reader in the order of the claims never sees "after" and then "before".
#[test]
fn a_transaction_and_a_reader_in_its_order() {
    Model::new(&[5, 5], &[&[Transact(&[(0, -1), (1, -1)])], &[Read(0), Read(1), Read(0)]]).occurs(&[
        "ok | 5 5 5 | 4 4",
        "ok | 5 5 4 | 4 4",
        "ok | 5 4 4 | 4 4",
        "ok | 4 4 4 | 4 4",
    ]);
}

/// P4, P5: nor does one in the opposite order.
#[test]
fn a_transaction_and_a_reader_in_opposite_order() {
    Model::new(&[5, 5], &[&[Transact(&[(0, -1), (1, -1)])], &[Read(1), Read(0), Read(1)]]).occurs(&[
        "ok | 5 5 5 | 4 4",
        "ok | 5 5 4 | 4 4",
        "ok | 5 4 4 | 4 4",
        "ok | 4 4 4 | 4 4",
    ]);
}

/// P1, P4: two transactions on the same cells, asked for in opposite orders: both happen, and nobody hangs.
#[test]
fn two_transactions_on_the_same_cells() {
    Model::new(&[5, 5], &[&[Transact(&[(0, -2), (1, -2)])], &[Transact(&[(1, -2), (0, -2)])]])
        .occurs(&["ok | ok | 1 1"]);
}

/// P2, P3, P4: the same with units for one of them only; the other names both cells, with the units that were left.
#[test]
fn two_transactions_where_there_is_enough_for_one() {
    Model::new(&[3, 3], &[&[Transact(&[(0, -2), (1, -2)])], &[Transact(&[(1, -2), (0, -2)])]])
        .occurs(&["ok | 1 1 | 1 1", "1 1 | ok | 1 1"]);
}

/// P3, P4: transactions that share a cell in the middle.
#[test]
fn two_transactions_in_a_chain() {
    Model::new(&[3, 3, 3], &[&[Transact(&[(0, -2), (1, -2)])], &[Transact(&[(1, -2), (2, -2)])]])
        .occurs(&["ok | 1 | 1 1 3", "1 | ok | 3 1 1"]);
}

/// P1, P4: three transactions, each of which shares a cell with both others: nobody hangs.
#[test]
fn three_transactions_in_a_ring() {
    let threads: &[&[Call]] =
        &[&[Transact(&[(0, -1), (1, 1)])], &[Transact(&[(1, -1), (2, 1)])], &[Transact(&[(2, -1), (0, 1)])]];
    Model { preemptions: 2, ..Model::new(&[1, 1, 1], threads) }.occurs(&["ok | ok | ok | 1 1 1"]);
}

/// P4: a refused transaction, which had claimed its first cell, leaves that one as it was, and a change of it that there
/// are units for goes through.
#[test]
fn a_refused_transaction_and_a_change() {
    Model::new(&[3, 0], &[&[Transact(&[(0, -1), (1, -1)])], &[Adjust(0, -3), Read(0)]])
        .occurs(&["0 | ok 0 | 0 0", "0 0 | ok 0 | 0 0"]);
}

/// P4: nobody sees anything of a refused transaction.
#[test]
fn a_refused_transaction_and_a_reader() {
    Model::new(&[3, 0], &[&[Transact(&[(0, -1), (1, -1)])], &[Read(0), Read(1), Read(0)]])
        .occurs(&["0 | 3 0 3 | 3 0"]);
}

/// P3, P10: a change that finds its cell claimed, and may not wait, ends without a trace; it is not called short.
#[test]
fn a_change_that_may_not_wait() {
    let threads: &[&[Call]] = &[&[Transact(&[(0, -1), (1, -1)])], &[Adjust(1, -1)]];
    Model { timeout: Duration::ZERO, ..Model::new(&[5, 5], threads) }
        .occurs(&["ok | ok | 4 3", "ok | late | 4 4"]);
}

/// P4, P10: a transaction that finds its second cell claimed, and may not wait, gives its first one back.
#[test]
fn a_transaction_that_may_not_wait_gives_back_what_it_holds() {
    let threads: &[&[Call]] =
        &[&[Transact(&[(0, -1), (1, -1)])], &[Transact(&[(1, -1)]), Read(0), Adjust(0, -1)]];
    Model { timeout: Duration::ZERO, ..Model::new(&[5, 5], threads) }.occurs(&[
        "late | ok 5 late | 5 4",
        "late | ok 5 ok | 4 4",
        "ok | late 4 ok | 3 4",
        "ok | late 5 late | 4 4",
        "ok | late 5 ok | 3 4",
        "ok | ok 4 ok | 3 3",
        "ok | ok 5 late | 4 3",
        "ok | ok 5 ok | 3 3",
    ]);
}

/// P1, P4: transfers there and back conserve the sum, and a reader of both cells in turn sees what the two orders of the
/// transfers allow between one read and the next, all of it and nothing else.
#[test]
fn transfers_conserve_what_there_is() {
    let threads: &[&[Call]] =
        &[&[Transact(&[(0, -1), (1, 1)])], &[Transact(&[(0, 2), (1, -2)])], &[Read(0), Read(1)]];
    Model { preemptions: 2, ..Model::new(&[5, 5], threads) }.occurs(&[
        "ok | ok | 4 4 | 6 4",
        "ok | ok | 4 6 | 6 4",
        "ok | ok | 5 3 | 6 4",
        "ok | ok | 5 4 | 6 4",
        "ok | ok | 5 5 | 6 4",
        "ok | ok | 5 6 | 6 4",
        "ok | ok | 6 4 | 6 4",
        "ok | ok | 7 3 | 6 4",
        "ok | ok | 7 4 | 6 4",
    ]);
}

/// P4: a snapshot that reads twice sees a transaction whole or not at all.
#[test]
fn a_snapshot_and_a_transaction() {
    let threads: &[&[Call]] = &[&[Transact(&[(0, -1), (1, 1)])], &[Snapshot(&[0, 1], 1)]];
    Model { preemptions: 2, ..Model::new(&[5, 5], threads) }.occurs(&["ok | 4 6 | 4 6", "ok | 5 5 | 4 6"]);
}

/// P5: a snapshot sees no change without the one that came before it, whichever cell it reads first: neither by reading twice...
#[test]
fn a_snapshot_and_two_changes() {
    let ascending: &[&[Call]] = &[&[Adjust(0, 1), Adjust(1, 1)], &[Snapshot(&[0, 1], 1)]];
    let descending: &[&[Call]] = &[&[Adjust(0, 1), Adjust(1, 1)], &[Snapshot(&[1, 0], 1)]];
    Model { preemptions: 2, ..Model::new(&[5, 5], ascending) }.occurs(&[
        "ok ok | 5 5 | 6 6",
        "ok ok | 6 5 | 6 6",
        "ok ok | 6 6 | 6 6",
    ]);
    Model { preemptions: 2, ..Model::new(&[5, 5], descending) }.occurs(&[
        "ok ok | 5 5 | 6 6",
        "ok ok | 5 6 | 6 6",
        "ok ok | 6 6 | 6 6",
    ]);
}

/// ...nor by claiming; and its claims keep nobody from their change for good.
#[test]
fn a_snapshot_that_claims_and_two_changes() {
    let threads: &[&[Call]] = &[&[Adjust(0, 1), Adjust(1, 1)], &[Snapshot(&[0, 1], 0)]];
    Model { preemptions: 2, ..Model::new(&[5, 5], threads) }.occurs(&[
        "ok ok | 5 5 | 6 6",
        "ok ok | 6 5 | 6 6",
        "ok ok | 6 6 | 6 6",
    ]);
}

/// P1, P4: a snapshot that claims, a transaction on the same cells, and a change of one of them: the sum is one that there was.
#[test]
fn a_snapshot_that_claims_a_transaction_and_a_change() {
    let threads: &[&[Call]] = &[&[Snapshot(&[0, 1], 0)], &[Transact(&[(0, -1), (1, 1)])], &[Adjust(1, -5)]];
    Model { preemptions: 2, ..Model::new(&[5, 5], threads) }.occurs(&[
        "4 1 | ok | ok | 4 1",
        "4 6 | ok | ok | 4 1",
        "5 0 | ok | ok | 4 1",
        "5 5 | ok | ok | 4 1",
    ]);
}

/// P5: nor without the one that brought a level into being: by claiming, a level that was not there is looked for again.
#[test]
fn a_snapshot_and_a_level_that_comes_into_being() {
    for rounds in [0, 1] {
        let threads: &[&[Call]] = match rounds {
            0 => &[&[Adjust(1, 1), Adjust(0, 1)], &[Snapshot(&[0, 1], 0)]],
            _ => &[&[Adjust(1, 1), Adjust(0, 1)], &[Snapshot(&[0, 1], 1)]],
        };
        let model = Model { preemptions: 2, comes_later: &[1], ..Model::new(&[5, 0], threads) };
        model.occurs(&["ok ok | 5 0 | 6 1", "ok ok | 5 1 | 6 1", "ok ok | 6 1 | 6 1"]);
    }
}

/// P10: a snapshot that finds a cell claimed, and may not wait, leaves nothing behind; nor does it make others wait for good.
#[test]
fn a_snapshot_that_may_not_wait() {
    let threads: &[&[Call]] = &[&[Transact(&[(0, -1), (1, 1)])], &[Snapshot(&[0, 1], 0)]];
    let model = Model { timeout: Duration::ZERO, preemptions: 2, ..Model::new(&[5, 5], threads) };
    model.occurs(&["late | 5 5 | 5 5", "ok | 4 6 | 4 6", "ok | 5 5 | 4 6", "ok | late | 4 6"]);
}
