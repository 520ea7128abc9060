//! What both benchmarks measure: every correct strategy with a thousand levels open, and the operations on it.
//!
//! Strategies come from the catalogue, so a new one is measured without a line here.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use inventory::stock::{
    Change, IfMissing, Location, Operation, Precondition, Quantity, Sku, StockKey, Transaction,
};
use inventory::strategy::{AnyStrategy, KeyIndex, Ledger, Strategy, StrategyConfig, StrategyKind};
use tokio::runtime::Runtime;

/// Levels of a subject: a map of some size, of which an operation touches few.
const LEVELS: usize = 1_000;

/// What a level opens with: more than any benchmark takes.
const UNITS: u64 = 1 << 38;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Read a level.
    Read,
    /// Add a unit to a level.
    Adjust,
    /// Take more units than there are.
    Refused,
    /// Add a unit to each of so many levels.
    Transaction(usize),
}

/// A strategy with its levels.
pub(crate) struct Subject {
    strategy: AnyStrategy,
    keys: Vec<StockKey>,
    transaction: Arc<Transaction>,
    task: Task,
    // Last: the strategy's tasks, if it has any, end before their runtime.
    runtime: Runtime,
}

/// The strategies to measure: all but the negative control.
pub(crate) fn kinds() -> impl Iterator<Item = StrategyKind> {
    StrategyKind::ALL.into_iter().filter(|kind| kind.is_correct())
}

impl Subject {
    /// A fresh strategy with its levels open.
    pub(crate) fn new(kind: StrategyKind, task: Task) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let context = runtime.enter();
        let ledger = Ledger::new(Arc::new(KeyIndex::default()));
        let config = StrategyConfig::default();
        let strategy = AnyStrategy::new(kind, config, ledger);
        drop(context);
        let keys: Vec<StockKey> = (0..LEVELS).map(key).collect();
        let lines = if let Task::Transaction(lines) = task { lines } else { 1 };
        let add = keys.iter().step_by(LEVELS / lines).take(lines).map(|key| (key.clone(), adjust(1)));
        let transaction = Arc::new(Transaction::new(add.collect()).expect("different levels"));
        let subject = Self { strategy, keys, transaction, task, runtime };
        let units = Quantity::new(UNITS).expect("in range");
        for key in &subject.keys {
            let create = Change::unconditional(Operation::Create { on_hand: units });
            assert!(subject.wait(subject.strategy.apply(key, create, ())).is_ok(), "a fresh level opens");
        }
        subject
    }

    /// Performs the task once; whether it was done, not refused.
    #[inline]
    pub(crate) fn perform(&self) -> bool {
        let key = &self.keys[LEVELS / 2];
        match self.task {
            Task::Read => self.wait(self.strategy.read(key)).is_ok(),
            Task::Adjust => self.wait(self.strategy.apply(key, adjust(1), ())).is_ok(),
            Task::Refused => self.wait(self.strategy.apply(key, adjust(-(1 << 39)), ())).is_ok(),
            Task::Transaction(_) => self.wait(self.strategy.transact(&self.transaction, ())).is_ok(),
        }
    }

    /// Waits for a call. Most are ready at the first poll; the rest wait in the runtime, which costs them its entry.
    #[inline]
    fn wait<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => self.runtime.block_on(call),
        }
    }
}

fn adjust(delta: i64) -> Change {
    let operation = Operation::Adjust { delta, if_missing: IfMissing::Refuse };
    Change { operation, precondition: Precondition::Any }
}

fn key(number: usize) -> StockKey {
    let sku = format!("sku-{number:04}");
    StockKey::new(&Sku::parse(&sku).expect("within the alphabet"), &Location::DEFAULT)
}
