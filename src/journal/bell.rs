//! [`Bell`]: what wakes the thread of the writer. It knows nothing of what there is to do: who sleeps looks at that itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

/// Wakes the writer if it sleeps; costs one load of a shared line if it does not.
#[derive(Debug, Default)]
pub struct Bell {
    asleep: AtomicBool,
    /// Somebody waits for whatever was handed over by now, however little it is.
    asked: Mutex<bool>,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// Wakes the sleeper. Called after work was put where it looks.
    pub fn ring(&self) {
        // Work is put and looked for under a lane's lock. If the sleeper looked before the work was there, its store of `true`
        // came before that look, so it is seen here; if it looked after, it found the work. Hence relaxed.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.sleeper.get().expect("who is asleep has registered").unpark();
        }
    }

    /// Wakes the sleeper for whatever there is: all that was handed over before this is looked at.
    pub fn ask(&self) {
        *self.asked.lock() = true;
        self.ring();
    }

    /// Sleeps until the next ring, or that long, unless there is `work` already or somebody asked. For the one thread that is woken,
    /// which looks at all there is after it.
    pub fn sleep(&self, at_most: std::time::Duration, work: impl FnOnce() -> bool) {
        self.sleeper.get_or_init(std::thread::current);
        self.asleep.store(true, Ordering::Relaxed);
        // As with work: who asks after this look sees `true` above.
        if !*self.asked.lock() && !work() {
            std::thread::park_timeout(at_most);
        }
        self.asleep.store(false, Ordering::Relaxed);
        *self.asked.lock() = false;
    }
}
