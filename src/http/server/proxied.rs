//! The header of the PROXY protocol, version 2, with which a proxy says whose the connection is that it passes on.
//!
//! It is believed: whoever reaches the service without the proxy could say anything. Version 1, a header that is none and one that is missing
//! are refused, as the specification asks: to guess would let a client speak for the proxy. Of what follows the addresses (TLVs)
//! nothing is used, their checksum included, and nothing but their length is looked at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;
use tokio::io::AsyncReadExt as _;

use super::opening::begins_with;
use super::socket::Socket;

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The header of a connection that is of whoever sends it, and of nobody behind it (`LOCAL`): health checks begin so.
pub const PROXY_OF_ITS_OWN: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// What follows the signature: version and command, family, and length of the rest.
const FIXED: usize = 4;
/// How much may follow that, in bytes. Addresses take up to 216; names of hosts and certificates of clients are what else is sent.
const REST_MAX: usize = 4 * 1024;

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// That of a client at this address.
    Client(IpAddr),
    /// The proxy's own (its health checks), or of somebody who has no such address.
    Proxy,
}

/// Why a header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// It does not begin as one of version 2 does.
    #[error("no header of the PROXY protocol, version 2")]
    Signature,
    /// It is of another version, or of a command that does not exist.
    #[error("a header of the PROXY protocol with version and command {0:#04x}")]
    Command(u8),
    /// Its family of addresses does not exist.
    #[error("a header of the PROXY protocol with family {0:#04x}")]
    Family(u8),
    /// It is longer than it may be, or too short for its addresses.
    #[error("a header of the PROXY protocol of {0} bytes")]
    Length(u16),
}

/// What a header says before its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// How long the address of the client is; 0 if there is none to be read.
    address: usize,
    /// How long the rest is.
    rest: usize,
}

impl Head {
    fn parse([command, family, high, low]: [u8; FIXED]) -> Result<Self, Malformed> {
        let is_local = match command {
            0x20 => true,
            0x21 => false,
            other => return Err(Malformed::Command(other)),
        };
        let length = u16::from_be_bytes([high, low]);
        // How much of it is the client's address, and how long all addresses are.
        let (address, addresses) = match family {
            0x11 => (4, 12),
            0x21 => (16, 36),
            // None, datagrams, which no connection is made of, and Unix domain sockets.
            0x00 | 0x12 | 0x22 | 0x31 | 0x32 => (0, 0),
            // Of its own connections a proxy need not say anything.
            _ if is_local => (0, 0),
            other => return Err(Malformed::Family(other)),
        };
        let (address, addresses) = if is_local { (0, 0) } else { (address, addresses) };
        let rest = usize::from(length);
        if rest < addresses || rest > REST_MAX {
            return Err(Malformed::Length(length));
        }
        Ok(Self { address, rest })
    }

    /// Whose it is, by the rest of the header.
    fn origin(self, rest: &[u8]) -> Origin {
        let address = rest.get(..self.address).unwrap_or_default();
        match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
            (Ok(v4), _) => Origin::Client(Ipv4Addr::from(v4).into()),
            (_, Ok(v6)) => Origin::Client(Ipv6Addr::from(v6).into()),
            _ => Origin::Proxy,
        }
    }
}

/// Reads the header, and nothing behind it.
pub(super) async fn introduced(socket: &mut Socket) -> io::Result<Origin> {
    let not = |malformed: Malformed| io::Error::new(io::ErrorKind::InvalidData, malformed);
    if !begins_with(socket, &SIGNATURE, &mut Vec::new()).await? {
        return Err(not(Malformed::Signature));
    }
    let mut fixed = [0; FIXED];
    socket.read_exact(&mut fixed).await?;
    let head = Head::parse(fixed).map_err(not)?;
    let mut rest = vec![0; head.rest];
    socket.read_exact(&mut rest).await?;
    Ok(head.origin(&rest))
}

/// The same of bytes that have come, and how many of them are the header.
#[cfg(feature = "fuzzing")]
pub(super) fn of_bytes(bytes: &[u8]) -> Result<(Origin, usize), String> {
    let told = |malformed: Malformed| malformed.to_string();
    let rest = bytes.strip_prefix(&SIGNATURE).ok_or_else(|| told(Malformed::Signature))?;
    let (fixed, rest) = rest.split_first_chunk().ok_or("it ends before its length")?;
    let head = Head::parse(*fixed).map_err(told)?;
    let rest = rest.get(..head.rest).ok_or("it ends before its addresses")?;
    Ok((head.origin(rest), SIGNATURE.len() + FIXED + head.rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as a proxy writes it.
    fn written(client: IpAddr, tlvs: &[u8]) -> Vec<u8> {
        let (family, addresses) = match client {
            IpAddr::V4(v4) => (0x11, [&v4.octets()[..], &[127, 0, 0, 1, 0, 1, 0, 2]].concat()),
            IpAddr::V6(v6) => (0x21, [&v6.octets()[..], &[0; 20]].concat()),
        };
        let length = u16::try_from(addresses.len() + tlvs.len()).unwrap().to_be_bytes();
        [&[0x21, family][..], &length, &addresses, tlvs].concat()
    }

    fn read(header: &[u8]) -> Result<Origin, Malformed> {
        let (fixed, rest) = header.split_first_chunk().unwrap();
        let head = Head::parse(*fixed)?;
        assert_eq!(head.rest, rest.len());
        Ok(head.origin(rest))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(client: IpAddr, tlvs in prop::collection::vec(any::<u8>(), 0..4_000)) {
            prop_assert_eq!(read(&written(client, &tlvs)), Ok(Origin::Client(client)));
        }

        #[test]
        fn nothing_panics(fixed: [u8; FIXED], rest in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(head) = Head::parse(fixed) {
                prop_assert!(head.rest <= REST_MAX);
                let _whose_it_is = head.origin(&rest);
            }
        }
    }

    #[test]
    fn what_is_no_header_is_told_why() {
        for (fixed, wrong) in [
            ([0x11, 0x11, 0, 12], Malformed::Command(0x11)),
            ([0x22, 0x11, 0, 12], Malformed::Command(0x22)),
            ([0x21, 0x13, 0, 12], Malformed::Family(0x13)),
            ([0x21, 0x41, 0, 12], Malformed::Family(0x41)),
            ([0x21, 0x11, 0, 11], Malformed::Length(11)),
            ([0x21, 0x21, 0, 35], Malformed::Length(35)),
            ([0x21, 0x11, 0x10, 1], Malformed::Length(4_097)),
        ] {
            assert_eq!(Head::parse(fixed), Err(wrong));
        }
    }

    #[test]
    fn who_has_no_address_is_the_proxy() {
        let addresses = [0; 216];
        for header in [
            [&[0x20, 0x00, 0, 0][..], &[]].concat(),
            [&[0x20, 0x11, 0, 12][..], &addresses[..12]].concat(),
            [&[0x20, 0x55, 0, 3][..], &addresses[..3]].concat(),
            [&[0x21, 0x00, 0, 7][..], &addresses[..7]].concat(),
            [&[0x21, 0x12, 0, 12][..], &addresses[..12]].concat(),
            [&[0x21, 0x31, 0, 216][..], &addresses].concat(),
        ] {
            assert_eq!(read(&header), Ok(Origin::Proxy), "{header:?}");
        }
    }
}
