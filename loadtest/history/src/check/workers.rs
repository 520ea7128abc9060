//! One thread for each core: the same work in all of them, shared out by whoever is free next.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

/// More would compete for the same memory.
const WORKERS_MAX: usize = 16;

/// How many workers there are.
pub(super) fn count() -> usize {
    // To find out takes a dozen system calls, more than to check a small history.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX))
}

/// Runs the same work in every worker, or in fewer if there are fewer pieces of it; a panic of one goes on here.
pub(super) fn run<T: Send>(pieces: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..count().min(pieces)).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        let join = |other: thread::ScopedJoinHandle<'_, T>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        results.extend(others.into_iter().map(join));
        results
    })
}
