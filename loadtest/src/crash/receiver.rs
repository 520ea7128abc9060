//! Who takes the messages of a webhook: an HTTP server in this process, which lives longer than any life of the service.
//!
//! It does not take every message: some it answers with an error, and of some it closes the connection without an answer. Which, the seed
//! decides; never two in a row, so that the service does not wait longer and longer.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use standardwebhooks::Webhook as Signer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::delivered::{Delivered, Reply};

/// One message of so many is not taken.
const NOT_TAKEN_EVERY: u32 = 16;

/// One message that is not taken of so many is not even answered.
const CUT_OFF_EVERY: u32 = 3;

/// How many messages are not taken at most once nothing changes any more: the service waits a second after each.
const NOT_TAKEN_REST_MAX: u32 = 4;

/// The largest message: several times what a hundred movements take.
const BODY_MAX: usize = 1 << 20;

/// The stream of random numbers of the receiver, apart from those of the clients and the fates.
const STREAM: u64 = 0x3B0C_0FF5_DE11_4E12;

/// A place where messages will be taken.
#[derive(Debug)]
pub struct Address {
    listener: TcpListener,
    path: String,
    url: String,
}

/// Who takes messages. Ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    desk: Arc<Desk>,
    newest: watch::Receiver<u64>,
    server: JoinHandle<()>,
}

/// What all connections have in common.
#[derive(Debug)]
struct Desk {
    path: String,
    signer: Secret,
    book: Mutex<Book>,
    newest: watch::Sender<u64>,
}

/// Where messages are entered, and how the next ones are received.
#[derive(Debug)]
struct Book {
    delivered: Delivered,
    moods: Moods,
}

/// Draws what becomes of each message.
#[derive(Debug)]
struct Moods {
    rng: Xoshiro256PlusPlus,
    was_taken: bool,
    /// How many more may not be taken, if there is a bound.
    left: Option<u32>,
}

/// What messages are signed with. It is not printed.
struct Secret(Signer);

impl Address {
    /// A free port on loopback, and a path that nobody else uses: an old webhook of the same data is not listened to.
    pub async fn reserve(name: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let path = format!("/{name}");
        let url = format!("http://{}{path}", listener.local_addr()?);
        Ok(Self { listener, path, url })
    }

    /// Where messages are to be posted to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes messages from now on.
    pub fn receive(self, signer: Signer, seed: u64) -> Receiver {
        let (sender, newest) = watch::channel(0);
        let book = Mutex::new(Book { delivered: Delivered::default(), moods: Moods::new(seed) });
        let desk = Arc::new(Desk { path: self.path, signer: Secret(signer), book, newest: sender });
        let server = tokio::spawn(accept(self.listener, Arc::clone(&desk)));
        Receiver { desk, newest, server }
    }
}

impl Receiver {
    /// Nothing changes any more: from here on nearly everything is taken. Answers how many movements were taken so far.
    pub fn settle(&self) -> usize {
        let mut book = self.desk.book.lock();
        book.moods.left = Some(NOT_TAKEN_REST_MAX);
        book.delivered.len()
    }

    /// How many messages were taken so far.
    pub fn messages(&self) -> u64 {
        self.desk.book.lock().delivered.messages()
    }

    /// Waits until the movement of that number was taken; answers whether it was, or nothing new was for so long.
    pub async fn wait(&mut self, last: u64, idle_max: Duration) -> bool {
        while *self.newest.borrow_and_update() < last {
            if !matches!(timeout(idle_max, self.newest.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Takes no more, and hands over what came.
    pub fn close(self) -> Delivered {
        self.server.abort();
        std::mem::take(&mut self.desk.book.lock().delivered)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    // Ended with this.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that failed is the sender's to notice.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&desk)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| answer(request, &desk));
    // It ends when the sender goes, or is left without an answer.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Answers a message; an error ends the connection without an answer.
async fn answer(request: Request<Incoming>, desk: &Desk) -> Result<Response<Empty<Bytes>>, io::Error> {
    let status = |status| {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::POST || request.uri().path() != desk.path {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    let (head, body) = request.into_parts();
    // The sender was killed on the way.
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
    let (reply, newest) = {
        let mut book = desk.book.lock();
        let reply = book.moods.draw();
        book.delivered.message(&desk.signer.0, &head.headers, &body, reply);
        (reply, book.delivered.newest())
    };
    desk.newest.send_if_modified(|known| {
        let is_news = newest > *known;
        *known = newest.max(*known);
        is_news
    });
    match reply {
        Reply::Take => Ok(status(StatusCode::NO_CONTENT)),
        Reply::Refuse => Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
        Reply::CutOff => Err(io::Error::other("cut off on purpose")),
    }
}

impl Moods {
    fn new(seed: u64) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ STREAM);
        Self { rng, was_taken: true, left: None }
    }

    fn draw(&mut self) -> Reply {
        // Drawn in any case, so that the number of a message decides and not what became of those before.
        let is_bad = self.rng.random_range(0..NOT_TAKEN_EVERY) == 0;
        let reply = match self.rng.random_range(0..CUT_OFF_EVERY) {
            0 => Reply::CutOff,
            _ => Reply::Refuse,
        };
        let may_be_bad = self.was_taken && self.left.is_none_or(|left| left > 0);
        self.was_taken = !(is_bad && may_be_bad);
        if self.was_taken {
            return Reply::Take;
        }
        self.left = self.left.map(|left| left - 1);
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_what_is_not_taken_and_never_two_in_a_row() {
        let drawn = |seed| {
            let mut moods = Moods::new(seed);
            (0..2_000).map(|_| moods.draw()).collect::<Vec<_>>()
        };
        let replies = drawn(7);
        assert_eq!(replies, drawn(7));
        assert_ne!(replies, drawn(8));
        let count = |wanted| replies.iter().filter(|reply| **reply == wanted).count();
        assert!((50..150).contains(&count(Reply::Refuse)) && (20..80).contains(&count(Reply::CutOff)));
        assert!(replies.windows(2).all(|two| two.contains(&Reply::Take)));
    }

    #[test]
    fn in_the_end_only_a_few_are_not_taken() {
        let mut moods = Moods::new(7);
        moods.left = Some(NOT_TAKEN_REST_MAX);
        let bad = (0..2_000).filter(|_| moods.draw() != Reply::Take).count();
        assert_eq!(bad, NOT_TAKEN_REST_MAX as usize);
    }

    #[tokio::test]
    async fn messages_are_taken_refused_and_cut_off_and_other_paths_are_not_listened_to() {
        let address = Address::reserve("here").await.unwrap();
        let url = address.url().to_owned();
        let mut receiver = address.receive(Signer::new("whsec_AAAA").unwrap(), 7);
        let (http, body) = (reqwest::Client::new(), r#"{"type":"stock.batch","data":[]}"#);
        let elsewhere = http.post(url.replace("here", "there")).body(body).send().await.unwrap();
        assert_eq!(elsewhere.status(), 404);
        let mut statuses = Vec::new();
        for _ in 0..200 {
            let answer = http.post(&url).body(body).send().await;
            statuses.push(answer.map_or(0, |answer| answer.status().as_u16()));
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count() as u64;
        assert!(!receiver.wait(1, Duration::from_millis(1)).await, "nothing was told");
        let audit = receiver.close().audit(&[], &[]);
        assert_eq!([audit.messages, audit.refused, audit.cut_off], [count(204), count(500), count(0)]);
        assert!(count(500) > 0 && count(0) > 0, "{statuses:?}");
        assert_eq!((audit.unsigned.count, audit.is_sound()), (200, false), "none was signed");
    }
}
