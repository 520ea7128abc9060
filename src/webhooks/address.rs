//! [`Addresses`]: where messages may be sent: to the public internet, and to what the operator allows besides.
//!
//! A name is looked up at each attempt, and what it stands for is judged then: the connection is made to an address that was judged, and the
//! name is not looked up again. So a name that stands for another address a moment later leads nowhere else. An address in a URL is judged
//! the same way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// Which addresses may be connected to.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    allowed: Vec<IpNet>,
}

/// Why there is no address to connect to.
#[derive(Debug, Error)]
pub enum NoAddress {
    /// The name stands for nothing, or nobody says for what.
    #[error("{host} cannot be resolved: {source}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// It stands for addresses to which nothing is sent.
    #[error(
        "{host} is at {address}, which is {what}: no message is sent there unless --webhook-allow says so"
    )]
    Refused {
        /// The name, or the address as it was written.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// What that is.
        what: &'static str,
    },
}

/// What is not the public internet (the special-purpose registries of IANA, and multicast).
const V4: [(Ipv4Net, &str); 15] = [
    (v4([0, 0, 0, 0], 8), "unspecified"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared between a provider's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "reserved for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 88, 99, 0], 24), "a relay to IPv6"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved, or broadcast"),
];

/// The same of IPv6, of which only `2000::/3` is given out at all; the more telling first.
const V6: [(Ipv6Net, &str); 12] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0xFFFF, 0, 0], 96), "an address of IPv4 in another form"),
    (v6([0x64, 0xFF9B, 0, 0, 0, 0, 0, 0], 32), "translated to IPv4"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xDB8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a relay to IPv4"),
    (v6([0x3FFF, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
    (v6([0xFC00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),
    (v6([0xFE80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xFEC0, 0, 0, 0, 0, 0, 0, 0], 10), "private"),
    (v6([0xFF00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), bits)
}

const fn v6(segments: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), bits)
}

impl Addresses {
    /// The public internet, and these.
    pub fn allowing(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// What a host stands for now, as far as it may be connected to; at least one. A host of IPv6 may stand in brackets, as in a URL.
    pub async fn of(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let unresolved = |source| NoAddress::Unresolved { host: host.to_owned(), source };
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((bare, port)).await.map_err(unresolved)?.collect();
        let Some(first) = found.first().map(SocketAddr::ip) else {
            return Err(unresolved(io::Error::other("it has no address")));
        };
        let judged: Vec<_> =
            found.into_iter().map(|address| self.judge(address.ip()).map(|()| address)).collect();
        let refused = judged.iter().find_map(|judged| judged.as_ref().err().copied());
        let may: Vec<SocketAddr> = judged.into_iter().flatten().collect();
        match refused {
            Some(what) if may.is_empty() => {
                Err(NoAddress::Refused { host: host.to_owned(), address: first, what })
            }
            _ => Ok(may),
        }
    }

    /// Whether it may be connected to; else what it is.
    fn judge(&self, address: IpAddr) -> Result<(), &'static str> {
        // One of IPv4 in another form is allowed where that is: it is the same place.
        let is_allowed = |net: &IpNet| net.contains(&address) || net.contains(&address.to_canonical());
        if self.allowed.iter().any(is_allowed) {
            return Ok(());
        }
        let what = match address {
            IpAddr::V4(v4) => V4.iter().find(|(net, _)| net.contains(&v4)).map(|(_, what)| *what),
            IpAddr::V6(v6) => {
                let special = V6.iter().find(|(net, _)| net.contains(&v6)).map(|(_, what)| *what);
                special.or((!PUBLIC_V6.contains(&v6)).then_some("not public"))
            }
        };
        what.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_connected_to() {
        let nowhere = Addresses::default();
        for refused in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(nowhere.judge(refused.parse().unwrap()).is_err(), "{refused}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(nowhere.judge(public.parse().unwrap()), Ok(()), "{public}");
        }
    }

    #[test]
    fn what_is_allowed_is_no_more_than_was_said() {
        let some = Addresses::allowing(vec!["127.0.0.0/8".parse().unwrap(), "fd00:1::/32".parse().unwrap()]);
        for allowed in ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "fd00:1::7", "8.8.8.8"] {
            assert_eq!(some.judge(allowed.parse().unwrap()), Ok(()), "{allowed}");
        }
        for refused in ["10.0.0.1", "::1", "fd00:2::7", "::ffff:10.0.0.1"] {
            assert!(some.judge(refused.parse().unwrap()).is_err(), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_host_is_what_it_stands_for_however_it_is_written() {
        let nowhere = Addresses::default();
        for host in ["localhost", "127.0.0.1", "[::1]", "127.1", "0x7f000001", "2130706433", "0"] {
            let refused = nowhere.of(host, 80).await.unwrap_err().to_string();
            assert!(refused.contains(host), "{host}: {refused}");
        }
        let loopback = Addresses::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        let found = loopback.of("localhost", 80).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.is_ipv4()), "{found:?}");
    }
}
