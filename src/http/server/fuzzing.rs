//! The door to the header of the PROXY protocol, for `fuzz/decoders`: bytes in, whose the connection is out. Only with the feature `fuzzing`;
//! nothing is decided here.

use std::net::IpAddr;

use super::proxied;

/// Whose the connection is whose first bytes these are, and how many of them are the header: the address of a client, or `None` for that of the
/// proxy itself. An error if they are no header, or not all of one.
pub fn proxied(bytes: &[u8]) -> Result<(Option<IpAddr>, usize), String> {
    let (origin, length) = proxied::of_bytes(bytes)?;
    match origin {
        proxied::Origin::Client(address) => Ok((Some(address), length)),
        proxied::Origin::Proxy => Ok((None, length)),
    }
}
