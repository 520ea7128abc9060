//! What the requests of a phase add up to: counts and histograms for each kind of call, one set for each thread of
//! clients, merged when the phase is over. Adding one costs no allocation once its kind has occurred, and no lock.
//!
//! Three times are kept apart. *Service* is from sending to the end of the answer: what the server took. *Response* is
//! from the intended start: what a user would have waited. *Lag* is from the intended start to sending: what the
//! generator, or a want of free clients, added. In closed loop a request is meant to start when its client has its
//! last answer, so the lag is the client's own time between two requests, and the response is the service time: a user
//! who thinks a little longer has not waited.

use serde::Serialize;

use super::latencies::{EDGE_NS, Latencies, Quantiles};
use crate::client::Kind;
use crate::runner::session::Class;
use crate::schedule::{LATE, nanos};

/// One request of the measured part.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What kind of call it was.
    pub kind: Kind,
    /// How it went.
    pub class: Class,
    /// From its start (in open loop: its intended start) to the end of its answer.
    pub response_ns: u64,
    /// From sending to the end of its answer.
    pub service_ns: u64,
    /// From its intended start to sending; `None` for the first request of a client in closed loop.
    pub lag_ns: Option<u64>,
}

/// The sum of many samples.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    kinds: [Option<Box<Sums>>; Kind::ALL.len()],
    lag: Latencies,
    late: u64,
}

/// What the requests of one kind, or of all, add up to.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    done: u64,
    refused: u64,
    failed: u64,
    timed_out: u64,
    abandoned: u64,
    response: Latencies,
    service: Latencies,
}

/// The figures of one kind of call, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// The kind.
    pub operation: String,
    /// Requests that ended.
    pub requests: u64,
    /// Answered as asked.
    pub done: u64,
    /// Refused for the state of the stock.
    pub refused: u64,
    /// Timeouts, overload, lost connections, answers that do not fit the contract.
    pub failed: u64,
    /// Of these, requests that got no answer in time.
    pub timed_out: u64,
    /// Response times of those that were answered or timed out.
    pub latency: Quantiles,
    /// Service times of the same.
    pub service: Quantiles,
}

impl Samples {
    /// Adds one.
    pub fn add(&mut self, sample: &Sample) {
        self.kinds[sample.kind as usize].get_or_insert_default().add(sample);
        if let Some(lag_ns) = sample.lag_ns {
            self.lag.add(lag_ns);
            self.late += u64::from(lag_ns > nanos(LATE));
        }
    }

    /// Takes another thread's samples in.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.kinds.iter_mut().zip(&other.kinds) {
            if let Some(other) = other {
                own.get_or_insert_default().merge(other);
            }
        }
        self.lag.merge(&other.lag);
        self.late += other.late;
    }

    /// From the intended start to sending, of every request that had one.
    pub fn lag(&self) -> &Latencies {
        &self.lag
    }

    /// Requests that were sent more than [`LATE`] after their intended start.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// What the requests of one kind add up to; `None` if there were none.
    pub fn of(&self, kind: Kind) -> Option<&Sums> {
        self.kinds[kind as usize].as_deref()
    }

    /// What all requests add up to.
    pub fn all(&self) -> Sums {
        let mut all = Sums::default();
        for sums in self.kinds.iter().flatten() {
            all.merge(sums);
        }
        all
    }
}

