//! [`Receiver`]: who takes the messages of webhooks: a real HTTP server on loopback, which answers as it is told to and says what came.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::WATCHDOG;

/// A server that takes messages. Ends when dropped.
pub(crate) struct Receiver {
    /// Where messages are to be posted to.
    pub(crate) url: String,
    came: mpsc::UnboundedReceiver<Delivery>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    server: JoinHandle<()>,
}

/// A message that came.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What a message is answered with. Where nothing else is said it is 204.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// That status, and no more.
    Status(u16),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// That status, once somebody is told to go on.
    Later(Arc<Notify>, u16),
    /// Nothing, until the sender has gone.
    Hang,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks?a=1", listener.local_addr().expect("a bound listener"));
        let (tell, came) = mpsc::unbounded_channel();
        let replies: Arc<Mutex<VecDeque<Reply>>> = Arc::default();
        let to_give = Arc::clone(&replies);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tell.clone(), Arc::clone(&to_give)));
            }
        });
        Self { url, came, replies, server }
    }

    /// The next messages are answered so, one after the other.
    pub(crate) fn answer(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().extend(replies);
    }

    /// The next message that comes.
    pub(crate) async fn next(&mut self) -> Delivery {
        let came = timeout(WATCHDOG, self.came.recv()).await.expect("a message comes");
        came.expect("it serves for as long as this lives")
    }

    /// The next so many.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Nothing has come that was not taken.
    pub(crate) fn assert_quiet(&mut self) {
        let came = self.came.try_recv();
        assert!(came.is_err(), "{came:?}");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Delivery {
    /// What it says, if it is signed with that secret.
    pub(crate) fn verified(&self, secret: &str) -> Value {
        let verified = Webhook::new(secret).expect("a secret").verify(&self.body, &self.headers);
        verified.unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }

    /// What it says, whoever signed it.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// `webhook-id`.
    pub(crate) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }
}

async fn serve(
    mut stream: TcpStream,
    tell: mpsc::UnboundedSender<Delivery>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
) {
    let Some(delivery) = read(&mut stream).await else { return };
    let reply = replies.lock().pop_front().unwrap_or(Reply::Status(204));
    // Told before it is answered: who waits for the message may be the one who lets the sender go.
    let _gone = tell.send(delivery);
    match reply {
        Reply::Status(status) => told(&mut stream, status).await,
        Reply::Later(goes_on, status) => {
            goes_on.notified().await;
            told(&mut stream, status).await;
        }
        Reply::Raw(bytes) => _ = stream.write_all(&bytes).await,
        Reply::Hang => _ = stream.read(&mut [0]).await,
    }
}

async fn told(stream: &mut TcpStream, status: u16) {
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _gone = stream.write_all(head.as_bytes()).await;
}

/// One request; `None` if the sender went before it was whole.
async fn read(stream: &mut TcpStream) -> Option<Delivery> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        (stream.read_buf(&mut received).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(received[..end].to_vec()).expect("ASCII");
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("POST ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let len: usize = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
    let mut body = received.split_off(end + 4);
    while body.len() < len {
        (stream.read_buf(&mut body).await.ok()? > 0).then_some(())?;
    }
    Some(Delivery { target, headers, body })
}
