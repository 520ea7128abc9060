//! One request to another service: a connection, TLS by what the system trusts, an answer of which little is read. A leaf.
//!
//! It is for those who tell others of something now and then ([`crate::webhooks`], [`crate::telemetry`]): there is a connection for each request, no proxy, and
//! no redirect is followed. Who asks says to which addresses, and for how long; what an answer means is theirs as well.
//!
//! [`url`]: where to. [`backoff`]: when again.

pub mod backoff;
pub mod url;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use self::url::Url;

/// How much of an answer is read, and for how long, once its status is known.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: hyper::StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body, if that was short and came in time; else as much as was read.
    pub body: Vec<u8>,
}

/// What the system trusts.
#[derive(Debug, Clone)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// The certificates of the system. Where it has none, nobody is reached over TLS, and told so.
    pub fn of_system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (trusted, _unreadable) = roots.add_parsable_certificates(found.certs);
        if trusted == 0 {
            return Self(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider has what they need").with_root_certificates(roots);
        Self(Some(Arc::new(config.with_no_client_auth())))
    }
}

/// A request that hands a body over: what each of them says of itself, and of what the body is.
pub fn post(url: &Url, content_type: &'static str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let unmade = |error: &dyn std::error::Error| format!("no request: {error}");
    let target: Uri = url.target().parse().map_err(|error| unmade(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("inventory/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    request.body(Full::new(body)).map_err(|error| unmade(&error))
}

/// Sends a request to the first of these addresses that takes a connection; over TLS if the URL says so. Why there is no answer is told in
/// words, without a word of what was sent.
pub async fn send(
    url: &Url,
    addresses: &[SocketAddr],
    trust: &Trust,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let stream = connect(addresses).await.map_err(|error| format!("no connection: {error}"))?;
    if !url.is_https() {
        return exchange(stream, request).await;
    }
    let tls = trust.0.as_ref().ok_or("this system has no certificates to trust a receiver by")?;
    let name = url.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|error| format!("no TLS: {error}"))?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
    exchange(stream, request).await
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

/// Sends the request, and says what the answer to it is. Whatever it is given up at, the connection ends with it.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unread = |error: hyper::Error| format!("no answer that can be read: {}", told(&error));
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(unread)?;
    let answered = async {
        let (head, incoming) = sender.send_request(request).await.map_err(unread)?.into_parts();
        let mut body = Vec::new();
        // Whether all of it comes is the receiver's affair: it has said what counts.
        let _late = tokio::time::timeout(ANSWER_TIME_MAX, read(incoming, &mut body)).await;
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    let mut answered = pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        // It may have ended with the answer.
        _ended = connection => answered.await,
    }
}

async fn read(mut incoming: Incoming, body: &mut Vec<u8>) {
    while let Some(Ok(frame)) = incoming.frame().await {
        body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if body.len() > ANSWER_BYTES_MAX {
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
