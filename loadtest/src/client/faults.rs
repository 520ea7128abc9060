//! Faults from the client's side: clients that go away, ask twice, or are slow. A service has to bear them all.
//!
//! Only writes that take an idempotency key meet them. A *disconnect* sends a part of a request, or all of it, and closes the
//! connection: nobody knows whether it took effect. A *replay* sends a request with a key and, once it is answered, the same again: the
//! answer has to be the same, and nothing may happen a second time, which would show as a version that no answer explains.
//! Of a service of several replicas it is the next one that is asked again. A *slow* request sends its body in pieces.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

use super::failure::{ABANDONED, CONTRACT_BREACH, Doubt};
use super::plain::{Broken, Link, Wire, no_connection, timed_out};
use super::{Answer, Call, Failure, IdempotencyKey};

/// Pieces of a body that is sent slowly, and the pause before each.
const PIECES: usize = 4;

/// The pause before each piece.
const PAUSE: Duration = Duration::from_millis(20);

/// How often each fault happens, as a part of the writes that can meet it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    disconnect: f64,
    replay: f64,
    slow: f64,
}

/// Faults that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault: use disconnect, replay or slow with a share, and commas between, such as \
     disconnect=0.5%,replay=1%,slow=0.1%; they are 100% together at most"
)]
pub struct FaultsError(String);

/// How many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FaultCounts {
    /// Requests whose client went away.
    pub disconnected: u64,
    /// Requests that were answered and sent again.
    pub replayed: u64,
    /// Of these, how many were answered otherwise the second time.
    pub answered_otherwise: u64,
    /// Requests whose body was sent slowly.
    pub slow: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Disconnect,
    Replay,
    Slow,
}

/// What came of a request that met a fault.
#[derive(Debug)]
pub struct Suffered {
    /// The answer to the request itself.
    pub reply: Result<Answer, Failure>,
    /// When it was there.
    pub returned_ns: u64,
    /// What was wrong with the answer to its repetition.
    pub breach: Option<Failure>,
    /// Its repetition, if that was answered.
    pub again: Option<Again>,
}

/// A request that was sent again under its key, and answered again.
#[derive(Debug)]
pub struct Again {
    /// The number of its key; those up to [`LINES_MAX`] after it are for the lines of a batch.
    pub once: u64,
    /// When it was sent.
    pub invoked_ns: u64,
    /// When the answer was there.
    pub returned_ns: u64,
    /// The answer.
    pub answer: Answer,
}

/// How many numbers of keys a request has to itself.
const LINES_MAX: u64 = 1 << 14;

/// How many numbers of keys a client has to itself: for some millions of requests, and for some millions of clients.
const KEYS_OF_CLIENT: u64 = 1 << 40;

/// The faults of one client.
#[derive(Debug)]
pub struct Saboteur {
    faults: Faults,
    rng: Xoshiro256PlusPlus,
    /// One to each replica; never none.
    links: Vec<Link>,
    client: u32,
    /// Makes its keys its own.
    name: String,
    keys: u64,
    counts: FaultCounts,
}

impl Faults {
    /// Whether requests are sent again.
    pub fn replays(&self) -> bool {
        self.replay > 0.0
    }
}

