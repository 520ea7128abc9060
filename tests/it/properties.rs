//! Random sequences of commands, one at a time, against the pure model (P1 to P4, P6): a map of levels and
//! [`Change::judge`]. Every answer is the model's, and so is every level in the end.

use std::collections::BTreeMap;

use inventory::stock::{
    Applied, Change, IfMissing, KeySet, Level, Operation, Precondition, QUANTITY_MAX, StockKey, Transaction,
};
use inventory::strategy::{Rejected, StrategyKind, TransactRefused, TransactRejected};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use crate::support::for_each_strategy;
use crate::support::stock::{Stock, key, units};

/// One thing that is asked of a strategy.
#[derive(Debug, Clone)]
enum Command {
    Apply(StockKey, Change),
    Transact(Vec<(StockKey, Change)>),
    Snapshot(Vec<StockKey>),
}

/// Few levels of few units, so that much is refused and much is not, with the ends of the range now and then.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let line = || ((0..4_usize).prop_map(|number| key(["a", "b", "c", "d"][number])), change());
    // Lines that cannot be combined never reach a strategy.
    let lines = prop::collection::vec(line(), 1..6)
        .prop_filter("conflict", |lines| Transaction::new(lines.clone()).is_ok());
    let command = prop_oneof![
        3 => line().prop_map(|(key, change)| Command::Apply(key, change)),
        2 => lines.prop_map(Command::Transact),
        1 => prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(key), 0..5).prop_map(Command::Snapshot),
    ];
    prop::collection::vec(command, 1..60)
}

fn change() -> impl Strategy<Value = Change> {
    let precondition = prop_oneof![
        12 => Just(Precondition::Any),
        1 => Just(Precondition::Absent),
        1 => Just(Precondition::Exists),
        2 => (0..8_u64).prop_map(Precondition::Version),
    ];
    (operation(), precondition).prop_map(|(operation, precondition)| Change { operation, precondition })
}

fn operation() -> impl Strategy<Value = Operation> {
    let quantity = || prop_oneof![12 => 0..6_u64, 1 => Just(QUANTITY_MAX)].prop_map(units);
    let delta = prop_oneof![12 => -5..8_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let if_missing = || prop_oneof![Just(IfMissing::Refuse), Just(IfMissing::Create)];
    prop_oneof![
        3 => quantity().prop_map(|on_hand| Operation::Create { on_hand }),
        1 => (quantity(), if_missing()).prop_map(|(on_hand, if_missing)| Operation::Count { on_hand, if_missing }),
        6 => (delta, if_missing()).prop_map(|(delta, if_missing)| Operation::Adjust { delta, if_missing }),
        2 => quantity().prop_map(|quantity| Operation::Reserve { quantity }),
        1 => quantity().prop_map(|quantity| Operation::Release { quantity }),
        1 => quantity().prop_map(|quantity| Operation::Ship { quantity }),
        1 => Just(Operation::Delete),
    ]
}

/// What every strategy must be indistinguishable from.
#[derive(Debug, Default)]
struct Model {
    levels: BTreeMap<StockKey, Level>,
}

impl Model {
    fn read(&self, key: &StockKey) -> Level {
        self.levels.get(key).copied().unwrap_or(Level::ABSENT)
    }

    fn apply(&mut self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        let before = self.read(key);
        let after = change.judge(before)?;
        self.levels.insert(key.clone(), after);
        Ok(Applied { before, after })
    }

    fn transact(&mut self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        let entries = transaction.entries();
        let found: Vec<Level> = entries.iter().map(|entry| self.read(&entry.key)).collect();
        match transaction.judge(&found) {
            Ok(applied) => {
                let after = applied.iter().map(|applied| applied.after);
                self.levels.extend(entries.iter().map(|entry| entry.key.clone()).zip(after));
                Ok(applied)
            }
            Err(refusals) => Err(TransactRefused { refusals, found }.into()),
        }
    }
}

async fn agree(kind: StrategyKind, commands: Vec<Command>) -> Result<(), TestCaseError> {
    let (stock, mut model) = (Stock::new(kind), Model::default());
    for command in commands {
        match command {
            Command::Apply(key, change) => {
                prop_assert_eq!(
                    stock.apply(&key, change).await,
                    model.apply(&key, change),
                    "{:?} of {}",
                    change,
                    key
                );
                prop_assert_eq!(stock.read(&key).await, model.read(&key));
            }
            Command::Snapshot(keys) => {
                let expected: Vec<Level> =
                    KeySet::new(keys.clone()).keys().iter().map(|key| model.read(key)).collect();
                prop_assert_eq!(stock.snapshot(&keys).await, expected, "{:?}", keys);
            }
            Command::Transact(lines) => {
                let transaction = Transaction::new(lines.clone()).expect("filtered");
                let expected = model.transact(&transaction);
                prop_assert_eq!(stock.transact(lines).await, expected, "{:?}", transaction);
            }
        }
    }
    let existing = model.levels.iter().filter(|(_, level)| level.exists()).map(|(key, _)| key.clone());
    prop_assert_eq!(stock.listed(), existing.collect::<Vec<_>>());
    let keys: Vec<StockKey> = ["a", "b", "c", "d"].map(key).to_vec();
    for key in &keys {
        prop_assert_eq!(stock.read(key).await, model.read(key));
    }
    stock.assert_all_handed_off(&keys).await;
    Ok(())
}

for_each_strategy! {
    /// P1 to P4, P6: no sequence of commands tells the strategy from the model.
    async fn any_commands_are_answered_as_the_model_answers(kind: StrategyKind) {
        let test = move || {
            // Failures are shrunk and printed; no file of them is kept in the tree.
            let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
            let runner = &mut TestRunner::new(config);
            runner.run(&commands(), |commands| Handle::current().block_on(agree(kind, commands)))
        };
        let outcome = tokio::task::spawn_blocking(test).await.expect("the runner does not panic");
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
