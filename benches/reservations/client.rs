//! A connection over which one request after the other is sent: HTTP/1.1 by hand, as far as this server speaks it.
//!
//! It costs a fraction of a client that knows all of HTTP, which the cores it shares with the server would pay.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest answer that is read: a page of 1 000 levels is shorter.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

const JSON: &str = "application/json";

/// A connection, and the last answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'c> {
    status: u16,
    body: &'c str,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new(), received: Vec::new() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer<'_>> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        self.exchange().await
    }

    pub(crate) async fn post(&mut self, path: &str, kind: &str, body: &str) -> io::Result<Answer<'_>> {
        self.request.clear();
        write!(self.request, "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len())?;
        if !body.is_empty() {
            write!(self.request, "content-type: {kind}\r\n")?;
        }
        write!(self.request, "\r\n{body}")?;
        self.exchange().await
    }

    /// Holds a unit of that level.
    pub(crate) async fn reserve(&mut self, sku: &str, ttl_seconds: u64) -> io::Result<&str> {
        let body = format!(r#"{{"lines":[{{"sku":"{sku}","quantity":1}}],"ttl_seconds":{ttl_seconds}}}"#);
        self.post("/v1/reservations", JSON, &body).await?.body_of(201)
    }

    /// Commits or releases a reservation.
    pub(crate) async fn settle(&mut self, id: &str, transition: &str) -> io::Result<&str> {
        let path = format!("/v1/reservations/{id}/{transition}");
        self.post(&path, JSON, "").await?.body_of(200)
    }

    /// Adds units to that level, or takes some.
    pub(crate) async fn adjust(&mut self, sku: &str, delta: i64) -> io::Result<&str> {
        let (path, body) = (format!("/v1/stock/{sku}/adjust"), format!(r#"{{"delta":{delta}}}"#));
        self.post(&path, JSON, &body).await?.body_of(200)
    }

    async fn exchange(&mut self) -> io::Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(&self.request).await?;
        let (head, length) = loop {
            if let Some(head) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break (head, length_of(&self.received[..head])?);
            }
            self.receive().await?;
        };
        let body = head + 4;
        while self.received.len() < body + length {
            self.receive().await?;
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(io::Error::other);
        let status = text(&self.received[..head])?.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
        Ok(Answer { status, body: text(&self.received[body..body + length])? })
    }

    async fn receive(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ if self.received.len() > ANSWER_BYTES_MAX => Err(io::Error::other("an answer is too long")),
            _ => Ok(()),
        }
    }
}

impl<'c> Answer<'c> {
    /// The body, if that is its status.
    pub(crate) fn body_of(self, status: u16) -> io::Result<&'c str> {
        if self.status == status {
            return Ok(self.body);
        }
        Err(io::Error::other(format!("status {}, not {status}: {}", self.status, self.body)))
    }
}

/// A number in a body.
pub(crate) fn number(body: &str, field: &str) -> io::Result<u64> {
    let digits = after(body, field).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no {field} in {body}")))
}

/// A text without escapes in a body.
pub(crate) fn text<'b>(body: &'b str, field: &str) -> io::Result<&'b str> {
    let quoted = after(body, field).and_then(|rest| rest.strip_prefix('"'));
    let text = quoted.and_then(|rest| rest.split('"').next());
    text.ok_or_else(|| io::Error::other(format!("no {field} in {body}")))
}

/// What follows the first field of that name.
fn after<'b>(body: &'b str, field: &str) -> Option<&'b str> {
    body.split_once(&format!(r#""{field}":"#)).map(|(_, rest)| rest)
}

/// The length of the body, by the head.
fn length_of(head: &[u8]) -> io::Result<usize> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    length.ok_or_else(|| io::Error::other("an answer does not say how long it is"))
}
