//! What a client wrote down: one [`Record`] per operation, as it was asked and as it was answered.
//!
//! A record is only what the client could see from outside: when it sent the request, when the answer
//! arrived, what the answer claimed. Nothing here knows HTTP, and nothing here judges.

use serde::{Deserialize, Serialize};

use crate::model::Units;

/// A stock level (one sku at one location), as an index into [`History::keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u32);

/// A whole recorded run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Free-form facts of the run (seed, workload, server), shown in reports and kept with the file.
    pub meta: Meta,
    /// The name of each [`Key`], by index, for messages: `sku` or `sku@location`.
    pub keys: Vec<String>,
    /// Every operation, in any order; the checkers sort as they need.
    pub records: Vec<Record>,
}

/// Facts about how a history came to be. Every field may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The random seed of the workload.
    pub seed: Option<u64>,
    /// The strategy the server said it ran.
    pub strategy: Option<String>,
    /// The command that made it.
    pub command: Option<String>,
}

/// One operation as one client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which client (connection, thread) issued it.
    pub client: u32,
    /// When it was sent, in nanoseconds of a monotonic clock shared by all clients of the run.
    pub invoked_ns: u64,
    /// When the answer had arrived, on the same clock. For [`Outcome::Unknown`]: when the client gave up.
    pub returned_ns: u64,
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub outcome: Outcome,
    /// Which idempotency key it was sent under, as a number within the history; nothing if it was sent once.
    ///
    /// Records with one number are attempts at one request, in the order they were sent: together they take effect at most once,
    /// and all that are answered are answered alike. A key under which there is one attempt need not be written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<u64>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Read one level.
    Read(Key),
    /// Read several levels, all as of one moment (a consistent read).
    Snapshot(Vec<Key>),
    /// Change one or several levels, all or nothing. A key may be named more than once: the lines of one key
    /// count together, as one change of one version.
    Write(Vec<Line>),
}

/// One line of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Line {
    /// The level it changes.
    pub key: Key,
    /// How.
    pub effect: Effect,
}

/// What a line does to its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Add a signed number of units to `on_hand`; the level must exist and `available` must not go below zero.
    Add(i64),
    /// As `Add`, but a missing level is created empty first (the destination of a transfer).
    AddOrCreate(i64),
    /// Create the level with this `on_hand`; it must be absent.
    Create(u64),
    /// Set `on_hand` (a physical count). With `Some(version)` only if the level is at that version; with `None`
    /// only if it exists.
    Count {
        /// The new `on_hand`.
        on_hand: u64,
        /// The version demanded, if any.
        if_version: Option<u64>,
    },
    /// Delete the level, which must exist.
    Delete,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A read's answer.
    Read(Seen),
    /// A consistent read's answer: each level that was asked for, once, and what they have together.
    Snapshot {
        /// One entry per key.
        levels: Vec<Seen>,
        /// Their sums, if the answer told them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        totals: Option<Units>,
    },
    /// A write took effect. One entry per key, with the level after the change.
    Applied(Vec<Seen>),
    /// A write was refused for the state of the stock and changed nothing. One entry per level the answer named.
    Refused(Vec<Refused>),
    /// The server said, or the transport proved, that nothing happened (`"applied":"no"`, connection refused,
    /// invalid request).
    NotApplied,
    /// Nobody knows: a timeout, a reset, an answer that said `"applied":"unknown"`.
    Unknown,
}

/// A [`Record`] that is looked at and not owned: what the checkers work on, whichever form the history is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op<'a> {
    /// As in [`Record::client`].
    pub client: u32,
    /// As in [`Record::invoked_ns`].
    pub invoked_ns: u64,
    /// As in [`Record::returned_ns`].
    pub returned_ns: u64,
    /// As in [`Record::request`].
    pub request: Asked<'a>,
    /// As in [`Record::outcome`].
    pub outcome: Answer<'a>,
    /// As in [`Record::once`].
    pub once: Option<u64>,
}

