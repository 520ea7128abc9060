//! The one point at which a transaction is decided, and where those who need the decision wait for it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It is still claiming.
    Undecided = 0,
    /// All of it happened, at the moment it was decided.
    Committed = 1,
    /// None of it did.
    Aborted = 2,
}

/// A verdict that is given once and can be waited for.
pub trait Gate: Default + Send + Sync {
    /// The verdict so far.
    fn verdict(&self) -> Verdict;
    /// Gives the verdict, once, and wakes whoever waits.
    fn decide(&self, verdict: Verdict);
    /// Waits for a verdict; `None` if there is none at the deadline.
    fn wait(&self, deadline: Instant) -> Option<Verdict>;
}

/// How often a waiter looks before it sleeps. A small transaction is decided within a microsecond or two; a sleep
/// and a wake-up cost more than that.
const LOOKS: u32 = 200;

/// A gate whose waiters look for a moment and then sleep.
#[derive(Debug, Default)]
pub struct ParkingGate {
    verdict: AtomicU8,
    // Held while deciding and while going to sleep, so that no waiter sleeps through the decision.
    asleep: Mutex<()>,
    decided: Condvar,
}

impl Gate for ParkingGate {
    fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::SeqCst) {
            0 => Verdict::Undecided,
            1 => Verdict::Committed,
            _ => Verdict::Aborted,
        }
    }

    fn decide(&self, verdict: Verdict) {
        let asleep = self.asleep.lock();
        self.verdict.store(verdict as u8, Ordering::SeqCst);
        drop(asleep);
        self.decided.notify_all();
    }

    fn wait(&self, deadline: Instant) -> Option<Verdict> {
        let given = || Some(self.verdict()).filter(|&verdict| verdict != Verdict::Undecided);
        for _ in 0..LOOKS {
            if let Some(verdict) = given() {
                return Some(verdict);
            }
            std::hint::spin_loop();
        }
        let mut asleep = self.asleep.lock();
        while given().is_none() {
            if self.decided.wait_until(&mut asleep, deadline).timed_out() {
                break;
            }
        }
        given()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_ends_at_the_deadline_or_with_the_verdict() {
        let gate = ParkingGate::default();
        assert_eq!(gate.wait(Instant::now()), None);
        gate.decide(Verdict::Aborted);
        assert_eq!(gate.wait(Instant::now()), Some(Verdict::Aborted));
    }

    /// Nobody sleeps through the decision, whichever comes first.
    #[test]
    fn every_waiter_is_woken() {
        for _ in 0..200 {
            let (gate, start) = (ParkingGate::default(), Barrier::new(4));
            let wait = || {
                start.wait();
                gate.wait(Instant::now() + Duration::from_mins(1))
            };
            let verdicts = thread::scope(|scope| {
                let waiters = [(); 3].map(|()| scope.spawn(wait));
                start.wait();
                gate.decide(Verdict::Committed);
                waiters.map(|waiter| waiter.join().unwrap())
            });
            assert_eq!(verdicts, [Some(Verdict::Committed); 3]);
        }
    }
}
