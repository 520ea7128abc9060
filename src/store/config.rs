//! [`Storage`]: where stock is kept, and within which bounds.

use std::path::PathBuf;
use std::time::Duration;

/// Where stock is kept.
#[derive(Debug, Clone)]
pub enum Storage {
    /// In memory, until the process ends.
    Memory(Keeping),
    /// On disk.
    Folder {
        /// The folder, made where it is missing.
        path: PathBuf,
        /// The bounds.
        keeping: Keeping,
    },
}

/// How much is kept, and how long.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// How many idempotency keys may be held.
    pub keys_max: usize,
    /// How long an idempotency key is held.
    pub keys_retention: Duration,
    /// On disk, a snapshot is taken when the log grew by that many bytes since the last one.
    pub snapshot_bytes: u64,
    /// On disk, a snapshot is taken when that long has passed since the last one, and the log grew at all.
    pub snapshot_interval: Duration,
    /// On disk, movements that are older than this are dropped, once a snapshot covers them. Never, if there is none.
    pub retain_age: Option<Duration>,
    /// The oldest movements are dropped while the log is longer than this, in bytes; on disk once a snapshot covers them.
    /// On disk never, if there is none; in memory there is a bound always.
    pub retain_bytes: Option<u64>,
    /// How many reservations may be pending.
    pub reservations_max: usize,
    /// How many finished reservations are kept.
    pub reservations_finished_max: usize,
    /// How long finished reservations are kept, in which the service runs.
    pub reservations_retention: Duration,
}

impl Default for Keeping {
    /// A million keys for a day (48 MB), snapshots every 256 MiB or 15 minutes, and every movement.
    fn default() -> Self {
        Self {
            keys_max: 1_000_000,
            keys_retention: Duration::from_hours(24),
            snapshot_bytes: 256 * 1024 * 1024,
            snapshot_interval: Duration::from_mins(15),
            retain_age: None,
            retain_bytes: None,
            reservations_max: 2_000_000,
            reservations_finished_max: 100_000,
            reservations_retention: Duration::from_hours(24),
        }
    }
}

impl Storage {
    /// The bounds.
    pub fn keeping(&self) -> &Keeping {
        match self {
            Self::Memory(keeping) | Self::Folder { keeping, .. } => keeping,
        }
    }
}
