//! [`Poster`]: one attempt to hand a message over: one connection, one request, one answer, within a limit of time.
//!
//! The connection is made to an address that was judged a moment before ([`super::address`]), without a proxy, and no redirect is followed. What
//! counts is the status: as much of the body as is small is read, so that the receiver can finish, and thrown away.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Addresses;
use super::backoff::retry_after;
use super::message::Message;
use super::secret::Secret;
use super::url::Url;
use crate::clock::wall_ms;

/// How much of an answer is read, and for how long, once its status is known.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Who hands messages over.
#[derive(Debug)]
pub(super) struct Poster {
    addresses: Addresses,
    limit: Duration,
    /// `None` where the system has no certificates that could be trusted.
    tls: Option<Arc<ClientConfig>>,
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
        Self { addresses, limit, tls: tls() }
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
        let stream = connect(&addresses).await.map_err(|error| format!("no connection: {error}"))?;
        let request = request(url, message, secrets)?;
        if !url.is_https() {
            return exchange(stream, request).await;
        }
        let tls = self.tls.as_ref().ok_or("this system has no certificates to trust a receiver by")?;
        let name = url.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| format!("no TLS: {error}"))?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|error| format!("no TLS: {error}"))?;
        exchange(stream, request).await
    }
}

/// The first of the addresses that takes a connection.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("there is no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(url: &Url, message: &Message, secrets: &[Secret]) -> Result<Request<Full<Bytes>>, String> {
    let time_s = i64::try_from(wall_ms() / 1_000).unwrap_or(i64::MAX);
    let signed = secrets.iter().map(|secret| secret.sign(&message.id, time_s, &message.body));
    let signatures: Vec<String> = signed.collect();
    let target: Uri = url.target().parse().map_err(|error| format!("no request: {error}"))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("inventory/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(standardwebhooks::HEADER_WEBHOOK_ID, &message.id)
        .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, time_s)
        .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signatures.join(" "));
    request.body(Full::new(message.body.clone())).map_err(|error| format!("no request: {error}"))
}

/// Sends the request, and says what the answer to it is. Whatever it is given up at, the connection ends with it.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, HeaderMap), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unread = |error: hyper::Error| format!("no answer that can be read: {}", told(&error));
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(unread)?;
    let answered = async {
        let (head, body) = sender.send_request(request).await.map_err(unread)?.into_parts();
        // Whether all of it comes is the receiver's affair: it has said what counts.
        let _late = tokio::time::timeout(ANSWER_TIME_MAX, throw_away(Response::new(body))).await;
        Ok((head.status, head.headers))
    };
    let mut answered = pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        // It may have ended with the answer.
        _ended = connection => answered.await,
    }
}

async fn throw_away(answer: Response<Incoming>) {
    let (mut body, mut bytes) = (answer.into_body(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// An error, and what it is made of.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// TLS by what the system trusts.
fn tls() -> Option<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (trusted, _unreadable) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("the provider has what they need").with_root_certificates(roots);
    Some(Arc::new(config.with_no_client_auth()))
}
