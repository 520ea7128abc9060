//! [`KeptRecord`]: the record of what a key stands for, read back, and turned into the outcome it had.

use crate::journal::holds::found::found_in;
use crate::journal::moved::Moved;
use crate::journal::record::{Line, Record};
use crate::journal::stored::{self, Stored};
use crate::stock::{
    Applied, IfMissing, Level, Once, Operation, Refusal, Reservation, ReservationState, StockKey,
};
use crate::store::{
    Deed, Imported, LineOutcome, NotDone, OrderRefused, Outcome, ReservationRefused, Why, WrittenAnswer,
};

/// A record that was read back, and is whole.
#[derive(Debug)]
pub(super) struct KeptRecord(Vec<u8>);

impl KeptRecord {
    /// The record in those bytes: `None` where they are none, or name what is no level.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Self> {
        let whole = |line: Line<'_>| line.stock_key().is_some() && line.units_before().is_some();
        let is_whole = Record::read(&bytes).is_ok_and(|record| record.lines().all(whole));
        is_whole.then_some(Self(bytes))
    }

    pub(super) fn record(&self) -> Record<'_> {
        Record::read(&self.0).expect("checked when it was read back")
    }

    /// The key it was written under.
    pub(super) fn once(&self) -> Option<Once> {
        self.record().note().once
    }

    /// What is stored in it, if it is no change.
    pub(super) fn stored(&self) -> Option<Stored> {
        self.record().stored()
    }

    /// What came of the deed whose record it is.
    pub(super) fn outcome_of(&self, deed: &Deed) -> Result<Outcome, NotDone> {
        match (self.stored(), deed) {
            (Some(Stored::Moved(moved)), _) => Ok(outcome_of_moved(moved).told_of(deed)),
            (None, Deed::Change { .. }) => Ok(Outcome::Change(Ok(self.change()?))),
            (None, Deed::Transaction { .. }) => Ok(Outcome::Transaction(Ok(self.levels()))),
            (None, Deed::Reserve { .. } | Deed::Settle { .. }) => {
                let (record, finished_ms) = (self.record(), 0);
                let found =
                    record.term().and_then(|term| found_in(&record, term, finished_ms)).ok_or_else(other)?;
                Ok(Outcome::Reservation(Ok(Box::new(found.reservation()))))
            }
            (Some(Stored::Extended(term, lines)), Deed::Settle { .. }) => {
                let (state, committed) = (ReservationState::Pending, Vec::new());
                Ok(Outcome::Reservation(Ok(Box::new(Reservation { term, state, lines, committed }))))
            }
            (None, Deed::Return { .. }) => {
                let found = self.record().order().ok_or_else(other)?;
                Ok(Outcome::Order(Ok(Box::new((*found.order).clone()))))
            }
            (Some(Stored::Order(found)), Deed::Order { .. } | Deed::Cancel { .. }) => {
                Ok(Outcome::Order(Ok(Box::new((*found.order).clone()))))
            }
            (Some(Stored::Refused(levels)), Deed::Return { .. }) => {
                Ok(Outcome::Order(Err(OrderRefused::Levels(levels))))
            }
            (Some(Stored::Refused(levels)), Deed::Reserve { .. }) => {
                Ok(Outcome::Reservation(Err(ReservationRefused::Levels(levels))))
            }
            (Some(Stored::Refused(levels)), Deed::Change { .. }) => {
                let first = levels.into_iter().next().ok_or_else(other)?;
                Ok(Outcome::Change(Err(first.refusal)))
            }
            (Some(Stored::Refused(levels)), Deed::Transaction { .. }) => {
                Ok(Outcome::Transaction(Err(levels)))
            }
            (Some(Stored::Written(answer)), _) => Ok(Outcome::Written(answer.into())),
            _ => Err(other()),
        }
    }

    /// What came of it, as far as the record tells: of a change and a transaction it tells the same, and of a refusal not what was refused
    /// ([`Outcome::told_of`]). Not of a batch, which tells where its lines are.
    pub(super) fn outcome(&self) -> Result<Outcome, NotDone> {
        let record = self.record();
        let reservation = || {
            let found = record.term().and_then(|term| found_in(&record, term, 0)).ok_or_else(other)?;
            Ok(Outcome::Reservation(Ok(Box::new(found.reservation()))))
        };
        match self.stored() {
            None if record.note().kind.is_of_reservation() => reservation(),
            None if record.note().kind.moves_an_order() => {
                let found = record.order().ok_or_else(other)?;
                Ok(Outcome::Order(Ok(Box::new((*found.order).clone()))))
            }
            None => Ok(Outcome::Transaction(Ok(self.levels()))),
            Some(Stored::Refused(levels)) => Ok(Outcome::Transaction(Err(levels))),
            Some(Stored::Extended(term, lines)) => {
                let (state, committed) = (ReservationState::Pending, Vec::new());
                Ok(Outcome::Reservation(Ok(Box::new(Reservation { term, state, lines, committed }))))
            }
            Some(Stored::Order(found)) => Ok(Outcome::Order(Ok(Box::new((*found.order).clone())))),
            Some(Stored::Imported(imported)) => Ok(Outcome::Import(imported.into())),
            Some(Stored::Moved(moved)) => Ok(outcome_of_moved(moved)),
            Some(Stored::Written(answer)) => Ok(Outcome::Written(answer.into())),
            Some(Stored::Batch(_)) => Err(other()),
        }
    }

    /// What came of each line of a batch that was carried out in another store, if it is the record of one.
    pub(super) fn moved_batch(&self) -> Option<Vec<LineOutcome>> {
        match self.stored()? {
            Stored::Moved(Moved::Batch(lines)) => Some(lines.into_iter().map(LineOutcome::Judged).collect()),
            _ => None,
        }
    }

    /// What came of the line of a batch whose record it is.
    pub(super) fn outcome_of_line(&self) -> Result<LineOutcome, NotDone> {
        match self.stored() {
            Some(Stored::Moved(Moved::Change(judged))) => Ok(LineOutcome::Judged(judged)),
            Some(Stored::Moved(Moved::Transaction(levels))) => {
                let (_, applied) = levels.last().ok_or_else(other)?;
                Ok(LineOutcome::Judged(Ok(*applied)))
            }
            None => Ok(LineOutcome::Judged(Ok(self.change()?))),
            Some(Stored::Refused(levels)) => {
                let refusal: Refusal = levels.into_iter().next().ok_or_else(other)?.refusal;
                Ok(LineOutcome::Judged(Err(refusal)))
            }
            Some(Stored::Written(answer)) => Ok(LineOutcome::Written(answer.into())),
            Some(_) => Err(other()),
        }
    }

    /// The change of the one level it is about; of several, as an expiry may stand before it, the last.
    fn change(&self) -> Result<Applied, NotDone> {
        self.record().lines().last().map(|line| applied(&line)).ok_or_else(other)
    }

    /// Each level before and after, once, ascending by key as a transaction is.
    fn levels(&self) -> Vec<(StockKey, Applied)> {
        let mut levels: Vec<(StockKey, Applied)> = Vec::new();
        for line in self.record().lines() {
            let key = line.stock_key().expect("checked when it was read back");
            let applied = applied(&line);
            match levels.last_mut().filter(|(last, _)| *last == key) {
                Some((_, last)) => *last = applied,
                None => levels.push((key, applied)),
            }
        }
        levels
    }
}

