//! What the clients of a crash test ask: changes that add up, so that the final stock can be computed.
//!
//! Workload design. One sku in four is a *pair*: its two levels are only ever changed together, by transfers between
//! them and by atomic batches that take from one what they give to the other. So the units of a pair and the distance
//! of its two versions never change, which shows a torn transaction at one look. The other skus are fought over by
//! single adjustments, atomic batches and independent ones. One client in eight only reads, as fast as it can: it is
//! there to see what a kill then takes back, in the short time between a change and its being on disk. None of these skus
//! is counted (`PUT`) or deleted after the opening: that takes no idempotency key, so of a level that several clients
//! change a lost answer could never be made up for.
//!
//! Beside them there are levels that *come and go*, each with an owner of its own ([`super::owner`]) who does nothing but
//! create and delete it.

use std::ops::Range;

use history::{Key, Seen, Stock};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::catalogue::{Catalogue, DEFAULT_LOCATION};
use crate::client::{Call, Change, Move};
use crate::workload::{self, KeyPicker, Keys, Mix, Operation, at_annex, at_main};

/// Singles, atomic batches and independent ones alike, with some reads to look at what is between.
pub const MIX: &str = "adjust=40,read=15,batch=20,independent=15,transfer=10";

/// One sku of so many is a pair.
const PAIR_EVERY: u32 = 4;

/// One client of so many only reads.
const WATCHER_EVERY: u32 = 8;

/// Which of them: a small number, so that a run of few clients has one.
const WATCHER: u32 = 3;

/// The least number of skus: one pair, and one to fight over.
pub const SKUS_MIN: u32 = 2;

/// The most lines of a batch on the levels that are fought over.
const LINES_MAX: usize = 6;

/// What comes after the prefix of the run in the skus of levels that come and go: behind all digits, so that they are the
/// last ones.
const COMINGS: &str = "c";

/// What a workload is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    base: workload::Spec,
    come_and_go: u32,
}

/// A mix that a crash test cannot verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a part of a crash test, which makes up for lost answers by idempotency keys; leave it out of the mix"
)]
pub struct UnkeyedError(&'static str);

impl Spec {
    /// A workload of this many skus, at least [`SKUS_MIN`], and that many levels that come and go.
    pub fn new(spec: workload::Spec, come_and_go: u32) -> Result<Self, UnkeyedError> {
        let unkeyed = [Operation::Put, Operation::CreateDelete, Operation::Query];
        match unkeyed.into_iter().find(|operation| spec.mix.weight(*operation) > 0) {
            Some(operation) => Err(UnkeyedError(operation.name())),
            None => {
                let base = workload::Spec { skus: spec.skus.max(SKUS_MIN), ..spec };
                Ok(Self { base, come_and_go })
            }
        }
    }

    /// The part it shares with other workloads: names, opening, seed.
    pub fn base(&self) -> &workload::Spec {
        &self.base
    }

    /// All levels, named with a prefix that only this run uses.
    pub fn catalogue(&self, prefix: &str) -> Catalogue {
        let skus = self.base.catalogue(prefix);
        let name = |key| (skus.entry(key).sku.clone(), skus.entry(key).location.clone());
        let beginning = Self::comings_prefix(prefix);
        let coming = |number| (format!("{beginning}{number:05}"), DEFAULT_LOCATION.to_owned());
        Catalogue::new(skus.keys().map(name).chain((0..self.come_and_go).map(coming)).collect())
    }

    /// The levels that come and go, which are the last ones.
    pub fn comings(&self) -> Range<u32> {
        let first = at_annex(self.base.skus).0;
        first..first + self.come_and_go
    }

    /// The beginning of the skus of levels that come and go, and of no others.
    pub fn comings_prefix(prefix: &str) -> String {
        format!("{prefix}{COMINGS}")
    }

    /// The pairs. The first skus are pairs.
    pub fn pairs(&self) -> Vec<Pair> {
        (0..self.pair_count()).map(|sku| self.pair(sku)).collect()
    }

    /// The generator of one client.
    pub fn generator(&self, client: u32) -> Generator {
        let mix = u64::from(client).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Generator {
            rng: Xoshiro256PlusPlus::seed_from_u64(self.base.seed ^ mix),
            mix: self.base.mix.clone(),
            pairs: KeyPicker::new(Keys::Uniform, self.pair_count()),
            fought_over: KeyPicker::new(self.base.keys, self.base.skus - self.pair_count()),
            first: self.pair_count(),
            watches: client % WATCHER_EVERY == WATCHER && self.base.mix.weight(Operation::Read) > 0,
        }
    }

    fn pair_count(&self) -> u32 {
        self.base.skus.div_ceil(PAIR_EVERY).min(self.base.skus - 1)
    }

    fn pair(&self, sku: u32) -> Pair {
        let (main, annex) = (at_main(sku), at_annex(sku));
        // A level that is not opened comes into being with the first transfer to it.
        let opened: Vec<Key> = self.base.opening().iter().flat_map(Call::keys).collect();
        let count = |key| u64::from(opened.contains(&key));
        let (in_main, in_annex) = (count(main), count(annex));
        let units = self.base.opening_stock * (in_main + in_annex);
        Pair { main, annex, units, versions_apart: in_main - in_annex }
    }
}

/// Two levels that are only ever changed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The one.
    pub main: Key,
    /// The other.
    pub annex: Key,
    /// The units of both, at every moment.
    units: u64,
    /// How far the version of `main` is ahead, at every moment.
    versions_apart: u64,
}

