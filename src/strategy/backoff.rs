//! Waiting where there is no lock to sleep on: spin a little, yield a little, then sleep in growing steps.

use std::thread;
use std::time::{Duration, Instant};

/// Attempts with a processor pause in between. A critical section is some hundred nanoseconds: most waits end here.
const SPINS: u32 = 6;
/// Attempts with the processor given away in between: the holder may be waiting for it.
const YIELDS: u32 = 32;
/// The longest sleep between two attempts.
const SLEEP_MAX: Duration = Duration::from_millis(1);
/// The first sleep.
const SLEEP_MIN: Duration = Duration::from_micros(20);

/// Tries until an attempt succeeds or the deadline has passed; the last attempt comes after the deadline.
pub fn until<T>(deadline: Instant, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let mut tried = 0_u32;
    loop {
        if let Some(success) = attempt() {
            return Some(success);
        }
        if tried >= SPINS && Instant::now() >= deadline {
            return None;
        }
        pause(tried, deadline);
        tried += 1;
    }
}

fn pause(tried: u32, deadline: Instant) {
    if tried < SPINS {
        (0..1_u32 << tried).for_each(|_| std::hint::spin_loop());
    } else if tried < SPINS + YIELDS {
        thread::yield_now();
    } else {
        let doublings = (tried - SPINS - YIELDS).min(16);
        let step = SLEEP_MIN.saturating_mul(1 << doublings).min(SLEEP_MAX);
        let left = deadline.saturating_duration_since(Instant::now());
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by SLEEP_MAX; the lock offers nothing to wait on"
        )]
        thread::sleep(step.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_once_more_after_the_deadline_and_no_longer() {
        let mut attempts = 0_u32;
        let outcome = until(Instant::now(), || {
            attempts += 1;
            None::<()>
        });
        assert_eq!((outcome, attempts), (None, SPINS + 1));
        assert_eq!(until(Instant::now(), || Some(1)), Some(1));
    }

    #[test]
    fn whoever_has_time_tries_until_it_succeeds() {
        let far = Instant::now() + Duration::from_hours(1);
        let mut left = SPINS + YIELDS + 3;
        let outcome = until(far, || {
            left -= 1;
            (left == 0).then_some(7)
        });
        assert_eq!((outcome, left), (Some(7), 0));
    }
}
