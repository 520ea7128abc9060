//! Whether the server is still there.
//!
//! A request that finds no connection, or loses it, is no proof that the server has died: connections are shed, ports and
//! file descriptors run out. What is proof is that nobody listens at its address any more. So a client that was cut off
//! knocks a few times; if each knock is refused, the server is dead: that is told once, with the time, and the run ends. A service of
//! several replicas is there as long as one of them is.

use std::io::ErrorKind;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::interrupt::Stop;

/// How often a client knocks before it believes that the server is dead.
const KNOCKS: u32 = 4;

/// Between two knocks: together long enough for a listener to be replaced, short enough not to matter to a run.
const BETWEEN_KNOCKS: Duration = Duration::from_millis(50);

/// The longest a knock may take. No answer is no refusal.
const KNOCK_MAX: Duration = Duration::from_secs(1);

/// The end of a server, as its clients saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Death {
    /// When the first request was cut off of those after which nobody was there, on the clock of the run.
    pub at_ns: u64,
    /// The stage of the run.
    pub stage: &'static str,
}

/// Whether to go on: nobody asked to stop, and the server is there.
#[derive(Debug, Clone)]
pub struct Vitals {
    stop: Stop,
    /// Of each replica.
    addresses: Arc<[String]>,
    death: Arc<OnceLock<Death>>,
}

impl Vitals {
    /// Of a server at `host:port`.
    pub fn new(address: &str, stop: Stop) -> Self {
        Self::of_all([address.to_owned()], stop)
    }

    /// Of a service with a server at each of these.
    pub fn of_all(addresses: impl IntoIterator<Item = String>, stop: Stop) -> Self {
        Self { stop, addresses: addresses.into_iter().collect(), death: Arc::default() }
    }

    /// Whether the run is over before its time.
    pub fn over(&self) -> bool {
        self.stop.requested() || self.death.get().is_some()
    }

    /// How the server ended, if it did.
    pub fn death(&self) -> Option<&Death> {
        self.death.get()
    }

    /// Asks after the server when a request was cut off at `since_ns`: whether to go on. Whoever is the first to find it dead
    /// tells all others.
    pub async fn ask(&self, since_ns: u64, stage: &'static str) -> bool {
        for knock in 0..KNOCKS {
            if knock > 0 {
                sleep(BETWEEN_KNOCKS).await;
            }
            if self.over() {
                return false;
            }
            if !self.is_refused().await {
                return true;
            }
        }
        // Who comes second has nothing to add.
        let _ = self.death.set(Death { at_ns: since_ns, stage });
        false
    }

    /// Whether nobody listens anywhere.
    async fn is_refused(&self) -> bool {
        for address in &*self.addresses {
            let knock = timeout(KNOCK_MAX, TcpStream::connect(address.as_str())).await;
            if !matches!(knock, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_alive_and_none_is_dead() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let vitals = Vitals::new(&address, Stop::default());
        assert!(vitals.ask(1, "measuring").await && vitals.death().is_none() && !vitals.over());
        drop(listener);
        assert!(!vitals.ask(2, "measuring").await && vitals.over());
        assert!(!vitals.ask(3, "measuring").await);
        assert_eq!(vitals.death(), Some(&Death { at_ns: 2, stage: "measuring" }));
    }

    #[tokio::test]
    async fn a_service_is_there_as_long_as_one_replica_is() {
        let [first, second] = [(), ()].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&first, &second].map(|replica| replica.local_addr().unwrap().to_string());
        let vitals = Vitals::of_all(addresses, Stop::default());
        drop(first);
        assert!(vitals.ask(1, "measuring").await && !vitals.over());
        drop(second);
        assert!(!vitals.ask(2, "measuring").await && vitals.over());
    }

    #[tokio::test]
    async fn a_run_that_was_stopped_is_over_and_nobody_died() {
        let stop = Stop::default();
        stop.request();
        let vitals = Vitals::new("127.0.0.1:1", stop);
        assert!(vitals.over() && !vitals.ask(1, "measuring").await && vitals.death().is_none());
    }
}
