//! How far a run is, on standard error: a [view] on a terminal that is large enough, a bar on others and where a
//! command has no more to show, a plain line every few seconds elsewhere, where logs are kept.
//!
//! Clients only add to what is their thread's; whoever shows the sum reads them all.

pub mod board;
pub mod books;
pub mod gauge;

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::task::AbortOnDropHandle;

use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::interrupt::Stop;
use crate::schedule::{Limit, Rate};
use crate::view;
use board::{Board, Watch};
use gauge::Shown as Figures;

/// How often a bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Counters of plain lines: more threads than these share some.
const COUNTERS: usize = 64;

/// Between two plain lines, where nothing else is said.
const EVERY: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// As a view, or a bar, on a terminal; as lines elsewhere.
    Auto,
    /// As plain lines, wherever they go.
    Lines,
    /// Not at all.
    None,
}

/// The way of this process.
static WAY: OnceLock<Way> = OnceLock::new();

impl Way {
    /// Decides it for this process. The first decision stands.
    pub fn decide(self) {
        let _ = WAY.set(self);
    }

    fn decided() -> Self {
        WAY.get().copied().unwrap_or(Self::Auto)
    }
}

/// The progress of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress(Shown);

#[derive(Debug, Clone)]
enum Shown {
    Nowhere,
    Bar(ProgressBar),
    Lines(Arc<Lines>),
    View(Arc<Board>),
}

/// What the plain lines are made of.
#[derive(Debug, Default)]
struct Lines {
    counters: Counters,
    stage: Mutex<Stage>,
}

/// A counter for each thread.
#[derive(Debug)]
struct Counters(Vec<Counter>);

/// A counter on a cache line of its own (two, since they are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

#[derive(Debug, Clone, Default)]
struct Stage {
    prefix: String,
    /// How many stages have begun.
    begun: u64,
    /// What is under way; `None` between stages.
    now: Option<Now>,
}

/// What is under way.
#[derive(Debug, Clone)]
struct Now {
    name: &'static str,
    since: Instant,
    limit: Option<Limit>,
    /// What had been done before.
    done_before: u64,
    shown_before: Figures,
}

impl Progress {
    /// A bar if standard error is a terminal, lines otherwise.
    pub fn new() -> Self {
        Self::every(EVERY)
    }

    /// The same, with this long between two lines; none at all if that is zero.
    pub fn every(pause: Duration) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && !view::is_dumb();
        match Way::decided() {
            Way::Auto if is_terminal => Self(Shown::Bar(ProgressBar::new_spinner())),
            Way::Auto | Way::Lines if !pause.is_zero() => Self::lines(pause),
            Way::Auto | Way::Lines | Way::None => Self::silent(),
        }
    }

    /// A view of what has this title if standard error is a terminal with room for one, and this process is in its foreground;
    /// otherwise as [`Progress::every`]. It stays until it is closed, or nobody has this progress any more.
    pub fn viewed(title: &str, stop: &Stop, pause: Duration) -> Self {
        if Way::decided() == Way::Auto && view::is_fit() {
            let board = Arc::new(Board::new(title.to_owned(), stop.clone()));
            if view::open(&board) {
                return Self(Shown::View(board));
            }
        }
        Self::every(pause)
    }

    /// [`Progress::viewed`], with as long between two lines as where nothing else is said.
    pub fn viewed_or_new(title: &str, stop: &Stop) -> Self {
        Self::viewed(title, stop, EVERY)
    }

    fn lines(pause: Duration) -> Self {
        let lines = Arc::new(Lines::default());
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
            Shown::View(board) => board.prefix(prefix),
        }
    }

    /// A new stage begins.
    pub fn begin(&self, stage: &'static str, limit: Option<Limit>) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => begin_bar(bar, stage, limit),
            Shown::Lines(lines) => {
                let done = lines.counters.done();
                lines.change(|known| known.begin(stage, limit, done, Figures::default()));
            }
            Shown::View(board) => board.begin(stage, limit),
        }
    }

    /// One more request is done, or whatever the stage is counted in.
    pub fn advance(&self) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.inc(1),
            Shown::Lines(lines) => lines.counters.add(),
            Shown::View(board) => board.counters.add(),
        }
    }

    /// A run begins, on this many threads of clients: what each is to write its figures to; nothing if nobody would look.
    pub fn watches(
        &self,
        threads: usize,
        catalogue: &Arc<Catalogue>,
        offered: Option<&Rate>,
    ) -> Vec<Arc<Watch>> {
        match &self.0 {
            Shown::View(board) => board.watches(threads, catalogue, offered.cloned()),
            Shown::Nowhere | Shown::Bar(_) | Shown::Lines(_) => Vec::new(),
        }
    }

    /// Asks the server how contended it is, once a second for as long as what this returns is kept; not if nobody would look.
    /// Must be called within a runtime.
    pub fn ask(&self, client: &Arc<Client>) -> Option<AbortOnDropHandle<()>> {
        let Shown::View(board) = &self.0 else { return None };
        let asking = Arc::clone(board).ask(Arc::clone(client));
        Some(AbortOnDropHandle::new(tokio::spawn(asking)))
    }

    /// The stage is over.
    pub fn end(&self) {
        match &self.0 {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(lines) => lines.change(|stage| stage.now = None),
            Shown::View(board) => board.end(),
        }
    }

    /// Nothing more is shown, and the terminal is as it was.
    pub fn close(self) {
        self.end();
        if let Shown::View(_) = &self.0 {
            view::close();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Board {
    /// Whoever forgets to close it, or fails before, leaves the terminal as it was all the same.
    fn drop(&mut self) {
        view::close();
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

impl Default for Counters {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| Counter::default()).collect())
    }
}

impl Counters {
    fn add(&self) {
        // Relaxed: a sum that is a moment old is good enough to look at.
        self.0[own_counter()].0.fetch_add(1, Ordering::Relaxed);
    }

    fn done(&self) -> u64 {
        self.0.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }
}

impl Stage {
    fn begin(&mut self, name: &'static str, limit: Option<Limit>, done_before: u64, shown_before: Figures) {
        self.begun += 1;
        self.now = Some(Now { name, since: Instant::now(), limit, done_before, shown_before });
    }
}

impl Lines {
    fn change(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The line for now; `None` between stages.
    fn line(&self) -> Option<String> {
        let Stage { prefix, now, .. } = self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Now { name, since, done_before, .. } = now?;
        let (done, elapsed) = (self.counters.done() - done_before, since.elapsed());
        let per_s = crate::measure::per_second(done, elapsed);
        Some(format!("{prefix}{name}, {:.1} s: {done} done, {per_s:.0} a second", elapsed.as_secs_f64()))
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
        let lines = Arc::new(Lines::default());
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
