//! [`Buckets`]: what each client has left, by the generic cell rate algorithm (ITU-T I.371, virtual scheduling): of each client one number is
//! kept, the instant at which its bucket is empty again. Each request moves that on by the time one request takes to drain, and one that would move it
//! further away than a full bucket is refused, and moves nothing.
//!
//! **There is a bounded number of them.** A bucket that is empty is like none, and is forgotten. Where as many as may be are not, those who come
//! newly share one, so that nobody who makes up addresses makes it grow. That is why this is not the crate governor: its stores have no bound, and do not
//! say whom they know; and what is left of it with a store of our own is one subtraction.

use std::collections::HashMap;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::{Client, RateLimitConfig};

/// Clients of which is known what they have left: of more than that, those who come last share it. Some 64 bytes each.
pub const CLIENTS_MAX: usize = 65_536;

const SHARDS: usize = 16;
const CLIENTS_OF_SHARD_MAX: usize = CLIENTS_MAX / SHARDS;

/// How often empty buckets are looked for at most, where there are as many as may be; and where there are not.
const FULL_SWEEP_NS: u64 = 1_000_000_000;
const SWEEP_NS: u64 = 60 * FULL_SWEEP_NS;

/// All buckets. Times are nanoseconds since some beginning.
#[derive(Debug)]
pub(super) struct Buckets {
    /// How long it takes until one request has drained.
    every_ns: u64,
    /// How long it takes until a full bucket has.
    full_ns: u64,
    hasher: ahash::RandomState,
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    /// When each bucket is empty.
    empty_at: HashMap<Client, u64, ahash::RandomState>,
    /// The one of those who have none of their own.
    shared_empty_at: u64,
    /// When empty ones were forgotten last.
    swept: u64,
}

/// What came of it, to take one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// There was one; what is left, and in how long all of it is back.
    One { left: u64, whole_in: Duration },
    /// There was none; in how long there is.
    None { again_in: Duration },
}

impl Buckets {
    pub(super) fn new(config: RateLimitConfig) -> Self {
        let every_ns = u64::try_from(config.rate.every().as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            every_ns,
            full_ns: every_ns.saturating_mul(u64::from(config.burst())),
            hasher: ahash::RandomState::new(),
            shards: std::array::from_fn(|_| CachePadded::default()),
        }
    }

    /// Takes one of what a client has, `now` after the beginning.
    pub(super) fn take(&self, client: Client, now: Duration) -> Taken {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // The high bits choose: the map goes by the others.
        let shard = (self.hasher.hash_one(&client) >> 32) as usize % SHARDS;
        let mut shard = self.shards[shard].lock();
        let empty_at = shard.bucket(client, now);
        let fill = empty_at.saturating_sub(now).saturating_add(self.every_ns);
        if fill > self.full_ns {
            return Taken::None { again_in: Duration::from_nanos(fill - self.full_ns) };
        }
        *empty_at = now.saturating_add(fill);
        Taken::One { left: (self.full_ns - fill) / self.every_ns, whole_in: Duration::from_nanos(fill) }
    }

    /// Of how many clients it is known what they have left.
    pub(super) fn clients(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().empty_at.len()).sum()
    }
}

impl Shard {
    /// When the bucket of that client is empty.
    fn bucket(&mut self, client: Client, now: u64) -> &mut u64 {
        if !self.empty_at.contains_key(&client) {
            self.sweep(now);
            if self.empty_at.len() >= CLIENTS_OF_SHARD_MAX {
                return &mut self.shared_empty_at;
            }
        }
        self.empty_at.entry(client).or_default()
    }

    /// Forgets buckets that are empty, every now and then.
    fn sweep(&mut self, now: u64) {
        let is_full = self.empty_at.len() >= CLIENTS_OF_SHARD_MAX;
        let pause = if is_full { FULL_SWEEP_NS } else { SWEEP_NS };
        if now.saturating_sub(self.swept) >= pause {
            self.swept = now;
            self.empty_at.retain(|_, empty_at| *empty_at > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn buckets(rate: &str, burst: Option<u32>) -> Buckets {
        Buckets::new(RateLimitConfig { rate: rate.parse().unwrap(), burst })
    }

    fn number(client: u32) -> Client {
        Client::at(Some(std::net::Ipv4Addr::from_bits(client).into()))
    }

    /// At the edge of the bucket: as many as it holds, then one for each that has drained, and not a nanosecond sooner.
    #[test]
    fn a_bucket_holds_so_many_and_drains_steadily() {
        let buckets = buckets("10/s", None);
        let take = |now: Duration| buckets.take(number(1), now);
        let every = SECOND / 10;
        for left in (0..10).rev() {
            let whole_in = every * u32::try_from(10 - left).unwrap();
            assert_eq!(take(SECOND), Taken::One { left, whole_in });
        }
        assert_eq!(take(SECOND), Taken::None { again_in: every });
        assert_eq!(take(SECOND), Taken::None { again_in: every }, "who is refused takes nothing");
        let just_before = SECOND + Duration::from_nanos(99_999_999);
        assert_eq!(take(just_before), Taken::None { again_in: Duration::from_nanos(1) });
        assert_eq!(take(SECOND + every), Taken::One { left: 0, whole_in: SECOND });
        assert_eq!(take(SECOND + every), Taken::None { again_in: every });
        assert_eq!(take(100 * SECOND), Taken::One { left: 9, whole_in: every }, "no more than it holds");
    }

    #[test]
    fn a_burst_is_what_may_be_had_at_once() {
        let buckets = buckets("1/s", Some(3));
        let taken = [(); 4].map(|()| matches!(buckets.take(number(1), SECOND), Taken::One { .. }));
        assert_eq!(taken, [true, true, true, false]);
        assert!(matches!(buckets.take(number(1), 2 * SECOND), Taken::One { left: 0, .. }));
    }

    /// P10: however many clients there are, it is known of a bounded number what they have left; the others share it, and whoever has not
    /// asked for long is forgotten.
    #[test]
    fn there_is_a_bounded_number_of_clients() {
        let buckets = buckets("1/m", None);
        let ask = |client, now| matches!(buckets.take(number(client), now), Taken::One { .. });
        let clients = u32::try_from(2 * CLIENTS_MAX).unwrap();
        let let_in = (0..clients).filter(|client| ask(*client, SECOND)).count();
        assert_eq!(buckets.clients(), CLIENTS_MAX);
        assert_eq!(let_in, CLIENTS_MAX + SHARDS, "those who are not known share one of each shard");
        assert!(!ask(0, SECOND) && !ask(clients, SECOND));
        assert!(ask(clients, 62 * SECOND), "the others' buckets are empty by now");
        assert!(buckets.clients() <= CLIENTS_MAX - CLIENTS_OF_SHARD_MAX + 1, "{}", buckets.clients());
    }
}
