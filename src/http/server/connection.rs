//! One connection, from when it is accepted: whose it is, that nobody in between reads it, and what it speaks. Its requests are [`http1`]'s or
//! [`http2`]'s.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::counts::Open;
use super::opening::{Speaks, spoken};
use super::peers::{ClientAddress, Peer, Peers};
use super::proxied::{Origin, introduced};
use super::shared::{Shared, Watching};
use super::socket::Socket;
use super::{http1, http2};

/// Fields of a head, and bytes of it. More is 431.
pub(super) const HEADERS_MAX: usize = 64;
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A connection that was accepted.
pub(super) struct Arrived {
    pub(super) socket: Socket,
    /// The address at its other end, if it has one.
    pub(super) address: Option<IpAddr>,
    pub(super) place: Place,
    pub(super) manners: Manners,
}

/// What a connection takes of what there is a bounded number of.
#[derive(Debug)]
pub(super) struct Place {
    /// One of all connections. It is another's when the connection is closed, not before.
    #[expect(dead_code, reason = "held, and not looked at")]
    pub(super) slot: OwnedSemaphorePermit,
    /// One of its address, once that is known.
    pub(super) peer: Option<Peer>,
    #[expect(dead_code, reason = "held, and not looked at")]
    pub(super) open: Open,
}

/// What a connection has to say before it is asked anything, where it came in.
pub(super) struct Manners {
    /// Where a proxy says whose it is: how many connections each address has.
    pub(super) proxied: Option<Arc<Peers>>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether it may speak HTTP/2 although nobody has asked for it.
    pub(super) http2_prior_knowledge: bool,
}

/// Serves its requests until it ends.
pub(super) async fn serve(arrived: Arrived, router: Router, shared: Arc<Shared>, mut course: Watching) {
    let Arrived { mut socket, address: mut client, mut place, manners } = arrived;
    let Manners { proxied, tls, http2_prior_knowledge } = manners;
    if let Some(peers) = proxied {
        // From here on the client is who the proxy says.
        match Box::pin(told(&mut socket, &shared, &mut course)).await {
            Some(Origin::Client(address)) => {
                client = Some(address);
                place.peer = peers.admit(address);
                if place.peer.is_none() {
                    return shared.connections.refused();
                }
            }
            // It has as many connections as it likes: it is trusted.
            Some(Origin::Proxy) => {}
            None => return,
        }
    }
    tracing::trace!(?client, "a connection begins");
    let Some(socket) = secured(socket, tls, &shared, &mut course).await else { return };
    // Boxed where they are rare, so that the others take no room for them.
    let spoken = if http2_prior_knowledge || socket.agreed_on().is_some() {
        Box::pin(spoken(socket, http2_prior_knowledge, &shared, &mut course)).await
    } else {
        Some((socket, Speaks::Http1))
    };
    let told = shared.config.tells_addresses.then(|| ClientAddress::of(client));
    match spoken {
        Some((socket, Speaks::Http1)) => http1::serve(socket, router, told, &shared, &mut course).await,
        Some((socket, Speaks::Http2)) => {
            Box::pin(http2::serve(socket, router, told, &shared, &mut course)).await;
        }
        None => {}
    }
    drop(place);
}

/// Whose the connection is, as its proxy says, which has as long for that as the head of a request may take to come. `None` where it does not.
async fn told(socket: &mut Socket, shared: &Shared, course: &mut Watching) -> Option<Origin> {
    let told = tokio::select! {
        biased;
        told = timeout(shared.config.header_timeout, introduced(socket)) => told,
        () = course.closing() => return None,
    };
    let error = match told {
        Ok(Ok(origin)) => return Some(origin),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    tracing::debug!(%error, "a connection did not say whose it is");
    shared.connections.not_introduced();
    None
}

/// The connection with TLS, where there is to be any. It has as long for that as the head of a request may take to come.
async fn secured(
    socket: Socket,
    tls: Option<TlsAcceptor>,
    shared: &Shared,
    course: &mut Watching,
) -> Option<Socket> {
    let Some(tls) = tls else { return Some(socket) };
    let secured = tokio::select! {
        biased;
        secured = timeout(shared.config.header_timeout, socket.secured(&tls)) => secured,
        () = course.closing() => return None,
    };
    match secured {
        Ok(Ok(socket)) => return Some(socket),
        Ok(Err(error)) => tracing::debug!(%error, "a connection has no TLS"),
        Err(_) => tracing::debug!("a connection came to no TLS in time"),
    }
    shared.connections.not_secured();
    None
}
