//! A little shop that is not the service, spoken to by hand: its answers can be anything, down to the bytes.
//!
//! It is described by `SHOP`. One lock around everything; keys are remembered. What it does wrong is decided for each request by
//! the test, and counted, not drawn, so that every run meets it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Its description: every answer tells the quantity and the version.
pub(super) const SHOP: &str = r#"
name = "little shop"
not_applied = [503]

[create]
request = "POST /items"
body = '{"sku":"{sku}","quantity":{quantity}}'
applied = [201]
exists = [409]
quantity = "/quantity"
version = "/version"

[read]
request = "GET /items/{sku}"
applied = [200]
missing = [404]
quantity = "/quantity"
version = "/version"

[adjust]
request = "POST /items/{sku}/adjust"
headers = { idempotency-key = "{key}" }
body = '{"delta":{delta}}'
applied = [200]
refused = [{ status = 409, body = { "/error" = "out-of-stock" } }]
missing = [404]
quantity = "/quantity"
version = "/version"
available = "/quantity"

[remove]
request = "DELETE /items/{sku}"
applied = [200]
missing = [404]
"#;

/// The same without its versions.
pub(super) fn unversioned() -> String {
    SHOP.split_inclusive('\n').filter(|line| !line.starts_with("version")).collect()
}

/// The same, of which a change tells nothing but that it was done.
pub(super) fn silent() -> String {
    unversioned().replace("quantity = \"/quantity\"\navailable = \"/quantity\"\n", "")
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// How many requests of its kind came before: adjustments, or all others.
    pub(super) number: u64,
    pub(super) method: String,
    pub(super) path: String,
    key: Option<String>,
    body: Value,
}

/// What becomes of it.
#[derive(Debug, Clone)]
pub(super) enum Reaction {
    /// It is carried out and answered.
    Honest,
    /// This is answered, and nothing is done.
    Answer(u16, Value),
    /// It is carried out; then what the answer says is changed.
    Lie(fn(&mut Value)),
    /// It forgets the change before it, and takes its version: what it adds is added to what was there then.
    LostUpdate,
    /// It is carried out even if there is too little: the level falls below zero.
    BelowZero,
    /// It is carried out again although it was carried out before, with the same key.
    Again,
    /// It is carried out, and these bytes are all that is answered.
    Bytes(&'static [u8]),
    /// It is carried out, and the connection is reset.
    Reset,
    /// It is carried out and never answered.
    Hang,
    /// It is carried out and answered, and the connection is closed, as the answer says.
    Close,
    /// It is carried out, and the answer has no end.
    Endless,
    /// The whole server ends.
    Die,
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    quantity: i64,
    version: i64,
    before: i64,
}

#[derive(Debug, Default)]
struct Shop {
    levels: BTreeMap<String, Level>,
    answers: BTreeMap<String, (u16, Value)>,
}

struct Server<R> {
    react: R,
    shop: Mutex<Shop>,
    adjusts: AtomicU64,
    others: AtomicU64,
    end: Notify,
}

impl Asked {
    pub(super) fn is_adjust(&self) -> bool {
        self.path.ends_with("/adjust")
    }

    /// Whether it is an adjustment, and one of so many of these.
    pub(super) fn is_every(&self, nth: u64) -> bool {
        self.is_adjust() && self.number % nth == nth / 2
    }
}

impl Shop {
    fn answer(&mut self, asked: &Asked, reaction: &Reaction) -> (u16, Value) {
        let repeated = asked.key.as_ref().and_then(|key| self.answers.get(key));
        if let Some(known) = repeated.filter(|_| !matches!(reaction, Reaction::Again)) {
            return known.clone();
        }
        let answer = self.carry_out(asked, reaction);
        if let Some(key) = &asked.key {
            self.answers.insert(key.clone(), answer.clone());
        }
        answer
    }

