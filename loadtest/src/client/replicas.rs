//! The addresses of the replicas of one service, as the command line names them, and which client asks which of them.
//!
//! Replicas are servers over one stock: whatever one of them has acknowledged, each of them shows. Nothing here asks any of them, and
//! nothing finds out beforehand whether they are of one service: if they are not, the history that they are judged by says so.

use std::fmt;
use std::str::FromStr;

use super::{ClientError, parse_base};

/// The addresses of a service: at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas(Vec<String>);

/// How a client chooses the replica that it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Route {
    /// Each client asks one of its own, until that leads nowhere: so every level is asked for at all of them, which is the hardest for them.
    #[default]
    Client,
    /// Whoever asks for a level asks the replica of its sku, as a balancer does that chooses by the path: so those that meet at a level meet in one process.
    Sku,
}

/// A list of addresses that is none.
#[derive(Debug, thiserror::Error)]
pub enum ReplicasError {
    /// A part of it is no address.
    #[error(transparent)]
    NoAddress(#[from] ClientError),
    /// A part of it is empty.
    #[error(
        "an address is missing; give the address of the server as http://HOST:PORT, those of several replicas with a comma \
         between two of them"
    )]
    Missing,
    /// Several parts are one address.
    #[error("{0} is there twice; name each replica once")]
    Twice(String),
}

/// Fewer clients than replicas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{clients} clients cannot ask {replicas} replicas, as each client asks one of them; raise --concurrency, or name fewer"
)]
pub struct TooFewClients {
    clients: u32,
    replicas: usize,
}

/// The number of the replica that is a client's own: clients are dealt out in turn.
pub fn own(client: u32, replicas: usize) -> usize {
    client as usize % replicas.max(1)
}

/// The number of the replica that a sku is asked for at: `MurmurHash2` by ranges of equal size, as nginx's `split_clients` has it
/// (<https://nginx.org/en/docs/http/ngx_http_split_clients_module.html>). The service's partitions are such ranges, too.
pub fn of_sku(sku: &str, replicas: usize) -> usize {
    usize::try_from((u128::from(murmur2(sku.as_bytes())) * replicas as u128) >> 32).unwrap_or(0)
}

/// 32 bits, little-endian, seed 0: <https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp>.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mut hash = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for chunk in bytes.chunks(4) {
        let word = chunk.iter().rev().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        if chunk.len() < 4 {
            hash = (hash ^ word).wrapping_mul(M);
        } else {
            let word = word.wrapping_mul(M);
            hash = hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M);
        }
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

impl Replicas {
    /// One server. Whether that is an address is found out by who makes a client of it.
    pub fn one(url: &str) -> Self {
        Self(vec![url.to_owned()])
    }

    /// Their addresses, as they were given.
    pub fn urls(&self) -> &[String] {
        &self.0
    }

    /// Whether each of them is asked if there are so many clients.
    pub fn are_reached_by(&self, clients: u32) -> Result<(), TooFewClients> {
        let replicas = self.0.len();
        if clients as usize >= replicas { Ok(()) } else { Err(TooFewClients { clients, replicas }) }
    }
}

impl FromStr for Replicas {
    type Err = ReplicasError;

    fn from_str(text: &str) -> Result<Self, ReplicasError> {
        let (mut urls, mut known) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim) {
            if part.is_empty() {
                return Err(ReplicasError::Missing);
            }
            // With and without a slash at its end it is one address.
            let url = parse_base(part)?;
            if known.contains(&url) {
                return Err(ReplicasError::Twice(part.to_owned()));
            }
            known.push(url);
            urls.push(part.to_owned());
        }
        Ok(Self(urls))
    }
}

impl fmt::Display for Replicas {
    /// As the command line has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Replicas {
        text.parse().expect("addresses")
    }

    #[test]
    fn one_address_is_what_it_always_was() {
        let one = parsed("http://127.0.0.1:8080/");
        assert_eq!((one.to_string(), one.urls().len()), ("http://127.0.0.1:8080/".to_owned(), 1));
        assert_eq!(one, Replicas::one("http://127.0.0.1:8080/"));
    }

    #[test]
    fn several_are_kept_in_their_order() {
        let three = parsed("http://b:1,http://a:1, http://a:2");
        assert_eq!(three.urls(), ["http://b:1", "http://a:1", "http://a:2"]);
        assert_eq!(three.to_string(), "http://b:1,http://a:1,http://a:2");
    }

    #[test]
    fn what_is_missing_twice_or_no_address_is_told() {
        let error = |text: &str| text.parse::<Replicas>().expect_err(text).to_string();
        for missing in ["", ",", "http://a:1,", ",http://a:1", "http://a:1,,http://b:1"] {
            assert!(error(missing).starts_with("an address is missing; "), "{missing}");
        }
        // The port of http, and a slash, are said or not.
        for twice in ["http://a:1,http://a:1", "http://a:1,http://b:1,http://a:1/", "http://a:80,http://a"] {
            assert!(error(twice).contains(" is there twice; "), "{twice}");
        }
        let wrong = error("http://a:1,https://b:1");
        assert!(wrong.starts_with("https://b:1: only http is spoken; "), "{wrong}");
        assert!(error("http://a:1,b:1").contains("give the address of the server as "));
    }

    #[test]
    fn clients_are_dealt_out_in_turn() {
        let owns = |replicas| (0..7).map(|client| own(client, replicas)).collect::<Vec<_>>();
        assert_eq!(owns(1), [0; 7]);
        assert_eq!(owns(3), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn skus_are_dealt_out_evenly_and_for_good() {
        let mut counts = [0; 5];
        (0..1_000).for_each(|sku| counts[of_sku(&format!("lt-1-{sku:06}"), 5)] += 1);
        assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
        // As nginx 1.22 deals them out among sixteen of equal shares.
        for (sku, at) in
            [("85123A", 7), ("a", 9), ("ab", 1), ("abc", 1), ("abcd", 2), ("ä", 11), ("lt-1-000001", 2)]
        {
            assert_eq!((of_sku(sku, 16), of_sku(sku, 1), of_sku(sku, 0)), (at, 0, 0), "{sku}");
        }
    }

    #[test]
    fn each_replica_needs_a_client() {
        let three = parsed("http://a:1,http://b:1,http://c:1");
        assert_eq!(three.are_reached_by(3), Ok(()));
        let error = three.are_reached_by(2).expect_err("one too few").to_string();
        assert!(error.starts_with("2 clients cannot ask 3 replicas"), "{error}");
    }
}
