//! [`Books`]: where changes are recorded, and what may be shown of them.
//!
//! Durable books are the journal. Ephemeral books record nothing but the outcomes of idempotency keys, in memory. Everything
//! else of the service asks the books and does not know which they are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::memory::{Memory, MemoryPermit};
use crate::journal::keys::{Claim, Taken};
use crate::journal::lanes::{Denied, Keyed, Permit, Remark};
use crate::journal::record::{Answer, Kind, Line, Once, Record};
use crate::journal::watermark::Failed;
use crate::journal::{Journal, history};
use crate::stock::{Changed, HandOff, Level, StockKey};
use crate::strategy::Contention;

/// Where changes are recorded.
#[derive(Debug)]
pub enum Books {
    /// In memory, and only what idempotency keys need.
    Ephemeral(Memory),
    /// On disk, all of it.
    Durable(Arc<Journal>),
}

/// What is said about a request's change, beside the change.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    /// Reason and reference.
    pub remark: Option<Arc<Remark>>,
    /// The idempotency key, claimed.
    pub keyed: Option<Keyed>,
}

/// The permit of one record, whichever the books.
#[derive(Debug)]
pub enum Entry {
    /// Nothing is recorded.
    Unrecorded,
    /// In the journal.
    Journal(Permit),
    /// In memory.
    Memory(MemoryPermit),
}

/// Why a request got no answer about stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Others were in the way for longer than the lock timeout; nothing was changed.
    Contention(Contention),
    /// The journal took no record in time: the disk is full, or slower than what is asked of it. Nothing was changed.
    Overloaded,
    /// The journal has failed.
    Unavailable {
        /// Why.
        failed: Failed,
        /// Whether a change was applied in memory, of which nobody knows whether it is on disk.
        applied: bool,
    },
    /// A record that should be there cannot be read.
    Damaged(String),
}

/// What became of the claim of an idempotency key.
#[derive(Debug)]
pub enum Begun {
    /// The key is new: the request is to be carried out under it.
    Fresh(Keyed),
    /// The key was used: this is the record of what came of it.
    Done(StoredRecord),
    /// A request with the key is under way.
    InProgress,
    /// The key was used with another request.
    Reused,
    /// No further key is taken in until old ones have run out.
    Full,
}

/// An answer that was handed over.
#[derive(Debug)]
pub struct Told(Option<oneshot::Receiver<()>>);

/// A record read back, checked.
#[derive(Debug)]
pub struct StoredRecord(Vec<u8>);

impl Books {
    /// The permit for one record, taken before the change is asked for.
    pub async fn permit(&self, kind: Kind, memo: Memo) -> Result<Entry, Obstacle> {
        match self {
            Self::Ephemeral(memory) => Ok(match memo.keyed {
                Some(keyed) => Entry::Memory(memory.permit(kind, keyed)),
                None => Entry::Unrecorded,
            }),
            Self::Durable(journal) => match journal.permit(kind, memo.remark, memo.keyed).await {
                Ok(permit) => Ok(Entry::Journal(permit)),
                Err(Denied::TimedOut) => Err(Obstacle::Overloaded),
                Err(Denied::Failed(failed)) => Err(Obstacle::Unavailable { failed, applied: false }),
            },
        }
    }

    /// Waits until that version of the level, which an answer is about to show, cannot be taken back by a crash. `applied`:
    /// whether the request itself made it.
    pub async fn witness(&self, key: &StockKey, version: u64, applied: bool) -> Result<(), Obstacle> {
        match self {
            Self::Ephemeral(_) => Ok(()),
            Self::Durable(journal) => journal
                .durable(key, version)
                .await
                .map_err(|failed| Obstacle::Unavailable { failed, applied }),
        }
    }

    /// Waits until every change that was made before cannot be taken back by a crash.
    pub async fn witness_all(&self) -> Result<(), Obstacle> {
        match self {
            Self::Ephemeral(_) => Ok(()),
            Self::Durable(journal) => {
                journal.settled().await.map_err(|failed| Obstacle::Unavailable { failed, applied: true })
            }
        }
    }

    /// Claims an idempotency key, or says what stands in the way.
    pub async fn begin(&self, once: Once) -> Result<Begun, Obstacle> {
        self.begin_claimed(
            once,
            match self {
                Self::Ephemeral(memory) => memory.claim(once.key),
                Self::Durable(journal) => journal.claim(once.key),
            },
        )
        .await
    }

    /// [`Books::begin`] for what has happened and must not be turned away: however many keys there are, it is not full.
    pub async fn begin_unbounded(&self, once: Once) -> Result<Begun, Obstacle> {
        self.begin_claimed(
            once,
            match self {
                Self::Ephemeral(memory) => memory.claim_unbounded(once.key),
                Self::Durable(journal) => journal.shared().keys.claim(once.key, usize::MAX),
            },
        )
        .await
    }

