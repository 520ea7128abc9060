//! [`Poster`]: one attempt to hand a message over: one connection, one request, one answer, within a limit of time.
//!
//! The connection is made to an address that was judged a moment before ([`super::address`]), without a proxy, and no redirect is followed. What
//! counts is the status: as much of the body as is small is read, so that the receiver can finish, and thrown away.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};

use super::address::Addresses;
use super::message::Message;
use super::secret::Secret;
use crate::clock::wall_ms;
use crate::outgoing::backoff::retry_after;
use crate::outgoing::url::Url;
use crate::outgoing::{self, Trust};

/// Who hands messages over.
#[derive(Debug)]
pub(super) struct Poster {
    addresses: Addresses,
    limit: Duration,
    trust: Trust,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none, or why it is no success.
    pub error: Option<String>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// How long it took.
    pub duration: Duration,
}

impl Attempt {
    /// Whether the message was taken.
    pub(super) fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the receiver wants no more messages, ever.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE.as_u16())
    }
}

impl Poster {
    pub(super) fn new(addresses: Addresses, limit: Duration) -> Self {
        Self { addresses, limit, trust: Trust::of_system() }
    }

    /// Which addresses it connects to.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Tries to hand a message over, signed with each of these secrets.
    pub(super) async fn post(&self, url: &Url, message: &Message, secrets: &[Secret]) -> Attempt {
        let began = Instant::now();
        let answer = match tokio::time::timeout(self.limit, self.send(url, message, secrets)).await {
            Ok(answer) => answer,
            Err(_late) => Err(format!("no answer within {}", humantime::format_duration(self.limit))),
        };
        let duration = began.elapsed();
        match answer {
            Ok((status, headers)) => {
                let asked = headers.get(header::RETRY_AFTER).and_then(|asked| asked.to_str().ok());
                let error = (!status.is_success()).then(|| format!("it answered {}", status.as_u16()));
                let retry_after = asked.filter(|_| error.is_some()).and_then(retry_after);
                Attempt { status: Some(status.as_u16()), error, retry_after, duration }
            }
            Err(error) => Attempt { status: None, error: Some(error), retry_after: None, duration },
        }
    }

    async fn send(
        &self,
        url: &Url,
        message: &Message,
        secrets: &[Secret],
    ) -> Result<(StatusCode, HeaderMap), String> {
        let addresses = self.addresses.of(url.host(), url.port()).await.map_err(|no| no.to_string())?;
        let request = request(url, message, secrets)?;
        let answer = outgoing::send(url, &addresses, &self.trust, request).await?;
        Ok((answer.status, answer.headers))
    }
}

fn request(url: &Url, message: &Message, secrets: &[Secret]) -> Result<Request<Full<Bytes>>, String> {
    let time_s = i64::try_from(wall_ms() / 1_000).unwrap_or(i64::MAX);
    let signed = secrets.iter().map(|secret| secret.sign(&message.id, time_s, &message.body));
    let signatures: Vec<String> = signed.collect();
    let mut request = outgoing::post(url, "application/json", message.body.clone())?;
    let fields = [
        (standardwebhooks::HEADER_WEBHOOK_ID, message.id.clone()),
        (standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, time_s.to_string()),
        (standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signatures.join(" ")),
    ];
    for (name, value) in fields {
        let value = value.parse::<HeaderValue>().map_err(|error| format!("no request: {name}: {error}"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}
