//! A strategy with its levels open, and what it answers to a step.

use std::sync::Arc;
use std::time::Duration;

use history::Key;
use inventory::stock::{Applied, Change, Level, Location, Sku, StockKey};
use inventory::strategy::{
    AnyStrategy, Contention, ContentionReport, KeyIndex, Ledger, Rejected, Strategy, StrategyConfig,
    StrategyKind, TransactRejected,
};

use super::block_on::Parker;
use super::tape::{Step, Tape, opening};
use super::timed::{Tally, Target};
use crate::catalogue::Catalogue;
use crate::workload::Spec;

/// How long a call may wait: the default of the service.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A strategy and its levels.
#[derive(Debug)]
pub struct Stock {
    strategy: AnyStrategy,
    keys: Arc<[StockKey]>,
}

/// What a strategy answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a read.
    Read(Result<Level, Contention>),
    /// To a change of one level.
    One(Result<Applied, Rejected>),
    /// To a change of several.
    Many(Result<Vec<Applied>, TransactRejected>),
}

/// What all levels hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Their versions: how many changes there were.
    pub versions: u64,
    /// Their units on hand.
    pub units: i64,
}

/// The keys of a catalogue, in the order of their numbers.
pub fn keys(catalogue: &Catalogue) -> Arc<[StockKey]> {
    let key = |key: Key| {
        let entry = catalogue.entry(key);
        let sku = Sku::parse(&entry.sku).expect("the catalogue keeps to the alphabet");
        StockKey::new(&sku, &Location::parse(&entry.location).expect("the catalogue keeps to the alphabet"))
    };
    catalogue.keys().map(key).collect()
}

impl Stock {
    /// A fresh strategy with the levels of a spec open. Within a runtime: some strategies have tasks.
    pub fn open(kind: StrategyKind, spec: &Spec, keys: &Arc<[StockKey]>) -> Self {
        let ledger = Ledger::new(Arc::new(KeyIndex::default()));
        let config = StrategyConfig { lock_timeout: LOCK_TIMEOUT, ..StrategyConfig::default() };
        let stock = Self { strategy: AnyStrategy::new(kind, config, ledger), keys: Arc::clone(keys) };
        let parker = Parker::new();
        for create in opening(spec) {
            let key = &stock.keys[create.line.key.0 as usize];
            let created = parker.block_on(stock.strategy.apply(key, create.change, ()));
            assert!(created.is_ok(), "the level of a fresh strategy opens: {created:?}");
        }
        stock
    }

    /// What the strategy answers to a step.
    #[inline]
    pub fn answer(&self, parker: &Parker, tape: &Tape, step: Step) -> Answer {
        match step {
            Step::Read(level) => Answer::Read(self.read(parker, Key(level))),
            Step::Adjust { level, delta } => {
                Answer::One(self.apply(parker, level, super::tape::adjustment(delta)))
            }
            Step::Change(index) => {
                let one = tape.changes[index as usize];
                Answer::One(self.apply(parker, one.line.key.0, one.change))
            }
            Step::Transact(index) => {
                let transaction = &tape.transactions[index as usize].transaction;
                Answer::Many(parker.block_on_made(|| self.strategy.transact(transaction, ())))
            }
        }
    }

    /// Reads a level.
    #[inline]
    pub fn read(&self, parker: &Parker, level: Key) -> Result<Level, Contention> {
        parker.block_on_made(|| self.strategy.read(self.key(level.0)))
    }

    /// Every level.
    pub fn levels(&self) -> impl Iterator<Item = Key> + use<> {
        (0..u32::try_from(self.keys.len()).expect("levels are few")).map(Key)
    }

    /// The names of all levels, by number.
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(StockKey::to_string).collect()
    }

    /// What all levels hold, read one by one: call it while nobody changes them.
    pub fn sum(&self) -> Result<Sum, Contention> {
        let parker = Parker::new();
        self.levels().try_fold(Sum::default(), |sum, level| {
            let level = self.read(&parker, level)?;
            let units = sum.units + i64::try_from(level.on_hand()).expect("40 bits");
            Ok(Sum { versions: sum.versions + level.version(), units })
        })
    }

    /// What waiting has cost so far.
    pub fn contention(&self) -> ContentionReport {
        self.strategy.contention()
    }

    #[inline]
    fn apply(&self, parker: &Parker, level: u32, change: Change) -> Result<Applied, Rejected> {
        parker.block_on_made(|| self.strategy.apply(self.key(level), change, ()))
    }

    #[inline]
    fn key(&self, level: u32) -> &StockKey {
        &self.keys[level as usize]
    }
}

impl Target for Stock {
    #[inline]
    fn perform(&self, parker: &Parker, tape: &Tape, step: Step, tally: &mut Tally) {
        // The two steps that nearly all are need no copy of their answer.
        match step {
            Step::Read(level) => match self.read(parker, Key(level)) {
                Ok(level) => {
                    std::hint::black_box(level);
                }
                Err(Contention) => tally.timed_out += 1,
            },
            Step::Adjust { level, delta } => {
                tally.one(&self.apply(parker, level, super::tape::adjustment(delta)));
            }
            Step::Change(_) | Step::Transact(_) => match self.answer(parker, tape, step) {
                Answer::Read(_) => {}
                Answer::One(outcome) => tally.one(&outcome),
                Answer::Many(Ok(applied)) => applied.iter().for_each(|applied| tally.add(applied)),
                Answer::Many(Err(TransactRejected::Refused(_))) => tally.refused += 1,
                Answer::Many(Err(TransactRejected::Contention(_))) => tally.timed_out += 1,
            },
        }
    }
}

impl Tally {
    #[inline]
    fn one(&mut self, outcome: &Result<Applied, Rejected>) {
        match outcome {
            Ok(applied) => self.add(applied),
            Err(Rejected::Refused(_)) => self.refused += 1,
            Err(Rejected::Contention(_)) => self.timed_out += 1,
        }
    }

    #[inline]
    fn add(&mut self, Applied { before, after }: &Applied) {
        self.changes += 1;
        // Quantities have 40 bits: neither the difference nor the sum of a pass leaves 64.
        self.units += after.on_hand().cast_signed() - before.on_hand().cast_signed();
    }
}
