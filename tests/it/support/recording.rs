//! [`Client`]: a caller that writes down what it asked and was answered, as [`history::check()`] wants it.

use std::sync::Arc;
use std::time::Instant;

use history::{
    Effect, History, Key, Line, Meta, Outcome, Reason, Record, Refused, Request, Seen, Stock as Told,
};
use inventory::stock::{self, Change, IfMissing, Level, Operation, Precondition, Refusal, StockKey};
use inventory::strategy::{Rejected, TransactRejected};

use super::stock::{Stock, key, units};

/// The names of that many levels: [`Key`]`(i)` is `keys(n)[i]`.
pub(crate) fn keys(count: u32) -> Vec<StockKey> {
    (0..count).map(|number| key(&format!("k{number}"))).collect()
}

/// One history of the clients' records.
pub(crate) fn history(
    keys: &[StockKey],
    seed: u64,
    clients: impl IntoIterator<Item = Vec<Record>>,
) -> History {
    History {
        meta: Meta { seed: Some(seed), ..Meta::default() },
        keys: keys.iter().map(StockKey::to_string).collect(),
        records: clients.into_iter().flatten().collect(),
    }
}

/// One caller of a strategy, and its records.
pub(crate) struct Client {
    number: u32,
    stock: Arc<Stock>,
    keys: Arc<[StockKey]>,
    /// The zero of the clock that all clients share.
    epoch: Instant,
    records: Vec<Record>,
}

impl Client {
    /// A client that has seen nothing yet.
    pub(crate) fn new(number: u32, stock: &Arc<Stock>, keys: &Arc<[StockKey]>, epoch: Instant) -> Self {
        Self { number, stock: Arc::clone(stock), keys: Arc::clone(keys), epoch, records: Vec::new() }
    }

    /// Reads a level.
    pub(crate) async fn read(&mut self, key: Key) -> Level {
        let invoked_ns = self.now_ns();
        let level = self.stock.read(&self.keys[key.0 as usize]).await;
        self.record(invoked_ns, Request::Read(key), Outcome::Read(seen(key, level)));
        level
    }

    /// Looks at several levels at one instant; the keys ascend with their numbers.
    pub(crate) async fn snapshot(&mut self, keys: Vec<Key>) {
        let invoked_ns = self.now_ns();
        let named: Vec<StockKey> = keys.iter().map(|key| self.keys[key.0 as usize].clone()).collect();
        let levels = self.stock.snapshot(&named).await;
        let levels: Vec<Seen> = keys.iter().zip(levels).map(|(key, level)| seen(*key, level)).collect();
        let totals = history::model::totals(&levels);
        self.record(invoked_ns, Request::Snapshot(keys), Outcome::Snapshot { levels, totals });
    }

    /// Makes the lines, one by itself as a change, several as a transaction. One that `dawdles` counts as sent, and then lets
    /// the other clients of its thread run before it is: so requests overlap on any machine, however busy.
    pub(crate) async fn write(&mut self, lines: Vec<Line>, dawdles: bool) {
        let invoked_ns = self.now_ns();
        if dawdles {
            tokio::task::yield_now().await;
        }
        let outcome = match lines.as_slice() {
            [line] => self.change(*line).await,
            _ => self.transact(invoked_ns, &lines).await,
        };
        self.record(invoked_ns, Request::Write(lines), outcome);
    }

    /// All that was written down.
    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }

    async fn change(&self, line: Line) -> Outcome {
        match self.stock.apply(&self.keys[line.key.0 as usize], change(line.effect)).await {
            Ok(applied) => Outcome::Applied(vec![seen(line.key, applied.after)]),
            Err(Rejected::Refused(refusal)) => Outcome::Refused(vec![refused(line.key, refusal)]),
            Err(Rejected::Contention(_)) => Outcome::NotApplied,
        }
    }

    async fn transact(&mut self, invoked_ns: u64, lines: &[Line]) -> Outcome {
        let mut named: Vec<Key> = lines.iter().map(|line| line.key).collect();
        // The keys ascend with their numbers, as the entries do with the keys.
        named.sort_unstable();
        named.dedup();
        let changes = lines.iter().map(|line| (self.keys[line.key.0 as usize].clone(), change(line.effect)));
        match self.stock.transact(changes.collect()).await {
            Ok(applied) => Outcome::Applied(
                named.iter().zip(applied).map(|(key, applied)| seen(*key, applied.after)).collect(),
            ),
            Err(TransactRejected::Refused(answer)) => {
                // The witness names levels that were not short, too: each is as good as a read.
                for (key, level) in named.iter().zip(answer.found) {
                    self.record(invoked_ns, Request::Read(*key), Outcome::Read(seen(*key, level)));
                }
                let short = answer.refusals.iter().map(|short| refused(named[short.entry], short.refusal));
                Outcome::Refused(short.collect())
            }
            Err(TransactRejected::Contention(_)) => Outcome::NotApplied,
        }
    }

    fn record(&mut self, invoked_ns: u64, request: Request, outcome: Outcome) {
        let returned_ns = self.now_ns();
        self.records.push(Record {
            client: self.number,
            invoked_ns,
            returned_ns,
            request,
            outcome,
            once: None,
        });
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("a test takes less than five hundred years")
    }
}

pub(crate) fn change(effect: Effect) -> Change {
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

pub(crate) fn seen(key: Key, level: Level) -> Seen {
    let stock = if level.exists() {
        Told::Level { on_hand: level.on_hand(), reserved: level.reserved() }
    } else {
        Told::Absent
    };
    Seen { key, version: level.version(), stock }
}

pub(crate) fn refused(key: Key, refusal: Refusal) -> Refused {
    let reason = match refusal.reason {
        stock::Reason::Insufficient { .. } => Reason::Insufficient,
        stock::Reason::NotFound => Reason::Missing,
        stock::Reason::AlreadyExists => Reason::Exists,
        stock::Reason::PreconditionFailed(Precondition::Version(_)) => Reason::VersionMismatch,
        stock::Reason::StockReserved | stock::Reason::BelowReserved { .. } => Reason::Reserved,
        stock::Reason::QuantityOverflow { .. } => Reason::Overflow,
        other => unreachable!("no client asks for what is refused so: {other:?}"),
    };
    Refused { seen: seen(key, refusal.found), reason }
}