/// The level before and after. A level that an adjustment brought into being shows as one with no units before: the log does not
/// tell the two apart.
fn applied(line: &Line<'_>) -> Applied {
    let after = line.after;
    let version = after.version().saturating_sub(1);
    let (on_hand, reserved) = line.units_before().expect("checked when it was read back");
    let is_new = match line.operation {
        Operation::Create { .. } => true,
        Operation::Count { if_missing: IfMissing::Create, .. } => line.on_hand_before.is_none(),
        _ => false,
    };
    let before = match (is_new, version) {
        (true, 0) => Some(Level::ABSENT),
        (true, _) => Level::tombstone(version),
        (false, _) => Level::existing(on_hand, reserved, version),
    };
    Applied { before: before.unwrap_or(Level::ABSENT), after }
}

fn outcome_of_moved(moved: Moved) -> Outcome {
    match moved {
        Moved::Change(judged) => Outcome::Change(judged),
        Moved::Transaction(levels) => Outcome::Transaction(Ok(levels)),
        Moved::Batch(lines) => Outcome::Each(lines.into_iter().map(LineOutcome::Judged).collect()),
        Moved::Reservation(found) => Outcome::Reservation(Ok(Box::new(found.reservation()))),
        Moved::Order(found) => Outcome::Order(Ok(Box::new((*found.order).clone()))),
    }
}

impl From<stored::WrittenAnswer> for WrittenAnswer {
    fn from(stored::WrittenAnswer { status, body }: stored::WrittenAnswer) -> Self {
        Self { status, body }
    }
}

impl From<stored::Imported> for Imported {
    fn from(stored::Imported { levels, created, counted, left_out }: stored::Imported) -> Self {
        Self { levels, created, counted, left_out }
    }
}

impl From<Imported> for stored::Imported {
    fn from(Imported { levels, created, counted, left_out }: Imported) -> Self {
        Self { levels, created, counted, left_out }
    }
}

/// The record is whole, and of something else than its key says.
fn other() -> NotDone {
    NotDone::unknown(Why::Damaged("the record of a key is of another command".to_owned()))
}
