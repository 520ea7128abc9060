//! The stock without a server: for commands that read or change a data directory that nobody serves.

use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::store::local::{Intent, OfflineVerification, OpenError, Opening, verify_offline};
use crate::store::{AnyStore, Keeping, Storage, Store as _};
use crate::strategy::StrategyKind;

/// A store over a data directory, which is this process's own while the value lives.
#[derive(Debug)]
pub struct Offline {
    /// The stock.
    pub store: AnyStore,
    /// The right to its folder.
    _opening: Opening,
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
        Ok(Self { store: AnyStore::Local(opening.open().await?), _opening: opening })
    }

    /// Ends it, once everything is on disk.
    pub async fn close(self) {
        self.store.shut_down().await;
    }
}

/// Verifies a data directory that nobody serves, and changes nothing in it; `progress` is told the bytes of the log that were read, and of all there are.
/// Blocking.
pub fn verify(path: &Path, progress: &dyn Fn(u64, u64)) -> Result<OfflineVerification, OpenError> {
    verify_offline(path, progress)
}
