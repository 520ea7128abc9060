//! Both senders against a real socket that misbehaves: what is sent, how often, and what is believed of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use history::Key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::failure::{BROKEN_OFF, CONNECTION_LOST, Doubt, NO_CONNECTION, TIMEOUT};
use super::plain::{Link, Paths};
use super::*;

/// What the server does with a request once it has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Answer,
    /// Answers, and closes the connection without having said so.
    AnswerAndClose,
    /// Closes the connection without an answer.
    HangUp,
    /// Closes it within the answer.
    BreakOff,
    /// Answers never.
    Silence,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
}

impl Seen {
    fn counts(&self) -> (u64, u64) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// A server that does these in turn, one connection at a time.
async fn serve(acts: &[Act]) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, mut acts) = (Arc::new(Seen::default()), VecDeque::from(acts.to_vec()));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::SeqCst);
            connection(stream, &mut acts, &counted).await;
        }
    });
    (url, seen)
}

async fn connection(mut stream: TcpStream, acts: &mut VecDeque<Act>, seen: &Seen) {
    let mut head = Vec::new();
    // The head of a request without a body ends with an empty line.
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        seen.requests.fetch_add(1, Ordering::SeqCst);
        match acts.pop_front().unwrap_or(Act::Answer) {
            Act::Answer => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap(),
            Act::AnswerAndClose => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
                return;
            }
            Act::HangUp => return,
            Act::BreakOff => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").await.unwrap();
                return;
            }
            // Until the client has had enough.
            Act::Silence => assert!(stream.read_u8().await.is_err()),
        }
    }
}

/// Either sender.
enum Either {
    Pool(Client),
    Bare(Link),
}

impl Either {
    fn both(url: &str) -> [Self; 2] {
        let catalogue =
            Arc::new(Catalogue::new(vec![("a".into(), "annex".into()), ("a".into(), "main".into())]));
        let client = |timeout| {
            let options = Options { connections: 1, timeout };
            Client::new(url, Arc::clone(&catalogue), options).unwrap()
        };
        let timeout = Duration::from_millis(300);
        let pool = client(timeout);
        let paths = Arc::new(Paths::of(&pool).unwrap());
        [Self::Pool(pool), Self::Bare(Link::new(Arc::new(client(timeout)), paths, timeout))]
    }

    async fn read(&mut self) -> Result<Answer, Failure> {
        match self {
            Self::Pool(client) => client.send(client.prepare(&Call::Read(Key(0)))).await,
            Self::Bare(link) => {
                let request = link.prepare(&Call::Read(Key(0)), None);
                link.send(request).await
            }
        }
    }
}

/// Sends as many requests as there are acts and one more, which has to be answered; tells the failures.
async fn failures(acts: &[Act]) -> Vec<(Vec<Failure>, (u64, u64))> {
    let mut told = Vec::new();
    for sender in 0..2 {
        let (url, seen) = serve(acts).await;
        let [pool, bare] = Either::both(&url);
        let mut client = if sender == 0 { pool } else { bare };
        let mut failed = Vec::new();
        for _ in acts {
            match client.read().await {
                Ok(answer) => assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..])),
                Err(failure) => failed.push(failure),
            }
        }
        assert_eq!(client.read().await.unwrap().status, 200, "sender {sender}");
        told.push((failed, seen.counts()));
    }
    told
}

#[tokio::test]
async fn one_connection_serves_all_requests() {
    for (failed, counts) in failures(&[Act::Answer; 5]).await {
        assert_eq!((failed, counts), (Vec::new(), (1, 6)));
    }
}

/// The pool may lose the race with a close that it has not seen; the bare client looks first.
#[tokio::test]
async fn a_connection_that_was_closed_in_between_costs_nothing_but_a_new_one() {
    let told = failures(&[Act::AnswerAndClose; 4]).await;
    assert_eq!(told[1], (Vec::new(), (5, 5)), "each request once, on a connection of its own");
    assert!(told[0].1.1 <= 5, "{told:?}");
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    for first in [&[][..], &[Act::Answer]] {
        for (failed, (_, requests)) in failures(&[first, &[Act::HangUp]].concat()).await {
            assert_eq!(failed.len(), 1);
            assert_eq!((&*failed[0].kind, failed[0].doubt), (CONNECTION_LOST, Doubt::Unknown));
            assert_eq!(requests, first.len() as u64 + 2, "each of the requests once");
        }
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    for (failed, _) in failures(&[Act::BreakOff]).await {
        assert_eq!((&*failed[0].kind, failed[0].doubt), (BROKEN_OFF, Doubt::Unknown));
    }
}

#[tokio::test]
async fn no_answer_in_time_is_unknown_and_its_connection_is_given_up() {
    for (failed, counts) in failures(&[Act::Answer, Act::Silence]).await {
        assert_eq!((&*failed[0].kind, failed[0].doubt), (TIMEOUT, Doubt::Unknown));
        assert_eq!(counts, (2, 3));
    }
}

#[tokio::test]
async fn without_a_listener_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for mut client in Either::both(&url) {
        let failure = client.read().await.unwrap_err();
        assert_eq!((&*failure.kind, failure.doubt), (NO_CONNECTION, Doubt::NotApplied));
        assert!(failure.example.contains("refused"), "{failure:?}");
    }
}

#[tokio::test]
async fn both_senders_send_the_same() {
    let [Either::Pool(client), Either::Bare(link)] = Either::both("http://127.0.0.1:1") else {
        panic!("one of each")
    };
    let change = Change { key: Key(1), delta: -3 };
    let calls = [
        Call::Read(Key(0)),
        Call::Delete(Key(0)),
        Call::Create { key: Key(1), on_hand: 5 },
        Call::Count { key: Key(0), on_hand: 5, if_version: Some(4) },
        Call::Adjust(change),
        Call::Batch(vec![change]),
        Call::Independent(vec![change]),
        Call::Transfer(vec![Move { from: Key(0), to: Key(1), quantity: 2 }]),
    ];
    let key = IdempotencyKey::quoted("one").unwrap();
    for call in calls {
        let keyed = call.takes_key();
        let pooled = if keyed { client.prepare_keyed(&call, &key) } else { client.prepare(&call) };
        let bare = link.prepare(&call, keyed.then_some(&key));
        assert_eq!(bare.method(), pooled.method());
        let url = pooled.url();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", url.path());
        assert_eq!(bare.uri().to_string(), target, "{call:?}");
        let mut headers = bare.headers().clone();
        assert_eq!(headers.remove("host").unwrap(), "127.0.0.1:1");
        assert_eq!(&headers, pooled.headers(), "{call:?}");
        let sent = http_body_util::BodyExt::collect(bare.into_body()).await.unwrap().to_bytes();
        let body = pooled.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        assert_eq!(sent, body, "{call:?}");
    }
}
