//! How often one client may ask (`--rate-limit`): a bucket for each, that so many requests fill and that empties steadily.
//!
//! - [`rate`]: how often that is, as it is said. [`buckets`]: the buckets, of which there is a bounded number.
//! - Here: who is one client, and what each is told, as draft-ietf-httpapi-ratelimit-headers has it: `RateLimit-Policy` says how
//!   often one may ask, `RateLimit` how much of that is left, and in how many seconds it is whole again.
//!
//! It protects clients from each other. That all of them together do not ask for more than can be done is for
//! [admission](super::admission) to see to.

mod buckets;
mod rate;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use smol_str::SmolStr;

use self::buckets::{Buckets, Taken};
use super::problem::{Problem, ProblemKind};
use crate::telemetry::Exposition;

pub use self::buckets::CLIENTS_MAX;
pub use self::rate::{Rate, RateLimitConfig};

/// Who is one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client(Who);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// Whoever has a key of that name.
    Named(SmolStr),
    /// Whoever comes from there.
    At(IpAddr),
    /// Whoever comes in over a Unix socket.
    Local,
}

/// The limit, and what each client has left of it.
#[derive(Debug)]
pub struct RateLimit {
    policy: HeaderValue,
    buckets: Buckets,
    began: Instant,
    refused: AtomicU64,
}

/// What came of a request.
#[derive(Debug)]
pub struct Asked {
    /// Why it is refused, if it is.
    pub refused: Option<Box<Problem>>,
    /// The value of `RateLimit`.
    pub told: HeaderValue,
}

impl Client {
    /// Whoever has a key of that name.
    pub fn named(name: &str) -> Self {
        Self(Who::Named(SmolStr::new(name)))
    }

    /// Whoever comes from that address, of IPv6 from that network; from none, over a Unix socket.
    pub fn at(address: Option<IpAddr>) -> Self {
        Self(address.map_or(Who::Local, Who::At))
    }
}

impl RateLimit {
    /// Nobody has asked yet.
    pub fn new(config: RateLimitConfig) -> Self {
        let policy = format!("\"default\";q={};w={}", config.burst(), seconds_up(config.whole_in()));
        Self {
            policy: HeaderValue::try_from(policy).expect("letters, digits and quotes are visible ASCII"),
            buckets: Buckets::new(config),
            began: Instant::now(),
            refused: AtomicU64::new(0),
        }
    }

    /// The value of `RateLimit-Policy`.
    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// A client asks.
    pub fn ask(&self, client: Client) -> Asked {
        match self.buckets.take(client, self.began.elapsed()) {
            Taken::One { left, whole_in } => Asked { refused: None, told: told(left, whole_in) },
            Taken::None { again_in } => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let detail = "this client has asked as often as it may (--rate-limit); nothing was changed";
                let problem = Problem::new(ProblemKind::RateLimited, detail).again_after(again_in);
                Asked { refused: Some(Box::new(problem)), told: told(0, again_in) }
            }
        }
    }

    /// Appends what is counted of it; nothing, where there is no limit.
    pub fn expose(limit: Option<&Self>, text: &mut Exposition) {
        text.counter(
            "inventory_rate_limited_total",
            "Requests refused because their client asked more often than --rate-limit.",
        );
        let refused = limit.map_or(0, |limit| limit.refused.load(Ordering::Relaxed));
        text.sample("inventory_rate_limited_total", &[], refused);
        text.gauge(
            "inventory_rate_limit_clients",
            "Clients of which it is known how often they have asked lately.",
        );
        let clients = limit.map_or(0, |limit| limit.buckets.clients());
        text.sample("inventory_rate_limit_clients", &[], clients);
    }
}

fn told(left: u64, whole_in: Duration) -> HeaderValue {
    let told = format!("\"default\";r={left};t={}", seconds_up(whole_in));
    HeaderValue::try_from(told).expect("letters, digits and quotes are visible ASCII")
}

/// Whole seconds, rounded up, and at least one.
fn seconds_up(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_the_draft_says() {
        let policy =
            |rate: &str, burst| RateLimit::new(RateLimitConfig { rate: rate.parse().unwrap(), burst }).policy;
        assert_eq!(policy("100/s", None), "\"default\";q=100;w=1");
        assert_eq!(policy("5/m", None), "\"default\";q=5;w=60");
        // What comes back in a second, and what a client may ask at once, which is back in three.
        assert_eq!(policy("100/s", Some(250)), "\"default\";q=250;w=3");
        assert_eq!(told(42, Duration::from_millis(1)), "\"default\";r=42;t=1");
        assert_eq!(told(0, Duration::from_millis(1_001)), "\"default\";r=0;t=2");
    }

    #[test]
    fn each_client_has_a_bucket_of_its_own() {
        let limit = RateLimit::new(RateLimitConfig { rate: "2/h".parse().unwrap(), burst: None });
        let address = |text: &str| Client::at(Some(text.parse().unwrap()));
        let clients = [
            Client::named("till"),
            Client::named("shop"),
            address("10.0.0.1"),
            address("2001:db8::"),
            Client::at(None),
        ];
        for client in clients {
            let asked = [(); 3].map(|()| limit.ask(client.clone()).refused.map(|problem| problem.kind()));
            assert_eq!(asked, [None, None, Some(ProblemKind::RateLimited)], "{client:?}");
        }
    }
}
