//! Whether a run has a headline: one figure that can be quoted without the rest of the report.
//!
//! A figure is quoted without its conditions sooner or later, so a run has one only if nothing stands against it: all
//! load that was offered was sent, in time; every percentile it names was really measured; the answers are proven to be
//! right, under contention; and the run went to its end. Whatever stands against it is told in its place. The figures
//! themselves stay in the report: they are what one looks at to find out what went wrong.

use history::{Conclusion, Verdict};
use serde::Serialize;

use super::table::millis;
use crate::calibrate::SHARE_MAX;
use crate::measure::{OpenLoop, Sums};

/// Samples beyond a percentile, at least: a percentile above the tenth-largest sample is that sample's accident.
const BEYOND_MIN: f64 = 10.0;

/// The largest share of requests that may be sent late before the load is not the one that was asked for.
pub const LATE_SHARE_MAX: f64 = 0.01;

/// The largest share of requests that may fail before what is left is a choice of the lucky ones.
pub const FAILED_SHARE_MAX: f64 = 0.01;

/// What a run may be quoted with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Headline {
    /// `saturation` (closed loop: as many requests as the server answers) or `latency` (open loop: under the load that
    /// was offered).
    pub shows: &'static str,
    /// Requests answered a second.
    pub throughput_per_s: f64,
    /// In open loop, half of the responses took no longer.
    pub p50_us: Option<f64>,
    /// In open loop, 99 of a hundred took no longer.
    pub p99_us: Option<f64>,
    /// In open loop, 999 of a thousand took no longer; absent if there were too few samples.
    pub p99_9_us: Option<f64>,
}

/// What a headline is judged by.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// How the rate was kept; `None` in closed loop.
    pub open_loop: Option<&'a OpenLoop>,
    /// All requests of the measured part.
    pub all: &'a Sums,
    /// Those that were answered, a second.
    pub throughput_per_s: f64,
    /// What the history proves.
    pub verdict: &'a Verdict,
    /// What the generator can do, in requests a second; `None` if that does not matter, or could not be measured.
    pub ceiling_per_s: Option<f64>,
    /// Why the run ended before its time, if it did.
    pub cut_short: Option<&'static str>,
}

impl Evidence<'_> {
    /// The headline, or every reason why there is none.
    pub fn headline(&self) -> Result<Headline, Vec<String>> {
        let why = self.against();
        if !why.is_empty() {
            return Err(why);
        }
        let at = |quantile| self.all.response().at_ns(quantile).map(crate::measure::micros);
        let under_load = self.open_loop.is_some();
        let p99_9 = self.is_measured(0.999) && !self.all.is_cut_off(0.999);
        Ok(Headline {
            shows: if under_load { "latency" } else { "saturation" },
            throughput_per_s: self.throughput_per_s,
            p50_us: at(0.5).filter(|_| under_load),
            p99_us: at(0.99).filter(|_| under_load),
            p99_9_us: at(0.999).filter(|_| under_load && p99_9),
        })
    }

    fn against(&self) -> Vec<String> {
        let mut why: Vec<String> = self.cut_short.map(str::to_owned).into_iter().collect();
        if let Some(open_loop) = self.open_loop {
            why.extend(against_load(open_loop, self.all.requests()));
        }
        if let Some(ceiling) =
            self.ceiling_per_s.filter(|ceiling| self.throughput_per_s > SHARE_MAX * ceiling)
        {
            let share = self.throughput_per_s * 100.0 / ceiling;
            why.push(format!(
                "the generator was at {share:.0}% of its own ceiling of {ceiling:.0} requests a second"
            ));
        }
        let (requests, failures) = (self.all.requests(), self.all.failures());
        if failures as f64 > FAILED_SHARE_MAX * requests as f64 {
            why.push(format!("{failures} of {requests} requests failed"));
        }
        for (quantile, name) in [(0.5, "50th"), (0.99, "99th")] {
            if !self.is_measured(quantile) {
                let samples = self.all.response().count();
                why.push(format!("{samples} samples are too few for the {name} percentile"));
            } else if self.all.is_cut_off(quantile) {
                why.push(format!("the {name} percentile lies among requests that were given up"));
            }
        }
        why.extend(against_proof(self.verdict));
        why
    }

    fn is_measured(&self, quantile: f64) -> bool {
        // A hair less, since 1 - 0.99 is a hair less than a hundredth.
        (1.0 - quantile) * self.all.response().count() as f64 > BEYOND_MIN - 1e-6
    }
}

fn against_load(open_loop: &OpenLoop, sent: u64) -> Vec<String> {
    let OpenLoop { planned, late, late_ns_max, not_sent, .. } = *open_loop;
    let mut why = Vec::new();
    if not_sent > 0 {
        why.push(format!("{not_sent} of {planned} requests were dropped: no client was free to send them"));
    }
    if late as f64 > LATE_SHARE_MAX * sent as f64 {
        let most = millis(crate::measure::micros(late_ns_max));
        why.push(format!("the generator lagged: {late} of {sent} were sent late, by up to {most} ms"));
    }
    why
}

fn against_proof(verdict: &Verdict) -> Vec<String> {
    let mut why = Vec::new();
    match &verdict.conclusion {
        Conclusion::Consistent => {}
        Conclusion::Violations { .. } => why.push("the answers were wrong".to_owned()),
        Conclusion::Indeterminate { .. } => why.push("the proof has holes".to_owned()),
        Conclusion::Vacuous { .. } => why.push("the run proves nothing".to_owned()),
    }
    let summary = verdict.summary;
    if summary.contended_writes == 0 {
        why.push("nothing contended".to_owned());
    }
    // What was asked again under its key, and answered, has left its doubt behind.
    let open = summary.unknown.saturating_sub(summary.unknown_repeated + summary.unknown_applied);
    if open > 0 {
        why.push(format!("{open} writes of unknown outcome leave room for a fault"));
    }
    if summary.levels_unread > 0 {
        why.push(format!("{} levels were not read after their last change", summary.levels_unread));
    }
    why
}

/// The line at the top of a report.
pub fn line(headline: Option<&Headline>, why: &[String]) -> String {
    let Some(headline) = headline else { return format!("No headline: {}", why.join("; ")) };
    let throughput = headline.throughput_per_s;
    let percentile = |name, value: Option<f64>| value.map(|value| format!("{name} {} ms", millis(value)));
    let latencies = [
        percentile("p50", headline.p50_us),
        percentile("p99", headline.p99_us),
        percentile("p99.9", headline.p99_9_us),
    ];
    let latencies: Vec<String> = latencies.into_iter().flatten().collect();
    if latencies.is_empty() {
        return format!(
            "Headline: {throughput:.0} requests a second at saturation (closed loop: this is not the latency under a \
             given load; for that, give a --rate)"
        );
    }
    format!("Headline: {} at {throughput:.0} requests a second", latencies.join(", "))
}

#[cfg(test)]
#[path = "headline_tests.rs"]
mod tests;
