//! How a run went over time: as members of the JSON, and as two charts below one another.

use std::time::Duration;

use serde::Serialize;

use super::document::{Axis, Chart, Document, Point, Series};
use crate::measure::{Course, micros, per_second};
use crate::schedule::nanos;

/// The measured part, interval by interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OverTime {
    /// The length of every interval but the last, which is as long as there was time.
    pub interval_ms: u64,
    /// From the beginning to the last answer, one after another without a gap; at most 120.
    pub intervals: Vec<Interval>,
}

/// What ended in one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interval {
    /// When it began, from the beginning of the measured part.
    pub from_ms: u64,
    /// When it ended, likewise.
    pub to_ms: u64,
    /// Requests answered, as asked or with a refusal, a second.
    pub throughput_per_s: f64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed or timed out.
    pub failed: u64,
    /// Percentiles of response time in microseconds, to two digits; absent if nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

/// Response times of an interval, of requests that were answered or timed out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(
    missing_docs,
    clippy::struct_field_names,
    reason = "each is the percentile of its name, with its unit last"
)]
pub struct Response {
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

impl OverTime {
    /// Of a phase that took this long.
    pub fn new(course: &Course, elapsed: Duration) -> Self {
        let width = Duration::from_nanos(course.width_ns());
        let interval = |(at, interval): (u32, &crate::measure::course::Interval)| {
            let from = width * at;
            // The last one ends with the phase. Of a server that died, what came after is no part of it.
            let length = elapsed.saturating_sub(from).min(width);
            let micros_at = |quantile| interval.response.at_ns(quantile).map(micros);
            Interval {
                from_ms: nanos(from) / 1_000_000,
                to_ms: nanos(from + length) / 1_000_000,
                throughput_per_s: per_second(interval.answered, length),
                answered: interval.answered,
                failed: interval.failed,
                response: micros_at(0.5).zip(micros_at(0.99)).map(|(p50_us, p99_us)| Response {
                    p50_us,
                    p99_us,
                    max_us: micros(interval.response.max_ns()),
                }),
            }
        };
        let intervals = (0..).zip(course.intervals()).map(interval).collect();
        Self { interval_ms: course.width_ns() / 1_000_000, intervals }
    }

    /// The charts, of as many intervals as it takes to be a course.
    pub fn tell(&self, document: &mut Document) {
        if self.intervals.len() < 2 {
            return;
        }
        let time = || Axis { label: "s since the measured part began".to_owned(), logarithmic: false };
        let times = |name: &str, of: fn(&Response) -> f64| {
            let point = |interval: &Interval| Some(point(interval, of(&interval.response?) / 1e3));
            series(name, self.intervals.iter().filter_map(point).collect())
        };
        document.push(Chart::Lines {
            title: format!("Response times of every {} ms", self.interval_ms),
            x: time(),
            y: Axis { label: "ms".to_owned(), logarithmic: true },
            mark: None,
            series: vec![
                // The lowest last, on top: where they are the same, that is what is seen.
                times("max", |response| response.max_us),
                times("p99", |response| response.p99_us),
                times("p50", |response| response.p50_us),
            ],
        });
        // Of what is left at the end, a rate would be a matter of chance.
        let is_whole = |interval: &&Interval| 2 * (interval.to_ms - interval.from_ms) >= self.interval_ms;
        let rate = |interval: &Interval| point(interval, interval.throughput_per_s);
        document.push(Chart::Lines {
            title: "Throughput".to_owned(),
            x: time(),
            y: Axis { label: "requests a second".to_owned(), logarithmic: false },
            mark: None,
            series: vec![series("answered", self.intervals.iter().filter(is_whole).map(rate).collect())],
        });
    }
}

/// In the middle of its interval.
fn point(interval: &Interval, y: f64) -> Point {
    Point { x: (interval.from_ms + interval.to_ms) as f64 / 2e3, y, low: y, high: y }
}

fn series(name: &str, points: Vec<Point>) -> Series {
    Series { name: name.to_owned(), points, curve: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::document::Block;
    use super::*;
    use crate::client::Kind;
    use crate::measure::Sample;
    use crate::runner::session::Class;

    fn course(answers_ms: &[u64]) -> Course {
        let mut course = Course::default();
        for &at_ms in answers_ms {
            let response_ns = at_ms * 1_000_000;
            let sample = Sample {
                kind: Kind::Read,
                class: Class::Done,
                response_ns,
                service_ns: response_ns,
                lag_ns: None,
            };
            course.add(at_ms * 1_000_000, &sample);
        }
        course
    }

    #[test]
    fn the_last_interval_is_as_long_as_there_was_time_and_an_empty_one_has_no_times() {
        let over_time = OverTime::new(&course(&[10, 20, 120]), Duration::from_millis(125));
        assert_eq!((over_time.interval_ms, over_time.intervals[2].to_ms), (50, 125));
        let rates: Vec<(u64, f64)> = over_time
            .intervals
            .iter()
            .map(|interval| (interval.from_ms, interval.throughput_per_s))
            .collect();
        assert_eq!(rates, [(0, 40.0), (50, 0.0), (100, 40.0)]);
        assert_eq!(over_time.intervals[1].response, None);
        let first = over_time.intervals[0].response.expect("there were two");
        assert!((first.max_us - 20_000.0).abs() < f64::EPSILON && (first.p50_us - 10_000.0).abs() < 100.0);
    }

    #[test]
    fn charts_have_a_line_for_each_percentile_and_a_gap_has_no_point_but_no_throughput() {
        let mut document = Document::new("t");
        OverTime::new(&course(&[10]), Duration::from_millis(40)).tell(&mut document);
        assert!(document.blocks.is_empty(), "one interval is no course");
        OverTime::new(&course(&[10, 20, 120]), Duration::from_millis(125)).tell(&mut document);
        let mut short = Document::new("t");
        OverTime::new(&course(&[10, 60, 101]), Duration::from_millis(102)).tell(&mut short);
        let counts = |block: &Block| match block {
            Block::Chart(Chart::Lines { series, .. }) => {
                series.iter().map(|series| (series.name.clone(), series.points.len())).collect::<Vec<_>>()
            }
            _ => panic!("a chart of lines"),
        };
        let named = |names: &[(&str, usize)]| -> Vec<(String, usize)> {
            names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        assert_eq!(counts(&document.blocks[0]), named(&[("max", 2), ("p99", 2), ("p50", 2)]));
        assert_eq!(counts(&document.blocks[1]), named(&[("answered", 3)]));
        // Two milliseconds are left at the end.
        assert_eq!(counts(&short.blocks[1]), named(&[("answered", 2)]));
    }
}
