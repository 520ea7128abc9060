//! [`Service`]: the whole store over a journal on a disk in memory, and all that its clients were shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::image::start_of;
use super::script::{Ask, Deed};
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::disk::{self, Disk};
use crate::journal::recovery::RecoveryError;
use crate::journal::verify::{self, Live};
use crate::journal::{Journal, JournalConfig, control};
use crate::said::Said;
use crate::stock::{
    Change, IfMissing, KeySet, Level, Location, Once, Operation, Precondition, Quantity, RefusedLevel, Sku,
    StockKey, Transaction,
};
use crate::store::local::Local;
use crate::store::{
    self, Answered, Command, EachLine, Idempotency, Keeping, LevelQuery, LineOutcome, NotDone, StockQuery,
    Store as _, TransactionKind, WasApplied, Why,
};
use crate::strategy::{Strategy as _, StrategyConfig, StrategyKind};

/// So short that segments roll all the time.
pub(super) const SEGMENT_BYTES: u64 = 8 * 1024;

/// A service that runs, and what it told.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) store: Local,
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
    /// Each line alone: the level after it, or the version at which it was refused.
    Each(Vec<Result<(String, Level), (String, u64)>>),
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
    /// Nobody can say, or a line of it was not judged.
    NotDone(NotDone),
}

/// The configuration of a small journal.
pub(super) fn config() -> JournalConfig {
    JournalConfig { segment_bytes: SEGMENT_BYTES, ..JournalConfig::default() }
}

impl Service {
    /// Empty stock on an empty disk.
    pub(super) async fn new(kind: StrategyKind) -> Arc<Self> {
        Self::open(kind, &FaultyDisk::new(), &config()).await.expect("an empty disk")
    }

    /// Recovers what is on the disk and goes on with it, as the service does when it starts.
    pub(super) async fn open(
        kind: StrategyKind,
        disk: &FaultyDisk,
        config: &JournalConfig,
    ) -> Result<Arc<Self>, RecoveryError> {
        Self::open_through(kind, disk, disk::guarded(disk.disk()), config).await
    }

    /// The same, where the journal has the disk by way of another.
    pub(super) async fn open_through(
        kind: StrategyKind,
        disk: &FaultyDisk,
        through: Arc<dyn Disk>,
        config: &JournalConfig,
    ) -> Result<Arc<Self>, RecoveryError> {
        Self::open_keeping(kind, disk, through, config, &Keeping::default()).await
    }

    /// The same, within these bounds.
    pub(super) async fn open_keeping(
        kind: StrategyKind,
        disk: &FaultyDisk,
        through: Arc<dyn Disk>,
        config: &JournalConfig,
        keeping: &Keeping,
    ) -> Result<Arc<Self>, RecoveryError> {
        let (start, _) = start_of(&through)?;
        let mut levels = Vec::new();
        start.heads.walk(|key, head| levels.push((key.clone(), head.level)));
        let failed = |source| RecoveryError::Io { file: control::NAME.to_owned(), source };
        let journal = Journal::start(through, start, config).map_err(failed)?;
        let patient = StrategyConfig { lock_timeout: Duration::from_mins(1), ..StrategyConfig::default() };
        let store = Local::new(kind, patient, journal, keeping, None);
        store.restore(levels).await;
        let (shown, acknowledged) = (Mutex::default(), AtomicU64::new(0));
        Ok(Arc::new(Self { store, disk: disk.clone(), shown, acknowledged }))
    }

    pub(super) fn journal(&self) -> &Journal {
        self.store.0.books.journal()
    }

    /// The log on disk is as it was written, by itself, and what is reserved is held.
    pub(super) fn assert_verified(&self) {
        let shared = self.journal().shared();
        let written = |key: &StockKey| shared.heads.get(key.text(), shared.heads.hash(key.text()));
        let level = |key: &StockKey| Ok(written(key).map(|head| head.level));
        let (live, stop, end) =
            (Live { level: &level, changing: true }, AtomicBool::new(false), shared.watermark.end());
        let report = verify::verify(&*self.disk.disk(), &shared.log, end, live, &stop, &|_| ());
        let report = report.expect("it can be read");
        assert!(report.is_clean(), "{:?}", report.problems);
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
        self.store.0.stock.read(&key(level)).await.expect("nobody is inside for long")
    }

    /// Asks as a client does, and notes what was told.
    pub(super) async fn ask(&self, ask: &Ask) -> Told {
        match &ask.deed {
            Deed::Read(level) => self.read(*level).await,
            Deed::List => self.list().await,
            deed => match self.store.execute(command(deed, ask.key)).await {
                Ok(answered) => self.note(ask, answered),
                Err(NotDone { why: Why::KeyInProgress, applied: WasApplied::No }) => Told::Key("in progress"),
                Err(NotDone { why: Why::KeyReused, applied: WasApplied::No }) => Told::Key("reused"),
                Err(NotDone { why: Why::KeysFull { .. }, applied: WasApplied::No }) => Told::Key("full"),
                Err(not_done) => Told::NotDone(not_done),
            },
        }
    }

    /// Every other level with its neighbour, as of one instant.
    async fn read(&self, level: usize) -> Told {
        let numbers: &[usize] = if level.is_multiple_of(2) { &[level] } else { &[level, level - 1] };
        let read = match *numbers {
            [level] => self.store.read(&key(level)).await.map(|level| vec![level]),
            _ => {
                let keys = Arc::new(KeySet::new(numbers.iter().map(|level| key(*level)).collect()));
                let shown = self.store.query(StockQuery { keys: Arc::clone(&keys), consistent: true }).await;
                let of = |level: &usize| keys.position(&key(*level)).expect("it was asked for");
                shown.map(|levels| numbers.iter().map(|level| levels[of(level)]).collect())
            }
        };
        match read {
            Ok(levels) => {
                let named = numbers.iter().map(|level| text(*level)).zip(levels);
                self.shown.lock().levels(&named.collect::<Vec<_>>());
                Told::Read
            }
            Err(not_done) => Told::NotDone(not_done),
        }
    }

