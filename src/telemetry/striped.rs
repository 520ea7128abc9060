//! Counters that many threads raise and nobody fights over.
//!
//! One shared counter costs every core a cache miss per request, and would make a lock-free strategy look as
//! contended as a mutex. Here each thread has a stripe of its own: raising a counter is a plain load and store
//! to a cache line no other thread writes; reading adds the stripes up, which is slow and rare.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

/// Stripes of every [`Striped`]. Threads past this share the last one, with atomic additions.
const STRIPES: usize = 64;
const SHARED_STRIPE: usize = STRIPES - 1;

/// `N` counters, each one per thread.
///
/// A sum read while others count is not a snapshot of one instant, but each counter only ever grows, and
/// misses nothing that happened before the read.
#[derive(Debug)]
pub struct Striped<const N: usize> {
    stripes: Box<[CachePadded<[AtomicU64; N]>]>,
}

impl<const N: usize> Striped<N> {
    /// `N` counters at zero.
    pub fn new() -> Self {
        let stripe = || CachePadded::new([const { AtomicU64::new(0) }; N]);
        Self { stripes: (0..STRIPES).map(|_| stripe()).collect() }
    }

    /// Raises counter `counter` (below `N`) by `by` and returns this thread's own count before. Wraps at 2^64.
    pub fn add(&self, counter: usize, by: u64) -> u64 {
        let stripe = my_stripe();
        let cell = &self.stripes[stripe][counter];
        // Relaxed throughout: a counter orders nothing else.
        if stripe == SHARED_STRIPE {
            return cell.fetch_add(by, Ordering::Relaxed);
        }
        let before = cell.load(Ordering::Relaxed);
        cell.store(before.wrapping_add(by), Ordering::Relaxed);
        before
    }

    /// The sum of counter `counter` over all threads, dead ones too.
    pub fn sum(&self, counter: usize) -> u64 {
        let each = self.stripes.iter().map(|stripe| stripe[counter].load(Ordering::Relaxed));
        each.fold(0, u64::wrapping_add)
    }
}

impl<const N: usize> Default for Striped<N> {
    fn default() -> Self {
        Self::new()
    }
}

thread_local! {
    // Without a destructor, so that the common read is one load; the lease beside it has one.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    static LEASE: Lease = Lease::take();
}

/// The stripe of the running thread: its own while fewer than 64 threads live. For whoever wants a place per thread.
pub fn my_stripe() -> usize {
    let stripe = STRIPE.get();
    if stripe != usize::MAX {
        return stripe;
    }
    let stripe = LEASE.try_with(|lease| lease.0).unwrap_or(SHARED_STRIPE);
    STRIPE.set(stripe);
    stripe
}

/// A stripe lent to a thread until it ends. The mutex orders the last write of the old owner before the first
/// read of the next.
struct Lease(usize);

static RETURNED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static NEVER_LENT: Mutex<usize> = Mutex::new(0);

impl Lease {
    fn take() -> Self {
        if let Some(stripe) = RETURNED.lock().pop() {
            return Self(stripe);
        }
        let mut next = NEVER_LENT.lock();
        let stripe = (*next).min(SHARED_STRIPE);
        *next = stripe + 1;
        Self(stripe)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0 != SHARED_STRIPE {
            // A thread that still counts while it is torn down no longer owns the stripe: it shares.
            STRIPE.set(SHARED_STRIPE);
            RETURNED.lock().push(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn nothing_is_missed_by_more_threads_than_stripes() {
        const THREADS: usize = STRIPES + 16;
        const EACH: u64 = 1_000;
        let counters = Striped::<2>::new();
        let start = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..EACH {
                        counters.add(1, 2);
                    }
                });
            }
        });
        assert_eq!((counters.sum(0), counters.sum(1)), (0, 2 * EACH * THREADS as u64));
    }

    #[test]
    fn a_stripe_is_lent_again_after_its_thread_ended() {
        let counters = Striped::<1>::new();
        for _ in 0..3 * STRIPES {
            std::thread::scope(|scope| {
                scope.spawn(|| counters.add(0, 1));
            });
        }
        assert_eq!(counters.sum(0), 3 * STRIPES as u64);
    }
}
