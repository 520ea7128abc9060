//! [`Books`]: the journal as the store uses it: permits before a change, witnesses before an answer, and the outcomes of
//! idempotency keys.
//!
//! There is one kind of books, on disk or in memory: what differs is the disk under the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::kept::KeptRecord;
use crate::journal::disk::is_out_of_files;
use crate::journal::history::{self, HistoryError};
use crate::journal::keys::{Claim, LineClaims, Taken};
use crate::journal::lanes::{Denied, Permit, Slot};
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::journal::watermark::{Failed, NotOnDisk};
use crate::journal::{Journal, Shared};
use crate::said::Said;
use crate::stock::{Once, StockKey};
use crate::store::{Idempotency, Keeping, NotDone, WasApplied, Why};

/// What a log in memory may keep for each key that there may be: a batch has one key, and a record a line.
const KEPT_BYTES_PER_KEY: usize = 256;

/// Where changes are recorded.
#[derive(Debug)]
pub(super) struct Books {
    journal: Journal,
    keys_retention: Duration,
    reservations_max: usize,
    /// Whether there are records of the first version of the format, and so keys as it hashed them.
    has_version_1: bool,
}

/// What became of the claim of an idempotency key.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is new: the command is to be carried out under it.
    Fresh(Claim),
    /// It was used by the same command: this is the record of what came of it.
    Before(KeptRecord),
}

impl Books {
    pub(super) fn new(journal: Journal, keeping: &Keeping) -> Self {
        let (keys_retention, reservations_max) = (keeping.keys_retention, keeping.reservations_max);
        let oldest = journal.shared().log.segments().first().map(|segment| segment.header.version);
        Self { has_version_1: oldest == Some(1), journal, keys_retention, reservations_max }
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.journal.shared()
    }

    /// How many reservations may be pending.
    pub(super) fn reservations_max(&self) -> usize {
        self.reservations_max
    }

    /// Whether changes wait for room on the disk.
    pub(super) fn is_full(&self) -> bool {
        self.shared().metrics.full.load(Ordering::Relaxed) > 0
    }

    /// Refuses where the journal has failed: nothing more is to be begun.
    pub(super) fn is_alive(&self) -> Result<(), NotDone> {
        match self.shared().watermark.failed() {
            Some(failed) => Err(NotDone::no(unavailable(failed.clone()))),
            None => Ok(()),
        }
    }

