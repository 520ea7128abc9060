//! [`Rate`]: how often something may happen, as a person says it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// More than one client can ask.
const COUNT_MAX: u32 = 1_000_000;
/// The longest time over which requests are counted.
const PERIOD_MAX: Duration = Duration::from_hours(24);

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
}

/// How often one client may ask.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitConfig {
    /// On average.
    pub rate: Rate,
    /// At once, after it has not asked for long; as many as the rate says, if left out.
    pub burst: Option<u32>,
}

impl Rate {
    /// How long it takes until there is one more.
    pub fn every(self) -> Duration {
        self.period / self.count
    }
}

impl RateLimitConfig {
    /// The most there may be at once: so many as come back within a day.
    pub fn burst_max(self) -> usize {
        let burst = PERIOD_MAX.as_nanos() / self.rate.every().as_nanos().max(1);
        usize::try_from(burst).unwrap_or(usize::MAX).min(COUNT_MAX as usize)
    }

    /// How often a client may ask at once.
    pub fn burst(self) -> u32 {
        self.burst.unwrap_or(self.rate.count)
    }

    /// How long it takes until that is back.
    pub fn whole_in(self) -> Duration {
        if self.burst() == self.rate.count { self.rate.period } else { self.rate.every() * self.burst() }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "it must be a number of requests, a slash and a time, as 100/s, 5/m or 1000/10s: \
                 1 to {COUNT_MAX} in whole seconds, 24h at most"
            )
        };
        let (count, period) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)).ok_or_else(wrong)?;
        // A unit alone is one of it.
        let one = if period.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "1" };
        let period = humantime::parse_duration(&format!("{one}{period}")).map_err(|_| wrong())?;
        let is_period = period.subsec_nanos() == 0 && !period.is_zero() && period <= PERIOD_MAX;
        is_period.then_some(Self { count, period }).ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let second = Duration::from_secs(1);
        for (text, count, period) in [
            ("100/s", 100, second),
            ("100/1s", 100, second),
            ("1/m", 1, 60 * second),
            ("1000000/10s", 1_000_000, 10 * second),
            ("7/h", 7, 3_600 * second),
            ("7/1day", 7, 86_400 * second),
        ] {
            assert_eq!(text.parse::<Rate>(), Ok(Rate { count, period }), "{text}");
        }
        for wrong in [
            "",
            "/",
            "100",
            "100/",
            "/s",
            "0/s",
            "-1/s",
            "1.5/s",
            "x/s",
            "100/x",
            "100/0s",
            "100/1500ms",
            "100/ms",
            "1000001/s",
            "1/25h",
            "1/s/s",
            "100 /s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_may_be_had_at_once_is_back_within_a_day() {
        let config = |rate: &str, burst| RateLimitConfig { rate: rate.parse().unwrap(), burst };
        assert_eq!(config("100/s", None).burst(), 100);
        assert_eq!(config("100/s", Some(250)).whole_in(), Duration::from_millis(2_500));
        assert_eq!(config("3/s", None).whole_in(), Duration::from_secs(1));
        assert_eq!(config("1/h", None).burst_max(), 24);
        assert_eq!(config("1000000/s", None).burst_max(), 1_000_000);
    }
}
