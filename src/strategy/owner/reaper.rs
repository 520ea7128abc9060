//! [`Reaper`]: the thread that gives up calls at their deadline, even while their owner is stuck.
//!
//! One thread for all owners of a strategy, rather than a timer per call: a timer would ask for a runtime that has one, and
//! nearly every call is answered long before. It looks at the queues a few times within a lock timeout, while anybody
//! waits in them who found somebody before it, and sleeps otherwise. So a call may end that much late: by
//! an eighth of the lock timeout, and a tenth of a second at most ([`TICK_MAX`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::message::Message;
use super::queue::Queue;

/// The longest time between two looks.
const TICK_MAX: Duration = Duration::from_millis(100);
/// The shortest.
const TICK_MIN: Duration = Duration::from_millis(1);

/// Gives up what has waited too long.
#[derive(Debug)]
pub struct Reaper {
    tick: Duration,
    queues: Box<[Arc<Queue<Message>>]>,
    is_asleep: AtomicBool,
    is_closed: Mutex<bool>,
    changed: Condvar,
}

impl Reaper {
    /// For these queues, in which nobody may wait longer than `timeout`.
    pub fn new(timeout: Duration, queues: Box<[Arc<Queue<Message>>]>) -> Self {
        let tick = (timeout / 8).clamp(TICK_MIN, TICK_MAX);
        Self {
            tick,
            queues,
            is_asleep: AtomicBool::new(false),
            is_closed: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Somebody waits from now on. Called after it was added to its queue.
    pub fn watch(&self) {
        // It says that it sleeps, then looks at the queues under their locks: either it has seen what was added, or
        // what was added before is followed by a load that sees this.
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            drop(self.is_closed.lock());
            self.changed.notify_one();
        }
    }

    /// Gives up what is late by that time.
    pub fn reap(&self, now: Instant) {
        for queue in &self.queues {
            for late in queue.remove_late(now) {
                late.give_up();
            }
        }
    }

    /// Works until it is closed.
    pub fn run(&self) {
        let mut is_closed = self.is_closed.lock();
        while !*is_closed {
            self.is_asleep.store(true, Ordering::SeqCst);
            if self.queues.iter().any(|queue| queue.has_deadlines()) {
                self.is_asleep.store(false, Ordering::SeqCst);
                self.changed.wait_for(&mut is_closed, self.tick);
            } else {
                while self.is_asleep.load(Ordering::SeqCst) && !*is_closed {
                    self.changed.wait(&mut is_closed);
                }
                // Nobody who came just now is late yet.
                continue;
            }
            parking_lot::MutexGuard::unlocked(&mut is_closed, || self.reap(Instant::now()));
        }
    }

    /// Ends it.
    pub fn close(&self) {
        *self.is_closed.lock() = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reaper that is closed ends, whether it was closed before it slept or while it did.
    #[test]
    fn a_closed_reaper_ends() {
        for _ in 0..50 {
            let reaper = Reaper::new(Duration::from_secs(1), Box::default());
            std::thread::scope(|scope| {
                scope.spawn(|| reaper.run());
                reaper.close();
            });
        }
    }

    #[test]
    fn it_looks_several_times_within_a_lock_timeout() {
        let tick = |timeout| Reaper::new(timeout, Box::default()).tick;
        assert_eq!(tick(Duration::from_millis(80)), Duration::from_millis(10));
        assert_eq!(tick(Duration::ZERO), TICK_MIN);
        assert_eq!(tick(Duration::from_mins(1)), TICK_MAX);
    }
}
