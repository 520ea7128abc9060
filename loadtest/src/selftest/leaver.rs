//! A client that sends a whole request and goes away without waiting for its answer.
//!
//! The library's client cannot do that on purpose, so this is a socket: the request in one write, then a reset of the
//! connection. The server finds both at once, so it is at work on the request when it learns that nobody waits for it. An end in place of the
//! reset would not tell it: a client that has closed its side may still read.

use std::fmt::Write as _;
use std::io;

use reqwest::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Sends a request and goes away. An error before the first byte was written means that it certainly did not happen; the
/// caller has to take every other end as unknown.
pub async fn send_and_leave(request: &Request) -> io::Result<()> {
    let url = request.url();
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let mut connection = TcpStream::connect((host, port)).await?;
    connection.write_all(&wire(request)).await?;
    connection.set_zero_linger()
}

/// The request as it goes over the wire.
fn wire(request: &Request) -> Vec<u8> {
    let url = request.url();
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!(
        "{} {}{query} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
        request.method(),
        url.path(),
        url.authority(),
        body.len()
    );
    for (name, value) in request.headers() {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_whole_request_arrives_and_then_the_reset() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/x?a=b", listener.local_addr().unwrap());
        let mut request = Request::new(Method::POST, url.parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = Some("{}".into());
        send_and_leave(&request).await.unwrap();
        let (mut stream, mut seen) = (listener.accept().await.unwrap().0, Vec::new());
        let end = loop {
            match stream.read_buf(&mut seen).await {
                Ok(count) => assert!(count > 0, "no end, which a client may mean that still reads"),
                Err(error) => break error,
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        let seen = String::from_utf8(seen).unwrap();
        assert!(seen.starts_with("POST /v1/x?a=b HTTP/1.1\r\nhost: 127.0.0.1:"), "{seen}");
        assert!(seen.ends_with("content-length: 2\r\ncontent-type: application/json\r\n\r\n{}"), "{seen}");
    }
}
