//! [`Marks`]: which position of the log was reached when, to the minute.
//!
//! What has a position has an age: idempotency keys are forgotten by it. A mark says that every record before a position was
//! written at a time or earlier, so what is forgotten by it is never too young.
//!
//! The time is [`Clock::steady_ms`](crate::clock::Clock::steady_ms), of which only what passed while the service ran is a part.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

/// Between two marks.
const EVERY_MS: u64 = 60_000;

/// The most marks: a week of minutes. When there are more every other one goes: what is forgotten then stays a little longer.
const MARKS_MAX: usize = 7 * 24 * 60;

/// Times and positions, both going up.
#[derive(Debug, Default)]
pub struct Marks(Mutex<VecDeque<Mark>>);

/// Every record before `position` was written at `time_ms` or earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// In milliseconds.
    pub time_ms: u64,
    /// A position in the log.
    pub position: u64,
}

impl Marks {
    /// Notes a mark, unless there is one of the same minute.
    pub fn mark(&self, time_ms: u64, position: u64) {
        let mut marks = self.0.lock();
        let due = |last: &Mark| time_ms.saturating_sub(last.time_ms) >= EVERY_MS && position >= last.position;
        if marks.back().is_none_or(due) {
            Self::push(&mut marks, Mark { time_ms, position });
        }
    }

    /// Notes a group that was found in the log at `position`, and what was before it: also when the log was quiet.
    pub fn mark_group(&self, before_ms: u64, time_ms: u64, position: u64) {
        if time_ms.saturating_sub(before_ms) >= EVERY_MS {
            self.mark_end(before_ms, position);
        }
        self.mark(time_ms, position);
    }

    /// Notes where the log ends, and when its last group was written; also within a minute: a log that is quiet has no later mark.
    pub fn mark_end(&self, time_ms: u64, position: u64) {
        let mut marks = self.0.lock();
        let due = |last: &Mark| time_ms >= last.time_ms && position > last.position;
        if marks.back().map_or(position > 0, due) {
            Self::push(&mut marks, Mark { time_ms, position });
        }
    }

    fn push(marks: &mut VecDeque<Mark>, mark: Mark) {
        if marks.len() >= MARKS_MAX {
            let mut odd = false;
            marks.retain(|_| {
                odd = !odd;
                odd
            });
        }
        marks.push_back(mark);
    }

    /// The position before which everything is older than `age`; marks before it are not needed any more, and go.
    pub fn expired(&self, now_ms: u64, age: Duration) -> Option<u64> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let since_ms = now_ms.checked_sub(age_ms)?;
        let mut marks = self.0.lock();
        let old = marks.partition_point(|mark| mark.time_ms <= since_ms);
        let position = marks.get(old.checked_sub(1)?)?.position;
        // The newest of the old ones stays: it is what the next question is answered with until another one is old enough.
        marks.drain(..old - 1);
        Some(position)
    }

    /// How long until more is older than `age`: `None` where nothing is marked.
    pub fn next_expiry(&self, now_ms: u64, age: Duration) -> Option<Duration> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let marks = self.0.lock();
        let next = marks.iter().map(|mark| mark.time_ms.saturating_add(age_ms)).find(|due| *due > now_ms)?;
        Some(Duration::from_millis(next - now_ms))
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Mark> {
        self.0.lock().iter().copied().collect()
    }
}
