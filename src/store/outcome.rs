//! [`Answered`] and [`NotDone`]: what can come of a command. Data, not words: whoever asked says it in words of its own.

use std::time::Duration;

use thiserror::Error;

use crate::stock::{Applied, Order, Refusal, RefusedLevel, Reservation, StockKey};

/// What came of a command that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What.
    pub outcome: Outcome,
    /// Whether it came of an earlier command with the same idempotency key, and this one did nothing.
    pub replayed: bool,
}

/// What came of a deed. Of a replay it is what came of it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Deed::Change`](super::Deed::Change): the level before and after, or why it was refused.
    Change(Result<Applied, Refusal>),
    /// Of [`Deed::Transaction`](super::Deed::Transaction): each level before and after, ascending by key; or every level that
    /// stood in the way, at least one.
    Transaction(Result<Vec<(StockKey, Applied)>, Vec<RefusedLevel>>),
    /// Of [`Deed::Each`](super::Deed::Each): of each line, in the order of the lines.
    Each(Vec<LineOutcome>),
    /// Of [`Deed::Reserve`](super::Deed::Reserve) and [`Deed::Settle`](super::Deed::Settle): the reservation after it, or why not.
    Reservation(Result<Box<Reservation>, ReservationRefused>),
    /// Of [`Deed::Order`](super::Deed::Order), [`Deed::Cancel`](super::Deed::Cancel) and [`Deed::Return`](super::Deed::Return): the
    /// order after it, or why not. Of an order that is placed it is the order as it was placed, which may have gone on since.
    Order(Result<Box<Order>, OrderRefused>),
    /// Of an import.
    Import(Imported),
    /// Of any of these, as the first version of the service kept it: in the words it was answered with then.
    Written(WrittenAnswer),
}

/// Why a reservation was not made, or nothing became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReservationRefused {
    /// These levels stand in the way of making it; at least one.
    Levels(Vec<RefusedLevel>),
    /// There is none of that name, or not any more.
    NotFound,
    /// Something else became of it before.
    State(Box<Reservation>),
    /// Of a commit of some lines: this one is not held, or not as many units of it.
    NotHeld {
        /// The level.
        key: StockKey,
        /// The units that are held of it.
        held: u64,
    },
}

/// Why nothing became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderRefused {
    /// There is none of that name, or not any more.
    NotFound,
    /// It is in a state in which that cannot be: of a cancel, it is fulfilled or rejected; of a return, it is not fulfilled.
    State(Box<Order>),
    /// Of a return: the order is not for this level.
    NotOrdered {
        /// The level.
        key: StockKey,
    },
    /// Of a return: not as many units of this level are left to be given back.
    Returned {
        /// The level; the first that is short, where nothing was named.
        key: StockKey,
        /// How many are left.
        left: u64,
    },
    /// Of a return: these levels cannot take the units; at least one.
    Levels(Vec<RefusedLevel>),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// The levels that the file named.
    pub levels: u64,
    /// Those that were not there before.
    pub created: u64,
    /// Those that were.
    pub counted: u64,
    /// Those that were left as they are, since more units came to be held meanwhile than the file says, or the level moved on from the
    /// version that its line names.
    pub left_out: u64,
}

impl Imported {
    /// Those that had the units that the file says: nothing was done.
    pub fn unchanged(&self) -> u64 {
        self.levels.saturating_sub(self.created + self.counted + self.left_out)
    }
}

/// An answer over HTTP as the first version of the service stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// What came of a line that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOutcome {
    /// It was judged.
    Judged(Result<Applied, Refusal>),
    /// It was not, or nobody can say; it may be repeated as [`NotDone`] says.
    NotDone(NotDone),
    /// It was judged by the first version of the service: see [`Outcome::Written`].
    Written(WrittenAnswer),
}

/// Why nothing can be said of the stock.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct NotDone {
    /// Why.
    pub why: Why,
    /// Whether the command took effect all the same.
    pub applied: WasApplied,
}

/// Whether a command took effect, of which there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasApplied {
    /// Nothing of it did, nor will.
    No,
    /// Nobody knows, or a part did.
    Unknown,
}

/// Why a command was not carried out, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Why {
    /// Others were in the way for longer than the lock timeout.
    #[error("the stock was contended for longer than the lock timeout; nothing was changed")]
    Contention,
    /// What keeps changes took none in time: it is too slow for what is asked.
    #[error("the journal took no further change in time: its disk is too slow for what is asked")]
    Overloaded,
    /// No change is taken in until there is room on the disk.
    #[error(
        "the disk is full, or no file can be opened: no change is taken in until there is room; nothing was changed"
    )]
    DiskFull {
        /// When it is looked for room again.
        retry_after: Duration,
    },
    /// What would be told is not on disk yet, and cannot be before there is room.
    #[error(
        "the disk is full, or no file can be opened: what this answer would tell waits for room, and is lost if the service ends before"
    )]
    Unwritten {
        /// When it is looked for room again.
        retry_after: Duration,
    },
    /// No further idempotency key is taken in until an old one has run out.
    #[error("as many idempotency keys are held as may be; send this one again when older ones have run out")]
    KeysFull {
        /// When the next ones run out.
        retry_after: Duration,
    },
    /// As many reservations are pending as may be.
    #[error("as many reservations are pending as may be; commit or release some, or wait until some expire")]
    ReservationsFull {
        /// When the next one expires.
        retry_after: Duration,
    },
    /// As many orders are queued as may be.
    #[error("as many orders are queued as may be; send this one again when some have had their turn")]
    QueueFull {
        /// When there is likely to be room, by how fast orders have had their turn lately.
        retry_after: Duration,
    },
    /// As many requests wait for levels as may.
    #[error("as many requests wait for stock as may; send this one again, or without Prefer: wait")]
    WaitersFull,
    /// So many lines of batches with idempotency keys are under way that no more may be.
    #[error("too many lines of batches with idempotency keys are under way at once")]
    LinesFull,
    /// It was carried out before, and what came of it then has left with the oldest part of the log.
    #[error("it was carried out before; what came of it was dropped with the oldest part of the log")]
    OutcomeDropped,
    /// What is asked for is in a file that cannot be opened, as many are open as may be.
    #[error("too many files are open to look it up; repeat it after a moment")]
    TooManyFiles,
    /// A command with the same idempotency key is under way.
    #[error("a request with this idempotency key is under way; repeat it when that one is over")]
    KeyInProgress,
    /// The idempotency key stands for something else.
    #[error("this idempotency key was used with another request; nothing was changed")]
    KeyReused,
    /// The store has failed, and can keep nothing any more.
    #[error("the journal has failed: {0}")]
    Unavailable(String),
    /// What keeps the stock cannot be reached, or takes nothing now; it may again at any time.
    #[error("the store cannot be reached: {0}")]
    Away(String),
    /// Something that should be there cannot be read, or a part of the service has failed.
    #[error("{0}")]
    Damaged(String),
}

impl NotDone {
    /// Of which nothing took effect.
    pub fn no(why: Why) -> Self {
        Self { why, applied: WasApplied::No }
    }

    /// Of which nobody can say whether it did.
    pub fn unknown(why: Why) -> Self {
        Self { why, applied: WasApplied::Unknown }
    }
}
