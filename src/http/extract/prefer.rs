//! [`Prefer`]: the header of the same name (RFC 7240), of which `wait` is honoured: how long a client would wait for what it wants.
//!
//! A preference is no demand. What is not known or not well formed counts for nothing, of what is said twice the first counts, and the
//! answer tells what was applied. It never makes a request take longer than it may, nor outlive the service.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::problem::Problem;
use crate::http::{HttpState, Readiness, waits_for};

/// Tells what was applied of what was preferred.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest wait, in seconds, where a request may take longer.
const WAIT_S_MAX: u64 = 60;

/// What a client prefers.
#[derive(Debug)]
pub struct Prefer {
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    seconds: u64,
    /// When the request came: what it has taken by the time it begins to wait is no time to wait.
    began: Instant,
    state: &'static HttpState,
}

/// How long a request that begins to wait now may do so.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    seconds: u64,
    time: Duration,
    readiness: &'static Readiness,
}

impl Prefer {
    /// How long the request is to wait from now on, if it prefers to.
    pub fn patience(&self) -> Option<Patience> {
        let Wait { seconds, began, state } = self.wait.as_ref()?;
        let (seconds, time) = granted(*seconds, began.elapsed(), state.wait_max);
        Some(Patience { seconds, time, readiness: &state.readiness })
    }
}

impl Patience {
    /// For how long.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// What comes of `wanted`, unless the service stops first: then nobody waits any more. Who waits takes nobody's place meanwhile.
    pub async fn unless_stopped<T>(&self, wanted: impl Future<Output = T>) -> Option<T> {
        waits_for::event(async {
            tokio::select! {
                biased;
                wanted = wanted => Some(wanted),
                () = self.readiness.lost() => None,
            }
        })
        .await
    }

    /// What the answer says of it.
    pub fn applied(&self) -> HeaderValue {
        HeaderValue::try_from(format!("wait={}", self.seconds)).expect("letters and digits are visible ASCII")
    }
}

impl FromRequestParts<&'static HttpState> for Prefer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &&'static HttpState) -> Result<Self, Problem> {
        let wait = |seconds| Wait { seconds, began: Instant::now(), state };
        Ok(Self { wait: seconds(&parts.headers).map(wait) })
    }
}

/// How many of the seconds that a client would wait are left for it, as they are told, and how long that is: never past `wait_max` from
/// the beginning of the request.
fn granted(seconds: u64, elapsed: Duration, wait_max: Duration) -> (u64, Duration) {
    let left = wait_max.as_secs().saturating_sub(elapsed.as_secs());
    let seconds = seconds.min(WAIT_S_MAX).min(left);
    (seconds, Duration::from_secs(seconds).min(wait_max.saturating_sub(elapsed)))
}

/// The `wait` that is preferred, in seconds.
fn seconds(headers: &HeaderMap) -> Option<u64> {
    let fields = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    // Several fields of one name are one list (RFC 9110, section 5.3).
    let mut preferences = fields.flat_map(|field| split(field, ','));
    let value = preferences.find_map(|preference| {
        let said = split(preference, ';').next().unwrap_or_default();
        let (name, value) = said.split_once('=').unwrap_or((said, ""));
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim())
    })?;
    let digits = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The parts of a text between separators that are not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_separator = !quoted && c == separator;
        quoted ^= c == '"' && !escaped;
        escaped = quoted && !escaped && c == '\\';
        is_separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(fields: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("prefer", HeaderValue::from_str(field).unwrap());
        }
        seconds(&headers)
    }

    #[test]
    fn the_first_wait_counts_and_what_is_malformed_does_not() {
        for (fields, expected) in [
            (&["wait=10"][..], Some(10)),
            (&["WAIT = 10"], Some(10)),
            (&["wait=\"10\""], Some(10)),
            (&["respond-async, wait=10"], Some(10)),
            (&["respond-async", "wait=10; foo=\"a,b\""], Some(10)),
            (&["x=\"wait=1, \\\"wait=2\", wait=3"], Some(3)),
            (&["wait=1, wait=2"], Some(1)),
            (&["wait=soon, wait=2"], None),
            (&["wait=0"], Some(0)),
            (&["wait=99999999999999999999999"], Some(u64::MAX)),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait=1.5"], None),
            (&["wait"], None),
            (&["wait="], None),
            (&["waiting=1"], None),
            (&["x=1; wait=2"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(wait(fields), expected, "{fields:?}");
        }
    }

    /// P10: whatever is asked for, a wait is over before its request's time is.
    #[test]
    fn a_wait_is_bounded_by_what_is_left_of_the_request() {
        let (second, most) = (Duration::from_secs(1), Duration::from_secs(27));
        assert_eq!(granted(5, Duration::ZERO, most), (5, 5 * second));
        assert_eq!(granted(27, second / 2, most), (27, Duration::from_millis(26_500)));
        assert_eq!(granted(u64::MAX, Duration::ZERO, most), (27, most));
        assert_eq!(granted(60, 20 * second, most), (7, 7 * second));
        assert_eq!(granted(60, 40 * second, most), (0, Duration::ZERO));
        assert_eq!(granted(u64::MAX, Duration::ZERO, Duration::MAX), (60, 60 * second));
        assert_eq!(granted(60, Duration::ZERO, second * 9 / 10), (0, Duration::ZERO));
    }
}
