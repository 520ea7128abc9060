//! [`Sampler`]: some of many, at most so many a second, and a count of the others.
//!
//! It never waits and reads no clock: whoever asks has the time already. Under load nearly all who ask are turned away, and that is one
//! look at a word that is written a few times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::striped::Striped;

/// Takes the first few of each second.
#[derive(Debug)]
pub struct Sampler {
    per_second_max: u32,
    began: Instant,
    /// The second since `began` in the upper half, how many it has taken in the lower.
    taken: AtomicU64,
    left_out: Striped<1>,
}

impl Sampler {
    /// Takes that many of each second.
    pub fn new(per_second_max: u32) -> Self {
        Self { per_second_max, began: Instant::now(), taken: AtomicU64::new(0), left_out: Striped::new() }
    }

    /// Whether this one, at that time, is taken. Who comes late for its second counts in the one that has begun.
    pub fn takes(&self, at: Instant) -> bool {
        let second = at.saturating_duration_since(self.began).as_secs() << 32;
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let next = if taken < second {
                second
            } else if taken & u64::from(u32::MAX) < u64::from(self.per_second_max) {
                taken
            } else {
                self.left_out.add(0, 1);
                return false;
            };
            // Relaxed: nothing else is ordered by it.
            match self.taken.compare_exchange_weak(taken, next + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => taken = other,
            }
        }
    }

    /// How many were not taken.
    pub fn left_out(&self) -> u64 {
        self.left_out.sum(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_first_few() {
        let sampler = Sampler::new(3);
        let at = |ms| sampler.began + Duration::from_millis(ms);
        let taken = |times: &[u64]| times.iter().filter(|ms| sampler.takes(at(**ms))).count();
        assert_eq!(taken(&[0, 1, 2, 3, 999]), 3);
        assert_eq!(sampler.left_out(), 2);
        assert_eq!(taken(&[1_000, 2_500]), 2, "a second that has begun does not give to the next");
        assert_eq!(
            taken(&[1_999, 2_501, 2_502, 2_503]),
            2,
            "who comes late counts in the second that has begun"
        );
        assert_eq!(sampler.left_out(), 4);
    }

    #[test]
    fn of_many_threads_no_more_are_taken() {
        let sampler = Sampler::new(100);
        let at = sampler.began + Duration::from_secs(7);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1_000).filter(|_| sampler.takes(at)).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("it counts")).sum::<usize>()
        });
        assert_eq!((taken, sampler.left_out()), (100, 3_900));
    }
}
