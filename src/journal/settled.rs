//! [`Settled`]: how many of the records of one lane are on disk, and who waits for more.
//!
//! A batch of many changes does not ask for each of them: it waits until all that was handed over before, its own changes
//! among them, is on disk. That may be a little more than it needs, and never less. A record that is held back counts as not on
//! disk, and so does every one of its lane after it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The records of one lane, counted.
#[derive(Debug, Default)]
pub struct Settled {
    handed_over: AtomicU64,
    on_disk: AtomicU64,
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    given_up: bool,
    /// See [`Settled::stall`].
    stalled: bool,
}

impl Settled {
    /// A record was handed over. Called under the lane's lock.
    pub fn handed_over(&self) {
        // One thread at a time; whoever is answered after this sees it (release, with the acquire in `wait`).
        self.handed_over.store(self.handed_over.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// The first `records` of the lane are on disk. For the writer.
    pub fn advance(&self, records: u64) {
        if self.on_disk.load(Ordering::Relaxed) == records {
            return;
        }
        self.on_disk.store(records, Ordering::Release);
        for (_, told) in self.sleepers.lock().waiting.extract_if(.., |(upto, _)| *upto <= records) {
            // Who has gone away meanwhile need not be told.
            let _ = told.send(());
        }
    }

    /// Whether somebody waits.
    pub fn has_sleepers(&self) -> bool {
        !self.sleepers.lock().waiting.is_empty()
    }

    /// No further record will be on disk: whoever waits is told so.
    pub fn give_up(&self) {
        let mut sleepers = self.sleepers.lock();
        sleepers.given_up = true;
        sleepers.waiting.clear();
    }

    /// The log waits for room on the disk: whoever waits, or asks from now on, is told that nobody knows how long it takes.
    pub fn stall(&self) {
        let mut sleepers = self.sleepers.lock();
        sleepers.stalled = true;
        sleepers.waiting.clear();
    }

    /// The log goes on after [`Settled::stall`].
    pub fn resume(&self) {
        self.sleepers.lock().stalled = false;
    }

    /// How many records were handed over, ever.
    pub fn count(&self) -> u64 {
        self.handed_over.load(Ordering::Acquire)
    }

    /// What to wait for until all that was handed over by now is on disk: `None` if it is. An error of the receiver means
    /// that it never will be, or that nobody knows when.
    pub fn wait(&self) -> Option<oneshot::Receiver<()>> {
        let upto = self.handed_over.load(Ordering::Acquire);
        if self.on_disk.load(Ordering::Acquire) >= upto {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        // Again, under the lock under which the writer looks for sleepers after it counted.
        if self.on_disk.load(Ordering::Acquire) >= upto {
            return None;
        }
        let (told, telling) = oneshot::channel();
        if !sleepers.given_up && !sleepers.stalled {
            sleepers.waiting.push((upto, told));
        }
        Some(telling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P7: who waits is told when all that was there is on disk, and not before.
    #[test]
    fn who_waits_waits_for_what_was_handed_over_before() {
        let settled = Settled::default();
        assert!(settled.wait().is_none(), "nothing was handed over");
        settled.handed_over();
        settled.handed_over();
        let mut two = settled.wait().expect("two are not on disk");
        settled.handed_over();
        let mut three = settled.wait().expect("three are not on disk");
        settled.advance(1);
        assert!(two.try_recv().is_err(), "one of two");
        settled.advance(2);
        assert!(two.try_recv().is_ok() && three.try_recv().is_err());
        settled.advance(3);
        assert!(three.try_recv().is_ok() && settled.wait().is_none());
    }

    #[test]
    fn who_waits_while_the_log_waits_for_room_is_told_and_who_comes_later_waits_again() {
        let settled = Settled::default();
        settled.handed_over();
        let mut before = settled.wait().expect("it is not on disk");
        settled.stall();
        let mut after = settled.wait().expect("it is not on disk");
        for waiting in [&mut before, &mut after] {
            assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
        settled.resume();
        let mut again = settled.wait().expect("it is not on disk");
        settled.advance(1);
        assert!(again.try_recv().is_ok() && settled.wait().is_none());
    }

    #[test]
    fn who_waits_when_the_journal_fails_is_told() {
        let settled = Settled::default();
        settled.handed_over();
        let mut before = settled.wait().expect("it is not on disk");
        settled.give_up();
        let mut after = settled.wait().expect("it is not on disk");
        for waiting in [&mut before, &mut after] {
            assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
    }
}
