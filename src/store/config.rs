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
    /// How many requests may wait for levels at once.
    pub waiters_max: usize,
    /// How orders have their turn.
    pub orders: Orders,
}

/// How orders have their turn, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Who is next.
    pub discipline: Discipline,
    /// How many orders may be queued.
    pub queue_max: usize,
    /// How many orders have their turn at the same time.
    pub workers: usize,
    /// Of [`Discipline::Priority`]: how much longer an order has to have waited to be before one that is a priority higher.
    pub ageing: Duration,
    /// How many orders may wait for units; one beyond is rejected where it finds too little.
    pub backorders_max: usize,
    /// How many orders are kept that are fulfilled, rejected or cancelled.
    pub finished_max: usize,
    /// How long they are kept, in which the service runs.
    pub retention: Duration,
}

/// Which of the queued orders is next; and, of those that wait for units of one level, which is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// The one that was placed first.
    Fifo,
    /// The one that was placed last.
    Lifo,
    /// The one of the highest priority; of the same, the one that was placed first. Each [`Orders::ageing`] of waiting counts as one
    /// priority more, so an order is overtaken only by those that are placed at most nine times that after it.
    Priority,
}

impl Default for Orders {
    /// First in, first out; a queue of 10 000 and 4 at a time, 100 000 that wait for units, and of those that are over the last 100 000, for
    /// 30 days.
    fn default() -> Self {
        Self {
            discipline: Discipline::Fifo,
            queue_max: 10_000,
            workers: 4,
            ageing: Duration::from_secs(10),
            backorders_max: 100_000,
            finished_max: 100_000,
            retention: Duration::from_hours(30 * 24),
        }
    }
}

impl Discipline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fifo, Self::Lifo, Self::Priority];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Lifo => "lifo",
            Self::Priority => "priority",
        }
    }

    /// The discipline of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|discipline| discipline.name() == name)
    }
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
            waiters_max: 10_000,
            orders: Orders::default(),
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
