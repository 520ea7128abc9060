//! A server that does nothing: every request is answered at once with the same level. What a generator gets out of it is
//! all that the generator can do.
//!
//! It is a process of its own, as the server of a run is: it takes its part of the cores, and its CPU time is not counted
//! as the generator's.

use std::convert::Infallible;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::output;

/// The name of the command that serves it, which nobody types.
pub const COMMAND: &str = "noop";

/// What every sku is called there: the first and only one of a catalogue with this prefix.
pub const PREFIX: &str = "noop-";

/// The longest it may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(5);

/// The same server as a description has it, for whoever follows one.
pub const DESCRIPTION: &str = r#"
name = "noop"
[create]
request = "PUT /v1/stock/{sku}?location={location}"
body = '{"on_hand":{quantity}}'
applied = [200]
[read]
request = "GET /v1/stock/{sku}?location={location}"
applied = [200]
quantity = "/on_hand"
[adjust]
request = "POST /v1/stock/{sku}/adjust?location={location}"
body = '{"delta":{delta}}'
applied = [200]
refused = [{ status = 409, body = { "/type" = "/problems/insufficient-stock" } }]
quantity = "/on_hand"
"#;

const MAIN: &str =
    r#"{"sku":"noop-00000","location":"main","on_hand":1000,"reserved":0,"available":1000,"version":1}"#;
const ANNEX: &str =
    r#"{"sku":"noop-00000","location":"annex","on_hand":1000,"reserved":0,"available":1000,"version":1}"#;

/// Serves until standard input ends: a parent that is gone, however it went, leaves nothing behind.
pub async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    output::result(&format!("http://{}", listener.local_addr()?));
    let (ended, mut end) = oneshot::channel();
    std::thread::spawn(move || {
        // Whatever comes is nothing to us but its end.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that failed is the generator's to notice.
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream));
                }
            }
            _ = &mut end => return Ok(()),
        }
    }
}

async fn connection(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    // It ends when the client goes.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_annex = request.uri().query().is_some_and(|query| query.contains("annex"));
    let body = if is_annex { ANNEX } else { MAIN };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ETAG, HeaderValue::from_static("\"1\""));
    Ok(response)
}

/// Such a server, until it is dropped.
#[derive(Debug)]
pub struct NoopProcess {
    _child: Child,
    url: String,
}

impl NoopProcess {
    /// Starts this very program as one.
    pub async fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is the parent's to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(stdout).lines();
        let url = timeout(START_MAX, lines.next_line()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let url = url.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Self { _child: child, url })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}
