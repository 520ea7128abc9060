//! When requests start: closed loop (each client asks again as soon as it has its answer) or open loop (requests
//! arrive at a rate that does not depend on the server).
//!
//! In the open loop a request's latency counts from when it was *meant* to start. Measured from when it was sent, a
//! server that stalls would delay the very requests that show it ("coordinated omission", Tene). The number in flight
//! is bounded by the clients; arrivals that find none free wait, and are counted as late.
//!
//! [`rate`] is the course of the rate, [`timetable`] when each request is meant to start, [`order_statistics`] the
//! chance in it, [`arrivals`] hands the requests to the clients, [`timer`] wakes them.

pub mod arrivals;
pub mod order_statistics;
pub mod rate;
pub mod timer;
pub mod timetable;

use std::time::{Duration, Instant};

pub use arrivals::{Arrivals, Dispatch};
pub use rate::Rate;
pub use timetable::Pattern;

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

impl Limit {
    /// How many requests, if that is what it limits.
    pub const fn requests(self) -> Option<u64> {
        match self {
            Self::For(_) => None,
            Self::Requests(requests) => Some(requests),
        }
    }
}

/// A start later than this after the intended one is a late start.
pub const LATE: Duration = Duration::from_millis(1);

/// What an open loop offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// How many requests a second, and how that changes.
    pub rate: Rate,
    /// How they are spread.
    pub pattern: Pattern,
    /// Who sends them.
    pub dispatch: Dispatch,
}

impl From<f64> for Offered {
    /// This many requests a second, evenly spread, sent by whoever is free.
    fn from(per_s: f64) -> Self {
        Self { rate: per_s.into(), pattern: Pattern::Uniform, dispatch: Dispatch::Shared }
    }
}
