//! What each thread asks, written down before the clock starts.
//!
//! A tape is drawn from the same generators as the calls of `run` and turned into the strategies' own types, so that
//! the measured loop neither draws, nor parses, nor allocates. A thread plays its tape round and round. Twelve bytes a
//! step, so that reading the tape costs next to nothing of the caches that the strategies need.
//!
//! Three things differ from `run`, since a tape knows no answers: an independent batch is as many operations as it has
//! lines; a count that follows a read demands no version; with `--keys single` adjustments and reads are all of one
//! level, where `run` has one in ten at the annex.

use std::sync::Arc;

use history::{Effect, Key, Line, Request};
use inventory::stock::{Change, IfMissing, Operation, Precondition, Quantity, StockKey, Transaction};

use crate::client::Call;
use crate::workload::{Keys, Spec};

/// Steps between two looks at the clock: throughput counts whole batches, and one step in a batch is a sample.
pub const BATCH: usize = 64;

/// Steps of a tape: whole batches.
pub const STEPS: usize = 256 * BATCH;

/// One operation. The indices are those of levels, or of the tape's own lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read a level.
    Read(u32),
    /// Adjust a level by that much.
    Adjust {
        /// Which level.
        level: u32,
        /// Units added, or taken where negative.
        delta: i32,
    },
    /// One of [`Tape::changes`].
    Change(u32),
    /// One of [`Tape::transactions`].
    Transact(u32),
}

/// Any other change of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneLine {
    /// As the history tells it.
    pub line: Line,
    /// As the strategies take it.
    pub change: Change,
}

/// A change of several levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyLines {
    /// As the history tells it.
    pub lines: Vec<Line>,
    /// The levels of the transaction's entries, in their order.
    pub levels: Vec<Key>,
    /// As the strategies take it.
    pub transaction: Arc<Transaction>,
}

/// What one thread asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tape {
    /// In this order, round and round; [`STEPS`] of them.
    pub steps: Vec<Step>,
    /// What [`Step::Change`] means.
    pub changes: Vec<OneLine>,
    /// What [`Step::Transact`] means.
    pub transactions: Vec<ManyLines>,
}

impl Tape {
    /// The tape of thread `thread`. `keys` are the levels of the spec, in the order of their numbers.
    pub fn record(spec: &Spec, thread: u32, keys: &[StockKey]) -> Self {
        let mut generator = spec.generator(1, thread);
        let mut tape = Self { steps: Vec::with_capacity(STEPS + 8), ..Self::default() };
        while tape.steps.len() < STEPS {
            for request in generator.next_call().into_requests() {
                tape.push(request, spec.keys, keys);
            }
        }
        tape.steps.truncate(STEPS);
        tape
    }

    /// A step as the history tells it.
    pub fn request(&self, step: Step) -> Request {
        match step {
            Step::Read(level) => Request::Read(Key(level)),
            Step::Adjust { level, delta } => {
                Request::Write(vec![Line { key: Key(level), effect: Effect::Add(i64::from(delta)) }])
            }
            Step::Change(index) => Request::Write(vec![self.changes[index as usize].line]),
            Step::Transact(index) => Request::Write(self.transactions[index as usize].lines.clone()),
        }
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Step::Read(_)))
    }

    fn push(&mut self, request: Request, drawn: Keys, keys: &[StockKey]) {
        // Levels come in pairs, the annex first.
        let one = |key: Key| if drawn == Keys::Single { Key(key.0 | 1) } else { key };
        let step = match request {
            Request::Read(key) => Step::Read(one(key).0),
            // Strategies are asked for one level at a time.
            Request::Snapshot(_) => return,
            Request::Write(lines) => match *lines.as_slice() {
                [Line { key, effect: Effect::Add(delta) }] if i32::try_from(delta).is_ok() => {
                    let delta = i32::try_from(delta).expect("just looked");
                    Step::Adjust { level: one(key).0, delta }
                }
                [line] => {
                    self.changes.push(OneLine { line, change: change(line.effect) });
                    Step::Change(last(&self.changes))
                }
                _ => {
                    self.transactions.push(many_lines(lines, keys));
                    Step::Transact(last(&self.transactions))
                }
            },
        };
        self.steps.push(step);
    }
}

