//! HTTP/2 as tests speak it: [`Http2`], a client that does it well, and [`Frames`], a connection on which a test sends any frames.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::http::{Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::answer::Answer;
use super::{TestApp, WATCHDOG, contract};

/// What a client of HTTP/2 says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Sent = Either<Full<Bytes>, Pieces>;

/// A client with one connection. Dropped with all that it has asked, it closes it.
#[derive(Clone)]
pub(crate) struct Http2(SendRequest<Sent>);

/// A body that comes as the test sends it.
pub(crate) struct Pieces(UnboundedReceiver<&'static str>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
    }
}

impl Http2 {
    /// To a service that knows what comes.
    pub(crate) async fn connect(app: &TestApp) -> Self {
        Self::over(TcpStream::connect(app.address).await.expect("a connection"), None).await
    }

    /// Over any stream; with a window of so many bytes for each answer, if that is said.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        window: Option<u32>,
    ) -> Self {
        let mut client = http2::Builder::new(TokioExecutor::new());
        client.initial_stream_window_size(window);
        let (sender, connection) = client.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
        let _driven = tokio::spawn(connection);
        Self(sender)
    }

    /// The head of an answer, and the body as it comes; an error where there is none.
    pub(crate) async fn ask(&self, request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.0.clone();
        timeout(WATCHDOG, sender.send_request(request)).await.expect("an answer")
    }

    /// An answer, held against the document.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let answer = self.answer(request(&method, path, Either::Left(Full::new(body.into())))).await;
        let answer = answer.expect("an answer");
        contract::check(&method, path, &answer);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    /// An answer, whole; an error where there is none.
    pub(crate) async fn answer(&self, request: Request<Sent>) -> hyper::Result<Answer> {
        let response = self.ask(request).await?;
        assert_eq!(response.version(), Version::HTTP_2);
        assert!(!response.headers().contains_key("connection"), "HTTP/2 has no such thing");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = timeout(WATCHDOG, response.into_body().collect()).await.expect("an end")?;
        Ok(Answer { status, headers, body: body.to_bytes().to_vec() })
    }

    /// Whether the service takes no more requests here; waits until it does not.
    pub(crate) async fn is_told_to_go(&mut self) {
        let told = async {
            while self.0.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(WATCHDOG, told).await.expect("it is told to go");
    }
}

/// A request with a body that is all there.
pub(crate) fn request(method: &Method, path: &str, body: Sent) -> Request<Sent> {
    let request = Request::builder().method(method).uri(format!("http://x{path}"));
    request.header("content-type", "application/json").body(body).expect("a request")
}

/// A request without a body.
pub(crate) fn bodiless(method: &Method, path: &str) -> Request<Sent> {
    Request::builder().method(method).uri(format!("http://x{path}")).body(nothing()).expect("a request")
}

/// No body.
pub(crate) fn nothing() -> Sent {
    Either::Left(Full::default())
}

/// A body that comes as it is sent, and ends when the sender is dropped.
pub(crate) fn pieces() -> (UnboundedSender<&'static str>, Sent) {
    let (sender, receiver) = unbounded_channel();
    (sender, Either::Right(Pieces(receiver)))
}

/// A connection of frames. Dropping it closes it.
pub(crate) struct Frames {
    stream: TcpStream,
    received: Vec<u8>,
}

/// One that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// Kinds of frames (RFC 9113, section 6).
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// A flag of settings and pings.
pub(crate) const ACK: u8 = 1;

impl Frames {
    /// It has said what a client says first, and agreed to what the service says.
    pub(crate) async fn connect(app: &TestApp) -> Self {
        let stream = TcpStream::connect(app.address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut frames = Self { stream, received: Vec::new() };
        frames.write([PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).await;
        frames
    }

    /// Sends bytes. A service that has closed the connection by then is no failure.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = timeout(WATCHDOG, self.stream.write_all(bytes.as_ref())).await.expect("it is read");
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<9>() {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if let Some(payload) = rest.get(..length) {
                    let came = Came { kind: head[3], flags: head[4], payload: payload.to_vec() };
                    self.received.drain(..9 + length);
                    return Some(came);
                }
            }
            let read = timeout(WATCHDOG, self.stream.read_buf(&mut self.received)).await;
            if !read.expect("the service answers or closes").is_ok_and(|count| count > 0) {
                return None;
            }
        }
    }

    /// The next frame of that kind, with that flag.
    pub(crate) async fn until(&mut self, kind: u8, flag: u8) -> Option<Came> {
        loop {
            let came = self.next().await?;
            if came.kind == kind && came.flags & flag == flag {
                return Some(came);
            }
        }
    }

    /// Why the service has ended the connection, as it has said last (RFC 9113, section 7).
    pub(crate) async fn end(mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(came) = self.next().await {
            if came.kind == GOAWAY {
                let code = came.payload[4..8].try_into().expect("four bytes");
                reason = Some(u32::from_be_bytes(code));
            }
        }
        reason
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request, in the least that HPACK has: a method by its number in the table, and nothing else but what must be.
pub(crate) fn head(method: u8, path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat();
    // The scheme; and then the authority and the path, which the table has names for.
    [&[method, 0x86, 0x01][..], &text("x"), &[0x04], &text(path)].concat()
}

/// The number of that method.
pub(crate) const GET: u8 = 0x82;
