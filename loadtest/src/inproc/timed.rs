//! The timed pass: every thread plays its tape, and nothing is written down but a sample in [`BATCH`].
//!
//! All threads start at a barrier. A thread looks at the clock once per batch, for the sample and to see whether to
//! stop, so the clock costs an operation less than a nanosecond. Throughput counts the whole batches of all threads from
//! the first start to the last end. What the calls answered is added up in registers ([`Tally`]): enough to see
//! afterwards that the levels moved by exactly what was acknowledged.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use super::block_on::Parker;
use super::tape::{BATCH, STEPS, Step, Tape};
use crate::schedule::nanos;

/// The longest latency that is told apart from longer ones.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Something that steps are performed on.
pub trait Target: Sync {
    /// Performs one step, and adds up what came of it.
    fn perform(&self, parker: &Parker, tape: &Tape, step: Step, tally: &mut Tally);
}

/// When a thread stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this long.
    Elapsed(Duration),
    /// After this many batches of its own.
    Batches(u64),
}

/// What came of many steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Levels changed: one per version.
    pub changes: u64,
    /// Units they gained.
    pub units: i64,
    /// Steps refused for the state of the stock.
    pub refused: u64,
    /// Steps that ran into the lock timeout.
    pub timed_out: u64,
}

/// A timed pass.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Steps of whole batches, over all threads.
    pub operations: u64,
    /// From the first start to the last end.
    pub elapsed: Duration,
    /// CPU time of the whole process meanwhile, that of tasks and of the kernel on our behalf included.
    pub cpu: Duration,
    /// The samples, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// What came of it.
    pub tally: Tally,
}

/// What one thread did.
struct Played {
    began: Instant,
    ended: Instant,
    batches: u64,
    latencies: Histogram<u64>,
    tally: Tally,
}

/// Plays every tape in a thread of its own. The threads are in the runtime's context, for strategies that use its timers.
pub fn timed<T: Target>(target: &T, tapes: &[Tape], until: Until, runtime: &Handle) -> Pass {
    let start = Barrier::new(tapes.len() + 1);
    let (cpu_before, played) = std::thread::scope(|scope| {
        let play = |tape| {
            let start = &start;
            scope.spawn(move || {
                let _context = runtime.enter();
                play(target, tape, until, start)
            })
        };
        let threads: Vec<_> = tapes.iter().map(play).collect();
        start.wait();
        let cpu_before = cpu();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Played>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        (cpu_before, threads.into_iter().map(join).collect::<Vec<_>>())
    });
    let cpu = cpu().saturating_sub(cpu_before);
    let (began, ended) = (played.iter().map(|one| one.began).min(), played.iter().map(|one| one.ended).max());
    let mut pass = Pass {
        operations: 0,
        elapsed: began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began),
        cpu,
        latencies: histogram(),
        tally: Tally::default(),
    };
    for one in played {
        pass.operations += one.batches * BATCH as u64;
        pass.latencies.add(one.latencies).expect("histograms of the same bounds");
        pass.tally.merge(one.tally);
    }
    pass
}

fn play<T: Target>(target: &T, tape: &Tape, until: Until, start: &Barrier) -> Played {
    debug_assert_eq!(tape.steps.len(), STEPS, "whole batches");
    let parker = Parker::new();
    let (mut latencies, mut tally, mut batches) = (histogram(), Tally::default(), 0);
    start.wait();
    let began = Instant::now();
    for batch in tape.steps.chunks_exact(BATCH).cycle() {
        let now = Instant::now();
        if until.is_reached(now - began, batches) {
            break;
        }
        let (sample, rest) = batch.split_first().expect("a batch has steps");
        target.perform(&parker, tape, *sample, &mut tally);
        latencies.saturating_record(nanos(now.elapsed()));
        for step in rest {
            target.perform(&parker, tape, *step, &mut tally);
        }
        batches += 1;
    }
    Played { began, ended: Instant::now(), batches, latencies, tally }
}

impl Until {
    fn is_reached(self, elapsed: Duration, batches: u64) -> bool {
        match self {
            Self::Elapsed(most) => elapsed >= most,
            Self::Batches(most) => batches >= most,
        }
    }
}

impl Tally {
    /// Takes another's sums in.
    pub fn merge(&mut self, other: Self) {
        self.changes += other.changes;
        self.units += other.units;
        self.refused += other.refused;
        self.timed_out += other.timed_out;
    }
}

/// What reading the clock twice costs, which is in every sample: the median of many.
pub fn clock_cost_ns() -> u64 {
    let mut costs: Vec<u64> = (0..1_001).map(|_| nanos(Instant::now().elapsed())).collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds that the histogram takes")
}

/// The CPU time of this process so far.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Count(AtomicU64);

    impl Target for Count {
        fn perform(&self, _: &Parker, _: &Tape, _: Step, tally: &mut Tally) {
            self.0.fetch_add(1, Ordering::Relaxed);
            tally.changes += 1;
        }
    }

    #[test]
    fn every_thread_plays_its_batches_and_samples_one_step_in_each() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tape = Tape { steps: vec![Step::Read(0); STEPS], ..Tape::default() };
        let count = Count(AtomicU64::new(0));
        // More batches than a tape has, so that it is played again.
        let pass = timed(&count, &[tape.clone(), tape], Until::Batches(300), runtime.handle());
        assert_eq!(pass.operations, 2 * 300 * BATCH as u64);
        assert_eq!((pass.latencies.len(), pass.tally.changes), (600, pass.operations));
        assert_eq!(count.0.into_inner(), pass.operations);
    }
}
