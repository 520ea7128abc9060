//! [`Opened`]: a store of each kind there is, over each strategy, and short words for what is asked of it.

use std::path::PathBuf;
use std::sync::Arc;

use databases::Database as Server;
use inventory::stock::{Applied, Change, Level, Once, Refusal, StockKey};
use inventory::store::local::{Intent, Opening};
use inventory::store::{
    Answered, AnyStore, Command, Database, Deed, EachLine, Idempotency, Keeping, LevelQuery, Movement,
    MovementFilter, MovementQuery, NotDone, Outcome, Storage, Store as _, postgres,
};
use inventory::strategy::{StrategyConfig, StrategyKind};
use tempfile::TempDir;

/// The stores there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// The store of one process, which forgets all when it ends.
    Memory,
    /// The same, with its journal in a folder.
    Disk,
}

/// A store, and the folder it is in, if it is in one.
pub(crate) struct Opened {
    pub(crate) store: AnyStore,
    kind: StrategyKind,
    folder: Option<TempDir>,
    database: Option<Server>,
}

impl Opened {
    /// An empty store.
    pub(crate) async fn empty(store: StoreKind, kind: StrategyKind, keeping: Keeping) -> Self {
        let folder = (store == StoreKind::Disk).then(|| TempDir::new().expect("a folder"));
        let path = folder.as_ref().map(|folder| folder.path().join("data"));
        Self { store: open(kind, path, keeping).await, kind, folder, database: None }
    }

    /// An empty store in a database of its own.
    pub(crate) async fn in_database(keeping: Keeping) -> Self {
        let database = databases::postgres().database().expect("a database");
        let store = open_replica(&database.url(), keeping).await;
        Self { store, kind: StrategyKind::Atomic, folder: None, database: Some(database) }
    }

    /// The store, ended and opened again; `None` if it keeps nothing beyond its end.
    pub(crate) async fn reopened(self) -> Option<Self> {
        self.store.stop();
        self.store.shut_down().await;
        drop(self.store);
        if let Some(database) = self.database {
            let store = open_replica(&database.url(), Keeping::default()).await;
            return Some(Self { store, kind: self.kind, folder: None, database: Some(database) });
        }
        let folder = self.folder?;
        let store = open(self.kind, Some(folder.path().join("data")), Keeping::default()).await;
        Some(Self { store, kind: self.kind, folder: Some(folder), database: None })
    }

    /// Asks for one change, without an idempotency key, that the store judges.
    pub(crate) async fn change(&self, key: &StockKey, change: Change) -> Result<Applied, Refusal> {
        changed(self.store.execute(Command::change(key.clone(), change)).await.expect("it is judged"))
    }

    /// Asks for a deed under an idempotency key.
    pub(crate) async fn once(&self, once: Once, deed: Deed) -> Result<Answered, NotDone> {
        let idempotency = Some(Box::new(Idempotency { once, version_1: None }));
        self.store.execute(Command { idempotency, ..Command::new(deed) }).await
    }

    /// The level.
    pub(crate) async fn read(&self, key: &StockKey) -> Level {
        self.store.read(key).await.expect("a level")
    }

    /// Every level that is listed, in pages of two.
    pub(crate) async fn listed(&self) -> Vec<(StockKey, Level)> {
        let (mut levels, mut after) = (Vec::new(), None);
        loop {
            let query =
                LevelQuery { sku: None, sku_prefix: "", location: None, after: after.as_ref(), limit: 2 };
            let page = self.store.list(query).await.expect("a page");
            levels.extend(page.levels);
            match page.next {
                Some(next) => after = Some(next),
                None => return levels,
            }
        }
    }

    /// The whole history of a level, newest first, in pages of two.
    pub(crate) async fn history(&self, key: &StockKey) -> Vec<Movement> {
        let (mut movements, mut cursor) = (Vec::new(), None);
        loop {
            let query = MovementQuery::OfLevel {
                key: key.clone(),
                cursor,
                filter: MovementFilter::default(),
                limit: 2,
            };
            let page = self.store.movements(query).await.expect("a page");
            movements.extend(page.movements);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return movements,
            }
        }
    }
}

async fn open(kind: StrategyKind, path: Option<PathBuf>, keeping: Keeping) -> AnyStore {
    let storage = match path {
        Some(path) => Storage::Folder { path, keeping },
        None => Storage::Memory(keeping),
    };
    let opening =
        Opening::begin(kind, StrategyConfig::default(), &storage, Intent::Serve).expect("storage of its own");
    AnyStore::Local(opening.open().await.expect("nothing is wrong with it"))
}

/// One of the processes that share a database, as a store of this one. What the servers of tests acknowledge a crash takes back.
pub(crate) async fn open_replica(url: &str, keeping: Keeping) -> AnyStore {
    let database = Database { allows_async_commit: true, connections: 8, ..Database::at(url) };
    let opening = postgres::Opening::begin(&database, &keeping).expect("an address");
    AnyStore::Postgres(opening.open().await.expect("nothing is wrong with it"))
}

/// What came of one change.
pub(crate) fn changed(answered: Answered) -> Result<Applied, Refusal> {
    match answered.outcome {
        Outcome::Change(judged) => judged,
        other => panic!("not of a change: {other:?}"),
    }
}

/// Lines that stand alone.
pub(crate) fn each(lines: &[(&StockKey, Change)]) -> Deed {
    let line = |(key, change): &(&StockKey, Change)| EachLine { key: (*key).clone(), change: *change };
    Deed::Each { lines: lines.iter().map(line).collect::<Arc<[_]>>() }
}