    async fn begin_claimed(&self, once: Once, claimed: Result<Claim, Taken>) -> Result<Begun, Obstacle> {
        let position = match claimed {
            Ok(claim) => return Ok(Begun::Fresh(Keyed::new(once, claim))),
            Err(Taken::InProgress) => return Ok(Begun::InProgress),
            Err(Taken::Full) => return Ok(Begun::Full),
            Err(Taken::At(position)) => position,
        };
        let stored = self.record_at(position).await?;
        let same = stored.record().note().once == Some(once);
        Ok(if same { Begun::Done(stored) } else { Begun::Reused })
    }

    /// What a key was used for, if it was.
    pub async fn outcome(&self, once: Once) -> Result<Option<Begun>, Obstacle> {
        let taken = match self {
            Self::Ephemeral(memory) => memory.keys().get(once.key),
            Self::Durable(journal) => journal.shared().keys.get(once.key),
        };
        match taken {
            None => Ok(None),
            Some(Taken::At(_)) => self.begin(once).await.map(Some),
            Some(_) => Ok(Some(Begun::InProgress)),
        }
    }

    /// Hands an answer over, to be stored under a key. It is stored when [`Books::settle`] says so.
    pub async fn hand_answer(&self, keyed: Keyed, answer: Answer<'_>) -> Result<Told, Obstacle> {
        let memo = Memo { remark: None, keyed: Some(keyed) };
        Ok(Told(match self.permit(Kind::Answer, memo).await? {
            Entry::Journal(permit) => Some(permit.answer(answer)),
            Entry::Memory(permit) => {
                permit.answer(answer);
                None
            }
            Entry::Unrecorded => None,
        }))
    }

    /// Waits until an answer that was handed over cannot be taken back.
    pub async fn settle(&self, told: Told) -> Result<(), Obstacle> {
        match (told.0, self) {
            (Some(told), Self::Durable(journal)) => told.await.map_err(|_| Obstacle::Unavailable {
                failed: journal.shared().watermark.failure(),
                applied: false,
            }),
            _ => Ok(()),
        }
    }

    /// Whether changes wait for room on the disk.
    pub fn is_full(&self) -> bool {
        self.journal().is_some_and(|journal| journal.shared().metrics.full.load(Ordering::Relaxed) > 0)
    }

    /// The journal, where there is one.
    pub fn journal(&self) -> Option<&Journal> {
        match self {
            Self::Ephemeral(_) => None,
            Self::Durable(journal) => Some(journal),
        }
    }

    async fn record_at(&self, position: u64) -> Result<StoredRecord, Obstacle> {
        let bytes = match self {
            Self::Ephemeral(memory) => memory.record_at(position),
            Self::Durable(journal) => {
                let watermark = &journal.shared().watermark;
                let unavailable = |failed| Obstacle::Unavailable { failed, applied: true };
                watermark.reach(position).await.map_err(unavailable)?;
                let log = Arc::clone(&journal.shared().log);
                let read = tokio::task::spawn_blocking(move || history::record_at(&log, position)).await;
                match read {
                    Ok(Ok(bytes)) => Some(bytes),
                    Ok(Err(error)) => return Err(Obstacle::Damaged(error.to_string())),
                    Err(panicked) => return Err(Obstacle::Damaged(panicked.to_string())),
                }
            }
        };
        let whole = |bytes: &Vec<u8>| {
            Record::read(bytes).is_ok_and(|record| record.lines().all(|line| line.stock_key().is_some()))
        };
        let bytes = bytes.filter(whole);
        bytes.map(StoredRecord).ok_or_else(|| Obstacle::Damaged("the record of a key is gone".to_owned()))
    }
}

impl StoredRecord {
    /// The record.
    pub fn record(&self) -> Record<'_> {
        Record::read(&self.0).expect("checked when it was read back")
    }

    /// Each level the record changed, as it was after: ascending by key, as a transaction is.
    pub fn levels(&self) -> impl Iterator<Item = (StockKey, Level)> + '_ {
        let key = |line: &Line<'_>| line.stock_key().expect("checked when it was read back");
        self.record().lines().map(move |line| (key(&line), line.after))
    }
}

impl HandOff for Entry {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        match self {
            Self::Unrecorded => {}
            Self::Journal(permit) => permit.hand_over(changes),
            Self::Memory(permit) => permit.hand_over(changes),
        }
    }
}

impl From<Contention> for Obstacle {
    fn from(contention: Contention) -> Self {
        Self::Contention(contention)
    }
}
