//! What an owner is sent: [`Message`], and the questions that one owner can answer by itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::worker::Desk;
use crate::stock::{Applied, Change, HandOff, KeySet, Level, Refusal, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{Ledger, TransactRefused};

/// What waits in an owner's queue.
pub type Message = Arc<dyn Work>;

/// A call as its owner sees it, whatever it asks.
pub trait Work: Send + Sync {
    /// Takes the call, does all of it, hands over and answers; nothing if it was given up. `waited`: how long it did, if
    /// there was anybody before it.
    fn serve(&self, desk: &mut Desk, waited: Option<Duration>);
    /// Gives the call up, unless it was taken.
    fn give_up(&self);
}

impl fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// What can be asked of the owner of a map.
pub trait Question: Send + 'static {
    /// The answer.
    type Answer: Send + 'static;
    /// Does all of it, the hand-off included.
    fn put_to(self, table: &mut Table, ledger: &Ledger) -> Self::Answer;
}

impl<Q: Question> Work for Call<Q, Q::Answer> {
    fn serve(&self, desk: &mut Desk, waited: Option<Duration>) {
        if let Some(question) = self.take() {
            let answer = desk.work(waited, |table, ledger| question.put_to(table, ledger));
            desk.served();
            self.answer(answer);
        }
    }

    fn give_up(&self) {
        Call::give_up(self);
    }
}

/// The level as it is.
#[derive(Debug)]
pub struct Read {
    /// Which.
    pub key: StockKey,
}

/// Several levels as they are.
#[derive(Debug)]
pub struct Snapshot {
    /// Which.
    pub keys: Arc<KeySet>,
}

/// One change.
#[derive(Debug)]
pub struct Apply<H> {
    /// Of which level.
    pub key: StockKey,
    /// The change.
    pub change: Change,
    /// Who is told.
    pub hand_off: H,
}

/// Several changes, all or none.
#[derive(Debug)]
pub struct Transact<H> {
    /// The changes.
    pub transaction: Arc<Transaction>,
    /// Who is told.
    pub hand_off: H,
}

/// Levels as recovery found them, for an owner that has none yet.
#[derive(Debug)]
pub struct Restore {
    /// The levels.
    pub levels: Vec<(StockKey, Level)>,
}

/// Nothing: its answer says that all that was asked before is done.
#[derive(Debug)]
pub struct Nothing;

impl Question for Read {
    type Answer = Level;

    fn put_to(self, table: &mut Table, _ledger: &Ledger) -> Level {
        table::read(table, &self.key)
    }
}

impl Question for Snapshot {
    type Answer = Vec<Level>;

    fn put_to(self, table: &mut Table, _ledger: &Ledger) -> Vec<Level> {
        table::read_all(table, &self.keys)
    }
}

impl<H: HandOff> Question for Apply<H> {
    type Answer = Result<Applied, Refusal>;

    fn put_to(self, table: &mut Table, ledger: &Ledger) -> Result<Applied, Refusal> {
        let applied = table::apply(table, &self.key, self.change)?;
        ledger.one(self.hand_off, &self.key, self.change.operation, applied);
        Ok(applied)
    }
}

impl<H: HandOff> Question for Transact<H> {
    type Answer = Result<Vec<Applied>, TransactRefused>;

    fn put_to(self, table: &mut Table, ledger: &Ledger) -> Result<Vec<Applied>, TransactRefused> {
        let applied = table::transact(table, &self.transaction)?;
        ledger.many(self.hand_off, &self.transaction, &applied);
        Ok(applied)
    }
}

impl Question for Restore {
    type Answer = ();

    fn put_to(self, table: &mut Table, _ledger: &Ledger) {
        table.extend(self.levels);
    }
}

impl Question for Nothing {
    type Answer = ();

    fn put_to(self, _table: &mut Table, _ledger: &Ledger) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_that_it_is_one() {
        let message: Message = Arc::new(Call::new(Nothing));
        assert_eq!(format!("{message:?}"), "Work");
    }
}
