//! The stock without a server: for commands that read or change a data directory that nobody serves, or a database, whoever serves it.

use std::path::Path;
use std::time::Duration;

use super::OpenError;
use crate::config::Config;
use crate::store::local::{self, Intent, OfflineVerification, Opening, verify_offline};
use crate::store::{AnyStore, Database, Keeping, Storage, Store as _, postgres};
use crate::strategy::StrategyKind;

/// A store that serves nobody. A data directory is this process's own while the value lives.
#[derive(Debug)]
pub struct Offline {
    /// The stock.
    pub store: AnyStore,
    /// The right to its folder, if it has one.
    _opening: Option<Opening>,
}

impl Offline {
    /// Recovers what is on disk. To be changed, it is as at a start: an unfinished commit is cut, an import that had happened is
    /// completed. To be read, nothing is. A folder that is no data directory is refused.
    pub async fn open(path: &Path, intent: Intent) -> Result<Self, OpenError> {
        // No key is turned away or forgotten, and nothing dropped: how long they are kept is for the server to say.
        let keeping = Keeping { keys_max: usize::MAX, keys_retention: Duration::MAX, ..Keeping::default() };
        let storage = Storage::Folder { path: path.to_owned(), keeping };
        let Config { kind, strategy, .. } = Config::new(StrategyKind::Atomic);
        let opening = Opening::begin(kind, strategy, &storage, intent)?;
        Ok(Self { store: AnyStore::Local(opening.open().await?), _opening: Some(opening) })
    }

    /// The store in a database, beside whoever serves it. One in which there is none is refused, and so is one that cannot be reached now.
    pub async fn visit(database: &Database, intent: Intent) -> Result<Self, OpenError> {
        let opening = postgres::Opening::begin(database, &Keeping::default())?;
        let store = opening.visit(intent != Intent::Read).await?;
        Ok(Self { store: AnyStore::Postgres(store), _opening: None })
    }

    /// Ends it, once everything is on disk.
    pub async fn close(self) {
        self.store.shut_down().await;
    }
}

/// Verifies a data directory that nobody serves, and changes nothing in it; `progress` is told the bytes of the log that were read, and of all there are.
/// Blocking.
pub fn verify(path: &Path, progress: &dyn Fn(u64, u64)) -> Result<OfflineVerification, local::OpenError> {
    verify_offline(path, progress)
}
