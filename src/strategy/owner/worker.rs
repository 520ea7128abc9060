//! The owner's thread: takes one message after the other, until its queue is closed and empty.
//!
//! A thread of its own, not a task: it needs no runtime to be there when it starts, it never shares a worker with the
//! callers that wait for it, and it sleeps in the kernel when there is nothing to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::message::Message;
use super::queue::Queue;
use crate::strategy::table::Table;
use crate::strategy::{Ledger, Meter};

/// What an owner works with: its map, which is nobody else's, and what it reports to.
#[derive(Debug)]
pub struct Desk {
    /// The levels it owns.
    pub table: Table,
    ledger: Ledger,
    meter: Arc<Meter>,
    queue: Arc<Queue<Message>>,
}

impl Desk {
    /// The desk of an owner with no levels yet.
    pub fn new(ledger: Ledger, meter: Arc<Meter>, queue: Arc<Queue<Message>>) -> Self {
        Self { table: Table::default(), ledger, meter, queue }
    }

    /// Works on a message that was taken, counted and timed. A panic ends that message, not the owner: a question judges
    /// before it changes anything, so what it leaves behind is whole.
    pub fn work<A>(
        &mut self,
        waited: Option<Duration>,
        work: impl FnOnce(&mut Table, &Ledger) -> A,
    ) -> thread::Result<A> {
        let _hold = self.meter.served(waited);
        catch_unwind(AssertUnwindSafe(|| work(&mut self.table, &self.ledger)))
    }

    /// Says that the message is done, just before it is answered.
    pub fn served(&self) {
        self.queue.served();
    }
}

/// Works until the queue is closed and empty.
pub fn run(mut desk: Desk) {
    let queue = Arc::clone(&desk.queue);
    // However it ends, nobody waits for an owner that is not there.
    let _ends = EndsQueue(&queue);
    while let Some(waiting) = queue.next() {
        let waited = waiting.waited();
        waiting.message.serve(&mut desk, waited);
    }
}

struct EndsQueue<'a>(&'a Queue<Message>);

impl Drop for EndsQueue<'_> {
    fn drop(&mut self) {
        for left in self.0.end() {
            left.give_up();
        }
    }
}
