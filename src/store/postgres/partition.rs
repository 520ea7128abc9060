//! [`Partitions`]: which partition something is of. Pure.
//!
//! A level is of the partition that its sku hashes to, so transfers between locations stay in one. A reservation and an order have a
//! *home*, the partition in which their own row is, and say it in their names: in the lowest 16 bits, which are random otherwise. So
//! who has only the name knows where to look.

use crate::stock::{Id, StockKey};

/// How many there are; each is a number from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partitions(u16);

/// The bits of a name that say its home.
const HOME_BITS: u128 = 0xFFFF;

impl Partitions {
    /// So many; at least one.
    pub(super) fn new(count: u16) -> Self {
        Self(count.max(1))
    }

    /// How many.
    pub(super) fn count(self) -> i32 {
        i32::from(self.0)
    }

    /// Each of them.
    pub(super) fn all(self) -> impl Iterator<Item = i32> {
        0..self.count()
    }

    /// That of a level: the hash of its sku, by ranges of equal size. So whoever divides the same hash in other ranges, as a balancer does among its
    /// replicas, sends nearly all that is of one partition to one of them, whatever both numbers are (docs/replicas.md).
    pub(super) fn of_key(self, key: &StockKey) -> i32 {
        let at = (u64::from(murmur2(key.sku().as_bytes())) * u64::from(self.0)) >> 32;
        i32::try_from(at).expect("fewer than 65 536")
    }

    /// The home of what has that name.
    pub(super) fn of_id<T>(self, id: Id<T>) -> i32 {
        self.among(id.to_bits() & HOME_BITS)
    }

    /// The places of idempotency keys, which are apart from those of stock: a key may be used for anything, and is found all the same.
    ///
    /// There is one: a batch has keys of many requests, and would have a statement for each place twice over. They lock no row, so one place is no
    /// bottleneck of one database; that it has a number leaves room for more.
    pub(super) fn places() -> impl Iterator<Item = i32> {
        0..1
    }

    /// The place of an idempotency key.
    pub(super) fn of_once(_key: u128) -> i32 {
        0
    }

    /// The same name, but for its lowest bits: it is at home there.
    pub(super) fn at_home<T>(self, id: Id<T>, home: i32) -> Id<T> {
        let count = u128::from(self.0);
        let tag = id.to_bits() & HOME_BITS;
        // The nearest below that is of that home, or the one of the first round.
        let tag = (tag / count).min(HOME_BITS / count - 1) * count + u128::from(home.unsigned_abs());
        Id::from_bits(id.to_bits() & !HOME_BITS | tag)
    }

    fn among(self, number: u128) -> i32 {
        i32::try_from(number % u128::from(self.0)).expect("fewer than 65 536")
    }
}

/// `MurmurHash2` by Austin Appleby, 32 bits, little-endian, seed 0: the hash that nginx's `split_clients` has. Source:
/// <https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp>.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    // A name has 64 bytes at most.
    let mut hash = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stock::{Location, OrderId, Sku};

    proptest! {
        #[test]
        fn a_name_says_its_home(bits: u128, count in 1_u16..2_000, home: u16) {
            let partitions = Partitions::new(count);
            let home = i32::from(home % count);
            let id = partitions.at_home(OrderId::from_bits(bits), home);
            prop_assert_eq!(partitions.of_id(id), home);
            prop_assert_eq!(id.to_bits() >> 16, bits >> 16);
        }
    }

    /// Stock that was written is found again by every version of the service.
    #[test]
    fn where_a_level_is_never_changes() {
        let key =
            |sku, location| StockKey::new(&Sku::parse(sku).unwrap(), &Location::parse(location).unwrap());
        let partitions = Partitions::new(16);
        assert_eq!(partitions.of_key(&key("85123A", "main")), 7);
        assert_eq!(partitions.of_key(&key("85123A", "back room")), 7, "by its sku alone");
        assert_eq!(partitions.of_key(&key("BANK CHARGES", "main")), 7);
        // As nginx 1.22 deals them out among sixteen of equal shares.
        for (sku, p) in [("a", 9), ("ab", 1), ("abc", 1), ("abcd", 2), ("ä", 11), ("lt-1-000001", 2)] {
            assert_eq!(partitions.of_key(&key(sku, "main")), p, "{sku}");
        }
    }
}
