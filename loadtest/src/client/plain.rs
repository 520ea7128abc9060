//! The cheap client: one HTTP/1.1 connection for each client, driven by the very task that waits for the answer.
//!
//! The pooled client looks up a connection for each request, hands it to a task of the connection's, and is woken by that.
//! Here there is no pool, no other task and no channel between threads. Everything of a request that does not change is
//! made beforehand. What is never sent twice there is never sent twice here: a request goes to a new connection only if
//! no byte of it was written to the old one, because the server had closed that in the meantime.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::failure::{BROKEN_OFF, CONNECTION_LOST, Doubt, NO_CONNECTION, TIMEOUT, chain};
use super::key::{KEY_HEADER, REPLAYED_HEADER};
use super::{
    Answer, BODY_MAX, Call, Client, Failure, IdempotencyKey, body, credential, etag_version, precondition,
    reserved,
};

/// A request as it goes over the wire.
pub type Plain = Request<Full<Bytes>>;

/// What is the same in all requests to a server: its address, and a path for everything that is asked.
#[derive(Debug)]
pub struct Paths {
    authority: String,
    host: HeaderValue,
    targets: Vec<Target>,
    batch: Uri,
    transfer: Uri,
    query: Uri,
}

#[derive(Debug)]
struct Target {
    stock: Uri,
    adjust: Uri,
}

impl Paths {
    /// To the server and the levels of a client; `None` if one of them cannot be said in a request, which the other client
    /// would have found, too.
    pub fn of(client: &Client) -> Option<Self> {
        let authority = client.authority();
        let catalogue = client.catalogue();
        let target = |key| {
            let entry = catalogue.entry(key);
            Some(Target { stock: entry.stock_path.parse().ok()?, adjust: entry.adjust_path.parse().ok()? })
        };
        Some(Self {
            host: HeaderValue::try_from(&authority).ok()?,
            authority,
            targets: catalogue.keys().map(target).collect::<Option<_>>()?,
            batch: Uri::from_static("/v1/adjustments"),
            transfer: Uri::from_static("/v1/transfers"),
            query: Uri::from_static("/v1/stock/query"),
        })
    }
}

/// The connection of one client.
#[derive(Debug)]
pub struct Link {
    client: Arc<Client>,
    paths: Arc<Paths>,
    timeout: Duration,
    wire: Option<Wire<Full<Bytes>>>,
    /// One timer for all requests: it is set anew only when it has gone off.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Link {
    /// A client without a connection yet.
    pub fn new(client: Arc<Client>, paths: Arc<Paths>, timeout: Duration) -> Self {
        Self { client, paths, timeout, wire: None, timer: None }
    }

    /// Everything that can be done before the clock starts.
    pub fn prepare(&self, call: &Call, key: Option<&IdempotencyKey>) -> Plain {
        self.whole(call, key).map(|content| Full::new(Bytes::from(content)))
    }

    /// A request with its body as it is.
    pub(super) fn whole(&self, call: &Call, key: Option<&IdempotencyKey>) -> Request<Vec<u8>> {
        let mut request = match self.client.described() {
            Some(described) => described.request(call, self.client.catalogue(), key),
            None => self.own(call, key),
        };
        let headers = request.headers_mut();
        headers.insert(HOST, self.paths.host.clone());
        if let Some(key) = credential::shown() {
            // A description may show one of its own.
            headers.entry(AUTHORIZATION).or_insert_with(|| key.clone());
        }
        request
    }

    fn own(&self, call: &Call, key: Option<&IdempotencyKey>) -> Request<Vec<u8>> {
        let target = |key: history::Key| &self.paths.targets[key.0 as usize];
        let (method, uri) = match call {
            Call::Read(key) => (Method::GET, &target(*key).stock),
            Call::Delete(key) => (Method::DELETE, &target(*key).stock),
            Call::Create { key, .. } | Call::Count { key, .. } => (Method::PUT, &target(*key).stock),
            Call::Adjust(change) => (Method::POST, &target(change.key).adjust),
            Call::Batch(_) | Call::Independent(_) => (Method::POST, &self.paths.batch),
            Call::Transfer(_) => (Method::POST, &self.paths.transfer),
            Call::Query(_) => (Method::POST, &self.paths.query),
        };
        let has_body = !matches!(call, Call::Read(_) | Call::Delete(_));
        let content = if has_body { body::body(call, self.client.catalogue()) } else { Vec::new() };
        let mut request = Request::new(content);
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        precondition(call, headers);
        if let Some(key) = key {
            headers.insert(KEY_HEADER, key.header().clone());
        }
        request
    }

