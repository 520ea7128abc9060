//! What clients met while the database was away: from the moment at which its primary was killed to the first change that was acknowledged afterwards.
//!
//! *Afterwards* is strict: only an attempt counts that was sent when every process of the old primary was gone, and whose change was made then. A stored
//! answer that is told again is none.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use crate::schedule::Clock;

/// Nobody waits for an acknowledgement.
const NOT_WAITING: u64 = u64::MAX;

/// All times that the database was away.
#[derive(Debug)]
pub struct Outages {
    clock: Clock,
    /// Since when nothing of the old primary is there, while nothing has been acknowledged yet.
    gone_ns: AtomicU64,
    list: Mutex<Vec<Outage>>,
    acknowledged: Notify,
}

/// One of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Outage {
    /// When its primary was killed, from the beginning of the test.
    #[serde(skip)]
    pub killed_ns: u64,
    /// From then on until it took changes again, as it said itself.
    pub database_s: Option<f64>,
    /// From the kill to the first change that was made and acknowledged afterwards.
    pub first_change_s: Option<f64>,
    /// Attempts, of reads and writes, that were not answered, or with a failure, from the kill on.
    pub failed: u64,
    /// Writes of which at least one of these attempts may have taken effect.
    pub unknown: u64,
    /// Writes that had been unknown, and whose answer came under their key, or was found by looking.
    pub settled: u64,
}

impl Default for Outages {
    fn default() -> Self {
        Self::new(Clock::start())
    }
}

impl Outages {
    /// None so far.
    pub fn new(clock: Clock) -> Self {
        let (list, acknowledged) = (Mutex::default(), Notify::new());
        Self { clock, gone_ns: AtomicU64::new(NOT_WAITING), list, acknowledged }
    }

    /// Now, by the clock of all this.
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The primary is about to be killed.
    pub fn begin(&self) {
        self.list.lock().push(Outage { killed_ns: self.clock.now_ns(), ..Outage::default() });
    }

    /// It is gone.
    pub fn gone(&self) {
        self.gone_ns.store(self.clock.now_ns(), Ordering::Release);
    }

    /// There is one again that takes changes.
    pub fn database_is_back(&self) {
        let now_ns = self.clock.now_ns();
        self.note(|outage| outage.database_s = Some(seconds(now_ns.saturating_sub(outage.killed_ns))));
    }

    /// Waits until a change was acknowledged.
    pub async fn first_change(&self) {
        loop {
            let told = self.acknowledged.notified();
            if self.gone_ns.load(Ordering::Acquire) == NOT_WAITING {
                return;
            }
            told.await;
        }
    }

    /// A change was made that was asked for then.
    pub fn acknowledged(&self, sent_ns: u64) {
        let gone_ns = self.gone_ns.load(Ordering::Acquire);
        if sent_ns < gone_ns {
            return;
        }
        let now_ns = self.clock.now_ns();
        // Whoever comes first has it.
        if self.gone_ns.compare_exchange(gone_ns, NOT_WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.note(|outage| {
                outage.first_change_s = Some(seconds(now_ns.saturating_sub(outage.killed_ns)));
            });
            self.acknowledged.notify_waiters();
        }
    }

    /// An attempt came to nothing.
    pub fn failed(&self) {
        self.note(|outage| outage.failed += 1);
    }

    /// A write may have taken effect.
    pub fn unknown(&self) {
        self.note(|outage| outage.unknown += 1);
    }

    /// One of those is answered.
    pub fn settled(&self) {
        self.note(|outage| outage.settled += 1);
    }

    /// All of them.
    pub fn list(&self) -> Vec<Outage> {
        self.list.lock().clone()
    }

    /// Of the last one; of none, if there was none yet.
    fn note(&self, note: impl FnOnce(&mut Outage)) {
        if let Some(outage) = self.list.lock().last_mut() {
            note(outage);
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_nothing_is_counted() {
        let outages = Outages::default();
        outages.failed();
        outages.acknowledged(u64::MAX - 1);
        assert_eq!(outages.list(), []);
    }

    #[test]
    fn only_what_was_asked_for_when_it_was_gone_is_afterwards() {
        let outages = Outages::default();
        outages.begin();
        let sent_before_it_was_gone = outages.clock.now_ns();
        outages.gone();
        outages.acknowledged(sent_before_it_was_gone);
        assert_eq!(outages.list()[0].first_change_s, None);
        let first_ns = outages.clock.now_ns();
        outages.acknowledged(first_ns);
        let first = outages.list()[0];
        assert!(first.first_change_s.is_some());
        outages.acknowledged(outages.clock.now_ns());
        assert_eq!(outages.list()[0], first, "the next ones change nothing");
    }

    #[tokio::test]
    async fn each_has_its_own_figures() {
        let outages = Outages::default();
        for round in 1..=2 {
            outages.begin();
            outages.gone();
            outages.unknown();
            (0..round).for_each(|_| outages.failed());
            outages.settled();
            outages.acknowledged(outages.clock.now_ns());
            outages.first_change().await;
        }
        let figures =
            outages.list().into_iter().map(|outage| (outage.failed, outage.unknown, outage.settled));
        assert_eq!(figures.collect::<Vec<_>>(), [(1, 1, 1), (2, 1, 1)]);
    }
}
