//! [`Names`]: names of reservations and orders, in the order in which they are made here.

use std::hash::{BuildHasher as _, RandomState};

use parking_lot::Mutex;

use super::partition::Partitions;
use crate::stock::Id;

/// What makes names. Those of one process rise; those of several are in the order of their milliseconds.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<u128>);

impl Names {
    /// A name for what is made at that time and has that home, above all that were given before.
    pub(super) fn next<T>(&self, date_ms: u64, partitions: Partitions, home: i32) -> Id<T> {
        let fresh = || Id::<T>::new(date_ms, random()).to_bits();
        let mut last = self.0.lock();
        // Above the last one without its home, where the time has not moved on.
        let bits = fresh().max(((*last >> 16) + 1) << 16);
        *last = bits | 0xFFFF;
        partitions.at_home(Id::from_bits(bits), home)
    }
}

/// As good as unique.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    half() << 64 | half()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::OrderId;

    #[test]
    fn names_rise_whatever_their_home() {
        let (names, partitions) = (Names::default(), Partitions::new(16));
        let made: Vec<OrderId> = (0..1_000).map(|n| names.next(5, partitions, n % 16)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert!(made.iter().zip(0..).all(|(id, n)| partitions.of_id(*id) == n % 16));
    }
}