    async fn list(&self) -> Told {
        let query = LevelQuery { sku: None, sku_prefix: "", location: None, after: None, limit: 1_000 };
        match self.store.list(query).await {
            Ok(page) => {
                let named = page.levels.into_iter().map(|(key, level)| (key.text().to_owned(), level));
                self.shown.lock().levels(&named.collect::<Vec<_>>());
                Told::Read
            }
            Err(not_done) => Told::NotDone(not_done),
        }
    }

    fn note(&self, ask: &Ask, Answered { outcome, replayed }: Answered) -> Told {
        let (outcome, told) = match outcome {
            store::Outcome::Change(Ok(applied)) => {
                (Outcome::Changed(vec![(text(one(&ask.deed)), applied.after)]), Told::Applied)
            }
            store::Outcome::Transaction(Ok(levels)) => {
                let levels = levels.into_iter().map(|(key, applied)| (key.text().to_owned(), applied.after));
                (Outcome::Changed(levels.collect()), Told::Applied)
            }
            store::Outcome::Change(Err(refusal)) => {
                let level = text(one(&ask.deed));
                self.shown.lock().levels(&[(level.clone(), refusal.found)]);
                (Outcome::Refused(vec![(level, refusal.found.version())]), Told::Refused)
            }
            store::Outcome::Transaction(Err(levels)) => {
                let named = |level: RefusedLevel| (level.key.text().to_owned(), level.refusal.found);
                let found: Vec<_> = levels.into_iter().map(named).collect();
                self.shown.lock().levels(&found);
                let saw = found.into_iter().map(|(key, level)| (key, level.version())).collect();
                (Outcome::Refused(saw), Told::Refused)
            }
            store::Outcome::Each(lines) => match self.note_lines(&ask.deed, lines) {
                Ok(outcome) => (outcome, Told::Applied),
                Err(not_done) => return Told::NotDone(not_done),
            },
            other => panic!("{other:?}"),
        };
        if let (Outcome::Changed(levels), false) = (&outcome, replayed) {
            self.note_applied(levels);
        }
        if let Some(number) = ask.key {
            self.shown.lock().outcome(number, &outcome);
        }
        if replayed { Told::Again } else { told }
    }

    /// Notes what is told of each line; an error is that of the first that was not judged.
    fn note_lines(&self, deed: &Deed, outcomes: Vec<LineOutcome>) -> Result<Outcome, NotDone> {
        let Deed::Each(lines) = deed else { panic!("{deed:?}") };
        let (mut told, mut failed) = (Vec::new(), None);
        for ((level, _), outcome) in lines.iter().zip(outcomes) {
            let mut shown = self.shown.lock();
            match outcome {
                LineOutcome::Judged(Ok(applied)) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    shown.levels(&[(text(*level), applied.after)]);
                    told.push(Ok((text(*level), applied.after)));
                }
                LineOutcome::Judged(Err(refusal)) => {
                    shown.levels(&[(text(*level), refusal.found)]);
                    told.push(Err((text(*level), refusal.found.version())));
                }
                LineOutcome::NotDone(not_done) => failed = failed.or(Some(not_done)),
                LineOutcome::Written(answer) => panic!("{answer:?}"),
            }
        }
        failed.map_or(Ok(Outcome::Each(told)), Err)
    }

    fn note_applied(&self, levels: &[(String, Level)]) {
        let mut shown = self.shown.lock();
        shown.levels(levels);
        shown.together.push(levels.iter().map(|(key, level)| (key.clone(), level.version())).collect());
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// The level of a deed that has one.
fn one(deed: &Deed) -> usize {
    match deed {
        Deed::Create(level, _) | Deed::Count(level, _) | Deed::Adjust(level, _) | Deed::Delete(level) => {
            *level
        }
        other => panic!("{other:?}"),
    }
}

/// What is asked of the store.
pub(super) fn command(deed: &Deed, number: Option<u128>) -> Command {
    let change = |level: usize, change: Change| store::Deed::Change { key: key(level), change };
    let asked = match deed {
        Deed::Read(_) | Deed::List => unreachable!("what is read changes nothing"),
        Deed::Create(level, units) => change(*level, Change::put(quantity(*units), Precondition::Absent)),
        Deed::Count(level, units) => change(*level, Change::put(quantity(*units), Precondition::Exists)),
        Deed::Adjust(level, delta) => change(*level, adjust(*delta)),
        Deed::Delete(level) => change(*level, Change::unconditional(Operation::Delete)),
        Deed::Many(lines) => {
            store::Deed::Transaction { transaction: transaction(lines), kind: TransactionKind::Adjustment }
        }
        Deed::Each(lines) => {
            let line = |(level, delta): &(usize, i64)| EachLine { key: key(*level), change: adjust(*delta) };
            store::Deed::Each { lines: lines.iter().map(line).collect() }
        }
    };
    let idempotency =
        number.map(|number| Box::new(Idempotency { once: once(number, deed), version_1: None }));
    Command { deed: asked, idempotency, said: Said::default() }
}

fn adjust(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Refuse })
}

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
    StockKey::new(&Sku::parse(&format!("k{level}")).expect("a sku"), &Location::DEFAULT)
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
