//! A server that is slower by a known amount: a proxy that holds every request back before it passes it on.
//!
//! It is a control. A gate that has never been seen to fire proves nothing by staying silent, so `--delay-control` lets the
//! baseline run once more behind this, and the gate has to name it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The most that is passed on at once; a longer request is held back once for each such piece.
const CHUNK_BYTES: usize = 64 << 10;

/// A running proxy. Dropping it ends it, with all its connections, of which there are as many as clients.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port, and passes everything on to `target`, a URL of an IP address and a port.
    ///
    /// Timers are good to a millisecond, so a request is held back for up to one more than `delay`.
    pub async fn start(target: &str, delay: Duration) -> Result<Self, std::io::Error> {
        let address = target.trim_start_matches("http://").trim_end_matches('/');
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { url, accepting: tokio::spawn(accept(listener, address, delay)) })
    }

    /// Its own address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration) {
    // Dropped with this task, and then every connection is, too.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => { connections.spawn(pass(client, target, delay)); }
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// An error on either side ends both: that is what the client would see of the server itself.
async fn pass(client: TcpStream, target: SocketAddr, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut requests, mut answers_out) = client.into_split();
    let (mut answers, mut requests_out) = server.into_split();
    let forth = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = requests.read(&mut chunk).await?;
            if read == 0 {
                return requests_out.shutdown().await;
            }
            tokio::time::sleep(delay).await;
            requests_out.write_all(&chunk[..read]).await?;
        }
    };
    let back = async {
        tokio::io::copy(&mut answers, &mut answers_out).await?;
        answers_out.shutdown().await
    };
    tokio::try_join!(forth, back).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_held_back_and_comes_through_whole() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}/", server.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut connection, _) = server.accept().await.unwrap();
            let mut asked = [0; 4];
            connection.read_exact(&mut asked).await.unwrap();
            connection.write_all(b"pong").await.unwrap();
            asked
        });
        let proxy = Proxy::start(&target, Duration::from_millis(50)).await.unwrap();
        let start = tokio::time::Instant::now();
        let mut client = TcpStream::connect(proxy.url().trim_start_matches("http://")).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((&serving.await.unwrap(), &answer), (b"ping", b"pong"));
        assert!(start.elapsed() >= Duration::from_millis(50), "how much longer is the machine's business");
        assert!(Proxy::start("http://example.com", Duration::ZERO).await.is_err());
    }
}
