//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wait after so many attempts that failed in a row (1 is the first): doubled each time, up to a longest, of which a random half is
/// left out, so that those who failed together are not tried together. What the receiver asks for is honoured within the same bound.
pub fn wait(first: Duration, longest: Duration, failed: u32, asked: Option<Duration>) -> Duration {
    let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
    let whole = first.saturating_mul(doubled).min(longest);
    let wait = whole.mul_f64(0.5 + random() / 2.0);
    wait.max(asked.unwrap_or_default()).min(longest)
}

/// What `Retry-After` asks for: seconds, or a date.
pub fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    // One that has passed asks for nothing.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.saturating_sub(now))
}

/// From 0 to 1. It hides nothing, so the hasher's own randomness will do.
fn random() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_doubled_within_bounds_and_what_is_asked_for_is_honoured() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_hours(1));
        for (failed, whole) in
            [(1, 1), (2, 2), (5, 16), (12, 2_048), (13, 3_600), (40, 3_600), (u32::MAX, 3_600)]
        {
            for _ in 0..100 {
                let wait = wait(first, longest, failed, None);
                let whole = Duration::from_secs(whole);
                assert!(wait >= whole / 2 && wait <= whole, "{failed}: {wait:?}");
            }
        }
        let asked = Some(Duration::from_secs(77));
        assert_eq!(wait(first, longest, 1, asked), Duration::from_secs(77));
        assert_eq!(wait(first, longest, 1, Some(Duration::MAX)), longest);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(retry_after(&soon).is_some_and(|wait| wait > Duration::from_secs(90)), "{soon}");
        for wrong in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(wrong), None, "{wrong}");
        }
    }
}
