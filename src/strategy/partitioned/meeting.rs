//! [`Meeting`]: where the owners of a transaction over several partitions come together.
//!
//! Each owner that comes lends its map, by value: while it is lent its owner has nothing it could change or show. The last
//! to come finds all maps in the room. Nobody is let go before the transaction is over: applied, refused, or given up.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::stock::{Applied, HandOff, Transaction};
use crate::strategy::owner::call::{Call, Outstanding};
use crate::strategy::owner::message::Work;
use crate::strategy::owner::worker::Desk;
use crate::strategy::table::{self, Table};
use crate::strategy::{Contention, Ledger, TransactRefused};
use crate::sync::{Condvar, Mutex, MutexGuard, wait};

/// A transaction and who has to come to it.
#[derive(Debug)]
pub struct Meeting<H> {
    call: Call<Split<H>, Made>,
    room: Mutex<Room>,
    over: Condvar,
}

/// What the meeting is about.
#[derive(Debug)]
pub struct Split<H> {
    /// The changes.
    pub transaction: Arc<Transaction>,
    /// For each entry, the seat of its level's owner.
    pub seats: Vec<usize>,
    /// Who is told.
    pub hand_off: H,
}

/// What becomes of it.
pub type Made = Result<Vec<Applied>, TransactRefused>;

/// What one owner finds in its queue.
#[derive(Debug)]
pub struct Part<H> {
    /// Where to come.
    pub meeting: Arc<Meeting<H>>,
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
struct Chair<'a> {
    room: MutexGuard<'a, Room>,
    over: &'a Condvar,
}

impl<H: HandOff> Meeting<H> {
    /// A meeting of that many owners.
    pub fn new(split: Split<H>, owners: usize) -> Self {
        let lent = (0..owners).map(|_| None).collect();
        let room = Room { lent, missing: owners, is_over: false };
        Self { call: Call::new(split), room: Mutex::new(room), over: Condvar::new() }
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
        let answer = self.call.take().map(|split| desk.work(waited, |_, ledger| split.put_to(chair, ledger)));
        desk.table = self.room.lock().lent[seat].take().expect("nobody takes another's map");
        if let Some(answer) = answer {
            desk.served();
            self.call.answer(answer);
        }
    }
}

impl<H: HandOff> Split<H> {
    fn put_to(self, mut chair: Chair<'_>, ledger: &Ledger) -> Made {
        let tables = &mut chair.room.lent;
        let entries = self.transaction.entries().iter().zip(&self.seats);
        let found = entries.clone().map(|(entry, &seat)| table::read(lent(&mut tables[seat]), &entry.key));
        let applied = table::judge(&self.transaction, found.collect())?;
        for ((entry, &seat), applied) in entries.zip(&applied) {
            table::put(lent(&mut tables[seat]), &entry.key, applied.after);
        }
        drop(chair);
        ledger.many(self.hand_off, &self.transaction, &applied);
        Ok(applied)
    }
}

impl<H: HandOff> Work for Part<H> {
    fn serve(&self, desk: &mut Desk, waited: Option<Duration>) {
        self.meeting.attend(self.seat, desk, waited);
    }

    fn give_up(&self) {
        Outstanding::give_up(&*self.meeting);
    }
}

impl<H: HandOff> Outstanding for Meeting<H> {
    type Answer = Made;

    fn poll_answer(&self, context: &mut Context<'_>) -> Poll<Result<Made, Contention>> {
        self.call.poll_answer(context)
    }

    fn give_up(&self) {
        // Only who wins the claim may let the others go: nobody is at their maps then, nor will be.
        if self.call.give_up() {
            drop(Chair { room: self.room.lock(), over: &self.over });
        }
    }
}

fn lent(seat: &mut Option<Table>) -> &mut Table {
    seat.as_mut().expect("all have come")
}

impl Drop for Chair<'_> {
    fn drop(&mut self) {
        self.room.is_over = true;
        self.over.notify_all();
    }
}
