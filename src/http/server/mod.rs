//! Connections: accepting them, bounding them, and letting them finish.
//!
//! Our own loop rather than `axum::serve`, which sets hyper no timer: without one, no header timeout ever fires
//! and a client that sends half a request holds its connection for ever. HTTP/1.1, and HTTP/2 for those who agree on it with TLS, or
//! know that it is spoken.
//!
//! - [`listen`]: where they come in. [`socket`]: what they are.
//! - [`connection`]: one of them. [`proxied`]: whose it is, where a proxy says so. [`tls`]: the certificate. [`opening`]: what it speaks.
//! - [`http1`]: its requests, one after the other. [`http2`]: its requests, many at once; [`streams`]: how each of those is answered.
//! - [`bounds`]: what may wait, and for how long; [`known`]: who was told so. [`linger`]: how it is closed while the client still sends.
//! - [`peers`]: how many an address has. [`counts`]: what is counted. [`shared`]: what all of them are told.
//! - `fuzzing`, with the feature of that name alone: the header of [`proxied`], from bytes.

mod bounds;
mod connection;
pub mod counts;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod known;
mod linger;
pub mod listen;
mod opening;
mod peers;
mod proxied;
mod shared;
mod socket;
mod streams;
pub mod tls;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::connection::{Arrived, Manners, Place};
use self::counts::Connections;
pub use self::linger::Linger;
use self::listen::Listener;
pub use self::peers::ClientAddress;
use self::peers::Peers;
pub use self::proxied::PROXY_OF_ITS_OWN;
use self::shared::Shared;
use self::tls::Tls;

/// The bounds of the connections.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Connections at once; further ones wait, and those that idle make room for them. One of HTTP/1.1 carries one request at a time, one of
    /// HTTP/2 a hundred. All requests over HTTP/2 together are bounded by this number as well (or by a hundred, if it is less), so there are
    /// never more than twice as many requests.
    pub connections_max: usize,
    /// How many of them one address may have. If nothing is said nine tenths, so that none takes them all, where there are ten or more.
    pub connections_per_address_max: Option<usize>,
    /// Whether requests are told where they come from ([`ClientAddress`]): it costs each of them an allocation.
    pub tells_addresses: bool,
    /// How long the head of a request may take to come, once it has begun; and whatever a connection has to say before it is asked anything.
    pub header_timeout: Duration,
    /// How long a connection may idle.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is being written to it.
    pub write_timeout: Duration,
    /// How far a client that was answered while it still sends is read. Its connection keeps its slot meanwhile.
    pub linger: Linger,
    /// How long requests are still taken after shutdown began, while nobody is told to send any.
    pub drain_delay: Duration,
    /// How long requests may go on after none is taken any more.
    pub shutdown_grace: Duration,
    /// Whether clients may speak HTTP/2 without TLS, if they know that it is spoken.
    pub http2_prior_knowledge: bool,
    /// Whether each connection of a client begins with what a proxy says of it: the header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
}

/// Where requests come in, and what answers them.
#[derive(Debug)]
pub struct Entrance {
    /// Where.
    pub listeners: Vec<Listener>,
    /// What answers them.
    pub router: Router,
    /// The certificate that those see who come in over TCP; without, everything is sent as it is.
    pub tls: Option<Arc<Tls>>,
    /// How many connections it has at once.
    pub connections_max: usize,
    /// Whether clients come in here, who may speak HTTP/2 and be told by a proxy as [`ServerConfig`] says; else those who run the service.
    pub is_public: bool,
}

/// How far a shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Requests are still taken, and clients are to go elsewhere.
    Delayed,
    /// None is taken any more; those that were are finished.
    Draining,
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request that was accepted was answered.
    Clean,
    /// Some were not answered in time and were cut off.
    CutOff,
}

/// Pause after an accept failed for want of a resource, such as file descriptors: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often connections that idle are told that somebody waits for a place.
const CROWDED_PAUSE: Duration = Duration::from_millis(250);

/// Serves until `shutdown` completes, then finishes what was accepted.
///
/// `leaving` is told how far that is, before it goes on.
pub async fn serve(
    entrances: Vec<Entrance>,
    config: ServerConfig,
    connections: &'static Connections,
    shutdown: impl Future<Output = ()>,
    mut leaving: impl FnMut(Leaving),
) -> Drained {
    let (drain_delay, shutdown_grace) = (config.drain_delay, config.shutdown_grace);
    let most = |all: usize| if all < 10 { usize::MAX } else { all - all / 10 };
    let peers = config.connections_per_address_max.unwrap_or_else(|| most(config.connections_max));
    let peers = Peers::new(peers);
    let shared = Arc::new(Shared::new(config, connections));
    let mut accepting = JoinSet::new();
    for Entrance { listeners, router, tls, connections_max, is_public } in entrances {
        let slots = Arc::new(Semaphore::new(connections_max));
        for listener in listeners {
            let (tls, slots, peers) = (tls.clone(), Arc::clone(&slots), Arc::clone(&peers));
            let door = Door { listener, tls, slots, peers, is_public };
            accepting.spawn(door.accept_all(router.clone(), Arc::clone(&shared)));
        }
    }
    let mut shutdown = pin!(shutdown);
    shutdown.as_mut().await;
    leaving(Leaving::Delayed);
    shared.leave();
    tokio::time::sleep(drain_delay).await;
    leaving(Leaving::Draining);
    // New connections are refused from here on, rather than left unanswered in the backlog.
    accepting.shutdown().await;
    match tokio::time::timeout(shutdown_grace, shared.close()).await {
        Ok(()) => Drained::Clean,
        Err(_) => Drained::CutOff,
    }
}

/// A listener, and the places of those who come in there.
struct Door {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    slots: Arc<Semaphore>,
    peers: Arc<Peers>,
    is_public: bool,
}

impl Door {
    /// Never ends.
    async fn accept_all(self, router: Router, shared: Arc<Shared>) {
        loop {
            match self.accept(&shared).await {
                Ok(Some(arrived)) => {
                    // Made here: from now on the server waits for it when it closes.
                    let course = shared.course();
                    let (router, shared) = (router.clone(), Arc::clone(&shared));
                    tokio::spawn(connection::serve(arrived, router, shared, course));
                }
                Ok(None) => shared.connections.refused(),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The next connection, once there is a place for it; `None` if its address has as many as it may.
    async fn accept(&self, shared: &Shared) -> io::Result<Option<Arrived>> {
        let (socket, address) = self.listener.accept().await?;
        // Where a proxy says whose a connection is, all come from its address, and it is counted once that is known.
        let is_proxied = self.is_public && shared.config.proxy_protocol;
        let peer = match address {
            Some(address) if !is_proxied => match self.peers.admit(address) {
                Some(peer) => Some(peer),
                None => return Ok(None),
            },
            _ => None,
        };
        let slot = self.slot(shared).await?;
        let place = Place { slot, peer, open: shared.connections.open() };
        let manners = Manners {
            proxied: is_proxied.then(|| Arc::clone(&self.peers)),
            tls: self.tls.as_deref().map(Tls::acceptor),
            http2_prior_knowledge: self.is_public && shared.config.http2_prior_knowledge,
        };
        Ok(Some(Arrived { socket, address, place, manners }))
    }

    /// One of the places. While all are taken, some of those who idle make room.
    async fn slot(&self, shared: &Shared) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let mut slot = pin!(Arc::clone(&self.slots).acquire_owned());
        loop {
            shared.crowded();
            if let Ok(slot) = tokio::time::timeout(CROWDED_PAUSE, slot.as_mut()).await {
                return slot.map_err(io::Error::other);
            }
        }
    }
}
