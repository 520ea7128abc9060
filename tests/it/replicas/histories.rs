//! Concurrent histories over three replicas, judged by the checker that `loadtest` uses (P1 to P6, P8): the scripts of `crate::histories`, whose clients go
//! from replica to replica, give up waiting, and ask again under their key elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use history::{Key, Line, Outcome, Record, Request};
use inventory::stock::{KeySet, Once, StockKey, Transaction};
use inventory::store::{
    Answered, AnyStore, Command, Deed, Idempotency, Keeping, NotDone, Outcome as Told, StockQuery,
    Store as _, TransactionKind, WasApplied,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::histories::{KEYS, SEED, Script, assert_it_shows_all};
use crate::support::recording::{self, change, refused, seen};
use crate::support::store::open_replica;

const CLIENTS: u32 = 8;
const CALLS_PER_CLIENT: u32 = 400;
/// How long somebody waits who gives up.
const IMPATIENCE: Duration = Duration::from_millis(1);

/// One client of all replicas, and its records.
struct Client {
    number: u32,
    stores: Arc<[Arc<AnyStore>]>,
    keys: Arc<[StockKey]>,
    epoch: Instant,
    random: Xoshiro256PlusPlus,
    /// Keys that it has used.
    used: u64,
    records: Vec<Record>,
}

impl Client {
    fn new(number: u32, stores: &Arc<[Arc<AnyStore>]>, keys: &Arc<[StockKey]>, epoch: Instant) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(SEED ^ (u64::from(number) << 32));
        let (stores, keys) = (Arc::clone(stores), Arc::clone(keys));
        Self { number, stores, keys, epoch, random, used: 0, records: Vec::new() }
    }

    async fn run(mut self) -> Vec<Record> {
        let mut script = Script::new(self.number as usize);
        for _ in 0..CALLS_PER_CLIENT {
            match script.next() {
                Request::Read(key) => script.saw(key, self.read(key).await),
                Request::Snapshot(keys) => self.snapshot(keys).await,
                Request::Write(lines) => self.write(lines).await,
            }
        }
        self.records
    }

    /// Any of the replicas.
    fn somewhere(&mut self) -> Arc<AnyStore> {
        Arc::clone(&self.stores[self.random.random_range(0..self.stores.len())])
    }

    /// Returns the version.
    async fn read(&mut self, key: Key) -> u64 {
        let (store, invoked_ns) = (self.somewhere(), self.now_ns());
        let level = store.read(&self.keys[key.0 as usize]).await.expect("a level");
        self.record(invoked_ns, Request::Read(key), Outcome::Read(seen(key, level)), None);
        level.version()
    }

    async fn snapshot(&mut self, keys: Vec<Key>) {
        let (store, invoked_ns) = (self.somewhere(), self.now_ns());
        let named = keys.iter().map(|key| self.keys[key.0 as usize].clone()).collect();
        let query = StockQuery { keys: Arc::new(KeySet::new(named)), consistent: true };
        let levels = store.query(query).await.expect("levels");
        let levels: Vec<_> = keys.iter().zip(levels).map(|(key, level)| seen(*key, level)).collect();
        let totals = history::model::totals(&levels);
        self.record(invoked_ns, Request::Snapshot(keys), Outcome::Snapshot { levels, totals }, None);
    }

    /// Makes the lines: once without a key; or under one, given up at times before it is answered, and again somewhere else.
    async fn write(&mut self, lines: Vec<Line>) {
        if self.random.random_ratio(1, 2) {
            return self.attempt(lines, None, false).await;
        }
        self.used += 1;
        let once = u64::from(self.number) << 32 | self.used;
        let gives_up = self.random.random_ratio(1, 2);
        self.attempt(lines.clone(), Some(once), gives_up).await;
        self.attempt(lines, Some(once), false).await;
    }

    async fn attempt(&mut self, lines: Vec<Line>, once: Option<u64>, gives_up: bool) {
        let (store, invoked_ns) = (self.somewhere(), self.now_ns());
        let keyed = once.map(|once| {
            let once = Once { key: u128::from(once) << 40, fingerprint: [1; 32] };
            Box::new(Idempotency { once, version_1: None })
        });
        let command = Command { idempotency: keyed, ..Command::new(self.deed(&lines)) };
        let told = if gives_up {
            tokio::time::timeout(IMPATIENCE, store.execute(command)).await.ok()
        } else {
            Some(store.execute(command).await)
        };
        let outcome = told.map_or(Outcome::Unknown, |told| self.outcome(&lines, told));
        self.record(invoked_ns, Request::Write(lines), outcome, once);
    }

    fn deed(&self, lines: &[Line]) -> Deed {
        let name = |key: Key| self.keys[key.0 as usize].clone();
        match lines {
            [line] => Deed::Change { key: name(line.key), change: change(line.effect) },
            _ => {
                let changes = lines.iter().map(|line| (name(line.key), change(line.effect))).collect();
                let transaction = Arc::new(Transaction::new(changes).expect("a transaction"));
                Deed::Transaction { transaction, kind: TransactionKind::Adjustment }
            }
        }
    }

    fn outcome(&self, lines: &[Line], told: Result<Answered, NotDone>) -> Outcome {
        let numbered = |key: &StockKey| {
            let at = self.keys.iter().position(|other| other == key).expect("one of them");
            Key(u32::try_from(at).expect("few"))
        };
        match told.map(|answered| answered.outcome) {
            Ok(Told::Change(Ok(applied))) => Outcome::Applied(vec![seen(lines[0].key, applied.after)]),
            Ok(Told::Change(Err(refusal))) => Outcome::Refused(vec![refused(lines[0].key, refusal)]),
            Ok(Told::Transaction(Ok(levels))) => {
                let after = |(key, applied): &(StockKey, inventory::stock::Applied)| {
                    seen(numbered(key), applied.after)
                };
                Outcome::Applied(levels.iter().map(after).collect())
            }
            Ok(Told::Transaction(Err(levels))) => Outcome::Refused(
                levels.iter().map(|level| refused(numbered(&level.key), level.refusal)).collect(),
            ),
            Ok(other) => panic!("{other:?}"),
            Err(not_done) if not_done.applied == WasApplied::No => Outcome::NotApplied,
            Err(_) => Outcome::Unknown,
        }
    }

    fn record(&mut self, invoked_ns: u64, request: Request, outcome: Outcome, once: Option<u64>) {
        let (client, returned_ns) = (self.number, self.now_ns());
        self.records.push(Record { client, invoked_ns, returned_ns, request, outcome, once });
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("a test takes less than five hundred years")
    }
}

/// One order of all that the clients did at all replicas explains every answer they got, in real time; and what was sent twice happened once.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_explains_every_answer_of_three_replicas() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Arc::new(open_replica(&database.url(), Keeping::default()).await));
    }
    let (stores, epoch): (Arc<[Arc<AnyStore>]>, _) = (stores.into(), Instant::now());
    let keys = recording::keys(KEYS);
    let shared: Arc<[_]> = keys.clone().into();
    let mut running = JoinSet::new();
    for number in 0..CLIENTS {
        running.spawn(Client::new(number, &stores, &shared, epoch).run());
    }
    let mut records = running.join_all().await;
    let mut last = Client::new(u32::MAX, &stores, &shared, epoch);
    for key in 0..KEYS {
        last.read(Key(key)).await;
    }
    records.push(last.records);
    let given_up = records.iter().flatten().filter(|record| record.outcome == Outcome::Unknown).count();
    let verdict = history::check(&recording::history(&keys, SEED, records));
    assert!(verdict.is_consistent(), "{verdict}");
    assert_it_shows_all(&verdict);
    assert!(given_up > 100, "{given_up} were given up, and asked for again");
}
