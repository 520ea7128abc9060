//! A file of stock on its way in, the same for every store: read, checked, sorted, staged.
//!
//! 1. The bytes come in piece by piece ([`Incoming`]), and a [`Stage`] takes them: every line is read and checked ([`line`], `ndjson`, `table`), the
//!    levels are sorted by name ([`sort`]), and none is there twice.
//! 2. What is left is a file of entries in order, in a [`Place`]: [`Staged`]. Or everything that is wrong, by line, and nothing was done.
//! 3. It is read back in chunks ([`next_chunk`]). Those levels that cannot have the units that it says are told in words ([`Refused`]).
//!
//! What makes it happen, and what becomes of it in a crash, is for each store to say. Nothing is known here of how stock is kept; memory is bounded, and
//! disk by the longest import there may be.

mod entries;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod incoming;
mod line;
mod lines;
mod ndjson;
mod place;
mod refused;
mod sort;
mod stage;
mod staged;
mod table;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::io;

use tokio::task::JoinHandle;

use super::chores::ImportError;
use super::{NotDone, Why};

pub(in crate::store) use entries::{Entries, Entry};
pub(in crate::store) use incoming::Incoming;
pub(in crate::store) use place::Place;
pub(in crate::store) use refused::Refused;
pub(in crate::store) use stage::{Source, Stage};
pub(in crate::store) use staged::{Staged, pending};

/// The levels of an import that happens whole or not at all, in every store.
pub(in crate::store) const WHOLE_LEVELS: usize = 10_000;

/// An id that no other import has.
pub(in crate::store) fn fresh_id() -> u128 {
    // Each state is seeded by the system's randomness.
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

/// The next levels of a staged file, so many at most; none at its end.
pub(in crate::store) async fn next_chunk(
    mut entries: Entries,
    most: usize,
) -> Result<(Entries, Vec<Entry>), ImportError> {
    let read = move || {
        let mut chunk = Vec::new();
        while chunk.len() < most {
            let Some(entry) = entries.next()? else { break };
            chunk.push(entry);
        }
        Ok((entries, chunk))
    };
    on_disk(read).await.map_err(ImportError::Io)
}

/// Runs what blocks on a thread for that.
pub(in crate::store) async fn on_disk<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}

/// What a task of an import comes to.
pub(in crate::store) async fn joined<T>(task: JoinHandle<Result<T, ImportError>>) -> Result<T, ImportError> {
    let panicked = |error: tokio::task::JoinError| NotDone::unknown(Why::Damaged(error.to_string()));
    task.await.map_err(panicked)?
}
