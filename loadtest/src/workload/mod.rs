//! What the clients of a run ask for, drawn from a seed.
//!
//! Workload design. There are `skus` skus; each has a level at `main` and one at `annex`. The stock is scarce on
//! purpose: sales take a little more than restocks bring, so levels hover near zero, real refusals happen, and a
//! wrong refusal or an oversell has somewhere to show itself. The default distribution is Zipf with exponent 1, so
//! that a few levels are fought over. Each client draws from a generator of its own, seeded by (seed, phase, client):
//! what one client asks depends on nothing but these and the answers it read, never on timing.

pub mod keys;
pub mod mix;
pub mod profile;
pub mod tape;

use history::{Key, Seen, Stock};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

pub use keys::{KeyPicker, Keys};
pub use mix::{Mix, MixError, Operation};
pub use profile::Profile;
pub use tape::Tape;

use crate::catalogue::{Catalogue, DEFAULT_LOCATION};
use crate::client::{Call, Change, Move};
use mix::Shape;

/// The second location. It sorts before `main`, which the numbering of the keys relies on.
const ANNEX: &str = "annex";

/// The number of skus where nothing else is said.
pub const SKUS: u32 = 100;

/// The number of clients where nothing else is said.
pub const CLIENTS: u32 = 32;

/// The largest number of skus: every level is addressed and read back by name, so they are held in memory.
pub const SKUS_MAX: u32 = 100_000;

/// The most skus of which all levels are looked at in one query, which may name 10 000.
pub const QUERIED_SKUS_MAX: u32 = 5_000;

/// The units that every level opens with, where nothing else is said: little, so that stock gets scarce.
pub const OPENING_STOCK: u64 = 50;

/// What a workload is made of. Equal specs make equal workloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The number of skus, each with two levels.
    pub skus: u32,
    /// How skus are drawn.
    pub keys: Keys,
    /// How operations are drawn.
    pub mix: Mix,
    /// The units each level opens with.
    pub opening_stock: u64,
    /// The seed of everything drawn.
    pub seed: u64,
}

impl Spec {
    /// The levels, named with a prefix that only this run uses.
    pub fn catalogue(&self, prefix: &str) -> Catalogue {
        let width = self.skus.saturating_sub(1).to_string().len().max(5);
        let both = |index: u32| {
            let sku = format!("{prefix}{index:0width$}");
            [(sku.clone(), ANNEX.to_owned()), (sku, DEFAULT_LOCATION.to_owned())]
        };
        Catalogue::new((0..self.skus).flat_map(both).collect())
    }

    /// The calls that open the levels: every one at `main`, every other one at `annex`. The rest come into being
    /// when the first transfer reaches them, which is a rule of the service worth testing.
    pub fn opening(&self) -> Vec<Call> {
        let create = |key| Call::Create { key, on_hand: self.opening_stock };
        let has_annex = |sku: u32| self.mix.shape().has_annex && sku.is_multiple_of(2);
        (0..self.skus)
            .flat_map(|sku| [Some(at_main(sku)), has_annex(sku).then(|| at_annex(sku))])
            .flatten()
            .map(create)
            .collect()
    }

    /// Whether the levels at `main` are only ever sold from, one at a time, so that what was sold and what is left are what
    /// there was: a sale, of which the books can be closed.
    pub fn is_sale(&self) -> bool {
        let Shape { sale_percent, has_annex, .. } = *self.mix.shape();
        let is_other = |operation: &Operation| !matches!(operation, Operation::Adjust | Operation::Read);
        let others: u32 = Operation::ALL
            .iter()
            .filter(|operation| is_other(operation))
            .map(|other| self.mix.weight(*other))
            .sum();
        sale_percent == 100 && !has_annex && others == 0
    }

    /// Whether units are only moved, and who looks, looks at all levels: a bank, whose books can be closed.
    pub fn is_bank(&self) -> bool {
        self.moves_and_looks() && self.skus <= QUERIED_SKUS_MAX
    }

    /// Whether it would be a bank if not more than one query may name were to be looked at.
    pub fn is_too_large_a_bank(&self) -> bool {
        self.moves_and_looks() && self.skus > QUERIED_SKUS_MAX
    }

    fn moves_and_looks(&self) -> bool {
        let Shape { is_balanced, queried, .. } = *self.mix.shape();
        let moves = [Operation::Transfer, Operation::Batch, Operation::Query, Operation::Read];
        let others = Operation::ALL.iter().filter(|operation| !moves.contains(operation));
        let others: u32 = others.map(|other| self.mix.weight(*other)).sum();
        let is_looked_at = queried.is_none() && self.mix.weight(Operation::Query) > 0;
        is_balanced && is_looked_at && others == 0
    }

