//! When requests start: closed loop (each client asks again as soon as it has its answer) or open loop (requests
//! arrive at a fixed rate, whatever the server does).
//!
//! In the open loop a request's latency counts from when it was *meant* to start. Measured from when it was sent, a
//! server that stalls would delay the very requests that show it ("coordinated omission", Tene). The number in flight
//! is bounded by the clients; arrivals that find none free wait, and are counted as late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::interrupt::Stop;

/// The clock that all clients of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at 0 now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now_ns(self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// A duration in whole nanoseconds.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How much one phase of a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Start requests for this long.
    For(Duration),
    /// Start this many requests.
    Requests(u64),
}

/// A start later than this after the intended one is a late start. The timer itself is good for a tenth of it.
pub const LATE: Duration = Duration::from_millis(1);

/// After the last arrival, clients that are busy still have this long to begin the waiting ones.
const GRACE: Duration = Duration::from_millis(100);

/// The longest the releasing thread sleeps before it looks whether to stop.
const NAP_MAX: Duration = Duration::from_millis(50);

/// Arrivals at a fixed rate, handed to whichever client is free.
#[derive(Debug)]
pub struct Arrivals {
    rate_per_s: f64,
    planned: u64,
    start_ns: u64,
    ends: Option<u64>,
    released: Semaphore,
    taken: AtomicU64,
}

impl Arrivals {
    /// Plans the arrivals of a phase that begins now.
    pub fn plan(rate_per_s: f64, limit: Limit, clock: Clock) -> Self {
        let start_ns = clock.now_ns();
        let (planned, ends) = match limit {
            Limit::Requests(requests) => (requests, None),
            Limit::For(duration) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate and a duration are positive, and a saturated count is as good as endless"
                )]
                let planned = (rate_per_s * duration.as_secs_f64()).ceil() as u64;
                (planned, Some(start_ns + nanos(duration) + nanos(GRACE)))
            }
        };
        Self { rate_per_s, planned, start_ns, ends, released: Semaphore::new(0), taken: AtomicU64::new(0) }
    }

    /// How many requests were to be sent.
    pub fn planned(&self) -> u64 {
        self.planned
    }

    /// How many were begun.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed).min(self.planned)
    }

    /// Waits for the next arrival and gives its intended start; `None` at the end of the phase.
    pub async fn next(&self) -> Option<u64> {
        self.released.acquire().await.ok()?.forget();
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        (number < self.planned).then(|| self.intended_ns(number))
    }

    /// Releases the arrivals as they fall due, on a thread of its own: the runtime's timer knows only milliseconds.
    pub fn release(self: &Arc<Self>, clock: Clock, stop: Stop) -> thread::JoinHandle<()> {
        let arrivals = Arc::clone(self);
        thread::spawn(move || {
            let mut released = 0;
            while released < arrivals.planned && !stop.requested() {
                let now = clock.now_ns();
                let due = arrivals.due(now).min(arrivals.planned);
                arrivals.released.add_permits(usize::try_from(due - released).unwrap_or(0));
                released = due;
                let wait = arrivals.intended_ns(released).saturating_sub(clock.now_ns());
                thread::park_timeout(Duration::from_nanos(wait).min(NAP_MAX));
            }
            arrivals.drain(clock, &stop);
        })
    }

    /// Lets the clients finish, then closes: whoever waits for an arrival gets none.
    fn drain(&self, clock: Clock, stop: &Stop) {
        let over = |now| self.ends.is_some_and(|ends| now >= ends);
        while self.taken.load(Ordering::Relaxed) < self.planned && !over(clock.now_ns()) && !stop.requested()
        {
            thread::park_timeout(LATE);
        }
        self.released.close();
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^53 ns is a hundred days, and times are positive"
    )]
    fn intended_ns(&self, number: u64) -> u64 {
        self.start_ns + (number as f64 * 1e9 / self.rate_per_s) as u64
    }

    /// How many arrivals are due at `now`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^53 ns is a hundred days, and times are positive"
    )]
    fn due(&self, now: u64) -> u64 {
        (now.saturating_sub(self.start_ns) as f64 * self.rate_per_s / 1e9) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_evenly_spaced_and_due_on_time() {
        let clock = Clock::start();
        let arrivals = Arrivals::plan(1_000.0, Limit::For(Duration::from_secs(2)), clock);
        assert_eq!(arrivals.planned(), 2_000);
        assert_eq!(arrivals.intended_ns(500) - arrivals.start_ns, 500_000_000);
        assert_eq!(arrivals.due(arrivals.start_ns), 1);
        assert_eq!(arrivals.due(arrivals.start_ns + 500_500_000), 501);
    }

    #[tokio::test]
    async fn every_planned_arrival_is_handed_out_once() {
        let clock = Clock::start();
        let arrivals = Arc::new(Arrivals::plan(1e6, Limit::Requests(50), clock));
        let releasing = arrivals.release(clock, Stop::default());
        let mut intended = Vec::new();
        while let Some(start) = arrivals.next().await {
            intended.push(start);
        }
        releasing.join().unwrap();
        assert_eq!(intended.len(), 50);
        assert!(intended.is_sorted());
        assert_eq!(arrivals.taken(), 50);
    }
}
