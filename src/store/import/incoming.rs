//! [`Incoming`]: an import whose bytes are coming in, and who is at work on it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::{ImportError, Place, Source, Stage, joined};

/// Pieces of the body that are taken in ahead of what is checked.
const PIECES_AHEAD: usize = 4;

/// An import whose bytes are coming in.
///
/// Whatever is at work on it holds the right to import: the thread that takes the bytes in, and then the task that makes it
/// happen. So the right is free again only when nothing is.
#[derive(Debug)]
pub(in crate::store) struct Incoming {
    pieces: mpsc::Sender<Bytes>,
    staging: JoinHandle<Result<Taken, ImportError>>,
}

/// Bytes that were taken in, and what goes with them: in the order in which they are to go.
#[derive(Debug)]
pub(in crate::store) struct Taken {
    pub(in crate::store) stage: Stage,
    pub(in crate::store) place: Place,
    pub(in crate::store) right: OwnedSemaphorePermit,
}

impl Incoming {
    /// Begins to take in, with the right to it. Once it is to stop, nothing is taken in any more.
    pub(in crate::store) fn begin(
        place: Place,
        source: Source,
        stop: Arc<AtomicBool>,
        right: OwnedSemaphorePermit,
    ) -> Self {
        let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES_AHEAD);
        let staging = tokio::task::spawn_blocking(move || {
            let mut taking = Taken { stage: Stage::begin(place.disk(), source, stop), place, right };
            while let Some(piece) = taken.blocking_recv() {
                taking.stage.push(&piece)?;
            }
            Ok(taking)
        });
        Self { pieces, staging }
    }

    /// Takes in the next bytes. Whether more are wanted.
    pub(in crate::store) async fn push(&mut self, bytes: Bytes) -> bool {
        self.pieces.send(bytes).await.is_ok()
    }

    /// All bytes have come.
    pub(in crate::store) async fn taken(self) -> Result<Taken, ImportError> {
        let Self { pieces, staging } = self;
        drop(pieces);
        joined(staging).await
    }
}
