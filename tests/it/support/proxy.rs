//! [`Proxy`]: the network between a replica and its database, which fails when and how a test wants it to.
//!
//! It knows as much of PostgreSQL's protocol as it takes to see which statement a request carries out, and where an answer ends. So it can fail at one
//! that is named: before it is passed on, after it was carried out and before anybody is told, or by having the database do something else in its place,
//! such as to fail. It never makes an answer up: whatever a replica is told, the database has said.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use databases::{Database, Postgres};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::app::WATCHDOG;

/// A way through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToDatabase,
    ToReplica,
}

/// How it fails at a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The statement is not passed on, and the connection is cut.
    CutBefore,
    /// The transaction is committed, and the connection is cut before that is told; what was answered before is.
    CutAfter,
    /// The same, and nothing is told of what the transaction has written, either.
    CutUnanswered,
    /// Nothing passes that way any more, on any connection, from this statement on.
    Stall(Way),
    /// The statement is not passed on, and nothing that comes after it on its connection.
    Silence,
    /// The database is asked for that in its place.
    Instead(String),
}

impl Fault {
    /// The database fails with that `SQLSTATE` in place of the statement.
    pub(crate) fn error(sqlstate: &str) -> Self {
        Self::Instead(raise(sqlstate))
    }

    /// At a commit: it takes effect, and the database fails with that `SQLSTATE`.
    pub(crate) fn committed_with_error(sqlstate: &str) -> Self {
        Self::Instead(format!("COMMIT; {}", raise(sqlstate)))
    }

    /// At a commit: the transaction is taken back, and the database fails with that `SQLSTATE`.
    pub(crate) fn taken_back_with_error(sqlstate: &str) -> Self {
        Self::Instead(format!("ROLLBACK; {}", raise(sqlstate)))
    }
}

fn raise(sqlstate: &str) -> String {
    format!("DO $$BEGIN RAISE EXCEPTION 'by the test' USING ERRCODE = '{sqlstate}'; END$$")
}

/// Listens on a port of its own for as long as it is there; a handle is not cloned.
pub(crate) struct Proxy {
    address: SocketAddr,
    database: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Where the database is.
    socket: Mutex<PathBuf>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    stalled: Vec<Way>,
    is_refusing: bool,
    /// Connections that were made before the last cut are over.
    cuts: u64,
    plan: Option<Plan>,
    /// Faults that happened.
    met: u64,
}

/// What is to happen at the next statements that have those words.
#[derive(Debug, Clone)]
struct Plan {
    words: &'static str,
    fault: Fault,
    times: usize,
}

/// One connection.
#[derive(Debug, Default)]
struct Link {
    /// It has written something in a transaction.
    has_written: AtomicBool,
    /// The transaction is being committed, of which nobody is to be told: nothing, or all but that.
    ends: Mutex<Option<Ends>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Told,
    Silent,
}

impl Proxy {
    /// Before that database.
    pub(crate) async fn before(database: &Database) -> Self {
        Self::to(database.socket(), database.name().to_owned()).await
    }

    /// Before the database that a server has from the beginning.
    pub(crate) async fn before_server(server: &Postgres) -> Self {
        Self::to(server.socket(), "postgres".to_owned()).await
    }

