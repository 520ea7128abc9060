//! [`Listener`]: where connections come in: an address of TCP, or a Unix domain socket.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::socket::Socket;

/// What an address begins with that is a Unix domain socket.
const UNIX: &str = "unix:";
/// Connections that the kernel takes before this process does: as many clients may come at once. The kernel cuts it to
/// `net.core.somaxconn`, which is 4 096 since Linux 5.4.
const BACKLOG: u32 = 4_096;
/// Bytes of an answer that wait in the kernel, not yet sent. What a slow reader holds there, and how soon it shows that a reader takes
/// something: without, a connection has megabytes of room, and a reader at 40 kB/s seems to take nothing for half a minute.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Takes connections.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener),
    /// On this machine. The file goes when this is dropped.
    Unix(UnixListener, SocketFile),
}

/// A socket's file, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Listener {
    /// Listens at an address: `HOST:PORT`, of which port 0 is a free one, or `unix:PATH`. A socket that a process left which has gone is
    /// replaced; nothing else is.
    pub fn bind(address: &str) -> io::Result<Self> {
        match address.strip_prefix(UNIX) {
            Some(path) => bind_unix(Path::new(path)),
            None => bind_tcp(address),
        }
    }

    /// As it is announced: a URL, or what it was said as.
    pub fn url(&self, is_secure: bool) -> String {
        match self {
            Self::Tcp(listener) => {
                let scheme = if is_secure { "https" } else { "http" };
                let address =
                    listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
                format!("{scheme}://{address}")
            }
            Self::Unix(_, SocketFile(path)) => format!("{UNIX}{}", path.display()),
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            Self::Unix(..) => true,
        }
    }

    /// The next connection, and the address at its other end, if it has one.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole: waiting to fill a packet only delays them.
                stream.set_nodelay(true)?;
                Ok((Socket::Tcp(stream), Some(peer.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _gone_as_well = std::fs::remove_file(&self.0);
    }
}

/// The first address of the name that is free.
fn bind_tcp(address: &str) -> io::Result<Listener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in address.to_socket_addrs()? {
        match bind_tcp_at(address) {
            Ok(listener) => return Ok(Listener::Tcp(listener)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn bind_tcp_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart need not wait for the connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    // Connections have it from their listener. Where there is no such thing, a slow reader holds more.
    let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    Ok(Listener::Unix(bound?, SocketFile(path.to_owned())))
}

/// Whether it is a socket at which nobody listens.
fn is_left(path: &Path) -> bool {
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && BlockingUnixStream::connect(path).err().is_some_and(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("socket"), folder.path().join("file"));
        let address = format!("unix:{}", socket.display());
        let first = Listener::bind(&address).unwrap();
        assert_eq!((first.url(true), first.is_local()), (address.clone(), true));
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse, "it is in use");
        drop(first);
        assert!(!socket.exists(), "it goes with its listener");
        // As a process that was killed leaves it.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists() && Listener::bind(&address).is_ok());
        std::fs::write(&file, "mine").unwrap();
        Listener::bind(&format!("unix:{}", file.display())).unwrap_err();
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    }

    /// Fault 4: what was not sent is bounded for each connection, so that a reader shows that it takes something.
    #[tokio::test]
    async fn a_connection_holds_little_that_was_not_sent() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = listener.url(false);
        let _client = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let (Socket::Tcp(stream), _) = listener.accept().await.unwrap() else { panic!("it is TCP") };
        assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }

    #[tokio::test]
    async fn who_is_local_is_reached_from_here_alone() {
        let is_local = |address: &str| Listener::bind(address).unwrap().is_local();
        assert!(is_local("127.0.0.1:0") && is_local("localhost:0") && !is_local("0.0.0.0:0"));
        for wrong in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"] {
            assert!(Listener::bind(wrong).is_err(), "{wrong}");
        }
    }
}
