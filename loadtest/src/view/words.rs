//! What the view says, line by line. Nothing here claims more than is known while a run goes on.

use std::time::Duration;

use super::picture::{Figures, Picture};
use crate::measure::server::ServerStatus;
use crate::progress::board::{Contention, StageLook};
use crate::schedule::Limit;

/// How a line is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Doubt,
    Bad,
}

/// A line with its tone.
pub(super) type Said = (String, Tone);

/// What runs, with the turn it is in.
pub(super) fn stage(picture: &Picture) -> String {
    let look = &picture.look;
    let name = look.stage.as_ref().map_or("between two stages", |stage| stage.name);
    if look.prefix.is_empty() { name.to_owned() } else { format!("{} {name}", look.prefix) }
}

/// How far the stage is, from 0 to 1, and how long it takes yet; `None` if nobody knows.
pub(super) fn progress(picture: &Picture) -> Option<(f64, Duration)> {
    let stage = picture.look.stage.as_ref()?;
    let part = |done: f64, all: f64| (done / all.max(1e-9)).clamp(0.0, 1.0);
    match stage.limit? {
        Limit::For(duration) => Some((
            part(stage.elapsed.as_secs_f64(), duration.as_secs_f64()),
            duration.saturating_sub(stage.elapsed),
        )),
        Limit::Requests(all) => {
            let done = stage.shown.requests() + stage.steps;
            let left = all.saturating_sub(done) as f64;
            // Before anything was done, nobody knows.
            let per_s = Some(picture.so_far.per_s).filter(|per_s| *per_s > 0.0)?;
            let left = Duration::try_from_secs_f64(left / per_s).ok()?;
            Some((part(done as f64, all as f64), left))
        }
    }
}

/// Offered, if anything is, and achieved.
pub(super) fn throughput(picture: &Picture) -> String {
    let [now, so_far] = [picture.now.per_s, picture.so_far.per_s].map(per_s);
    let offered = picture.look.stage.as_ref().and_then(|stage| stage.offered_per_s);
    match offered {
        Some(offered) => format!("{} offered, {now} achieved, {so_far} so far", per_s(offered)),
        None => format!("{now} now, {so_far} so far"),
    }
}

/// The highest of the trail.
pub(super) fn peak(picture: &Picture) -> String {
    if picture.look.stage.is_none() {
        return String::new();
    }
    let highest = picture.throughput.iter().max().copied().unwrap_or(0);
    format!("up to {} in {}", per_s(highest as f64), seconds(picture.trail))
}

/// The highest of the trail of percentiles.
pub(super) fn peak_p99(picture: &Picture) -> String {
    let highest = picture.p99_us.iter().max().copied().unwrap_or(0);
    format!("p99 up to {}", millis(highest * 1_000))
}

/// Percentiles of a time.
pub(super) fn times(figures: &Figures, of: &str) -> String {
    match figures.times_ns.map(|times| times.map(millis)) {
        Some([p50, p99, max]) => format!("p50 {p50:<8} p99 {p99:<8} max {max:<8} {of}"),
        None => format!("none {of}"),
    }
}

/// What became of the requests.
pub(super) fn answers(stage: Option<&StageLook>) -> Said {
    let Some(stage) = stage else { return ("none".to_owned(), Tone::Faint) };
    let (shown, steps) = (&stage.shown, stage.steps);
    let failed = match shown.failed {
        0 => "none failed".to_owned(),
        failed => {
            format!("{} failed ({:.2}%)", count(failed), failed as f64 * 100.0 / shown.requests() as f64)
        }
    };
    let tone = if shown.failed > 0 { Tone::Bad } else { Tone::Plain };
    if shown.requests() == 0 && steps > 0 {
        return (format!("{} done", count(steps)), Tone::Plain);
    }
    (format!("{} done, {} refused, {failed}", count(shown.done), count(shown.refused)), tone)
}

/// How contended the server is.
pub(super) fn contention(contention: &Contention) -> Said {
    let told = match contention {
        Contention::Unasked => return ("not known yet".to_owned(), Tone::Faint),
        Contention::NotTold => return ("not told by the server".to_owned(), Tone::Faint),
        Contention::Told(told) => told,
    };
    let mut parts = Vec::new();
    let waits = told.get("contended").zip(told.get("acquisitions"));
    if let Some((waited, all)) = waits {
        let share = if *all > 0.0 { waited * 100.0 / all } else { 0.0 };
        parts.push(format!("{share:.1}% of {} waited", per_s(*all)));
    }
    let rest = told
        .iter()
        .filter(|(name, _)| waits.is_none() || !matches!(name.as_str(), "contended" | "acquisitions"));
    for (name, value) in rest.filter(|(_, value)| **value > 0.0) {
        parts.push(match name.strip_suffix("_ns") {
            _ if !ServerStatus::is_counter(name) => format!("{name} {value:.0}"),
            Some(name) => format!("{name} {:.1} ms/s", value / 1e6),
            None => format!("{name} {}", per_s(*value)),
        });
    }
    if parts.is_empty() {
        parts.push("none".to_owned());
    }
    (parts.join(", "), Tone::Plain)
}

