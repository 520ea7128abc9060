//! Which trace a request is a part of, as its `traceparent` says: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! The service makes no spans and calls nobody on behalf of a request, so it passes nothing on; and it sends nothing back, since
//! `traceparent` is a header of requests and the standard has none for answers (`traceresponse` is a draft). The id is for the log, and for exemplars of the metrics. What does not
//! have the form is passed over, as the standard demands, never refused.

use std::fmt;

use axum::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const ID_BYTES: usize = 32;
/// Version, trace, parent and flags, in hex, with dashes between them. A later version may have more after another dash.
const BYTES: usize = 55;

/// The id of a trace: 128 bits in lower-case hex, not all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId {
    hex: [u8; ID_BYTES],
    is_sampled: bool,
}

impl TraceId {
    /// That of a request, if it has exactly one `traceparent` and that is valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let parent = headers.get(TRACEPARENT)?;
        if headers.get_all(TRACEPARENT).iter().nth(1).is_some() {
            return None;
        }
        Self::parse(parent.as_bytes())
    }

    /// In hex.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.hex).expect("hex digits are ASCII")
    }

    /// Whether the caller may have recorded it, so that there is something to look at.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    fn parse(parent: &[u8]) -> Option<Self> {
        let (known, more) = parent.split_at_checked(BYTES)?;
        let is_dashed = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        let (version, trace, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
        let is_hex = [version, trace, parent, flags]
            .iter()
            .all(|part| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        let is_id = |part: &[u8]| part.iter().any(|digit| *digit != b'0');
        let fits_version = match version {
            b"00" => more.is_empty(),
            b"ff" => false,
            _ => more.is_empty() || more[0] == b'-',
        };
        let is_valid = is_dashed && is_hex && is_id(trace) && is_id(parent) && fits_version;
        // The lowest bit of the flags, whose second digit has it.
        let is_sampled = matches!(flags[1], b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f');
        is_valid.then(|| trace.try_into().ok().map(|hex| Self { hex, is_sampled })).flatten()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn parsed(parent: &str) -> Option<String> {
        TraceId::parse(parent.as_bytes()).map(|id| id.as_str().to_owned())
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
        }
    }

    #[test]
    fn a_parent_says_whether_it_was_recorded() {
        let sampled = |flags: &str| {
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            TraceId::parse(parent.as_bytes()).expect("it is valid").is_sampled()
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
        assert_eq!(TraceId::of(&headers), None);
        headers.append(TRACEPARENT, parent.clone());
        assert_eq!(TraceId::of(&headers).expect("it is valid").as_str(), TRACE);
        headers.append(TRACEPARENT, parent);
        assert_eq!(TraceId::of(&headers), None);
    }
}
