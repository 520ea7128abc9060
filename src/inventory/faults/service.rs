//! [`Service`]: the whole inventory over a journal on a disk in memory, and all that its clients were shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::image::start_of;
use super::script::{Ask, Deed};
use crate::inventory::{Begun, Books, ChangeError, Inventory, Memo, Obstacle, TransactError};
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::lanes::Keyed;
use crate::journal::record::{Answer, Kind as RecordKind, Once};
use crate::journal::recovery::RecoveryError;
use crate::journal::{Journal, JournalConfig};
use crate::stock::{
    Applied, Change, IfMissing, Level, Location, Operation, Precondition, Quantity, Sku, StockKey,
    Transaction,
};
use crate::strategy::{Kind, Strategy, StrategyConfig};

/// So short that segments roll all the time.
pub(super) const SEGMENT_BYTES: u64 = 8 * 1024;

/// A service that runs, and what it told.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) inventory: Inventory,
    pub(super) disk: FaultyDisk,
    shown: Mutex<Shown>,
    acknowledged: AtomicU64,
}

/// Everything that left the service.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Of each level, whatever was shown: each version, and the level.
    pub(super) levels: BTreeMap<String, BTreeMap<u64, Level>>,
    /// The outcome of each idempotency key that was told.
    pub(super) outcomes: BTreeMap<u128, Outcome>,
    /// Every change of several levels: all or nothing.
    pub(super) together: Vec<Vec<(String, u64)>>,
}

/// What came of a request under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The levels after it.
    Changed(Vec<(String, Level)>),
    /// Refused; the levels that were judged, as far as the answer says.
    Refused(Vec<(String, u64)>),
}

/// What a request ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Applied,
    Refused,
    Read,
    /// As told before, under its key.
    Again,
    /// Its key is in use, was used for something else, or there is no room for it.
    Key(&'static str),
    Obstacle(Obstacle),
}

/// The configuration of a small journal.
pub(super) fn config() -> JournalConfig {
    JournalConfig { segment_bytes: SEGMENT_BYTES, ..JournalConfig::default() }
}

impl Service {
    /// Empty stock on an empty disk.
    pub(super) async fn new(kind: Kind) -> Arc<Self> {
        Self::open(kind, &FaultyDisk::new(), &config()).await.expect("an empty disk")
    }

    /// Recovers what is on the disk and goes on with it, as the service does when it starts.
    pub(super) async fn open(
        kind: Kind,
        disk: &FaultyDisk,
        config: &JournalConfig,
    ) -> Result<Arc<Self>, RecoveryError> {
        let (start, _) = start_of(disk)?;
        let mut levels = Vec::new();
        start.heads.walk(|key, head| levels.push((key.clone(), head.level)));
        let journal = Journal::start(disk.disk(), start, config).expect("threads");
        let patient = StrategyConfig { lock_timeout: Duration::from_mins(1), ..StrategyConfig::default() };
        let inventory = Inventory::new(kind, patient, Books::Durable(Arc::new(journal)));
        inventory.restore(levels).await;
        let (shown, acknowledged) = (Mutex::default(), AtomicU64::new(0));
        Ok(Arc::new(Self { inventory, disk: disk.clone(), shown, acknowledged }))
    }

    pub(super) fn journal(&self) -> &Journal {
        self.inventory.books().journal().expect("books on disk")
    }

    /// All that was shown until now.
    pub(super) fn shown(&self) -> Shown {
        self.shown.lock().clone()
    }

    /// How many changes were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The level in memory, whether or not it is on disk.
    pub(super) async fn in_memory(&self, level: usize) -> Level {
        self.inventory.stock.read(&key(level)).await.expect("nobody is inside for long")
    }

    /// Asks as a client does, and notes what was told.
    pub(super) async fn ask(&self, ask: &Ask) -> Told {
        let Some(number) = ask.key else { return self.carry_out(&ask.deed, Memo::default()).await };
        let once = once(number, &ask.deed);
        match self.inventory.books().begin(once).await {
            Err(obstacle) => Told::Obstacle(obstacle),
            Ok(Begun::Fresh(keyed)) => self.carry_out_once(&ask.deed, keyed).await,
            Ok(Begun::Done(stored)) => {
                let levels = stored.levels().map(|(key, level)| (key.text().to_owned(), level)).collect();
                let outcome = match stored.record().answer() {
                    Some(answer) => Outcome::Refused(read_answer(answer.body)),
                    None => Outcome::Changed(levels),
                };
                self.shown.lock().outcome(number, &outcome);
                Told::Again
            }
            Ok(Begun::InProgress) => Told::Key("in progress"),
            Ok(Begun::Reused) => Told::Key("reused"),
            Ok(Begun::Full) => Told::Key("full"),
        }
    }

    /// As the HTTP layer does: a refusal is stored under the key once what it says may be shown.
    async fn carry_out_once(&self, deed: &Deed, keyed: Keyed) -> Told {
        let number = keyed.once().key;
        let memo = Memo { remark: None, keyed: Some(keyed.clone()) };
        match self.inventory_does(deed, memo).await {
            Ok(Ok(levels)) => {
                self.note_applied(&levels);
                self.shown.lock().outcome(number, &Outcome::Changed(levels));
                Told::Applied
            }
            Ok(Err(found)) => {
                let saw: Vec<_> = found.iter().map(|(key, level)| (key.clone(), level.version())).collect();
                let body = format!("{saw:?}");
                let answer = Answer { status: 409, body: body.as_bytes() };
                let books = self.inventory.books();
                let stored = match books.hand_answer(keyed, answer).await {
                    Ok(told) => books.settle(told).await,
                    Err(obstacle) => Err(obstacle),
                };
                if let Err(obstacle) = stored {
                    return Told::Obstacle(obstacle);
                }
                let mut shown = self.shown.lock();
                shown.levels(&found);
                shown.outcome(number, &Outcome::Refused(saw));
                Told::Refused
            }
            Err(obstacle) => Told::Obstacle(obstacle),
        }
    }

