//! [`Sender`]: one message on its way to the collector, and again where OTLP says that it may be (429, 502, 503, 504, no connection, no answer in time), later each
//! time, until it is given up.
//!
//! A collector that is away is told of once a minute at most, with its host and never with what was sent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::settings::Target;
use crate::outgoing::backoff::{retry_after, wait};
use crate::outgoing::{self, Trust};

/// After the first attempt that failed, and at most.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often somebody is told that a collector is away.
const COMPLAINT_EVERY: Duration = Duration::from_mins(1);

/// Sends messages of one kind to one place.
#[derive(Debug)]
pub(super) struct Sender {
    signal: &'static str,
    target: Target,
    trust: Trust,
    /// Whether the service ends, and nothing is tried again.
    ending: watch::Receiver<bool>,
    complained: Mutex<Option<Instant>>,
}

/// Why a message did not arrive.
struct Failure {
    error: String,
    may_be_sent_again: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    /// What is no success.
    fn answered(status: StatusCode, headers: &HeaderMap) -> Self {
        let asked = headers.get(header::RETRY_AFTER).and_then(|asked| asked.to_str().ok());
        Self {
            error: format!("it answered {}", status.as_u16()),
            may_be_sent_again: may_be_sent_again(status),
            retry_after: asked.and_then(retry_after),
        }
    }
}

impl Sender {
    pub(super) fn new(
        signal: &'static str,
        target: Target,
        trust: Trust,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self { signal, target, trust, ending, complained: Mutex::default() }
    }

    /// Hands it over, and says what was answered; `None` if it was given up, which has been told.
    pub(super) async fn hand_over(&self, message: Bytes, tried_for: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + tried_for;
        let mut failed = 0;
        loop {
            let failure = match self.post(message.clone()).await {
                Ok(answer) => return Some(answer),
                Err(failure) => failure,
            };
            failed += 1;
            self.complain(&failure.error);
            let pause = wait(WAIT_FIRST, WAIT_MAX, failed, failure.retry_after);
            let is_last = !failure.may_be_sent_again || Instant::now() + pause > deadline;
            if is_last || self.is_ending_within(pause).await {
                return None;
            }
        }
    }

    /// Tells of what was no success, but not all the time.
    pub(super) fn complain(&self, error: &str) {
        let (now, mut last) = (Instant::now(), self.complained.lock());
        if last.is_some_and(|last| now.saturating_duration_since(last) < COMPLAINT_EVERY) {
            return;
        }
        *last = Some(now);
        drop(last);
        let (signal, collector) = (self.signal, self.target.url.authority());
        tracing::warn!(signal, collector, error, "the collector does not take what it is sent");
    }

    async fn is_ending_within(&self, pause: Duration) -> bool {
        let mut ending = self.ending.clone();
        // Whoever could say that it ends has gone: so it ends.
        tokio::time::timeout(pause, ending.wait_for(|ending| *ending)).await.is_ok()
    }

    async fn post(&self, message: Bytes) -> Result<Vec<u8>, Failure> {
        let again = |error| Failure { error, may_be_sent_again: true, retry_after: None };
        let timeout = self.target.timeout;
        let late = |_| again(format!("no answer within {}", humantime::format_duration(timeout)));
        let answer = tokio::time::timeout(timeout, self.send(message)).await.map_err(late)?.map_err(again)?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(Failure::answered(answer.status, &answer.headers))
    }

    async fn send(&self, message: Bytes) -> Result<outgoing::Answer, String> {
        let Target { url, headers, .. } = &self.target;
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((host, url.port())).await;
        let addresses: Vec<_> =
            found.map_err(|error| format!("{host} cannot be resolved: {error}"))?.collect();
        let mut request = outgoing::post(url, "application/x-protobuf", message)?;
        // Those that were given beat ours.
        for name in headers.keys() {
            request.headers_mut().remove(name);
        }
        request.headers_mut().extend(headers.clone());
        outgoing::send(url, &addresses, &self.trust, request).await
    }
}

/// What OTLP says may be: <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>.
fn may_be_sent_again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again_is_what_the_protocol_says_and_when_it_is_asked_for() {
        let answered = |status: u16, headers: &HeaderMap| {
            let failure = Failure::answered(StatusCode::from_u16(status).unwrap(), headers);
            (failure.may_be_sent_again, failure.retry_after)
        };
        let (none, asked) = (HeaderMap::new(), [(header::RETRY_AFTER, "7".parse().unwrap())]);
        for again in [429, 502, 503, 504] {
            assert_eq!(answered(again, &none), (true, None), "{again}");
            let asked = asked.iter().cloned().collect();
            assert_eq!(answered(again, &asked), (true, Some(Duration::from_secs(7))), "{again}");
        }
        for never in [301, 400, 401, 403, 404, 408, 413, 500, 501, 505] {
            assert_eq!(answered(never, &none), (false, None), "{never}");
        }
    }
}