    /// The generator of one client in one phase (warm-up, measured part).
    pub fn generator(&self, phase: u32, client: u32) -> Generator {
        let stream = (u64::from(phase) << 32) | u64::from(client);
        // The generator's own seeding mixes all bits; the odd constant keeps (seed, stream) pairs apart.
        let seed = self.seed ^ stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Generator {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            mix: self.mix.clone(),
            picker: KeyPicker::new(self.keys, self.skus),
            skus: self.skus,
            opening_stock: self.opening_stock,
            follow_up: None,
        }
    }
}

/// The endless list of calls of one client.
#[derive(Debug)]
pub struct Generator {
    rng: Xoshiro256PlusPlus,
    mix: Mix,
    picker: KeyPicker,
    skus: u32,
    opening_stock: u64,
    follow_up: Option<Call>,
}

impl Generator {
    /// The next call.
    pub fn next_call(&mut self) -> Call {
        if let Some(call) = self.follow_up.take() {
            return call;
        }
        match self.mix.draw(&mut self.rng) {
            Operation::Adjust => Call::Adjust(self.change()),
            Operation::Read => Call::Read(self.level()),
            Operation::Batch if self.mix.shape().is_balanced => Call::Batch(self.balanced()),
            Operation::Batch => Call::Batch(self.changes()),
            Operation::Independent => Call::Independent(self.changes()),
            Operation::Transfer => Call::Transfer(self.moves()),
            Operation::Put => self.put(),
            Operation::CreateDelete => self.create_delete(),
            Operation::Query => Call::Query(self.queried()),
        }
    }

    /// Tells the generator what a read answered: a count that started with a read goes on from what it saw.
    pub fn heard(&mut self, seen: &Seen) {
        heard(&mut self.follow_up, self.opening_stock, seen);
    }

    /// One level in ten is drawn at the annex, if that is asked for, the rest at the main location.
    fn level(&mut self) -> Key {
        let sku = self.picker.pick(&mut self.rng);
        let is_annex = self.mix.shape().has_annex && self.rng.random_range(0..10) == 0;
        if is_annex { at_annex(sku) } else { at_main(sku) }
    }

    fn change(&mut self) -> Change {
        let key = self.level();
        let Shape { sale_percent, restock, .. } = *self.mix.shape();
        let is_sale = self.rng.random_range(0..100) < sale_percent;
        let delta = if is_sale { -self.sold() } else { self.rng.random_range(restock.0..=restock.1) };
        Change { key, delta }
    }

    /// The units of a sale.
    fn sold(&mut self) -> i64 {
        let Shape { sale, bulk: (percent, more), .. } = *self.mix.shape();
        // Nothing is drawn where all sales are alike: what a seed asks for stays what it was.
        let is_bulk = percent > 0 && self.rng.random_range(0..100) < percent;
        let (least, most) = if is_bulk { more } else { sale };
        self.rng.random_range(least..=most)
    }

    fn changes(&mut self) -> Vec<Change> {
        let (least, most) = self.mix.shape().lines;
        let count = self.rng.random_range(least..=most);
        (0..count).map(|_| self.change()).collect()
    }

    /// Moves between levels of any skus: what is taken from the one is brought to the other.
    fn balanced(&mut self) -> Vec<Change> {
        let (least, most) = self.mix.shape().moves;
        let count = self.rng.random_range(least..=most);
        let mut lines = Vec::with_capacity(2 * count as usize);
        for _ in 0..count {
            // At the main location, where every level is open from the start.
            let (from, to) = (self.picker.pick(&mut self.rng), self.picker.pick(&mut self.rng));
            let units = self.rng.random_range(1..=5);
            lines.push(Change { key: at_main(from), delta: -units });
            lines.push(Change { key: at_main(to), delta: units });
        }
        lines
    }

