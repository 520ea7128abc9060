//! From requests to figures, and what else is measured beside them: CPU time, the machine, what the server tells.

pub mod course;
pub mod latencies;
pub mod machine;
pub mod process;
pub mod samples;
pub mod server;

use std::time::Duration;

use serde::Serialize;

pub use course::Course;
pub use latencies::{Latencies, Quantiles};
pub use samples::{Row, Sample, Samples, Sums, rows};

/// What one phase of a run did.
#[derive(Debug, Default)]
pub struct Phase {
    /// Every request.
    pub samples: Samples,
    /// The same, interval by interval.
    pub course: Course,
    /// From the first start to the last answer.
    pub elapsed: Duration,
    /// How well the open loop kept its rate; empty in closed loop.
    pub open_loop: OpenLoop,
    /// Whether a client stopped early because its share of `--max-records` was full.
    pub full: bool,
    /// Clients whose connections were all refused or lost: nobody ever answered them.
    pub unheard: u32,
}

/// How well the open loop kept its rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct OpenLoop {
    /// The rate asked for; `None` in closed loop.
    pub rate_per_s: Option<f64>,
    /// Requests that were to be sent.
    pub planned: u64,
    /// Requests that began more than a millisecond late, because every client was busy.
    pub late: u64,
    /// The latest start.
    pub late_ns_max: u64,
    /// Requests that were never sent: when the time was up, every client was still busy.
    pub not_sent: u64,
}

/// Nanoseconds as microseconds, to a tenth.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a microsecond is all that is shown")]
pub fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

/// Things per second.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { (count as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0 }
}
