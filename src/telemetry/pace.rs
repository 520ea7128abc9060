//! [`Pace`]: how fast those who wait for something have had it lately, and so when it is worth another try.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many of the last departures are looked at.
const DEPARTURES: usize = 64;

/// The longest that somebody is told to wait.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// When the last ones left a queue.
#[derive(Debug, Default)]
pub struct Pace {
    /// When a queue began that was empty before, until so many have left it that they are enough to go by.
    since: Option<Instant>,
    left: VecDeque<Instant>,
}

impl Pace {
    /// A queue begins that was empty: how fast one moved that was there before says nothing of it.
    pub fn begin(&mut self, now: Instant) {
        self.left.clear();
        self.since = Some(now);
    }

    /// One has left it.
    pub fn left(&mut self, now: Instant) {
        if self.left.len() == DEPARTURES {
            self.left.pop_front();
            self.since = None;
        }
        self.left.push_back(now);
    }

    /// How long it takes until `count` have left it, at the pace of the last that have, and at least for as long as none has.
    pub fn until_left(&self, count: usize, now: Instant) -> Duration {
        let Some(first) = self.since.or_else(|| self.left.front().copied()) else { return WAIT_MAX };
        let departures = u32::try_from(self.left.len()).unwrap_or(u32::MAX).max(1);
        let each = now.saturating_duration_since(first) / departures;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        each.checked_mul(count).unwrap_or(WAIT_MAX).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_takes_is_what_it_took() {
        let began = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.until_left(1, began), WAIT_MAX);
        for at in 1..=200 {
            pace.left(began + Duration::from_millis(at * 10));
        }
        let now = began + Duration::from_secs(2);
        let told = pace.until_left(100, now);
        assert!((900..=1_100).contains(&told.as_millis()), "{told:?}");
        assert!(pace.until_left(100, now + Duration::from_secs(30)) > Duration::from_secs(30));
        assert_eq!(pace.until_left(usize::MAX, now), WAIT_MAX);
    }

    #[test]
    fn a_queue_that_begins_anew_has_a_pace_of_its_own() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::default();
        pace.left(began);
        let crowd = began + 3_600 * second;
        pace.begin(crowd);
        assert_eq!(pace.until_left(1, crowd), Duration::ZERO);
        assert_eq!(pace.until_left(3, crowd + 2 * second), 6 * second, "none has left it for two seconds");
        pace.left(crowd + 2 * second);
        pace.left(crowd + 4 * second);
        assert_eq!(pace.until_left(3, crowd + 4 * second), 6 * second, "one every two seconds");
    }
}
