//! Everything that is counted, as data: families of samples with their labels.
//!
//! It is gathered when somebody asks, and shown in whatever form that is: as text at `/metrics` ([`super::text`]), or pushed to a collector. So what
//! is shown in one form cannot differ from what is shown in another.

use std::fmt;

use super::histogram::{Distribution, bounds_seconds};

/// What was gathered, in order.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<Family>,
}

/// Samples of one name.
#[derive(Debug)]
pub struct Family {
    /// The name, as Prometheus has it: of a counter it ends in `_total`.
    pub name: String,
    /// What it means.
    pub help: String,
    /// What it is.
    pub kind: Kind,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many of what was measured fell between which bounds.
    Histogram,
}

/// One of a family.
#[derive(Debug)]
pub struct Sample {
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// What it is now.
    pub value: Value,
}

/// What a sample says.
#[derive(Debug)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(Number),
    /// Of a histogram.
    Buckets(Buckets),
}

/// A number that is counted, or measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Counted.
    Whole(u64),
    /// Measured.
    Real(f64),
}

/// A histogram.
#[derive(Debug)]
pub struct Buckets {
    /// The upper bounds, ascending, without infinity.
    pub bounds: Vec<f64>,
    /// What was at or below each of them and above the one before, and last what was above all.
    pub counts: Vec<u64>,
    /// All that was measured, together.
    pub sum: Number,
    /// One of what was measured.
    pub exemplar: Option<Exemplar>,
}

/// One thing that was counted, and the trace in which it can be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The id of the trace.
    pub trace: u128,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// When it was counted, in seconds since 1970.
    pub at: f64,
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family of counters (a name ending in `_total`).
    pub fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, Kind::Counter);
    }

    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, Kind::Gauge);
    }

    /// Begins a family of histograms.
    pub fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, help, Kind::Histogram);
    }

    /// One sample of a counter or gauge, whose family has begun.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Into<Number>) {
        self.push(name, labels, Value::Number(value.into()));
    }

    /// One histogram of durations.
    pub fn distribution(&mut self, name: &str, labels: Labels<'_>, seen: &Distribution) {
        self.distribution_with(name, labels, seen, None);
    }

    /// The same, with one of what it counted.
    pub fn distribution_with(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        seen: &Distribution,
        exemplar: Option<Exemplar>,
    ) {
        let (bounds, counts) = (bounds_seconds().collect(), seen.buckets.clone());
        let sum = Number::Real(seen.sum_ns as f64 / 1e9);
        self.buckets(name, labels, Buckets { bounds, counts, sum, exemplar });
    }

    /// One histogram of whatever it is.
    pub fn buckets(&mut self, name: &str, labels: Labels<'_>, buckets: Buckets) {
        self.push(name, labels, Value::Buckets(buckets));
    }

    /// All of it, in the order in which it was begun.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let (name, help) = (name.to_owned(), help.to_owned());
        self.families.push(Family { name, help, kind, samples: Vec::new() });
    }

    fn push(&mut self, name: &str, labels: Labels<'_>, value: Value) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let family = self.families.iter_mut().rfind(|family| family.name == name);
        let family = family.expect("a family begins before its samples");
        family.samples.push(Sample { labels, value });
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}
