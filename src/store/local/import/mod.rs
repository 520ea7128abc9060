//! Import: the levels of a file get the units that it says, all of them or none.
//!
//! 1. The bytes are taken in by a [`Stage`]: every line is checked, the levels are sorted, none is there twice. Anything wrong, and
//!    nothing was done.
//! 2. The staged file is synced and renamed. *That rename is the moment at which the import happens.*
//! 3. It is applied in chunks of [`CHUNK_LEVELS`], each one transaction and one record, under an idempotency key made from the
//!    import's id and the chunk's number. Readers may see the levels of one chunk before those of the next.
//! 4. The answer is recorded, if the request had a key, and the file is removed.
//!
//! After a crash the next start finds the file and does what is left of steps 3 and 4 before the service opens. Which chunks are in
//! the log already, the log itself knows ([`crate::journal::chunks`]), until the file is gone for good: also where its removal
//! failed, much has changed since and every idempotency key has run out.
//!
//! A level of which more units are held than the file says stands in the way of the whole import, and so does one that has moved on
//! from the version that its line names: that is judged before the import happens, and again with each change itself. An import of one chunk
//! that finds such a level then is called off, as nothing of it was done. One of more chunks may have begun: such a level keeps what
//! it has, and is counted as left out. A level that has the units which the file says is left alone: no movement, no version.
//!
//! A service that keeps everything in memory imports in the same way, from a temporary folder, without the promise of step 2.

mod apply;
mod entries;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod line;
mod lines;
mod ndjson;
mod refused;
mod sort;
mod stage;
mod staged;
mod table;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::Local;
use super::books::Begun;
use super::chores::{Home, temporary_folder};
use crate::journal::disk::{Disk, Folder};
use crate::journal::stored::Stored;
use crate::store::chores::{ImportError, ImportInto, StockForm};
use crate::store::{Answered, Idempotency, Imported, NotDone, Outcome, Store as _, Why};

use stage::{Source, Stage};
use staged::{Staged, temporary_name};

/// The levels that are applied together.
const CHUNK_LEVELS: usize = 10_000;

/// Pieces of the body that are taken in ahead of what is checked.
const PIECES_AHEAD: usize = 4;

/// An import whose bytes are coming in.
///
/// Whatever is at work on it holds the right to import: the thread that takes the bytes in, and then the task that makes it
/// happen. So the right is free again only when nothing is.
#[derive(Debug)]
pub(super) struct Import {
    store: Local,
    pieces: mpsc::Sender<Bytes>,
    staging: JoinHandle<Result<Taken, ImportError>>,
}

/// Bytes that were taken in, and what goes with them: in the order in which they are to go.
#[derive(Debug)]
struct Taken {
    stage: Stage,
    place: Place,
    right: OwnedSemaphorePermit,
}

impl Import {
    /// Begins one, with the right to it.
    pub(super) fn begin(
        store: Local,
        form: StockForm,
        right: OwnedSemaphorePermit,
    ) -> Result<Self, ImportError> {
        let id = fresh_id();
        let source = Source { id, form, lineage: store.lineage() };
        let place = Place::of(store.0.rights.home(), id).map_err(ImportError::Io)?;
        let stop = Arc::clone(store.0.rights.stopping());
        let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES_AHEAD);
        let staging = tokio::task::spawn_blocking(move || {
            let mut taking =
                Taken { stage: Stage::begin(Arc::clone(&place.disk), source, stop), place, right };
            while let Some(piece) = taken.blocking_recv() {
                taking.stage.push(&piece)?;
            }
            Ok(taking)
        });
        Ok(Self { store, pieces, staging })
    }
}

impl ImportInto for Import {
    async fn push(&mut self, bytes: Bytes) -> bool {
        self.pieces.send(bytes).await.is_ok()
    }

    async fn finish(
        self,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        let Self { store, pieces, staging } = self;
        drop(pieces);
        // On a task of its own: a client that goes away does not stop what has happened.
        joined(tokio::spawn(async move {
            let Taken { stage, place, right } = joined(staging).await?;
            let answered = store.carry_through(stage, idempotency, actor).await;
            drop((place, right));
            answered
        }))
        .await
    }
}

impl Local {
    /// Sorts what was taken in, makes it happen and applies it; unless it was, under its key.
    async fn carry_through(
        &self,
        stage: Stage,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        let claim = match &idempotency {
            None => None,
            Some(idempotency) => match self.0.books.begin(idempotency).await? {
                Begun::Fresh(claim) => Some(claim),
                Begun::Before(record) => {
                    let outcome = match record.stored() {
                        Some(Stored::Imported(imported)) => Outcome::Import(imported.into()),
                        Some(Stored::Written(answer)) => Outcome::Written(answer.into()),
                        _ => return Err(NotDone::no(Why::KeyReused).into()),
                    };
                    return Ok(Answered { outcome, replayed: true });
                }
            },
        };
        let once = idempotency.map(|idempotency| idempotency.once);
        let staged = joined(tokio::task::spawn_blocking(move || stage.finish(once, actor))).await?;
        let outcome = Outcome::Import(self.import(staged, claim).await?);
        Ok(Answered { outcome, replayed: false })
    }
}

async fn joined<T>(task: JoinHandle<Result<T, ImportError>>) -> Result<T, ImportError> {
    let panicked = |error: tokio::task::JoinError| NotDone::unknown(Why::Damaged(error.to_string()));
    task.await.map_err(panicked)?
}

/// The names of imports that have happened and are not known to be applied, in no order.
///
/// While there are any, recovery keeps every idempotency key, however old: snapshots of earlier versions know of chunks by their
/// keys alone.
pub(in crate::store::local) fn pending(disk: &Arc<dyn Disk>) -> io::Result<Vec<String>> {
    Ok(disk.list()?.into_iter().filter(|name| staged::is_pending(name)).collect())
}

/// Reads an import that has happened from end to end: how many levels it names, or why it could not be completed. Changes nothing.
pub(in crate::store::local) fn look(disk: &Arc<dyn Disk>, name: &str) -> io::Result<u64> {
    Staged::open(Arc::clone(disk), name).map(|staged| staged.levels)
}

/// An id that no other import has.
fn fresh_id() -> u128 {
    // Each state is seeded by the system's randomness.
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

/// The folder in which an import is staged.
#[derive(Debug)]
struct Place {
    /// Its files.
    disk: Arc<dyn Disk>,
    /// Where nothing is to be kept: a folder that goes with this value.
    temporary: Option<PathBuf>,
}

impl Place {
    /// The store's own folder; a temporary one for a store that has none.
    fn of(home: Option<&Home>, id: u128) -> io::Result<Self> {
        if let Some(home) = home {
            return Ok(Self { disk: Arc::clone(&home.disk), temporary: None });
        }
        let path = temporary_folder(id);
        let disk = Arc::new(Folder::open_or_create(&path)?);
        Ok(Self { disk, temporary: Some(path) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests;
