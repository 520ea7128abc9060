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

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio::sync::OwnedSemaphorePermit;

use super::Local;
use super::books::Begun;
use super::chores::Home;
use crate::journal::disk::Disk;
use crate::journal::stored::Stored;
use crate::store::chores::{ImportError, ImportInto, StockForm};
use crate::store::import::{Incoming, Place, Source, Stage, Staged, WHOLE_LEVELS, fresh_id, joined};
use crate::store::{Answered, Idempotency, Imported, NotDone, Outcome, Store as _, Why};

pub(in crate::store::local) use crate::store::import::pending;

/// The levels that are applied together.
const CHUNK_LEVELS: usize = WHOLE_LEVELS;

/// An import whose bytes are coming in.
#[derive(Debug)]
pub(super) struct Import {
    store: Local,
    incoming: Incoming,
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
        let place = place_of(store.0.rights.home(), id).map_err(ImportError::Io)?;
        let stop = Arc::clone(store.0.rights.stopping());
        Ok(Self { store, incoming: Incoming::begin(place, source, stop, right) })
    }
}

impl ImportInto for Import {
    async fn push(&mut self, bytes: Bytes) -> bool {
        self.incoming.push(bytes).await
    }

    async fn finish(
        self,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        let Self { store, incoming } = self;
        incoming
            .carried(move |stage| async move { store.carry_through(stage, idempotency, actor).await })
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

/// Reads an import that has happened from end to end: how many levels it names, or why it could not be completed. Changes nothing.
pub(in crate::store::local) fn look(disk: &Arc<dyn Disk>, name: &str) -> io::Result<u64> {
    Staged::open(Arc::clone(disk), name).map(|staged| staged.levels)
}

/// The store's own folder; a temporary one for a store that has none.
fn place_of(home: Option<&Home>, id: u128) -> io::Result<Place> {
    match home {
        Some(home) => Ok(Place::of_store(Arc::clone(&home.disk))),
        None => Place::temporary(id),
    }
}
