//! [`KeySet`]: stock levels that are looked at together.

use super::key::StockKey;

/// The most levels that may be looked at together.
pub const KEYS_MAX: usize = 10_000;

/// Keys, ascending, each once: the order in which a strategy that locks takes its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Box<[StockKey]>,
}

impl KeySet {
    /// The keys among these; one that is named twice is in it once.
    pub fn new(mut keys: Vec<StockKey>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self { keys: keys.into_boxed_slice() }
    }

    /// The keys.
    pub fn keys(&self) -> &[StockKey] {
        &self.keys
    }

    /// Which of them it is, counted from 0.
    pub fn position(&self, key: &StockKey) -> Option<usize> {
        self.keys.binary_search(key).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{Location, Sku};

    #[test]
    fn keys_are_in_order_and_each_is_there_once() {
        let key = |sku| StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT);
        let set = KeySet::new(["b", "a", "c", "a"].map(key).to_vec());
        assert_eq!(set.keys(), ["a", "b", "c"].map(key));
        assert_eq!(
            ["a", "b", "c", "d"].map(|sku| set.position(&key(sku))),
            [Some(0), Some(1), Some(2), None]
        );
    }
}