/// A [`Request`] that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// As [`Request::Read`].
    Read(Key),
    /// As [`Request::Snapshot`].
    Snapshot(&'a [Key]),
    /// As [`Request::Write`].
    Write(&'a [Line]),
}

/// An [`Outcome`] that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// As [`Outcome::Read`].
    Read(Seen),
    /// As [`Outcome::Snapshot`].
    Snapshot(&'a [Seen], Option<Units>),
    /// As [`Outcome::Applied`].
    Applied(&'a [Seen]),
    /// As [`Outcome::Refused`].
    Refused(&'a [Refused]),
    /// As [`Outcome::NotApplied`].
    NotApplied,
    /// As [`Outcome::Unknown`].
    Unknown,
}

impl<'a> From<&'a Record> for Op<'a> {
    fn from(record: &'a Record) -> Self {
        let request = match &record.request {
            Request::Read(key) => Asked::Read(*key),
            Request::Snapshot(keys) => Asked::Snapshot(keys),
            Request::Write(lines) => Asked::Write(lines),
        };
        let outcome = match &record.outcome {
            Outcome::Read(seen) => Answer::Read(*seen),
            Outcome::Snapshot { levels, totals } => Answer::Snapshot(levels, *totals),
            Outcome::Applied(seen) => Answer::Applied(seen),
            Outcome::Refused(refused) => Answer::Refused(refused),
            Outcome::NotApplied => Answer::NotApplied,
            Outcome::Unknown => Answer::Unknown,
        };
        let Record { client, invoked_ns, returned_ns, once, .. } = *record;
        Self { client, invoked_ns, returned_ns, request, outcome, once }
    }
}

impl From<Op<'_>> for Record {
    fn from(op: Op<'_>) -> Self {
        let request = match op.request {
            Asked::Read(key) => Request::Read(key),
            Asked::Snapshot(keys) => Request::Snapshot(keys.to_vec()),
            Asked::Write(lines) => Request::Write(lines.to_vec()),
        };
        let outcome = match op.outcome {
            Answer::Read(seen) => Outcome::Read(seen),
            Answer::Snapshot(levels, totals) => Outcome::Snapshot { levels: levels.to_vec(), totals },
            Answer::Applied(seen) => Outcome::Applied(seen.to_vec()),
            Answer::Refused(refused) => Outcome::Refused(refused.to_vec()),
            Answer::NotApplied => Outcome::NotApplied,
            Answer::Unknown => Outcome::Unknown,
        };
        let Op { client, invoked_ns, returned_ns, once, .. } = op;
        Self { client, invoked_ns, returned_ns, request, outcome, once }
    }
}

/// A level as an answer showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// Which level.
    pub key: Key,
    /// Its version. 0 is a level that never existed; a deleted level keeps the version of its deletion.
    /// [`Seen::VERSION_UNTOLD`] is that of an answer that tells none; in files it is `null`.
    #[serde(with = "told_version")]
    pub version: u64,
    /// The stock at that version, as far as the answer told it.
    pub stock: Stock,
}

impl Seen {
    /// The version in an answer that tells none.
    ///
    /// Of a service that knows no versions every answer is written down with this, and with as much of the stock as it
    /// tells: [`Stock::Level`] with nothing reserved if it is a quantity, [`Stock::Untold`] if it is only that a change was
    /// applied, or refused. A level of which one answer is like this is judged without versions, all of it. Whoever reads
    /// answers of a service that does tell versions has to refuse this number as one.
    pub const VERSION_UNTOLD: u64 = u64::MAX;

    /// A level of which only the stock was told.
    pub fn unversioned(key: Key, stock: Stock) -> Self {
        Self { key, version: Self::VERSION_UNTOLD, stock }
    }

    /// Whether the version was told.
    pub fn is_version_told(&self) -> bool {
        self.version != Self::VERSION_UNTOLD
    }
}

/// A version that was not told is `null`.
mod told_version {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Seen;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(version: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*version).filter(|version| *version != Seen::VERSION_UNTOLD).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(Seen::VERSION_UNTOLD))
    }
}

/// The stock of a level, as far as an answer told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// There is no such level: it never existed, or it was deleted.
    Absent,
    /// The whole level.
    Level {
        /// Units physically there.
        on_hand: u64,
        /// Units held by reservations.
        reserved: u64,
    },
    /// Only `on_hand - reserved` was told (a refusal's line).
    Available(u64),
    /// Only the version was told.
    Untold,
}

/// One level named by a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The level, as it was when it was judged.
    pub seen: Seen,
    /// Why.
    pub reason: Reason,
}

/// Why a line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `available` was below what the lines of this key together asked for.
    Insufficient,
    /// The level was absent.
    Missing,
    /// The level was there, and the write demanded that it be absent.
    Exists,
    /// The level was at another version than demanded.
    VersionMismatch,
    /// Units were held by reservations (delete, or a count below them).
    Reserved,
    /// The result would have left the range of quantities (0 to 2^40 - 1).
    Overflow,
}