impl Pair {
    /// Whether a transaction shows in one of the two levels and not in the other. Both must have been seen while
    /// nothing was being changed.
    pub fn is_torn(&self, main: &Seen, annex: &Seen) -> bool {
        let units = |seen: &Seen| match seen.stock {
            Stock::Level { on_hand, .. } => on_hand,
            _ => 0,
        };
        units(main) + units(annex) != self.units || main.version != annex.version + self.versions_apart
    }
}

/// The endless list of calls of one client.
#[derive(Debug)]
pub struct Generator {
    rng: Xoshiro256PlusPlus,
    mix: Mix,
    pairs: KeyPicker,
    fought_over: KeyPicker,
    /// The first sku that is no pair.
    first: u32,
    /// Whether it only reads.
    watches: bool,
}

impl Generator {
    /// The next call.
    pub fn next_call(&mut self) -> Call {
        if self.watches {
            return Call::Read(self.any_level());
        }
        match self.mix.draw(&mut self.rng) {
            Operation::Read => Call::Read(self.any_level()),
            Operation::Batch => Call::Batch(self.batch()),
            Operation::Independent => Call::Independent(self.changes(2)),
            Operation::Transfer => Call::Transfer(self.moves()),
            Operation::Adjust | Operation::Put | Operation::CreateDelete | Operation::Query => {
                Call::Adjust(self.change())
            }
        }
    }

    fn any_level(&mut self) -> Key {
        if self.rng.random_range(0..4) > 0 {
            return self.fought_over_level();
        }
        let sku = self.pairs.pick(&mut self.rng);
        if self.rng.random() { at_main(sku) } else { at_annex(sku) }
    }

    fn fought_over_level(&mut self) -> Key {
        let sku = self.first + self.fought_over.pick(&mut self.rng);
        if self.rng.random_range(0..5) == 0 { at_annex(sku) } else { at_main(sku) }
    }

    /// As many units out as in, on average: levels stay scarce enough for refusals and are never empty for long.
    fn change(&mut self) -> Change {
        let key = self.fought_over_level();
        let sale = self.rng.random_range(0..100) < 60;
        let delta = if sale { -self.rng.random_range(1..=6) } else { self.rng.random_range(2..=8) };
        Change { key, delta }
    }

    fn changes(&mut self, least: usize) -> Vec<Change> {
        let count = self.rng.random_range(least..=LINES_MAX);
        (0..count).map(|_| self.change()).collect()
    }

    /// Half of the batches also move units within a pair, which has to show the whole batch or nothing of it.
    fn batch(&mut self) -> Vec<Change> {
        if self.rng.random() {
            return self.changes(2);
        }
        let mut changes = self.changes(1);
        let Move { from, to, quantity } = self.move_within_pair();
        let delta = i64::from(quantity);
        changes.extend([Change { key: from, delta: -delta }, Change { key: to, delta }]);
        changes
    }

    fn moves(&mut self) -> Vec<Move> {
        let count = self.rng.random_range(1..=3);
        (0..count).map(|_| self.move_within_pair()).collect()
    }