/// The changes that open the levels of a spec.
pub fn opening(spec: &Spec) -> Vec<OneLine> {
    let lines =
        spec.opening().into_iter().flat_map(Call::into_requests).filter_map(|request| match request {
            Request::Write(lines) => lines.first().copied(),
            Request::Read(_) | Request::Snapshot(_) => None,
        });
    lines.map(|line| OneLine { line, change: change(line.effect) }).collect()
}

/// An adjustment as the strategies take it.
#[inline]
pub fn adjustment(delta: i32) -> Change {
    let operation = Operation::Adjust { delta: i64::from(delta), if_missing: IfMissing::Refuse };
    Change { operation, precondition: Precondition::Any }
}

fn many_lines(lines: Vec<Line>, keys: &[StockKey]) -> ManyLines {
    // Levels are numbered in the order of their keys, so these are in the order of the entries.
    let mut levels: Vec<Key> = lines.iter().map(|line| line.key).collect();
    levels.sort_unstable();
    levels.dedup();
    let changes = lines.iter().map(|line| (keys[line.key.0 as usize].clone(), change(line.effect)));
    let transaction = Transaction::new(changes.collect()).expect("adjustments of a level can be combined");
    ManyLines { lines, levels, transaction: Arc::new(transaction) }
}

fn change(effect: Effect) -> Change {
    let units = |units| Quantity::new(units).expect("the command line bounds every quantity");
    let (operation, precondition) = match effect {
        Effect::Add(delta) => (Operation::Adjust { delta, if_missing: IfMissing::Refuse }, Precondition::Any),
        Effect::AddOrCreate(delta) => {
            (Operation::Adjust { delta, if_missing: IfMissing::Create }, Precondition::Any)
        }
        Effect::Create(on_hand) => (Operation::Create { on_hand: units(on_hand) }, Precondition::Any),
        Effect::Count { on_hand, if_version } => {
            let precondition = if_version.map_or(Precondition::Any, Precondition::Version);
            (Operation::Count { on_hand: units(on_hand), if_missing: IfMissing::Refuse }, precondition)
        }
        Effect::Delete => (Operation::Delete, Precondition::Any),
    };
    Change { operation, precondition }
}

fn last<T>(list: &[T]) -> u32 {
    u32::try_from(list.len() - 1).expect("a tape is short")
}

#[cfg(test)]
mod tests {
    use super::super::stock::keys;
    use super::*;
    use crate::workload::mix;

    fn spec(seed: u64, keys: Keys, mix: &str) -> Spec {
        Spec { skus: 20, keys, mix: mix.parse().unwrap(), opening_stock: 50, seed }
    }

    fn tape(spec: &Spec, thread: u32) -> Tape {
        Tape::record(spec, thread, &keys(&spec.catalogue("lt-")))
    }

    #[test]
    fn a_tape_depends_on_the_seed_and_the_thread_alone() {
        let all = |seed| spec(seed, Keys::Zipf(1.0), mix::DEFAULT);
        assert_eq!(tape(&all(1), 0), tape(&all(1), 0));
        assert_ne!(tape(&all(1), 0), tape(&all(2), 0));
        assert_ne!(tape(&all(1), 0), tape(&all(1), 1));
        assert_eq!(tape(&all(1), 0).steps.len(), STEPS);
        assert_eq!(size_of::<Step>(), 12, "a step is small");
    }

    #[test]
    fn single_is_one_level() {
        let tape = tape(&spec(1, Keys::Single, "adjust=3,read=1"), 0);
        assert!(tape.writes());
        let levels = tape.steps.iter().map(|step| match *step {
            Step::Read(level) | Step::Adjust { level, .. } => level,
            other => panic!("{other:?} in a mix of adjustments and reads"),
        });
        assert!(levels.into_iter().all(|level| level == 1));
    }

    #[test]
    fn entries_of_a_transaction_are_the_levels_named_in_their_order() {
        let spec = spec(3, Keys::Uniform, "batch=1,transfer=1");
        let (tape, keys) = (tape(&spec, 0), keys(&spec.catalogue("lt-")));
        assert!(tape.transactions.len() > 100);
        for ManyLines { levels, transaction, .. } in &tape.transactions {
            let named = levels.iter().map(|level| &keys[level.0 as usize]);
            assert!(named.eq(transaction.entries().iter().map(|entry| &entry.key)));
        }
    }
}
