//! [`Pace`]: how long the writer gathers before it writes.
//!
//! While a group is synced the next one gathers by itself, and under light load that is all there is: a lone change is written at
//! once. Under heavy load a sync is short beside what it costs (system calls, waking the writer, waking those who wait), and a
//! group that waits as long again holds twice as many records for it. So the writer waits, but only after a group that shows
//! that many come, only as long as a sync takes, and never longer than [`WAIT_MAX`].

use std::time::Duration;

/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_micros(250);

/// A group of fewer records shows no load.
const BUSY_RECORDS: u32 = 4;

/// A group that already has this many times the records of the last one need not wait for more.
const ENOUGH_TIMES: u32 = 2;

/// What the last group was like.
#[derive(Debug, Default)]
pub struct Pace {
    records: u32,
    sync: Duration,
}

impl Pace {
    /// How long to wait for more before a group of so many records is written, if that pays.
    pub fn wait(&self, records: u32) -> Option<Duration> {
        let busy = records > 0 && self.records >= BUSY_RECORDS;
        let enough = records >= self.records.saturating_mul(ENOUGH_TIMES);
        (busy && !enough).then(|| self.sync.min(WAIT_MAX))
    }

    /// A group of so many records was written and synced in that time.
    pub fn wrote(&mut self, records: u32, sync: Duration) {
        *self = Self { records, sync };
    }
}

/// Blocks for that long.
#[expect(
    clippy::disallowed_methods,
    reason = "only threads of the journal's own wait so, never one of the runtime"
)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heavy_load_waits_and_only_so_long() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait(1), None, "the first change of all");
        pace.wrote(1, Duration::from_micros(70));
        assert_eq!(pace.wait(1), None, "one client after the other");
        pace.wrote(8, Duration::from_micros(70));
        assert_eq!(pace.wait(5), Some(Duration::from_micros(70)));
        assert_eq!(pace.wait(16), None, "twice as many have come by themselves");
        assert_eq!(pace.wait(0), None, "there is nothing to write");
        pace.wrote(8, Duration::from_secs(1));
        assert_eq!(pace.wait(5), Some(WAIT_MAX), "a disk that stalls");
    }
}
