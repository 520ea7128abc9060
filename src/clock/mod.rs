//! [`Clock`]: the one clock of the service. A leaf: it knows nothing of what is timed by it.
//!
//! The clock of the system is set: by a person, by NTP after a boot, by whoever restores a virtual machine. What must not follow
//! it is told apart from what must:
//!
//! - **How old** something is ([`Clock::steady_ms`]) counts the time that passed while the service ran, and nothing else: it goes on from
//!   where the log ends, at the rate of the monotonic clock. So no clock that is ahead, in this run or an earlier one, makes
//!   anything old before its time: idempotency keys and movements are kept for as long as was said, and as much longer as the service was
//!   away.
//! - **Whether it is due** ([`Clock::now_ms`]) counts, beside that, what the service was away for, as far as the system's clock says so at the start:
//!   what was promised until a moment ends then, also while nobody serves it. Set while the service runs, that clock makes nothing due
//!   early or late. At a start, what is taken for the time away is what passed by that clock since the newest movement was dated: if either was wrong, or
//!   that clock was set in between by more than the date has followed, things are due early or late by as much; never earlier than where the log ends.
//! - **What date it is** ([`Clock::date_ms`]) follows the system's clock, by running a tenth faster or slower until it has caught up,
//!   never by a step and never back. Only a start believes the system's clock as it is: what was dated ten years ahead by a clock that
//!   was wrong is followed by what has its right date. A start that would go back by less than [`DATED_AHEAD_MAX`] goes on from
//!   the newest date instead.
//!
//! How far the date is from the system's clock is [`Clock::behind_ms`]; more than a second is told in the log, once for each time it happens.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

#[cfg(test)]
pub(crate) mod manual;
#[cfg(test)]
mod tests;

/// A start whose clock is behind the newest date by no more than this goes on from that date: clocks are set back by so much when they
/// are kept, and by more when they were wrong.
pub const DATED_AHEAD_MAX: Duration = Duration::from_mins(1);

/// While the date is off it gains or loses one millisecond in as many.
const SLEW: u64 = 10;

/// Off by more than this, in milliseconds, is told.
const OFF_TOLD_MS: i64 = 1_000;

/// Where time comes from: the system, or a test.
pub trait TimeSource: Send + Sync + fmt::Debug {
    /// Time that passed since some moment: never goes back, and nobody sets it.
    fn monotonic(&self) -> Duration;

    /// What the system takes for the time, in milliseconds of Unix time.
    fn wall_ms(&self) -> u64;
}

/// The clocks of the system.
#[derive(Debug)]
pub struct SystemTimeSource {
    began: Instant,
}

impl Default for SystemTimeSource {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl TimeSource for SystemTimeSource {
    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        wall_ms()
    }
}

/// Where the times of what was kept end.
#[expect(clippy::struct_field_names, reason = "each is a time, and says in which unit")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// The newest [`Clock::steady_ms`]; 0 if there is nothing yet.
    pub steady_ms: u64,
    /// What [`Clock::date_ms`] was then; 0 if it is not known.
    pub date_ms: u64,
    /// By how much [`Clock::now_ms`] was more than `steady_ms`.
    pub away_ms: u64,
}

/// The clock. A handle: clones are of the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    source: Arc<dyn TimeSource>,
    /// What [`TimeSource::monotonic`] said when it began, and what `steady_ms` was then.
    began: Duration,
    steady_began_ms: u64,
    away_ms: u64,
    /// What [`Clock::date_ms`] was when it began.
    date_began_ms: u64,
    date: Mutex<Date>,
}

/// The date as it was last told.
#[derive(Debug)]
struct Date {
    /// When that was, as `steady_ms` has it, and by how much the date is more.
    steady_ms: u64,
    lead_ms: i64,
    /// What of a slewed millisecond is left over.
    rest: u64,
    is_off: bool,
}