    async fn carry_out(&self, deed: &Deed, memo: Memo) -> Told {
        if let Deed::Read(level) = deed {
            return match self.inventory.read(&key(*level)).await {
                Ok(read) => {
                    self.shown.lock().levels(&[(text(*level), read)]);
                    Told::Read
                }
                Err(obstacle) => Told::Obstacle(obstacle),
            };
        }
        match self.inventory_does(deed, memo).await {
            Ok(Ok(levels)) => {
                self.note_applied(&levels);
                Told::Applied
            }
            Ok(Err(found)) => {
                self.shown.lock().levels(&found);
                Told::Refused
            }
            Err(obstacle) => Told::Obstacle(obstacle),
        }
    }

    fn note_applied(&self, levels: &[(String, Level)]) {
        let mut shown = self.shown.lock();
        shown.levels(levels);
        shown.together.push(levels.iter().map(|(key, level)| (key.clone(), level.version())).collect());
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// The levels after the deed, or those that were judged if it was refused.
    async fn inventory_does(&self, deed: &Deed, memo: Memo) -> Result<Done, Obstacle> {
        let inventory = &self.inventory;
        let (level, outcome) = match deed {
            Deed::Read(_) => unreachable!("a read changes nothing"),
            Deed::Create(level, units) => {
                (level, inventory.put(&key(*level), quantity(*units), Precondition::Absent, memo).await)
            }
            Deed::Count(level, units) => {
                (level, inventory.put(&key(*level), quantity(*units), Precondition::Exists, memo).await)
            }
            Deed::Adjust(level, delta) => {
                (level, inventory.adjust(&key(*level), *delta, Precondition::Any, memo).await)
            }
            Deed::Delete(level) => (level, inventory.delete(&key(*level), Precondition::Any, memo).await),
            Deed::Many(lines) => return self.many(lines, memo).await,
        };
        match outcome {
            Ok(Applied { after, .. }) => Ok(Ok(vec![(text(*level), after)])),
            Err(ChangeError::Refused(refusal)) => Ok(Err(vec![(text(*level), refusal.found)])),
            Err(ChangeError::Obstacle(obstacle)) => Err(obstacle),
        }
    }

    async fn many(&self, lines: &[(usize, i64)], memo: Memo) -> Result<Done, Obstacle> {
        let transaction = transaction(lines);
        let keys = || transaction.entries().iter().map(|entry| entry.key.text().to_owned());
        match self.inventory.transact(&transaction, RecordKind::Change, memo).await {
            Ok(applied) => Ok(Ok(keys().zip(applied.iter().map(|applied| applied.after)).collect())),
            Err(TransactError::Refused(refused)) => Ok(Err(keys().zip(refused.found).collect())),
            Err(TransactError::Obstacle(obstacle)) => Err(obstacle),
        }
    }
}

/// The levels after a change, or the levels that forbade it.
type Done = Result<Vec<(String, Level)>, Vec<(String, Level)>>;

impl Shown {
    fn levels(&mut self, levels: &[(String, Level)]) {
        for (key, level) in levels {
            let versions = self.levels.entry(key.clone()).or_default();
            let before = versions.insert(level.version(), *level);
            assert!(before.is_none_or(|before| before == *level), "{key}: one version, two levels");
        }
    }

    fn outcome(&mut self, key: u128, outcome: &Outcome) {
        let known = self.outcomes.entry(key).or_insert_with(|| outcome.clone());
        assert!(known == outcome, "key {key}: one key, two outcomes");
    }
}

/// The name of level number `level`.
pub(super) fn text(level: usize) -> String {
    key(level).text().to_owned()
}

pub(super) fn key(level: usize) -> StockKey {
    StockKey::new(Sku::parse(&format!("k{level}")).expect("a sku"), Location::DEFAULT)
}

pub(super) fn quantity(units: u64) -> Quantity {
    Quantity::new(units).expect("a quantity")
}

/// Adds to all these levels, and creates those that are missing.
pub(super) fn transaction(lines: &[(usize, i64)]) -> Arc<Transaction> {
    let add = |delta| Operation::Adjust { delta, if_missing: IfMissing::Create };
    let lines = lines.iter().map(|(level, delta)| (key(*level), Change::unconditional(add(*delta))));
    Arc::new(Transaction::new(lines.collect()).expect("lines that make a transaction"))
}

/// The key with the fingerprint of what is asked under it.
pub(super) fn once(key: u128, deed: &Deed) -> Once {
    Once { key, fingerprint: *blake3::hash(format!("{deed:?}").as_bytes()).as_bytes() }
}

/// The body that [`Service::ask`] stores of a refusal.
fn read_answer(body: &[u8]) -> Vec<(String, u64)> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let pairs = text.trim_matches(['[', ']']).split("), (").filter(|pair| !pair.is_empty());
    let parse = |pair: &str| {
        let (key, version) = pair.trim_matches(['(', ')']).rsplit_once(", ").expect("a pair");
        (key.trim_matches('"').to_owned(), version.parse().expect("a version"))
    };
    pairs.map(parse).collect()
}
