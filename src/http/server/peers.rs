//! [`Peers`]: how many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The bits of an IPv6 address that tell one customer of a network from another: within them an address is free to choose.
const V6_NETWORK: u128 = !0 << 64;

/// How many connections each address has, and how many it may have.
#[derive(Debug)]
pub(super) struct Peers {
    max: usize,
    /// Those that have any.
    open: Mutex<HashMap<IpAddr, usize, ahash::RandomState>>,
}

/// One connection of an address. Dropped, it is over.
#[derive(Debug)]
pub(super) struct Peer {
    address: IpAddr,
    peers: Arc<Peers>,
}

/// Where a request comes from: of IPv6 a network of 64 bits, and nowhere if it came in over a Unix socket. A request that is to be told has it
/// among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// Of a connection, which has that address at its other end, if it has any.
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        Self(client.map(network))
    }
}

impl Peers {
    /// Each may have so many.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: Mutex::default() })
    }

    /// One more of that address; `None` if it has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Peer> {
        let address = network(address);
        let mut open = self.open.lock();
        let count = open.entry(address).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Peer { address, peers: Arc::clone(self) })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock();
        let Some(count) = open.get_mut(&self.address) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.address);
        }
    }
}

/// What counts as one address: one of IPv4, in whichever form; of IPv6 a network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_share() {
        let peers = Peers::new(2);
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let (first, second) = (admit("10.0.0.1"), admit("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some() && admit("10.0.0.1").is_none());
        assert!(admit("10.0.0.2").is_some());
        drop(first);
        assert!(admit("10.0.0.1").is_some(), "one is over");
        drop(second);
        assert!(peers.open.lock().is_empty(), "nothing is kept of who has gone");
        let two = (admit("2001:db8::1"), admit("2001:db8::2"));
        assert!(two.0.is_some() && two.1.is_some() && admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::3").is_some());
    }
}
