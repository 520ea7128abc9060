//! [`Incoming`]: an import whose bytes are coming in, and who is at work on it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::{ImportError, Place, Source, Stage, joined};
use crate::store::Answered;

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
struct Taken {
    stage: Stage,
    place: Place,
    right: OwnedSemaphorePermit,
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

    /// All bytes have come, and are carried through: on a task of its own, so a client that goes away does not cut it short.
    pub(in crate::store) async fn carried<F>(
        self,
        through: impl FnOnce(Stage) -> F + Send + 'static,
    ) -> Result<Answered, ImportError>
    where
        F: Future<Output = Result<Answered, ImportError>> + Send,
    {
        let Self { pieces, staging } = self;
        drop(pieces);
        joined(tokio::spawn(async move {
            let Taken { stage, place, right } = joined(staging).await?;
            let answered = through(stage).await;
            drop((place, right));
            answered
        }))
        .await
    }
}
