//! Where the clients of a crash test may send just now: to a server, nowhere, or nowhere ever again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::client::Client;

/// The pause before an attempt that follows one that was not answered for good.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest a client that found nobody listening waits for the next life before it tries the same one again.
const ABSENCE_MAX: Duration = Duration::from_secs(1);

/// Where requests go just now.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nowhere: there is no server.
    Down,
    /// To a server.
    Up(Up),
    /// Nowhere, and never again.
    Over,
}

/// A life that takes requests.
#[derive(Debug, Clone)]
pub struct Up {
    /// Which start of the server it is.
    pub life: u32,
    /// How it is reached.
    pub client: Arc<Client>,
    /// What may be sent.
    pub traffic: Traffic,
    /// Writes that may have taken effect in this life, although it did not answer them.
    pub doubts: Arc<AtomicU64>,
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
pub struct Gate(watch::Receiver<Access>);

impl Gate {
    /// The view of one more client.
    pub fn new(access: &watch::Sender<Access>) -> Self {
        Self(access.subscribe())
    }

    /// The server to ask, as soon as there is one; `None` if there will be none any more.
    pub async fn up(&mut self) -> Option<Up> {
        loop {
            let access = self.0.borrow_and_update().clone();
            match access {
                Access::Up(up) => return Some(up),
                Access::Over => return None,
                Access::Down => self.0.changed().await.ok()?,
            }
        }
    }

    /// Waits until something else may be sent, or elsewhere; answers whether that can still happen.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Whether that life still takes more than what is left over. Does not count as having looked.
    pub fn is_at(&self, life: u32) -> bool {
        matches!(&*self.0.borrow(), Access::Up(up) if up.life == life && up.traffic != Traffic::Rest)
    }

    /// Waits for another life, but not for ever; answers whether there may be one.
    pub async fn next_life(&mut self) -> bool {
        !matches!(timeout(ABSENCE_MAX, self.0.changed()).await, Ok(Err(_)))
    }

    /// Waits a moment.
    pub async fn pause(&self) -> bool {
        sleep(PAUSE).await;
        true
    }
}
