//! [`Meeting`]: where the owners of a transaction, or of a snapshot, over several partitions come together.
//!
//! Each owner that comes lends its map, by value: while it is lent its owner has nothing it could change or show. The last
//! to come finds all maps in the room. Nobody is let go before it is over: applied, refused, told, or given up.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::stock::{Applied, HandOff, KeySet, Level, StockKey, Transaction};
use crate::strategy::owner::call::{Call, Outstanding};
use crate::strategy::owner::message::Work;
use crate::strategy::owner::worker::Desk;
use crate::strategy::table::{self, Table};
use crate::strategy::{Contention, Ledger, TransactRefused};
use crate::sync::{Condvar, Mutex, MutexGuard, wait};

/// What is to be done where all have come, and who has to.
#[derive(Debug)]
pub struct Meeting<A: Agenda> {
    call: Call<A, A::Answer>,
    room: Mutex<Room>,
    over: Condvar,
}

/// What a meeting is about.
pub trait Agenda: Send + 'static {
    /// What comes of it.
    type Answer: fmt::Debug + Send + 'static;
    /// Does all of it. The owners are let go when the chair is dropped, and a hand-off comes after that.
    fn put_to(self, chair: Chair<'_>, ledger: &Ledger) -> Self::Answer;
}

/// A transaction over several partitions.
#[derive(Debug)]
pub struct Split<H> {
    /// The changes.
    pub transaction: Arc<Transaction>,
    /// For each entry, the seat of its level's owner.
    pub seats: Vec<usize>,
    /// Who is told.
    pub hand_off: H,
}

/// A snapshot over several partitions.
#[derive(Debug)]
pub struct Look {
    /// Of which levels.
    pub keys: Arc<KeySet>,
    /// For each key, the seat of its level's owner.
    pub seats: Vec<usize>,
}

/// What one owner finds in its queue.
#[derive(Debug)]
pub struct Part<A: Agenda> {
    /// Where to come.
    pub meeting: Arc<Meeting<A>>,
    /// Where to sit there.
    pub seat: usize,
}

#[derive(Debug)]
struct Room {
    /// The maps of those who have come, by seat.
    lent: Vec<Option<Table>>,
    /// Who has not come yet.
    missing: usize,
    is_over: bool,
}

/// The room, in the hands of who came last. Dropped, panic or not, it lets everybody go.
#[derive(Debug)]
pub struct Chair<'a> {
    room: MutexGuard<'a, Room>,
    over: &'a Condvar,
}

impl<A: Agenda> Meeting<A> {
    /// A meeting of that many owners.
    pub fn new(agenda: A, owners: usize) -> Self {
        let lent = (0..owners).map(|_| None).collect();
        let room = Room { lent, missing: owners, is_over: false };
        Self { call: Call::new(agenda), room: Mutex::new(room), over: Condvar::new() }
    }

    fn attend(&self, seat: usize, desk: &mut Desk, waited: Option<Duration>) {
        let mut room = self.room.lock();
        if room.is_over {
            return;
        }
        room.lent[seat] = Some(mem::take(&mut desk.table));
        room.missing -= 1;
        if room.missing > 0 {
            while !room.is_over {
                room = wait(&self.over, room);
            }
            desk.table = room.lent[seat].take().expect("nobody takes another's map");
            return;
        }
        let chair = Chair { room, over: &self.over };
        let answer =
            self.call.take().map(|agenda| desk.work(waited, |_, ledger| agenda.put_to(chair, ledger)));
        desk.table = self.room.lock().lent[seat].take().expect("nobody takes another's map");
        if let Some(answer) = answer {
            desk.served();
            self.call.answer(answer);
        }
    }
}

impl<H: HandOff> Agenda for Split<H> {
    type Answer = Result<Vec<Applied>, TransactRefused>;

    fn put_to(self, mut chair: Chair<'_>, ledger: &Ledger) -> Self::Answer {
        let entries = self.transaction.entries().iter().zip(&self.seats);
        let found = entries.clone().map(|(entry, &seat)| chair.read(seat, &entry.key));
        let applied = table::judge(&self.transaction, found.collect())?;
        for ((entry, &seat), applied) in entries.zip(&applied) {
            table::put(chair.lent(seat), &entry.key, applied.after);
        }
        drop(chair);
        ledger.many(self.hand_off, &self.transaction, &applied);
        Ok(applied)
    }
}

impl Agenda for Look {
    type Answer = Vec<Level>;

    fn put_to(self, mut chair: Chair<'_>, _ledger: &Ledger) -> Vec<Level> {
        self.keys.keys().iter().zip(&self.seats).map(|(key, &seat)| chair.read(seat, key)).collect()
    }
}

impl Chair<'_> {
    /// The map of who sits there.
    fn lent(&mut self, seat: usize) -> &mut Table {
        self.room.lent[seat].as_mut().expect("all have come")
    }

    fn read(&mut self, seat: usize, key: &StockKey) -> Level {
        table::read(self.lent(seat), key)
    }
}

impl<A: Agenda> Work for Part<A> {
    fn serve(&self, desk: &mut Desk, waited: Option<Duration>) {
        self.meeting.attend(self.seat, desk, waited);
    }

    fn give_up(&self) {
        Outstanding::give_up(&*self.meeting);
    }
}

impl<A: Agenda> Outstanding for Meeting<A> {
    type Answer = A::Answer;

    fn poll_answer(&self, context: &mut Context<'_>) -> Poll<Result<A::Answer, Contention>> {
        self.call.poll_answer(context)
    }

    fn give_up(&self) {
        // Only who wins the claim may let the others go: nobody is at their maps then, nor will be.
        if self.call.give_up() {
            drop(Chair { room: self.room.lock(), over: &self.over });
        }
    }
}

impl Drop for Chair<'_> {
    fn drop(&mut self) {
        self.room.is_over = true;
        self.over.notify_all();
    }
}
