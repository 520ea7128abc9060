//! Where the clients of a crash test may send just now: to a server, to one of its replicas, nowhere, or nowhere ever again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::outage::Outages;
use crate::client::Client;

/// The pause before an attempt that follows one that was not answered for good.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest a client that found nobody listening waits for the next life before it tries the same one again.
const ABSENCE_MAX: Duration = Duration::from_secs(1);

/// Where requests go just now.
#[derive(Debug, Clone)]
pub enum Access {
    /// To whoever is up: one place for each replica, or one for a server that has none.
    Open(Vec<Option<Up>>),
    /// Nowhere, and never again.
    Over,
}

/// A life that takes requests.
#[derive(Debug, Clone)]
pub struct Up {
    /// Which life of the service it is, which rises with each end that is made: of one server, which start of it.
    pub life: u32,
    /// How it is reached.
    pub client: Arc<Client>,
    /// What may be sent.
    pub traffic: Traffic,
    /// What becomes of this server.
    pub stint: Arc<Stint>,
}

/// One server from its start to its end.
#[derive(Debug, Default)]
pub struct Stint {
    /// Writes that may have taken effect, although it did not answer them.
    pub doubts: AtomicU64,
    /// Whether its process has gone, so that nothing is on its way in it any more.
    pub is_over: AtomicBool,
    /// What was met while the database was away.
    pub outages: Arc<Outages>,
}

impl Stint {
    /// One that begins.
    pub fn new(outages: &Arc<Outages>) -> Arc<Self> {
        Arc::new(Self { outages: Arc::clone(outages), ..Self::default() })
    }

    /// A write has no answer.
    pub fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }
}

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Writes that are not answered yet: the server is not ready.
    Retries,
    /// Everything.
    All,
    /// Only creations and deletions of levels that come and go, and exports: nothing else is to be on its way to the disk.
    Hush,
    /// What is left over, and then the client is finished.
    Rest,
}

/// How one client learns where to send.
#[derive(Debug)]
pub struct Gate {
    access: watch::Receiver<Access>,
    /// The place that it goes to, or from which on it looks for one that is open; past the last one comes the first.
    at: usize,
}

impl Gate {
    /// The view of one more client, who goes to that place.
    pub fn new(access: &watch::Sender<Access>, at: usize) -> Self {
        Self { access: access.subscribe(), at }
    }

    /// The server to ask, as soon as there is one; `None` if there will be none any more.
    pub async fn up(&mut self) -> Option<Up> {
        loop {
            let found = match &*self.access.borrow_and_update() {
                Access::Open(places) => first_open(places, self.at),
                Access::Over => return None,
            };
            match found {
                Some((at, up)) => {
                    self.at = at;
                    return Some(up);
                }
                None => self.access.changed().await.ok()?,
            }
        }
    }

    /// From now on it goes to the next place, if there is another. What was in doubt at one replica is asked of the next.
    pub fn go_on(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    /// Waits until something else may be sent, or elsewhere; answers whether that can still happen.
    pub async fn changed(&mut self) -> bool {
        self.access.changed().await.is_ok()
    }

    /// Whether that life still takes more than what is left over. Does not count as having looked.
    pub fn is_at(&self, life: u32) -> bool {
        let is_it = |up: &Up| up.life == life && up.traffic != Traffic::Rest;
        matches!(&*self.access.borrow(), Access::Open(places) if places.iter().flatten().any(is_it))
    }

    /// The life of the service, if there is any, and that one at least. Does not count as having looked.
    pub fn life(&self, least: u32) -> u32 {
        match &*self.access.borrow() {
            Access::Open(places) => places.iter().flatten().map(|up| up.life).fold(least, u32::max),
            Access::Over => least,
        }
    }

    /// Nobody listens here: goes on to another replica, or waits for another life, but not for ever; answers whether there may be one.
    pub async fn next_life(&mut self) -> bool {
        self.go_on();
        let others = match &*self.access.borrow() {
            Access::Open(places) => places.iter().flatten().count() > 1,
            Access::Over => false,
        };
        if others {
            return self.pause().await;
        }
        !matches!(timeout(ABSENCE_MAX, self.access.changed()).await, Ok(Err(_)))
    }

    /// Waits a moment.
    pub async fn pause(&self) -> bool {
        sleep(PAUSE).await;
        true
    }
}

/// The first place from that one on where somebody is up.
fn first_open(places: &[Option<Up>], from: usize) -> Option<(usize, Up)> {
    let in_turn = (0..places.len()).map(|step| (from % places.len() + step) % places.len());
    in_turn.into_iter().find_map(|at| Some((at, places[at].clone()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Options;

    fn up(life: u32) -> Up {
        let options = Options { connections: 1, timeout: Duration::from_secs(1) };
        let client = Client::new("http://127.0.0.1:1", Arc::default(), options).unwrap();
        Up { life, client: Arc::new(client), traffic: Traffic::All, stint: Arc::default() }
    }

    #[tokio::test]
    async fn who_finds_nobody_goes_on_to_the_next_that_is_up_and_stays_there() {
        let access = watch::Sender::new(Access::Open(vec![Some(up(7)), None, Some(up(9))]));
        let mut gate = Gate::new(&access, 1);
        assert_eq!(gate.up().await.map(|up| up.life), Some(9));
        assert!(gate.next_life().await);
        assert_eq!(gate.up().await.map(|up| up.life), Some(7));
        assert_eq!(gate.up().await.map(|up| up.life), Some(7));
        assert_eq!((gate.life(1), gate.life(12), gate.is_at(9), gate.is_at(8)), (9, 12, true, false));
        access.send_replace(Access::Over);
        assert!(gate.up().await.is_none());
    }

    #[tokio::test]
    async fn where_nobody_is_up_the_next_life_is_waited_for() {
        let access = watch::Sender::new(Access::Open(vec![None, None]));
        let mut gate = Gate::new(&access, 5);
        let waits = tokio::spawn(async move { gate.up().await.map(|up| up.life) });
        tokio::task::yield_now().await;
        access.send_replace(Access::Open(vec![Some(up(3)), None]));
        assert_eq!(waits.await.unwrap(), Some(3));
    }
}
