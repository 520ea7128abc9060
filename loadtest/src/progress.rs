//! How far a run is, on standard error: a bar on a terminal, a plain line every few seconds elsewhere, where logs are kept.
//!
//! Clients only add to a counter of their thread; whoever shows the sum reads them all.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::schedule::Limit;

/// How often a bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Counters of plain lines: more threads than these share some.
const COUNTERS: usize = 64;

/// Between two plain lines, where nothing else is said.
const EVERY: Duration = Duration::from_secs(5);

/// The progress of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress(Shown);

#[derive(Debug, Clone)]
enum Shown {
    Nowhere,
    Bar(ProgressBar),
    Lines(Arc<Lines>),
}

/// What the plain lines are made of.
#[derive(Debug)]
struct Lines {
    counters: Vec<Counter>,
    stage: Mutex<Stage>,
}

/// A counter on a cache line of its own (two, since they are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

#[derive(Debug, Clone, Default)]
struct Stage {
    prefix: String,
    /// What is under way since when, and how much had been done before; `None` between stages.
    now: Option<(&'static str, Instant, u64)>,
}

impl Progress {
    /// A bar if standard error is a terminal, lines otherwise.
    pub fn new() -> Self {
        Self::every(EVERY)
    }

    /// The same, with this long between two lines; none at all if that is zero.
    pub fn every(pause: Duration) -> Self {
        if std::io::stderr().is_terminal() {
            return Self(Shown::Bar(ProgressBar::new_spinner()));
        }
        if pause.is_zero() {
            return Self::silent();
        }
        let counters = (0..COUNTERS).map(|_| Counter::default()).collect();
        let lines = Arc::new(Lines { counters, stage: Mutex::default() });
        let watched = Arc::downgrade(&lines);
        thread::spawn(move || tell(&watched, pause));
        Self(Shown::Lines(lines))
    }

    /// Shows nothing, wherever standard error goes.
    pub fn silent() -> Self {
        Self(Shown::Nowhere)
    }

    /// What comes before every stage, such as the name of the strategy.
    pub fn prefix(&self, prefix: String) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.set_prefix(prefix),
            Shown::Lines(lines) => lines.change(|stage| stage.prefix = prefix + " "),
        }
    }

    /// A new stage begins.
    pub fn begin(&self, stage: &'static str, limit: Option<Limit>) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => begin_bar(bar, stage, limit),
            Shown::Lines(lines) => {
                let done = lines.done();
                lines.change(|known| known.now = Some((stage, Instant::now(), done)));
            }
        }
    }

    /// One more request is done.
    pub fn advance(&self) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.inc(1),
            // Relaxed: a sum that is a moment old is good enough to look at.
            Shown::Lines(lines) => {
                lines.counters[own_counter()].0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The run is over.
    pub fn end(&self) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(lines) => lines.change(|stage| stage.now = None),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// The counter of this thread.
fn own_counter() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed) % COUNTERS;
            own.set(Some(number));
            number
        })
    })
}

impl Lines {
    fn done(&self) -> u64 {
        self.counters.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }

    fn change(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The line for now; `None` between stages.
    fn line(&self) -> Option<String> {
        let Stage { prefix, now } = self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (stage, since, before) = now?;
        let (done, elapsed) = (self.done() - before, since.elapsed());
        let per_s = crate::measure::per_second(done, elapsed);
        Some(format!("{prefix}{stage}, {:.1} s: {done} done, {per_s:.0} a second", elapsed.as_secs_f64()))
    }
}

/// Tells how far it is until nobody is left who could get further.
fn tell(lines: &Weak<Lines>, pause: Duration) {
    loop {
        thread::park_timeout(pause);
        let Some(lines) = lines.upgrade() else { return };
        if let Some(line) = lines.line() {
            let _ = writeln!(std::io::stderr().lock(), "loadtest: {line}");
        }
    }
}

fn begin_bar(bar: &ProgressBar, stage: &'static str, limit: Option<Limit>) {
    bar.reset();
    bar.set_style(style(match limit {
        Some(Limit::Requests(_)) => "{prefix} {msg} {wide_bar} {pos}/{len} {per_sec} {eta}",
        _ => "{spinner} {prefix} {msg}: {pos} done, {elapsed}",
    }));
    match limit {
        Some(Limit::Requests(requests)) => {
            bar.set_length(requests);
            bar.set_message(stage);
        }
        Some(Limit::For(duration)) => {
            bar.set_message(format!("{stage} for {:.1} s", duration.as_secs_f64()));
        }
        None => bar.set_message(stage),
    }
    bar.enable_steady_tick(TICK);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_what_all_threads_did_in_its_stage() {
        let counters = (0..COUNTERS).map(|_| Counter::default()).collect();
        let lines = Arc::new(Lines { counters, stage: Mutex::default() });
        let progress = Progress(Shown::Lines(Arc::clone(&lines)));
        assert_eq!(lines.line(), None);
        progress.begin("warming up", None);
        progress.advance();
        progress.prefix("[one]".to_owned());
        progress.begin("measuring", None);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..1_000).for_each(|_| progress.advance()));
            }
        });
        let line = lines.line().unwrap();
        assert!(line.starts_with("[one] measuring, ") && line.contains(": 3000 done, "), "{line}");
        progress.end();
        assert_eq!(lines.line(), None);
    }
}