    /// A request as bytes, for whoever sends only a part of them.
    pub(super) fn bytes(&self, call: &Call) -> Vec<u8> {
        let request = self.whole(call, None);
        let (head, content) = (&request, request.body());
        let mut wire = format!("{} {} HTTP/1.1\r\n", head.method(), head.uri()).into_bytes();
        for (name, value) in head.headers() {
            wire.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        wire.extend_from_slice(format!("content-length: {}\r\n\r\n", content.len()).as_bytes());
        wire.extend_from_slice(content);
        wire
    }

    pub(super) fn authority(&self) -> &str {
        &self.paths.authority
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a prepared request and waits for the whole answer.
    pub async fn send(&mut self, request: Plain) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let mut attempt = pin!(attempt(&mut self.wire, &self.paths.authority, request));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = attempt.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            // It was set for an earlier request, whose time was up earlier.
            while timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(timed_out()));
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

/// Sends a request on the connection that there is, or on a new one. Whoever drops this, drops the connection with it: the
/// answer that comes later is nobody's.
async fn attempt(
    kept: &mut Option<Wire<Full<Bytes>>>,
    authority: &str,
    mut request: Plain,
) -> Result<Answer, Failure> {
    // The second time the connection is new, and not closed already.
    for _ in 0..2 {
        let mut wire = match kept.take() {
            Some(wire) => wire,
            None => Wire::open(authority).await.map_err(|error| no_connection(&*error))?,
        };
        match wire.exchange(request).await {
            Ok(answer) => {
                *kept = Some(wire).filter(|wire| !wire.is_closed);
                return Ok(answer);
            }
            Err(Broken::Unsent(unsent)) => request = *unsent,
            Err(Broken::Lost(failure)) => return Err(failure),
        }
    }
    Err(no_connection(&io::Error::other("the server closed each connection before a request was written")))
}

/// A connection, and what drives it.
#[derive(Debug)]
pub(super) struct Wire<B: Body + 'static> {
    sender: SendRequest<B>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, B>>>,
    is_closed: bool,
}

/// Why an exchange on a connection brought no answer.
pub(super) enum Broken<B> {
    /// No byte of the request was written: here it is again.
    Unsent(Box<Request<B>>),
    /// Nobody knows how much of it arrived.
    Lost(Failure),
}

impl<B> Wire<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) async fn open(authority: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection), is_closed: false })
    }

    /// One request and its answer. Both sides of the connection are polled in turn, so that what one has for the other is
    /// taken at once: first that it is free, then the request.
    pub(super) async fn exchange(&mut self, request: Request<B>) -> Result<Answer, Broken<B>> {
        let Self { sender, connection, is_closed } = self;
        let mut asked = pin!(ask(sender, request));
        poll_fn(|cx| {
            for _ in 0..2 {
                if let Poll::Ready(answer) = asked.as_mut().poll(cx) {
                    return Poll::Ready(answer);
                }
                if !*is_closed {
                    *is_closed = connection.as_mut().poll(cx).is_ready();
                }
            }
            match asked.as_mut().poll(cx) {
                Poll::Pending if *is_closed => {
                    let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
                    Poll::Ready(Err(Broken::Lost(lost(CONNECTION_LOST, &ended))))
                }
                other => other,
            }
        })
        .await
    }
}

async fn ask<B: Body + Send + 'static>(
    sender: &mut SendRequest<B>,
    request: Request<B>,
) -> Result<Answer, Broken<B>> {
    if sender.ready().await.is_err() {
        return Err(Broken::Unsent(Box::new(request)));
    }
    let response =
        sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(request) => Broken::Unsent(Box::new(request)),
            None => Broken::Lost(lost(CONNECTION_LOST, &error.into_error())),
        })?;
    let status = response.status().as_u16();
    let (head, mut incoming) = response.into_parts();
    let headers = head.headers;
    let etag = headers.get(ETAG).and_then(etag_version);
    let replayed = headers.get(REPLAYED_HEADER).is_some_and(|value| value == "true");
    let mut body = Vec::with_capacity(reserved(incoming.size_hint().exact()));
    while let Some(frame) = incoming.frame().await {
        // A body that breaks off is as good as no answer: what it would have said is not known.
        let frame = frame.map_err(|error| Broken::Lost(lost(BROKEN_OFF, &error)))?;
        if let Some(piece) = frame.data_ref() {
            if body.len() + piece.len() > BODY_MAX {
                return Err(Broken::Lost(Failure::endless()));
            }
            body.extend_from_slice(piece);
        }
    }
    Ok(Answer { status, etag, replayed, headers, body })
}

pub(super) fn no_connection(error: &(dyn Error + 'static)) -> Failure {
    Failure { kind: NO_CONNECTION.into(), example: chain(error), doubt: Doubt::NotApplied }
}

fn lost(kind: &'static str, error: &(dyn Error + 'static)) -> Failure {
    Failure { kind: kind.into(), example: chain(error), doubt: Doubt::Unknown }
}

pub(super) fn timed_out() -> Failure {
    let example = "no answer in time".to_owned();
    Failure { kind: TIMEOUT.into(), example, doubt: Doubt::Unknown }
}
