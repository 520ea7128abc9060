//! [`Chunks`]: which chunks of imports are in the log, for as long as somebody might apply them again.
//!
//! An import is a file that is applied in chunks, each recorded under a key. Idempotency keys run out; what was applied does not: so
//! the keys of chunks are kept here as well, by the writer, by the replay and in snapshots, until the import's file is gone for good
//! and its chunks are forgotten by whoever removed it. A few entries per import under way.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The keys of chunks that are in the log, and the position of the record of each.
#[derive(Debug, Default)]
pub struct Chunks(Mutex<HashMap<u128, u64>>);

impl Chunks {
    /// A chunk is in the log.
    pub fn note(&self, key: u128, position: u64) {
        self.0.lock().insert(key, position);
    }

    /// Where the record of a chunk is, or was, if the chunk is in the log.
    pub fn position(&self, key: u128) -> Option<u64> {
        self.0.lock().get(&key).copied()
    }

    /// The import of these chunks can never be applied again.
    pub fn forget(&self, keys: &[u128]) {
        let mut chunks = self.0.lock();
        for key in keys {
            chunks.remove(key);
        }
    }

    /// No import but that of these chunks can ever be applied again.
    pub fn keep_only(&self, keys: &[u128]) {
        self.0.lock().retain(|key, _| keys.contains(key));
    }

    /// All of them.
    pub fn all(&self) -> Vec<(u128, u64)> {
        self.0.lock().iter().map(|(key, position)| (*key, *position)).collect()
    }
}