    fn move_within_pair(&mut self) -> Move {
        let sku = self.pairs.pick(&mut self.rng);
        let quantity = self.rng.random_range(1..=5);
        let (main, annex) = (at_main(sku), at_annex(sku));
        if self.rng.random() {
            Move { from: main, to: annex, quantity }
        } else {
            Move { from: annex, to: main, quantity }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64) -> Spec {
        let mix = MIX.parse().unwrap();
        let spec = workload::Spec { skus: 12, keys: Keys::Zipf(1.0), mix, opening_stock: 50, seed };
        Spec::new(spec, 3).unwrap()
    }

    fn calls(seed: u64, client: u32) -> Vec<Call> {
        let mut generator = spec(seed).generator(client);
        (0..2_000).map(|_| generator.next_call()).collect()
    }

    #[test]
    fn the_seed_and_the_client_decide() {
        assert_eq!(calls(1, 0), calls(1, 0));
        assert_ne!(calls(1, 0), calls(1, 1));
        assert_ne!(calls(1, 0), calls(2, 0));
    }

    #[test]
    fn some_clients_only_read_unless_reads_are_not_wanted() {
        assert!(calls(1, WATCHER).iter().all(Call::is_read));
        assert!(calls(1, WATCHER + WATCHER_EVERY).iter().all(Call::is_read));
        let mix = "adjust=1".parse().unwrap();
        let mut unread =
            Spec { base: workload::Spec { mix, ..spec(1).base }, come_and_go: 0 }.generator(WATCHER);
        assert!(!unread.next_call().is_read());
    }

    #[test]
    fn every_call_but_a_read_takes_a_key() {
        assert!(calls(3, 0).iter().all(|call| call.is_read() || call.takes_key()));
        let mix = "adjust=1,put=1".parse().unwrap();
        let put = workload::Spec { mix, ..spec(1).base().clone() };
        assert_eq!(Spec::new(put, 0), Err(UnkeyedError("put")));
    }

    #[test]
    fn levels_that_come_and_go_are_the_last_and_nobody_else_changes_them() {
        let (spec, catalogue) = (spec(1), spec(1).catalogue("lt-"));
        assert_eq!((spec.comings(), catalogue.len()), (24..27, 27));
        for key in catalogue.keys() {
            let is_coming = catalogue.entry(key).sku.starts_with(&Spec::comings_prefix("lt-"));
            assert_eq!(is_coming, spec.comings().contains(&key.0), "{key:?}");
        }
        assert_eq!(catalogue.entry(at_main(11)), spec.base().catalogue("lt-").entry(at_main(11)));
        let mut touched = calls(1, 0).into_iter().chain(calls(1, WATCHER)).flat_map(|call| call.keys());
        assert!(touched.all(|key| key.0 < spec.comings().start));
    }

    #[test]
    fn the_levels_of_a_pair_are_changed_together_and_by_as_much() {
        let pairs = spec(4).pairs();
        assert_eq!(pairs.len(), 3);
        for call in calls(4, 0).into_iter().filter(|call| !call.is_read()) {
            for request in call.into_requests() {
                let history::Request::Write(lines) = request else { panic!("a write") };
                let sum = |key| -> Option<i64> {
                    let of_key = lines.iter().filter(|line| line.key == key);
                    let units: Vec<i64> = of_key
                        .map(|line| match line.effect {
                            history::Effect::Add(units) | history::Effect::AddOrCreate(units) => units,
                            _ => panic!("only additions"),
                        })
                        .collect();
                    (!units.is_empty()).then(|| units.iter().sum())
                };
                for pair in &pairs {
                    assert_eq!(sum(pair.main), sum(pair.annex).map(|units| -units), "{lines:?}");
                }
            }
        }
    }

    #[test]
    fn a_torn_pair_is_seen() {
        let seen =
            |key, version, on_hand| Seen { key, version, stock: Stock::Level { on_hand, reserved: 0 } };
        let absent = |key| Seen { key, version: 0, stock: Stock::Absent };
        let pairs = spec(4).pairs();
        let Pair { main, annex, .. } = pairs[0];
        assert!(!pairs[0].is_torn(&seen(main, 4, 30), &seen(annex, 4, 70)));
        assert!(pairs[0].is_torn(&seen(main, 4, 30), &seen(annex, 3, 70)));
        assert!(pairs[0].is_torn(&seen(main, 4, 30), &seen(annex, 4, 60)));
        // The annex of every other sku is not opened.
        assert!(!pairs[1].is_torn(&seen(pairs[1].main, 1, 50), &absent(pairs[1].annex)));
        assert!(!pairs[1].is_torn(&seen(pairs[1].main, 3, 45), &seen(pairs[1].annex, 2, 5)));
    }
}
