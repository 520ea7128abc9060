//! [`Storage`]: where stock is kept, and within which bounds.

use std::fmt;
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
    /// In a database, which any number of processes share.
    Postgres {
        /// Which, and how it is used.
        database: Database,
        /// The bounds. Of the log there are none: the database keeps every movement.
        keeping: Keeping,
    },
}

/// A database over PostgreSQL's protocol, and how it is used.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// A file with the password, where it is not in the address.
    pub password_file: Option<PathBuf>,
    /// A PEM file of who signs the certificates of the database; with it what is sent is encrypted.
    pub ca_file: Option<PathBuf>,
    /// How many partitions the stock is in, which is said once, when it is made; [`PARTITIONS_DEFAULT`] if it is not said.
    pub partitions: Option<u16>,
    /// How many connections there are at most.
    pub connections: usize,
    /// How many commands of a partition are carried out together at most.
    pub batch_max: usize,
    /// How long a command waits for others at the same partition.
    pub lock_timeout: Duration,
    /// Whether a database may acknowledge what a crash of it can take back.
    pub allows_async_commit: bool,
}

/// The address of a database: a URL, or words as `host=... dbname=...`. It is shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The partitions of a stock, unless others are asked for: more let more be done side by side, and make batches shorter.
pub const PARTITIONS_DEFAULT: u16 = 16;

impl Database {
    /// That database, used as usual.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: DatabaseUrl::new(url),
            password_file: None,
            ca_file: None,
            partitions: None,
            connections: 16,
            batch_max: 128,
            lock_timeout: Duration::from_secs(1),
            allows_async_commit: false,
        }
    }
}

impl DatabaseUrl {
    /// The address in that text, whatever it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it is, with the password: not to be shown.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_passwords(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text in which the password of a database, of either form, is left out.
pub fn without_passwords(text: &str) -> String {
    let masked = match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let shown = match authority.rsplit_once('@') {
                Some((user, hosts)) => {
                    let user =
                        user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:***"));
                    format!("{user}@{hosts}")
                }
                None => authority.to_owned(),
            };
            format!("{scheme}://{shown}{path}")
        }
        None => text.to_owned(),
    };
    let Some(at) = masked.find("password=") else { return masked };
    let (before, rest) = masked.split_at(at + "password=".len());
    let end = rest.find(['&', ' ']).unwrap_or(rest.len());
    format!("{before}***{}", &rest[end..])
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
    /// On disk and in a database, movements that are older than this are dropped; on disk once a snapshot covers them. Never, if there is none.
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
            Self::Memory(keeping) | Self::Folder { keeping, .. } | Self::Postgres { keeping, .. } => keeping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_database_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://shop:se:cr@et@a:1,b:2/stock?x=y", "postgres://shop:***@a:1,b:2/stock?x=y"),
            ("postgres://shop@a/stock", "postgres://shop@a/stock"),
            (
                "postgresql:///stock?host=/run&password=secret&user=shop",
                "postgresql:///stock?host=/run&password=***&user=shop",
            ),
            ("host=a user=shop password=secret", "host=a user=shop password=***"),
            ("./inventory-data", "./inventory-data"),
        ] {
            assert_eq!(DatabaseUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", DatabaseUrl::new(url)), shown);
        }
    }
}