impl Saboteur {
    /// Of a client with this number and a name made of it, with a link to each replica and faults drawn from a seed.
    pub fn new(faults: Faults, seed: u64, links: Vec<Link>, (client, name): (u32, String)) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { faults, rng, links, client, name, keys: 0, counts: FaultCounts::default() }
    }

    /// The faults since the last time.
    pub fn take_counts(&mut self) -> FaultCounts {
        std::mem::take(&mut self.counts)
    }

    /// Makes a call of the replica with this number with a fault, if it draws one; `None` if it is to be made as usual.
    pub async fn perform(&mut self, call: &Call, at: usize, now_ns: impl Fn() -> u64) -> Option<Suffered> {
        match self.draw(call)? {
            Fault::Disconnect => {
                self.counts.disconnected += 1;
                let failure = self.disconnect(call, at).await;
                Some(Suffered { reply: Err(failure), returned_ns: now_ns(), breach: None, again: None })
            }
            Fault::Slow => {
                self.counts.slow += 1;
                let reply = self.slow(call, at).await;
                Some(Suffered { reply, returned_ns: now_ns(), breach: None, again: None })
            }
            Fault::Replay => Some(self.replay(call, at, now_ns).await),
        }
    }

    fn draw(&mut self, call: &Call) -> Option<Fault> {
        if !call.takes_key() {
            return None;
        }
        let Faults { disconnect, replay, slow } = self.faults;
        let mut drawn: f64 = self.rng.random();
        for (part, fault) in [(disconnect, Fault::Disconnect), (replay, Fault::Replay), (slow, Fault::Slow)] {
            if drawn < part {
                return Some(fault);
            }
            drawn -= part;
        }
        None
    }

    async fn disconnect(&mut self, call: &Call, at: usize) -> Failure {
        let link = &self.links[at];
        let wire = link.bytes(call);
        // From half of it to all of it.
        let part = self.rng.random_range(wire.len() / 2..=wire.len());
        let send = async {
            let mut stream = TcpStream::connect(link.authority()).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&wire[..part]).await
        };
        match timeout(link.timeout(), send).await {
            Ok(Err(error)) => no_connection(&error),
            _ => {
                let example = format!("{part} of {} bytes were sent", wire.len());
                Failure { kind: ABANDONED.into(), example, doubt: Doubt::Unknown }
            }
        }
    }

    async fn slow(&mut self, call: &Call, at: usize) -> Result<Answer, Failure> {
        let link = &self.links[at];
        let request = link.whole(call, None).map(Trickle::new);
        let exchange = async {
            let mut wire = Wire::open(link.authority()).await.map_err(|error| no_connection(&*error))?;
            wire.exchange(request).await.map_err(|broken| match broken {
                Broken::Lost(failure) => failure,
                Broken::Unsent(_) => no_connection(&std::io::Error::from(std::io::ErrorKind::NotConnected)),
            })
        };
        timeout(link.timeout(), exchange).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn replay(&mut self, call: &Call, at: usize, now_ns: impl Fn() -> u64) -> Suffered {
        self.keys += 1;
        // The name is a sku and two numbers, which are visible characters.
        let key = IdempotencyKey::quoted(&format!("{}-{}", self.name, self.keys)).ok();
        let reply = ask(&mut self.links[at], call, key.as_ref()).await;
        let returned_ns = now_ns();
        let (mut breach, mut repetition) = (None, None);
        // What is in doubt, or was shed, may well be answered otherwise.
        if let Some(first) = reply.as_ref().ok().filter(|first| first.status < 500) {
            let invoked_ns = now_ns();
            // A key is one of all replicas: what one of them has answered, the next one knows.
            let next = (at + 1) % self.links.len();
            let again = ask(&mut self.links[next], call, key.as_ref()).await;
            if let Some(answer) = again.ok().filter(|again| again.status < 500) {
                self.counts.replayed += 1;
                breach = differs(call, first, &answer);
                self.counts.answered_otherwise += u64::from(breach.is_some());
                let once = u64::from(self.client) * KEYS_OF_CLIENT + self.keys * LINES_MAX;
                repetition = Some(Again { once, invoked_ns, returned_ns: now_ns(), answer });
            }
        }
        Suffered { reply, returned_ns, breach, again: repetition }
    }
}

async fn ask(link: &mut Link, call: &Call, key: Option<&IdempotencyKey>) -> Result<Answer, Failure> {
    let request = link.prepare(call, key);
    link.send(request).await
}

fn differs(call: &Call, first: &Answer, again: &Answer) -> Option<Failure> {
    let same = first.status == again.status && first.body == again.body && first.etag == again.etag;
    (!same).then(|| {
        let [first, again] = [first, again]
            .map(|answer| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
        let example = format!("{} asked again answered {again} instead of {first}", call.kind().name());
        Failure { kind: CONTRACT_BREACH.into(), example, doubt: Doubt::Unknown }
    })
}

/// A body in pieces, with a pause before each.
#[derive(Debug)]
pub struct Trickle {
    rest: Bytes,
    piece: usize,
    pause: Pin<Box<Sleep>>,
}

impl Trickle {
    fn new(body: Vec<u8>) -> Self {
        let piece = body.len().div_ceil(PIECES).max(1);
        Self { rest: body.into(), piece, pause: Box::pin(sleep(PAUSE)) }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(sleep(PAUSE));
        let piece = self.piece.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Self::default();
        for part in text.split(',') {
            let wrong = || FaultsError(part.to_owned());
            let (name, share) = part.trim().split_once('=').ok_or_else(wrong)?;
            let share = share.strip_suffix('%').and_then(|share| share.parse::<f64>().ok());
            let share = share.filter(|share| (0.0..=100.0).contains(share)).ok_or_else(wrong)?;
            match name {
                "disconnect" => faults.disconnect = share / 100.0,
                "replay" => faults.replay = share / 100.0,
                "slow" => faults.slow = share / 100.0,
                _ => return Err(wrong()),
            }
        }
        let all = faults.disconnect + faults.replay + faults.slow;
        if all > 1.0 { Err(FaultsError(text.to_owned())) } else { Ok(faults) }
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disconnected, replayed, answered_otherwise, slow } = self;
        write!(
            f,
            "{disconnected} disconnected, {replayed} replayed ({answered_otherwise} answered otherwise), {slow} sent slowly"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_shares() {
        let faults: Faults = "disconnect=0.5%,replay=1%,slow=0.1%".parse().unwrap();
        assert_eq!(faults, Faults { disconnect: 0.005, replay: 0.01, slow: 0.001 });
        for wrong in ["", "replay", "replay=1", "replay=101%", "vanish=1%", "replay=60%,slow=60%"] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
    }
}
