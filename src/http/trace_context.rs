//! Which trace a request is a part of, as its `traceparent` says: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! The id is for the log, for exemplars of the metrics, and for the span of the request, if that is recorded ([`super::span`]). The service calls nobody on behalf of
//! a request, so it passes nothing on; and it sends nothing back, since `traceparent` is a header of requests and the standard has none for answers
//! (`traceresponse` is a draft). What does not have the form is passed over, as the standard demands, never refused.

use std::fmt;

use axum::http::{HeaderMap, HeaderName};

use super::lookup;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Version, trace, parent and flags, in hex, with dashes between them. A later version may have more after another dash.
const BYTES: usize = 55;

/// What a request is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span of the caller, not 0.
    pub parent: u64,
}

/// The id of a trace: 128 bits, not 0; shown in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId {
    id: u128,
    is_sampled: bool,
}

impl TraceContext {
    /// That of a request, if it has exactly one `traceparent` and that is valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let parent = lookup::first(headers, &TRACEPARENT)?;
        if headers.get_all(TRACEPARENT).iter().nth(1).is_some() {
            return None;
        }
        Self::parse(parent.as_bytes())
    }

    fn parse(parent: &[u8]) -> Option<Self> {
        let (known, more) = parent.split_at_checked(BYTES)?;
        let is_dashed = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        let fits_version = match &known[..2] {
            b"00" => more.is_empty(),
            b"ff" => false,
            _ => more.is_empty() || more[0] == b'-',
        };
        if !is_dashed || !fits_version {
            return None;
        }
        let [version, id, parent, flags] =
            [&known[..2], &known[3..35], &known[36..52], &known[53..]].map(number);
        let (id, parent) = (id.filter(|id| *id != 0)?, u64::try_from(parent?).ok()?);
        let is_sampled = flags? & 1 == 1;
        (version.is_some() && parent != 0).then_some(Self { trace: TraceId { id, is_sampled }, parent })
    }
}

impl TraceId {
    /// That of a trace which is recorded.
    pub fn recorded(id: u128) -> Self {
        Self { id, is_sampled: true }
    }

    /// As a number.
    pub fn id(self) -> u128 {
        self.id
    }

    /// Whether somebody may have recorded it, so that there is something to look at.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of these digits, at most 32, if they are lower-case hex.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn parsed(parent: &str) -> Option<String> {
        TraceContext::parse(parent.as_bytes()).map(|context| context.trace.to_string())
    }

    #[test]
    fn a_valid_parent_names_its_trace() {
        for valid in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like",
        ] {
            assert_eq!(parsed(valid).as_deref(), Some(TRACE), "{valid}");
            let parent = TraceContext::parse(valid.as_bytes()).map(|context| context.parent);
            assert_eq!(parent, Some(0x00f0_67aa_0ba9_02b7), "{valid}");
        }
    }

    #[test]
    fn a_parent_says_whether_it_was_recorded() {
        let sampled = |flags: &str| {
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            TraceContext::parse(parent.as_bytes()).expect("it is valid").trace.is_sampled()
        };
        assert_eq!(
            ["00", "01", "02", "03", "fe", "ff", "10"].map(sampled),
            [false, true, false, true, false, true, false]
        );
    }

    #[test]
    fn what_has_not_the_form_is_passed_over() {
        for invalid in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parsed(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn of_two_parents_none_counts() {
        let parent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::of(&headers), None);
        headers.append(TRACEPARENT, parent.clone());
        assert_eq!(TraceContext::of(&headers).expect("it is valid").trace.to_string(), TRACE);
        headers.append(TRACEPARENT, parent);
        assert_eq!(TraceContext::of(&headers), None);
    }
}