    /// A slot for one record, if there is one now: there nearly always is. It is taken before the change is asked for.
    #[inline]
    pub(super) fn slot(&self) -> Option<Slot<'_>> {
        self.journal.slot()
    }

    /// Waits for a slot.
    pub(super) async fn slot_in_time(&self) -> Result<Slot<'_>, NotDone> {
        self.journal.slot_in_time().await.map_err(|denied| self.no_slot(denied))
    }

    /// The permit for one record, taken before the change is asked for.
    pub(super) async fn permit(
        &self,
        kind: RecordKind,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Permit, NotDone> {
        self.journal.permit(kind, said, claim).await.map_err(|denied| self.no_slot(denied))
    }

    /// Waits until that version of the level, which an answer is about to show, cannot be taken back by a crash.
    pub(super) async fn witness(
        &self,
        key: &StockKey,
        version: u64,
        applied: WasApplied,
    ) -> Result<(), NotDone> {
        self.told_of(self.journal.durable(key, version).await, applied)
    }

    /// [`Books::witness`] of many levels: one wait.
    pub(super) async fn witness_levels<'k>(
        &self,
        seen: impl Iterator<Item = (&'k StockKey, u64)> + Send,
        applied: WasApplied,
    ) -> Result<(), NotDone> {
        self.told_of(self.journal.durable_all(seen).await, applied)
    }

    /// Waits until everything that was handed over before cannot be taken back by a crash.
    pub(super) async fn witness_all(&self, applied: WasApplied) -> Result<(), NotDone> {
        self.told_of(self.journal.settled().await, applied)
    }

    /// Waits until everything that was handed over before can be read in the log.
    pub(super) async fn caught_up(&self, applied: WasApplied) -> Result<(), NotDone> {
        self.told_of(self.journal.caught_up().await, applied)
    }

    /// Claims the key of a command; or says what came of it, or what stands in the way.
    pub(super) async fn begin(&self, idempotency: &Idempotency) -> Result<Begun, NotDone> {
        self.begin_within(idempotency, self.journal.keys_max()).await
    }

    /// [`Books::begin`] for what has begun before and must not be turned away, however many keys there are.
    pub(super) async fn begin_unbounded(&self, idempotency: &Idempotency) -> Result<Begun, NotDone> {
        self.begin_within(idempotency, usize::MAX).await
    }

    async fn begin_within(&self, idempotency: &Idempotency, keys_max: usize) -> Result<Begun, NotDone> {
        if let Some(record) = self.of_version_1(idempotency).await? {
            return Ok(Begun::Before(record));
        }
        let once = idempotency.once;
        let mut claimed = self.shared().keys.claim(once, keys_max);
        if matches!(claimed, Err(Taken::HandedOver)) {
            // Its outcome is on its way into the log: a moment's wait, and it can be told.
            self.caught_up(WasApplied::Unknown).await?;
            claimed = self.shared().keys.claim(once, keys_max);
        }
        if let Err(Taken::At(position)) = claimed {
            if let Some(record) = self.record_of(position, once).await? {
                return Ok(Begun::Before(record));
            }
            if !self.forgets(once.key, position, keys_max) {
                return Err(NotDone::unknown(Why::OutcomeDropped));
            }
            claimed = self.shared().keys.claim(once, keys_max);
        }
        let full = || Err(NotDone::no(Why::KeysFull { retry_after: self.keys_run_out_in() }));
        match claimed {
            Ok(_) if self.keeps_too_much(keys_max) => full(),
            Ok(claim) => Ok(Begun::Fresh(claim)),
            // As many requests may have found at once that it had run out: one of them was first.
            Err(Taken::InProgress | Taken::HandedOver | Taken::At(_)) => Err(NotDone::no(Why::KeyInProgress)),
            Err(Taken::Full) => full(),
        }
    }

    /// Forgets a key whose record has left with the oldest part of the log, and says whether it did. Nothing leaves that is
    /// younger than keys are kept, so the key has run out, and is only not yet found by who looks for such keys once a minute.
    /// What has begun before is no new command, and is not carried out twice for that: there it stays.
    fn forgets(&self, key: u128, position: u64, keys_max: usize) -> bool {
        let has_left = |(first, _): (u64, u64)| position < first;
        let forgets = keys_max < usize::MAX
            && !self.journal.is_volatile()
            && self.shared().log.bases().is_some_and(has_left);
        if forgets {
            self.shared().keys.forget(key, position);
        }
        forgets
    }

    /// The record of a key that the first version of the service used for the same command.
    async fn of_version_1(&self, idempotency: &Idempotency) -> Result<Option<KeptRecord>, NotDone> {
        let Some(key) = idempotency.version_1.as_ref().filter(|_| self.has_version_1) else {
            return Ok(None);
        };
        match self.shared().keys.get(key.whole()) {
            Some(Taken::At(position)) => {
                let once = Once { key: key.whole(), fingerprint: key.fingerprint() };
                let record = self.record_of(position, once).await?;
                if record.is_none() {
                    self.forgets(key.whole(), position, self.journal.keys_max());
                }
                Ok(record)
            }
            _ => Ok(None),
        }
    }

    /// What came of each of those lines of a batch before, where anything did.
    pub(super) async fn lines_before(
        &self,
        idempotency: &Idempotency,
        lines: impl Iterator<Item = u32> + Clone + Send,
    ) -> Result<Vec<Option<KeptRecord>>, NotDone> {
        let mut taken: Vec<_> = lines.clone().map(|line| self.line_taken(idempotency, line)).collect();
        if taken.iter().flatten().any(|(taken, _)| *taken == Taken::HandedOver) {
            self.caught_up(WasApplied::Unknown).await?;
            taken = lines.map(|line| self.line_taken(idempotency, line)).collect();
        }
        let mut records = Vec::with_capacity(taken.len());
        records.resize_with(taken.len(), || None);
        let (mut found, mut positions) = (Vec::new(), Vec::new());
        for (index, (taken, once)) in taken.into_iter().enumerate().filter_map(|(at, one)| Some((at, one?))) {
            let Taken::At(position) = taken else { return Err(NotDone::no(Why::KeyInProgress)) };
            found.push((index, once));
            positions.push(position);
        }
        for ((index, once), record) in found.into_iter().zip(self.records_at(positions).await?) {
            // One that was dropped just now has run out, as those that were dropped before.
            records[index] = record.map(|record| of_key(record, once)).transpose()?;
        }
        Ok(records)
    }

    fn line_taken(&self, idempotency: &Idempotency, line: u32) -> Option<(Taken, Once)> {
        let (keys, once) = (&self.shared().keys, idempotency.once.line(line));
        let has_run_out = |key, taken: &Taken| match taken {
            Taken::At(position) => self.forgets(key, *position, self.journal.keys_max()),
            _ => false,
        };
        if let Some(taken) = keys.get(once.key).filter(|taken| !has_run_out(once.key, taken)) {
            return Some((taken, once));
        }
        let key = idempotency.version_1.as_ref().filter(|_| self.has_version_1)?;
        let taken = keys.get(key.line(line)).filter(|taken| !has_run_out(key.line(line), taken))?;
        Some((taken, Once { key: key.line(line), fingerprint: key.fingerprint() }))
    }

    /// Claims the keys of those lines of a batch, whose own key is claimed.
    pub(super) fn claim_lines(&self, once: Once, lines: &[u32]) -> Result<Arc<LineClaims>, NotDone> {
        self.shared().keys.claim_lines(once, lines).map_err(|taken| match taken {
            Taken::Full => NotDone::no(Why::LinesFull),
            _ => NotDone::no(Why::KeyInProgress),
        })
    }

    /// Where the record of a line of a batch is, once it is in the log.
    pub(super) fn position_of(&self, once: Once) -> Option<u64> {
        match self.shared().keys.get(once.key) {
            Some(Taken::At(position)) => Some(position),
            _ => None,
        }
    }

    /// Hands over what is to be stored under a key. Nothing was applied under it, and nothing is told of it until
    /// [`Books::told`] says that it is stored.
    pub(super) async fn store(
        &self,
        kind: RecordKind,
        claim: Claim,
        stored: &Stored,
    ) -> Result<oneshot::Receiver<()>, NotDone> {
        Ok(self.permit(kind, Said::default(), Some(claim)).await?.store(stored))
    }

    /// Waits until what was handed over by [`Books::store`] cannot be taken back by a crash.
    pub(super) async fn told(
        &self,
        stored: oneshot::Receiver<()>,
        applied: WasApplied,
    ) -> Result<(), NotDone> {
        self.told_of(self.journal.stored(stored).await, applied)
    }

    /// The record at a position, which must be that of this key and what it stands for; `None` where it was dropped.
    async fn record_of(&self, position: u64, once: Once) -> Result<Option<KeptRecord>, NotDone> {
        let record = self.records_at(vec![position]).await?.into_iter().next().flatten();
        record.map(|record| of_key(record, once)).transpose()
    }

    /// The records at those positions; `None` for each that was dropped with the oldest part of the log.
    pub(super) async fn records_at(&self, positions: Vec<u64>) -> Result<Vec<Option<KeptRecord>>, NotDone> {
        let Some(last) = positions.iter().max().copied() else { return Ok(Vec::new()) };
        let shared = Arc::clone(self.shared());
        // Of the commands whose records they are nobody can say more than the records do.
        self.told_of(shared.watermark.reach(last).await.map_err(Into::into), WasApplied::Unknown)?;
        let damaged = |what: String| NotDone::unknown(Why::Damaged(what));
        let read = move || {
            let record = |position| match history::record_at(&shared.log, position) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(HistoryError::Compacted) => Ok(None),
                Err(error) => Err(error),
            };
            positions.into_iter().map(record).collect::<Result<Vec<_>, _>>()
        };
        let read =
            tokio::task::spawn_blocking(read).await.map_err(|panicked| damaged(panicked.to_string()))?;
        let records = read.map_err(|error| NotDone::unknown(unread(&error)))?.into_iter();
        let whole = |bytes| {
            KeptRecord::new(bytes).ok_or_else(|| {
                let what = "the record of an idempotency key contradicts itself";
                damaged(format!(
                    "{what}, at position {last} of the log or before; verify the log and restore it from a backup"
                ))
            })
        };
        records.map(|record| record.map(whole).transpose()).collect()
    }

    fn told_of(&self, on_disk: Result<(), NotOnDisk>, applied: WasApplied) -> Result<(), NotDone> {
        on_disk.map_err(|not| match not {
            NotOnDisk::Failed(failed) => NotDone { why: unavailable(failed), applied },
            NotOnDisk::Full => {
                NotDone { why: Why::Unwritten { retry_after: self.looks_for_room_in() }, applied }
            }
        })
    }

    fn no_slot(&self, denied: Denied) -> NotDone {
        match denied {
            Denied::TimedOut => NotDone::no(Why::Overloaded),
            Denied::DiskFull => NotDone::no(Why::DiskFull { retry_after: self.looks_for_room_in() }),
            Denied::Failed(failed) => NotDone::no(unavailable(failed)),
        }
    }

    fn looks_for_room_in(&self) -> Duration {
        self.journal.looks_for_room_in()
    }

    /// Whether a log in memory keeps as many records for the sake of keys as it may.
    fn keeps_too_much(&self, keys_max: usize) -> bool {
        self.journal.is_volatile()
            && self.shared().log.kept().bytes() >= keys_max.saturating_mul(KEPT_BYTES_PER_KEY)
    }

    /// How long until the oldest keys have run out: they are looked for once a minute.
    fn keys_run_out_in(&self) -> Duration {
        let (marks, now_ms) = (self.shared().keys.marks(), self.shared().clock.steady_ms());
        let next = marks.next_expiry(now_ms, self.keys_retention).unwrap_or(self.keys_retention);
        next + crate::journal::retention::FORGET_EVERY
    }
}

/// The record, if it is that of this key and what it stands for.
fn of_key(record: KeptRecord, once: Once) -> Result<KeptRecord, NotDone> {
    if record.once() == Some(once) { Ok(record) } else { Err(NotDone::no(Why::KeyReused)) }
}

/// Why something that is in the log could not be read there. Damage is told to the operator, too.
pub(super) fn unread(error: &HistoryError) -> Why {
    match error {
        HistoryError::Io { source, .. } if is_out_of_files(source) => Why::TooManyFiles,
        error => {
            tracing::error!(%error, "what is in the log cannot be told");
            Why::Damaged(error.to_string())
        }
    }
}

fn unavailable(failed: Failed) -> Why {
    Why::Unavailable(failed.reason)
}