impl Sums {
    fn add(&mut self, sample: &Sample) {
        match sample.class {
            Class::Done => self.done += 1,
            Class::Refused => self.refused += 1,
            Class::TimedOut => self.timed_out += 1,
            Class::Failed => self.failed += 1,
            Class::Abandoned => self.abandoned += 1,
        }
        if !matches!(sample.class, Class::Failed | Class::Abandoned) {
            self.response.add(sample.response_ns);
            self.service.add(sample.service_ns);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.abandoned += other.abandoned;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }

    /// Requests that ended.
    pub fn requests(&self) -> u64 {
        self.answered() + self.failed + self.timed_out
    }

    /// Requests that were sent: besides those that ended, those whose client went away on purpose.
    pub fn sent(&self) -> u64 {
        self.requests() + self.abandoned
    }

    /// Requests that were answered, as asked or with a refusal.
    pub fn answered(&self) -> u64 {
        self.done + self.refused
    }

    /// Requests that were neither done nor refused.
    pub fn failures(&self) -> u64 {
        self.failed + self.timed_out
    }

    /// Response times of those that were answered or timed out.
    pub fn response(&self) -> &Latencies {
        &self.response
    }

    /// Whether all that is known of a percentile is that it is no less: it lies among requests that were given up, or
    /// beyond the histogram.
    pub fn is_cut_off(&self, quantile: f64) -> bool {
        let beyond = (1.0 - quantile) * self.response.count() as f64;
        self.timed_out as f64 > beyond || self.response.at_ns(quantile).is_some_and(|at| at >= EDGE_NS)
    }

    /// As a row of a table.
    pub fn row(&self, operation: &str) -> Row {
        Row {
            operation: operation.to_owned(),
            requests: self.requests(),
            done: self.done,
            refused: self.refused,
            failed: self.failures(),
            timed_out: self.timed_out,
            latency: self.response.quantiles(),
            service: self.service.quantiles(),
        }
    }
}

/// A row for each kind that occurred, and one for all.
pub fn rows(samples: &Samples) -> (Vec<Row>, Row) {
    let of = |kind: Kind| Some(samples.of(kind)?.row(kind.name()));
    let rows = Kind::ALL.into_iter().filter_map(of).collect();
    (rows, samples.all().row("all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind, class: Class, micros: u64) -> Sample {
        let response_ns = micros * 1_000;
        Sample { kind, class, response_ns, service_ns: response_ns / 2, lag_ns: Some(response_ns / 2) }
    }

    fn samples(each: impl IntoIterator<Item = Sample>) -> Samples {
        let mut samples = Samples::default();
        each.into_iter().for_each(|sample| samples.add(&sample));
        samples
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let samples = samples((1..=1_000).map(|micros| sample(Kind::Read, Class::Done, micros)));
        let (rows, all) = rows(&samples);
        assert_eq!(rows.len(), 1);
        assert!((all.latency.p50_us - 500.0).abs() < 1.0, "{all:?}");
        assert!((all.latency.p99_us - 990.0).abs() < 2.0, "{all:?}");
        assert!((all.latency.max_us - 1_000.0).abs() < f64::EPSILON, "{all:?}");
        assert!((all.service.p50_us - 250.0).abs() < 1.0, "{all:?}");
        assert_eq!(samples.lag().count(), 1_000);
    }

    #[test]
    fn fast_errors_do_not_flatter_but_timeouts_count() {
        let (_, all) = rows(&samples([
            sample(Kind::Adjust, Class::Failed, 1),
            sample(Kind::Adjust, Class::TimedOut, 9_000),
            sample(Kind::Adjust, Class::Refused, 100),
        ]));
        assert_eq!((all.requests, all.done, all.refused, all.failed, all.timed_out), (3, 0, 1, 2, 1));
        assert!((all.latency.max_us - 9_000.0).abs() < f64::EPSILON);
        assert!(all.latency.p50_us > 90.0);
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(rows(&Samples::default()).1.latency, Quantiles::default());
    }

    #[test]
    fn threads_add_up_and_kinds_stay_apart() {
        let mut one =
            samples([sample(Kind::Adjust, Class::Done, 10), sample(Kind::Adjust, Class::Done, 4_000)]);
        one.merge(&samples([sample(Kind::Read, Class::Done, 20)]));
        let (rows, all) = rows(&one);
        let counts: Vec<(&str, u64)> =
            rows.iter().map(|row| (row.operation.as_str(), row.requests)).collect();
        assert_eq!(counts, [("adjust", 2), ("read", 1)]);
        assert_eq!((all.requests, one.late()), (3, 1));
    }

    /// Of 100 requests two timed out: where half of them lie is known, but not the last hundredth.
    #[test]
    fn a_percentile_among_requests_that_were_given_up_is_cut_off() {
        let answered = (0..98).map(|_| sample(Kind::Read, Class::Done, 100));
        let given_up = (0..2).map(|_| sample(Kind::Read, Class::TimedOut, 1_000));
        let all = samples(answered.chain(given_up)).all();
        assert!(!all.is_cut_off(0.5) && !all.is_cut_off(0.9) && all.is_cut_off(0.99));
        let endless = samples([sample(Kind::Read, Class::Done, 2 * EDGE_NS / 1_000)]).all();
        assert!(endless.is_cut_off(0.5));
    }
}
