//! [`Marks`]: which position of the log was reached when, to the minute.
//!
//! What has a position has an age: idempotency keys are forgotten by it. A mark says that every record before a position was
//! written at a time or earlier, so what is forgotten by it is never too young.
//!
//! The clock of the system may be wrong, and be set while the service runs. So a mark has two times: that of the log, which never goes
//! back, and is handed on in snapshots; and the one by which it grows old in this process: of what was found, the same, but no later
//! than the start that found it; of what was written since, [`steady_ms`](super::steady_ms).

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

/// Between two marks.
const EVERY_MS: u64 = 60_000;

/// The most marks: a week of minutes. When there are more every other one goes: what is forgotten then stays a little longer.
const MARKS_MAX: usize = 7 * 24 * 60;

/// Times and positions, both going up.
#[derive(Debug, Default)]
pub struct Marks(Mutex<VecDeque<Aged>>);

/// A mark, and when it was made as far as its age is concerned.
#[derive(Debug, Clone, Copy)]
struct Aged {
    mark: Mark,
    aged_ms: u64,
}

/// Every record before `position` was written at `time_ms` or earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Milliseconds of Unix time.
    pub time_ms: u64,
    /// A position in the log.
    pub position: u64,
}

impl Marks {
    /// Notes a mark that was found in the log, unless there is one of the same minute.
    pub fn mark(&self, time_ms: u64, position: u64) {
        self.mark_aged(time_ms, time_ms, position);
    }

    /// Notes a mark of that time in the log, which is made now, unless there is one of the same minute.
    pub fn mark_aged(&self, time_ms: u64, now_ms: u64, position: u64) {
        let mut marks = self.0.lock();
        let due =
            |last: &Aged| now_ms.saturating_sub(last.aged_ms) >= EVERY_MS && position >= last.mark.position;
        if marks.back().is_none_or(due) {
            Self::push(&mut marks, Aged { mark: Mark { time_ms, position }, aged_ms: now_ms });
        }
    }

    /// Notes where the log ends, when that was by its own time, and that it was no later than `now_ms`; also within a minute: a log
    /// that is quiet has no later mark.
    pub fn mark_end(&self, time_ms: u64, now_ms: u64, position: u64) {
        let mut marks = self.0.lock();
        let due = |last: &Aged| now_ms >= last.aged_ms && position > last.mark.position;
        if marks.back().map_or(position > 0, due) {
            Self::push(&mut marks, Aged { mark: Mark { time_ms, position }, aged_ms: now_ms });
        }
    }

    /// What was found was written before now: a mark that says otherwise is of a time when the clock was ahead, and grows old from now on.
    pub fn found_at(&self, now_ms: u64) {
        for found in self.0.lock().iter_mut() {
            found.aged_ms = found.aged_ms.min(now_ms);
        }
    }

    fn push(marks: &mut VecDeque<Aged>, mark: Aged) {
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
        let old = marks.partition_point(|mark| mark.aged_ms <= since_ms);
        let position = marks.get(old.checked_sub(1)?)?.mark.position;
        // The newest of the old ones stays: it is what the next question is answered with until another one is old enough.
        marks.drain(..old - 1);
        Some(position)
    }

    /// How long until more is older than `age`: `None` where nothing is marked.
    pub fn next_expiry(&self, now_ms: u64, age: Duration) -> Option<Duration> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let marks = self.0.lock();
        let next = marks.iter().map(|mark| mark.aged_ms.saturating_add(age_ms)).find(|due| *due > now_ms)?;
        Some(Duration::from_millis(next - now_ms))
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Mark> {
        self.0.lock().iter().map(|aged| aged.mark).collect()
    }
}
