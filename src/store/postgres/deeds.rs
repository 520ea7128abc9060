//! What each command comes to, under the locks: pure, in the order of the batch.
//!
//! A command with a key is answered by what the key stands for, if it stands for anything; whatever is judged for the first time is kept under
//! it. What was not judged (a bound was reached) leaves the key free, and so does what changed nothing and would come out the same again: that
//! a reservation is not there, or was settled before; what an order is not ready for yet.

use std::time::Duration;

use super::outcome;
use super::partition::Partitions;
use super::work::{Done, What, Work};
use super::working::{Because, KeyKept, Working};
use crate::said::Said;
use crate::stock::{Applied, Once, Refusal, StockKey};
use crate::store::{Answered, Deed, LineOutcome, MovementKind, NotDone, Outcome, TransactionKind, Why};

/// What came of a deed, and whether it is kept under its key.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) is_kept: bool,
}

impl<'a> Because<'a> {
    /// By what happens to the level, in somebody's name.
    pub(super) fn of(said: &'a Said) -> Self {
        Self { kind: None, said, reservation: None, order: None }
    }
}

impl Working {
    /// Carries a command out.
    pub(super) fn carry_out(&mut self, work: &Work) -> Result<Done, NotDone> {
        match &work.what {
            What::Deed(deed) => self.once(work, deed).map(Done::Answered),
            What::Import(chunk) => self.import(work, chunk),
            What::Look(keys) => Ok(Done::Levels(keys.keys().iter().map(|key| self.level(key)).collect())),
            What::Expire(id) => {
                self.end_if_due(*id);
                Ok(Done::Ended)
            }
            What::Turn(id) => Ok(Done::Turned { again: !self.turn(*id) }),
        }
    }

    fn once(&mut self, work: &Work, deed: &Deed) -> Result<Answered, NotDone> {
        let Some(once) = work.once else {
            return Ok(Answered { outcome: self.judge(deed, &work.said)?.outcome, replayed: false });
        };
        if let Some(judged) = work.line.and_then(|(whole, number)| self.line_before(whole, number)) {
            return Ok(Answered { outcome: Outcome::Change(judged), replayed: true });
        }
        if let Some(outcome) = self.before(work, once)? {
            return Ok(Answered { outcome: outcome.told_of(deed), replayed: true });
        }
        let Judged { outcome, is_kept } = self.judge(deed, &work.said)?;
        if is_kept {
            self.keep(work, once, &outcome);
        }
        Ok(Answered { outcome, replayed: false })
    }

    /// What came of a line of a batch that was carried through: its own key is gone then, and that of the whole says it.
    fn line_before(&self, whole: Once, number: usize) -> Option<Result<Applied, Refusal>> {
        let kept = self.keys.get(&whole.key).filter(|kept| kept.fingerprint == whole.fingerprint)?;
        match kept.outcome.as_ref()? {
            Outcome::Each(lines) => match lines.get(number)? {
                LineOutcome::Judged(judged) => Some(*judged),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the key stands for, if it is held. One that is free has to find room, unless it is that of a part.
    pub(super) fn before(&self, work: &Work, once: Once) -> Result<Option<Outcome>, NotDone> {
        let held = self.keys.get(&once.key).filter(|kept| kept.until_ms > self.now_ms);
        match held {
            None if work.line.is_none() && self.how.keys_are_full() => {
                Err(NotDone::no(Why::KeysFull { retry_after: self.how.keys_run_out_in() }))
            }
            None => Ok(None),
            Some(kept) if kept.fingerprint != once.fingerprint => Err(NotDone::no(Why::KeyReused)),
            Some(KeyKept { outcome: Some(outcome), .. }) => Ok(Some(outcome.clone())),
            Some(KeyKept { outcome: None, .. }) => Err(NotDone::no(Why::KeyInProgress)),
        }
    }

    /// The key stands for that from here on.
    pub(super) fn keep(&mut self, work: &Work, once: Once, outcome: &Outcome) {
        self.writes.keys_counted += i64::from(work.line.is_none());
        let Some(text) = outcome::text(outcome) else { return };
        let place = (Partitions::of_once(once.key), once.key);
        let until_ms = self.now_ms.saturating_add(milliseconds(self.how.keeping.keys_retention));
        let fingerprint = once.fingerprint;
        let kept = KeyKept { fingerprint, outcome: Some(outcome.clone()), until_ms };
        // One that had run out, and is not gone yet.
        if self.keys.insert(once.key, kept).is_some() {
            self.writes.keys_run_out.insert(place);
        }
        self.writes.keys.insert(place, (fingerprint, text));
    }

    fn judge(&mut self, deed: &Deed, said: &Said) -> Result<Judged, NotDone> {
        let because = Because::of(said);
        let outcome = match deed {
            Deed::Change { key, change } => {
                let judged = self.change(key, *change, because);
                if let Err(refusal) = &judged {
                    self.how.refusals.count(refusal.reason);
                }
                Outcome::Change(judged)
            }
            Deed::Transaction { transaction, kind } => {
                let kind = (*kind == TransactionKind::Transfer).then_some(MovementKind::Transferred);
                Outcome::Transaction(self.transact(transaction, Because { kind, ..because }))
            }
            Deed::Each { .. } => unreachable!("each line is work of its own"),
            Deed::Reserve { transaction, ttl } => return self.reserve(transaction, *ttl, because),
            Deed::Settle { id, transition } => return Ok(self.settle_as_asked(*id, transition, because)),
            Deed::Order { lines, priority, backorder } => {
                return self.place(lines, *priority, *backorder, said);
            }
            Deed::Cancel { id } => return Ok(self.cancel(*id)),
            Deed::Return { id, lines } => return Ok(self.give_back(*id, lines.as_deref(), because)),
        };
        Ok(Judged { outcome, is_kept: true })
    }

    /// The home of what is made for those levels: that of the first, so that what is of one partition stays in it.
    pub(super) fn home_of(&self, first: Option<&StockKey>) -> i32 {
        first.map_or(0, |key| self.how.partitions.of_key(key))
    }
}

/// In whole milliseconds.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