    fn carry_out(&mut self, asked: &Asked, reaction: &Reaction) -> (u16, Value) {
        let show = |level: &Level| json!({ "quantity": level.quantity, "version": level.version });
        if asked.path == "/items" {
            let sku = asked.body["sku"].as_str().expect("a sku").to_owned();
            if self.levels.contains_key(&sku) {
                return (409, json!({ "error": "exists" }));
            }
            let quantity = asked.body["quantity"].as_i64().expect("a quantity");
            let level = Level { quantity, version: 1, before: quantity };
            self.levels.insert(sku, level);
            return (201, show(&level));
        }
        let sku = asked.path.trim_start_matches("/items/").trim_end_matches("/adjust");
        if asked.method == "DELETE" {
            let status = if self.levels.remove(sku).is_some() { 200 } else { 404 };
            return (status, json!({}));
        }
        let Some(level) = self.levels.get_mut(sku) else { return (404, json!({ "error": "unknown" })) };
        if asked.is_adjust() {
            if matches!(reaction, Reaction::LostUpdate) && level.version > 1 {
                level.quantity = level.before;
                level.version -= 1;
            }
            let delta = asked.body["delta"].as_i64().expect("a delta");
            if level.quantity + delta < 0 && !matches!(reaction, Reaction::BelowZero) {
                let mut body = show(level);
                body["error"] = json!("out-of-stock");
                return (409, body);
            }
            let before = level.quantity;
            *level = Level { quantity: before + delta, version: level.version + 1, before };
        }
        (200, show(level))
    }
}

/// Serves until the test ends, or it dies.
pub(super) fn serve(react: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("as the runtime wants it");
    let address = listener.local_addr().expect("an address");
    let server = Arc::new(Server {
        react,
        shop: Mutex::default(),
        adjusts: AtomicU64::new(0),
        others: AtomicU64::new(0),
        end: Notify::new(),
    });
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.expect("a connection");
                        let server = Arc::clone(&server);
                        tokio::spawn(async move { server.converse(stream).await });
                    }
                    () = server.end.notified() => return,
                }
            }
        });
    });
    format!("http://{address}")
}

impl<R: Fn(&Asked) -> Reaction> Server<R> {
    /// Answers requests until either side has enough.
    async fn converse(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut stream = BufReader::new(stream);
        loop {
            let asked = self.read(&mut stream).await?;
            let reaction = (self.react)(&asked);
            let answer = match &reaction {
                Reaction::Answer(status, body) => (*status, body.clone()),
                reaction => {
                    let mut shop = self.shop.lock().unwrap_or_else(PoisonError::into_inner);
                    shop.answer(&asked, reaction)
                }
            };
            let stream = stream.get_mut();
            match reaction {
                Reaction::Bytes(bytes) => return stream.write_all(bytes).await.ok(),
                Reaction::Reset => return stream.set_zero_linger().ok(),
                Reaction::Hang => return std::future::pending().await,
                Reaction::Endless => return endless(stream).await,
                Reaction::Close => return write(stream, answer, "connection: close\r\n").await,
                Reaction::Die => {
                    self.end.notify_one();
                    return std::future::pending().await;
                }
                Reaction::Lie(lie) => {
                    let (status, mut body) = answer;
                    lie(&mut body);
                    write(stream, (status, body), "").await?;
                }
                _ => write(stream, answer, "").await?,
            }
        }
    }

    async fn read(&self, stream: &mut BufReader<TcpStream>) -> Option<Asked> {
        let mut first = String::new();
        stream.read_line(&mut first).await.ok()?;
        let mut words = first.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut key) = (0, None);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "idempotency-key" => key = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let count = if path.ends_with("/adjust") { &self.adjusts } else { &self.others };
        let number = count.fetch_add(1, Ordering::Relaxed);
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Some(Asked { number, method, path, key, body })
    }
}

async fn write(stream: &mut TcpStream, (status, body): (u16, Value), header: &str) -> Option<()> {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n{header}\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.ok()
}

async fn endless(stream: &mut TcpStream) -> Option<()> {
    let piece = [b" ".repeat(0x1_0000), b"\r\n".to_vec()].concat();
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
    loop {
        stream.write_all(b"10000\r\n").await.ok()?;
        stream.write_all(&piece).await.ok()?;
    }
}
