//! [`Raw`]: a connection on which a test may send any bytes, in any pieces, and go away when it likes.

use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::WATCHDOG;
use super::answer::Answer;

/// One connection. Dropping it closes it.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What was received and is not yet part of an answer.
    received: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, received: Vec::new() }
    }

    /// The same, with little room for what comes and is not read.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("a socket");
        let stream = socket.connect(address).await.expect("a connection");
        Self { stream, received: Vec::new() }
    }

    /// The same, from an address of this machine.
    pub(crate) async fn connect_from(address: SocketAddr, from: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from, 0)).expect("an address of this machine");
        let stream = socket.connect(address).await.expect("a connection");
        Self { stream, received: Vec::new() }
    }

    /// A connection on which these bytes are there before a service on this thread can accept it, so that no limit of time
    /// runs before it has read them.
    pub(crate) fn connect_with(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.write_all(bytes.as_ref()).expect("room in the socket's buffers");
        stream.set_nonblocking(true).expect("a socket");
        Self { stream: TcpStream::from_std(stream).expect("a socket"), received: Vec::new() }
    }

    /// Sends bytes. A service that has closed the connection by then is no failure: what it answered before tells.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends bytes, all of them, or says that the service would not have them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = timeout(WATCHDOG, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("the service reads or closes")
    }

    /// Ends what is sent, and can still receive.
    pub(crate) async fn end(&mut self) {
        let _closed = self.stream.shutdown().await;
    }

    /// Goes away at once; what was not received is thrown away, and the service is told so with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("a socket");
    }

    /// The next answer, an interim one included.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(true).await
    }

    /// The next answer, to `HEAD`.
    pub(crate) async fn answer_without_body(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// Whether the service has sent nothing that was not yet taken.
    pub(crate) fn has_nothing(&mut self) -> bool {
        let nothing = matches!(self.stream.try_read_buf(&mut self.received), Err(error) if error.kind() == ErrorKind::WouldBlock);
        nothing && self.received.is_empty()
    }

    /// All that still comes, until the service closes.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.receive().await {}
        self.received
    }

    /// The same; an error if the end is no regular one.
    pub(crate) async fn rest_or_reset(mut self) -> io::Result<Vec<u8>> {
        loop {
            let read = timeout(WATCHDOG, self.stream.read_buf(&mut self.received)).await;
            if read.expect("the service answers or closes")? == 0 {
                return Ok(self.received);
            }
        }
    }

    /// What comes first of an answer; empty if the service has closed instead.
    pub(crate) async fn rest_until_answer(mut self) -> Vec<u8> {
        self.receive().await;
        self.received
    }

    async fn answer_to(&mut self, has_body: bool) -> Answer {
        let head = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.received.drain(..end + 4).collect::<Vec<u8>>();
            }
            assert!(
                self.receive().await,
                "closed before the head: {:?}",
                String::from_utf8_lossy(&self.received)
            );
        };
        let (status, headers) = parse(&String::from_utf8(head).expect("a head is ASCII"));
        let length = headers.get("content-length").filter(|_| has_body);
        let length = length.map_or(0, |length| {
            length.to_str().ok().and_then(|length| length.parse().ok()).expect("a length")
        });
        while self.received.len() < length {
            assert!(self.receive().await, "closed before the end of the body");
        }
        let body = self.received.drain(..length).collect();
        Answer { status, headers, body }
    }

    /// Whether there was more.
    async fn receive(&mut self) -> bool {
        let read = timeout(WATCHDOG, self.stream.read_buf(&mut self.received)).await;
        // A reset is an end, too.
        read.expect("the service answers or closes").is_ok_and(|count| count > 0)
    }
}

fn parse(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
    };
    (status.parse().expect("a status"), lines.map(field).collect())
}
