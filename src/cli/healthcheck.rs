//! `inventory healthcheck URL`: one GET, for container images that have no shell and no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use thiserror::Error;

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a service is not well.
#[derive(Debug, Error)]
pub(super) enum Unwell {
    /// The URL is not one this can ask.
    #[error("{0:?} is not a URL such as http://127.0.0.1:8080/readyz")]
    Url(String),
    /// No answer.
    #[error("no answer: {0}")]
    Io(#[from] io::Error),
    /// An answer other than 200.
    #[error("the service answered {0:?}")]
    Status(String),
}

/// Whether `url` answers 200.
pub(super) fn check(url: &str) -> Result<(), Unwell> {
    let malformed = || Unwell::Url(url.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(malformed)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let has_port = authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
    let target = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let address = target.to_socket_addrs()?.next().ok_or_else(malformed)?;
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    // "HTTP/1.1 200": the status is all that is asked for, and comes in the first piece of any healthy answer.
    let mut head = [0; 12];
    let read = stream.read(&mut head)?;
    let head = &head[..read];
    if head == b"HTTP/1.1 200" { Ok(()) } else { Err(Unwell::Status(String::from_utf8_lossy(head).into())) }
}