impl Clock {
    /// A clock that goes on where the log was left.
    pub fn resume(source: Arc<dyn TimeSource>, left: Left) -> Self {
        let (began, wall_ms) = (source.monotonic(), source.wall_ms());
        let steady_began_ms = if left.steady_ms == 0 { wall_ms } else { left.steady_ms };
        let ahead_ms = left.date_ms.saturating_sub(wall_ms);
        let is_kept = u128::from(ahead_ms) <= DATED_AHEAD_MAX.as_millis();
        if !is_kept {
            tracing::warn!(
                ahead_seconds = ahead_ms / 1000,
                "the newest movement is dated later than the system's clock: it was ahead then, or is behind now; what follows is dated by it as it is"
            );
        }
        let date_ms = if is_kept { wall_ms.max(left.date_ms) } else { wall_ms };
        // What the service was away for, as far as anybody knows.
        let gone_ms = if left.date_ms == 0 { 0 } else { wall_ms.saturating_sub(left.date_ms) };
        let away_ms = left.away_ms.saturating_add(gone_ms);
        let lead_ms = difference(date_ms, steady_began_ms);
        let date = Mutex::new(Date { steady_ms: steady_began_ms, lead_ms, rest: 0, is_off: false });
        Self(Arc::new(Parts { source, began, steady_began_ms, away_ms, date_began_ms: date_ms, date }))
    }

    /// By which things grow old, in milliseconds: Unix time when the log was begun, and since then the time that passed while the
    /// service ran. Never goes back. Of two values only the difference means anything.
    pub fn steady_ms(&self) -> u64 {
        let passed = self.0.source.monotonic().saturating_sub(self.0.began);
        self.0.steady_began_ms.saturating_add(milliseconds(passed))
    }

    /// By which deadlines are kept, in milliseconds: `steady_ms`, and all that the service was away for. Never goes back, nor at a start.
    pub fn now_ms(&self) -> u64 {
        self.steady_ms().saturating_add(self.0.away_ms)
    }

    /// By how much `now_ms` is more than `steady_ms`: it stays so while the service runs.
    pub fn away_ms(&self) -> u64 {
        self.0.away_ms
    }

    /// What date it was when the clock began.
    pub fn date_began_ms(&self) -> u64 {
        self.0.date_began_ms
    }

    /// What date it is, in milliseconds of Unix time. Never goes back while the service runs.
    pub fn date_ms(&self) -> u64 {
        let mut date = self.0.date.lock();
        self.follow(&mut date)
    }

    /// By how much the date is behind the system's clock, in milliseconds: negative where it is ahead.
    pub fn behind_ms(&self) -> i64 {
        let mut date = self.0.date.lock();
        let date_ms = self.follow(&mut date);
        difference(self.0.source.wall_ms(), date_ms)
    }

    /// Moves the date on, and nearer to the system's clock.
    fn follow(&self, date: &mut Date) -> u64 {
        // Under the lock: of two who ask, the one that is told first read first.
        let (steady_ms, wall_ms) = (self.steady_ms(), self.0.source.wall_ms());
        let passed = steady_ms.saturating_sub(date.steady_ms);
        date.steady_ms = steady_ms;
        let behind = difference(wall_ms, steady_ms.saturating_add_signed(date.lead_ms));
        let allowed = passed.saturating_add(date.rest);
        let slewed = (allowed / SLEW).min(behind.unsigned_abs());
        // Kept for the next time, so that who asks every millisecond gets there, too; not for when it is off again.
        date.rest = if behind == 0 { 0 } else { allowed - slewed * SLEW };
        // Less than makes a millisecond: or the date would go back where no time has passed.
        date.rest = date.rest.min(SLEW - 1);
        let slewed = i64::try_from(slewed).unwrap_or(i64::MAX);
        date.lead_ms = date.lead_ms.saturating_add(if behind < 0 { -slewed } else { slewed });
        tell(date, behind);
        steady_ms.saturating_add_signed(date.lead_ms)
    }
}

/// Says when the date begins to be off, and when it is right again.
fn tell(date: &mut Date, behind_ms: i64) {
    let is_off = behind_ms.abs() > OFF_TOLD_MS;
    if is_off && !date.is_off {
        tracing::warn!(
            behind_ms,
            "the system's clock was set: the dates of movements follow it by running a tenth faster or slower, and nothing grows old by it"
        );
    }
    if !is_off && date.is_off {
        tracing::info!("the dates of movements are those of the system's clock again");
    }
    date.is_off = is_off;
}

/// What the system takes for the time, in milliseconds of Unix time. For who has no clock: a program that looks at files.
pub fn wall_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}