/// What can be said of the proof: two lines.
pub(super) fn verdict(picture: &Picture) -> [Said; 2] {
    let so_far = &picture.look.so_far;
    let recorded = count(so_far.recorded);
    if let (Some(lost), Some(level)) = (so_far.lost, &picture.look.lost) {
        let proof = format!("{} changes acknowledged, highest version {}", lost.changes, lost.version);
        return [(format!("LOST UPDATE on {level}"), Tone::Bad), (proof, Tone::Bad)];
    }
    if so_far.levels == 0 {
        return [("none yet: judged at the end".to_owned(), Tone::Plain), (String::new(), Tone::Plain)];
    }
    let unknown = match so_far.unknown {
        0 => String::new(),
        unknown => format!(" ({} unknown)", count(unknown)),
    };
    let first = format!("none yet: {recorded} operations{unknown}, judged at the end");
    let second = if so_far.breaches > 0 {
        (format!("{} answers broke the contract: holes in the proof", count(so_far.breaches)), Tone::Bad)
    } else if so_far.untold > 0 {
        ("answers tell no versions: nothing known so far".to_owned(), Tone::Doubt)
    } else {
        (format!("changes fit versions on {} levels; no proof yet", count(so_far.levels as u64)), Tone::Faint)
    };
    [(first, Tone::Plain), second]
}

/// What can be done.
pub(super) fn footer(stopping: bool, remarks: &[String]) -> Said {
    if stopping {
        let text = "Stopping: drains, judges, reports. Ctrl-C again: at once";
        return (text.to_owned(), Tone::Doubt);
    }
    match remarks {
        [] => ("Ctrl-C: stop here, drain, judge and report".to_owned(), Tone::Faint),
        [.., last] => (format!("{} noted, told at the end: {last}", remarks.len()), Tone::Doubt),
    }
}

/// `12.3 s`
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A time with three digits.
fn millis(nanos: u64) -> String {
    let millis = nanos as f64 / 1e6;
    match millis {
        _ if millis >= 10_000.0 => format!("{:.1} s", millis / 1e3),
        _ if millis >= 100.0 => format!("{millis:.0} ms"),
        _ if millis >= 10.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.2} ms"),
    }
}

/// A rate with three digits or so.
fn per_s(rate: f64) -> String {
    match rate {
        _ if rate >= 1e6 => format!("{:.2}M/s", rate / 1e6),
        _ if rate >= 1e5 => format!("{:.0}k/s", rate / 1e3),
        _ if rate >= 1e4 => format!("{:.1}k/s", rate / 1e3),
        _ if rate >= 10.0 || rate == 0.0 => format!("{rate:.0}/s"),
        _ => format!("{rate:.1}/s"),
    }
}

/// A count, its digits in groups of three.
fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1 000", "1 234 567"]);
        let rates = [0.0, 2.55, 45.0, 9_999.0, 12_345.0, 123_456.0, 2_500_000.0].map(per_s);
        assert_eq!(rates, ["0/s", "2.5/s", "45/s", "9999/s", "12.3k/s", "123k/s", "2.50M/s"]);
        let times = [1_500_000, 15_000_000, 150_000_000, 15_000_000_000].map(millis);
        assert_eq!(times, ["1.50 ms", "15.0 ms", "150 ms", "15.0 s"]);
    }

    #[test]
    fn contention_is_told_as_the_server_has_it() {
        let told = |counters: &[(&str, f64)]| {
            let counters = counters.iter().map(|(name, value)| ((*name).to_owned(), *value));
            contention(&Contention::Told(counters.collect())).0
        };
        assert_eq!(
            told(&[("acquisitions", 2_000.0), ("contended", 50.0), ("retries", 0.0)]),
            "2.5% of 2000/s waited"
        );
        assert_eq!(told(&[("spins", 12.0), ("wait_ns", 2.5e6)]), "spins 12/s, wait 2.5 ms/s");
        assert_eq!(told(&[("hold_ns_mean", 196.4)]), "hold_ns_mean 196");
        assert_eq!(told(&[("spins", 0.0)]), "none");
        assert_eq!(told(&[("acquisitions", 0.0), ("contended", 0.0)]), "0.0% of 0/s waited");
        assert_eq!(contention(&Contention::NotTold).0, "not told by the server");
    }
}