    async fn to(socket: PathBuf, database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { socket: Mutex::new(socket), state: watch::Sender::default() });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self { address, database, shared, listening }
    }

    /// Where a replica finds its database.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@{}/{}", self.address, self.database)
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails at the next statement that has those words.
    pub(crate) fn fails_at(&self, words: &'static str, fault: Fault) {
        self.fails_often_at(words, fault, 1);
    }

    /// Fails at the next so many.
    pub(crate) fn fails_often_at(&self, words: &'static str, fault: Fault, times: usize) {
        self.shared.state.send_modify(|state| state.plan = Some(Plan { words, fault, times }));
    }

    /// Forgets what it was to do; how often it was not done any more.
    pub(crate) fn fails_no_more(&self) -> usize {
        let mut left = 0;
        self.shared.state.send_modify(|state| left = state.plan.take().map_or(0, |plan| plan.times));
        left
    }

    /// Nothing passes that way, on any connection.
    pub(crate) fn stall(&self, way: Way) {
        self.shared.state.send_modify(|state| state.stalled.push(way));
    }

    /// Connections that are there are cut, and those that are made, too.
    pub(crate) fn refuse(&self) {
        self.shared.state.send_modify(|state| {
            state.is_refusing = true;
            state.cuts += 1;
        });
    }

    /// All is well again.
    pub(crate) fn pass(&self) {
        self.shared.state.send_modify(|state| {
            state.is_refusing = false;
            state.stalled.clear();
        });
    }

    /// From here on another server is at this address.
    pub(crate) fn lead_to(&self, server: &Postgres) {
        *self.shared.socket.lock() = server.socket();
        self.shared.state.send_modify(|state| state.cuts += 1);
    }

    /// Waits until so many faults have happened.
    pub(crate) async fn has_failed(&self, times: u64) {
        let mut state = self.shared.state.subscribe();
        let met = state.wait_for(|state| state.met >= times);
        tokio::time::timeout(WATCHDOG, met).await.expect("it fails in time").expect("it is there");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((replica, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        // What a connection ends with is seen at both of its ends.
        tokio::spawn(async move { drop(carry(replica, shared).await) });
    }
}

/// Carries one connection, until either end closes it or it is cut.
async fn carry(replica: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut state = shared.state.subscribe();
    let cuts = state.borrow().cuts;
    if state.borrow().is_refusing {
        return Ok(());
    }
    replica.set_nodelay(true)?;
    let path = shared.socket.lock().join(".s.PGSQL.5432");
    let database = UnixStream::connect(path).await?;
    let (from_replica, to_replica) = replica.into_split();
    let (from_database, to_database) = database.into_split();
    let link = Link::default();
    tokio::select! {
        ended = asks(from_replica, to_database, &shared, &link) => ended,
        ended = answers(from_database, to_replica, &shared, &link) => ended,
        _ = state.wait_for(|state| state.cuts != cuts) => Ok(()),
    }
}

/// From the replica to the database.
async fn asks(
    mut from: OwnedReadHalf,
    mut to: unix::OwnedWriteHalf,
    shared: &Shared,
    link: &Link,
) -> io::Result<()> {
    let mut statements: HashMap<String, String> = HashMap::new();
    // The first message has no tag.
    let length = from.read_u32().await?;
    to.write_all(&[&length.to_be_bytes()[..], &bytes(&mut from, length).await?].concat()).await?;
    let (mut is_skipping, mut is_in_transaction) = (false, false);
    loop {
        let (tag, body) = message(&mut from).await?;
        shared.until_passes(Way::ToDatabase).await;
        if is_skipping {
            is_skipping = tag != b'S';
            continue;
        }
        let words = match tag {
            b'P' => {
                statements.insert(text(&body, 0), text(&body, 1));
                None
            }
            b'B' => statements.get(&text(&body, 1)).cloned(),
            b'Q' => Some(text(&body, 0)),
            _ => None,
        };
        let Some(words) = words else {
            write(&mut to, tag, &body).await?;
            continue;
        };
        is_in_transaction |= words.starts_with("BEGIN");
        let is_write = ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| words.starts_with(verb));
        if is_in_transaction && is_write {
            link.has_written.store(true, Ordering::SeqCst);
        }
        match shared.fault_at(&words, link) {
            // Of what happens at the answer the other direction knows.
            None | Some(Fault::CutAfter | Fault::CutUnanswered) => write(&mut to, tag, &body).await?,
            Some(Fault::CutBefore) => return Ok(()),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Stall(way)) => {
                shared.state.send_modify(|state| state.stalled.push(way));
                shared.until_passes(Way::ToDatabase).await;
                write(&mut to, tag, &body).await?;
            }
            Some(Fault::Instead(other)) => {
                // The rest of what carries this one out goes with it.
                is_skipping = tag == b'B';
                write(&mut to, b'Q', &[other.as_bytes(), b"\0"].concat()).await?;
            }
        }
        if words.contains("COMMIT") || words.contains("ROLLBACK") {
            is_in_transaction = false;
            if link.ends.lock().is_none() {
                link.has_written.store(false, Ordering::SeqCst);
            }
        }
    }
}

/// From the database to the replica.
async fn answers(
    mut from: unix::OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    link: &Link,
) -> io::Result<()> {
    loop {
        let (tag, body) = message(&mut from).await?;
        shared.until_passes(Way::ToReplica).await;
        // Of what is written nothing is told before it is known whether it is to be told.
        if link.has_written.load(Ordering::SeqCst) {
            shared.until_told(link).await;
        }
        let ends = *link.ends.lock();
        if ends.is_some() && tag == b'C' && text(&body, 0) == "COMMIT" {
            shared.met();
            return Ok(());
        }
        if ends != Some(Ends::Silent) {
            write(&mut to, tag, &body).await?;
        }
    }
}

impl Shared {
    async fn until_passes(&self, way: Way) {
        let mut state = self.state.subscribe();
        let _gone = state.wait_for(|state| !state.stalled.contains(&way)).await;
    }

    /// Waits while a commit is to come that nobody is to be told anything of.
    async fn until_told(&self, link: &Link) {
        let mut state = self.state.subscribe();
        let is_pending = |state: &State| {
            state.plan.as_ref().is_some_and(|plan| plan.fault == Fault::CutUnanswered)
                && link.has_written.load(Ordering::SeqCst)
        };
        let _gone = state.wait_for(|state| !is_pending(state)).await;
    }

    /// What is to happen at that statement of that connection.
    fn fault_at(&self, words: &str, link: &Link) -> Option<Fault> {
        let mut fault = None;
        self.state.send_modify(|state| {
            let Some(plan) = state.plan.as_mut().filter(|plan| words.contains(plan.words)) else { return };
            fault = Some(plan.fault.clone());
            plan.times -= 1;
            if plan.times == 0 {
                state.plan = None;
            }
            match end_of(fault.as_ref()) {
                // Before the plan is seen to be gone: it happens at the answer.
                Some(ends) => *link.ends.lock() = Some(ends),
                None => state.met += 1,
            }
        });
        fault
    }

    fn met(&self) {
        self.state.send_modify(|state| state.met += 1);
    }
}

/// How a connection ends at its commit, if it does.
fn end_of(fault: Option<&Fault>) -> Option<Ends> {
    match fault {
        Some(Fault::CutAfter) => Some(Ends::Told),
        Some(Fault::CutUnanswered) => Some(Ends::Silent),
        _ => None,
    }
}

/// The next message: its tag, and what follows its length.
async fn message(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let tag = from.read_u8().await?;
    let length = from.read_u32().await?;
    Ok((tag, bytes(from, length).await?))
}

/// What follows a length, which counts itself.
async fn bytes(from: &mut (impl tokio::io::AsyncRead + Unpin), length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length.saturating_sub(4)).expect("a length")];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write(to: &mut (impl tokio::io::AsyncWrite + Unpin), tag: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).expect("a length");
    to.write_all(&[&[tag], &length.to_be_bytes()[..], body].concat()).await
}

/// The text at that place of a message that is a row of them, each ended by a zero.
fn text(body: &[u8], at: usize) -> String {
    let text = body.split(|byte| *byte == 0).nth(at).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