    /// The levels of a query, ascending and each once.
    fn queried(&mut self) -> Vec<Key> {
        let Some((least, most)) = self.mix.shape().queried else {
            return (0..2 * self.skus.min(QUERIED_SKUS_MAX)).map(Key).collect();
        };
        let count = self.rng.random_range(least..=most);
        let mut keys: Vec<Key> = (0..count).map(|_| self.level()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn moves(&mut self) -> Vec<Move> {
        let (least, most) = self.mix.shape().moves;
        let count = self.rng.random_range(least..=most);
        let mut one = || {
            let sku = self.picker.pick(&mut self.rng);
            let (from, to) = match self.rng.random_range(0..2) {
                0 => (at_main(sku), at_annex(sku)),
                _ => (at_annex(sku), at_main(sku)),
            };
            Move { from, to, quantity: self.rng.random_range(1..=5) }
        };
        (0..count).map(|_| one()).collect()
    }

    /// A physical count. A part of them read first and demand the version they saw, which is stale when somebody was
    /// faster; the others overwrite whatever is there.
    fn put(&mut self) -> Call {
        let key = self.level();
        let on_hand = self.rng.random_range(0..=self.opening_stock);
        let count = Call::Count { key, on_hand, if_version: None };
        if self.rng.random_range(0..100) >= self.mix.shape().read_first_percent {
            return count;
        }
        self.follow_up = Some(count);
        Call::Read(key)
    }

    /// Deletes a level and creates it again: its versions must go on, and whoever comes in between finds nothing.
    fn create_delete(&mut self) -> Call {
        let key = self.level();
        self.follow_up = Some(Call::Create { key, on_hand: self.opening_stock });
        Call::Delete(key)
    }
}

/// A count that was to demand a version learns it from what its read saw.
fn heard(follow_up: &mut Option<Call>, opening_stock: u64, seen: &Seen) {
    let Some(Call::Count { key, if_version, .. }) = follow_up else { return };
    if *key != seen.key {
        return;
    }
    match seen.stock {
        // Nothing there to count: create it instead.
        Stock::Absent => *follow_up = Some(Call::Create { key: seen.key, on_hand: opening_stock }),
        // Where versions are not told, none can be demanded.
        _ => *if_version = Some(seen.version).filter(|_| seen.is_version_told()),
    }
}

/// The level of a sku at the second location.
pub const fn at_annex(sku: u32) -> Key {
    Key(2 * sku)
}

/// The level of a sku at the default location.
pub const fn at_main(sku: u32) -> Key {
    Key(2 * sku + 1)
}

/// A seed for a run that was given none.
pub fn fresh_seed() -> u64 {
    // Short enough to type again.
    u64::from(rand::rng().next_u32())
}

/// A name for a run that nobody else uses: 32 random bits, in hexadecimal.
pub fn fresh_run_id() -> String {
    format!("{:08x}", rand::rng().next_u32())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64) -> Spec {
        Spec { skus: 20, keys: Keys::Uniform, mix: Mix::default(), opening_stock: 50, seed }
    }

    fn calls(seed: u64, phase: u32, client: u32) -> Vec<Call> {
        let mut generator = spec(seed).generator(phase, client);
        (0..500).map(|_| generator.next_call()).collect()
    }

    #[test]
    fn the_same_seed_asks_the_same_and_every_client_something_else() {
        assert_eq!(calls(1, 0, 0), calls(1, 0, 0));
        assert_ne!(calls(1, 0, 0), calls(2, 0, 0));
        assert_ne!(calls(1, 0, 0), calls(1, 1, 0));
        assert_ne!(calls(1, 0, 0), calls(1, 0, 1));
    }

    #[test]
    fn keys_are_numbered_as_the_catalogue_numbers_them() {
        let catalogue = spec(1).catalogue("lt-");
        assert_eq!(catalogue.len(), 40);
        assert_eq!(catalogue.entry(at_annex(7)).location, "annex");
        assert_eq!(catalogue.entry(at_main(7)).stock_path, "/v1/stock/lt-00007");
    }

    #[test]
    fn every_call_is_one_the_service_understands() {
        for call in calls(3, 0, 0) {
            match call {
                Call::Adjust(change) => assert_ne!(change.delta, 0),
                Call::Batch(lines) | Call::Independent(lines) => {
                    assert!(lines.len() >= 2 && lines.iter().all(|line| line.delta != 0));
                }
                Call::Transfer(moves) => {
                    assert!(moves.iter().all(|line| line.from != line.to && line.quantity > 0));
                    assert!(moves.iter().all(|line| line.from.0 / 2 == line.to.0 / 2));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_count_demands_the_version_its_read_saw() {
        let mut generator = spec(1).generator(0, 0);
        generator.mix = "put=1".parse().unwrap();
        let (read, key) = loop {
            if let call @ Call::Read(key) = generator.next_call() {
                break (call, key);
            }
        };
        assert!(read.is_read());
        generator.heard(&Seen { key, version: 9, stock: Stock::Level { on_hand: 1, reserved: 0 } });
        assert!(
            matches!(generator.next_call(), Call::Count { if_version: Some(9), key: same, .. } if same == key)
        );
    }

    #[test]
    fn a_delete_is_followed_by_a_create() {
        let mut generator = spec(1).generator(0, 0);
        generator.mix = "create-delete=1".parse().unwrap();
        let Call::Delete(deleted) = generator.next_call() else { panic!("a delete first") };
        assert_eq!(generator.next_call(), Call::Create { key: deleted, on_hand: 50 });
    }

    #[test]
    fn sales_take_more_than_restocks_bring_but_not_by_much() {
        let total: i64 = calls(5, 0, 0)
            .iter()
            .filter_map(|call| if let Call::Adjust(change) = call { Some(change.delta) } else { None })
            .sum();
        assert!((-400..100).contains(&total), "{total}");
    }
}
