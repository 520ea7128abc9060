//! Which replicas are ended together: mostly one, now and then several, and now and then all of them.
//!
//! Drawn from the seed alone, apart from everything else that is drawn.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Once in so many times several are ended.
const SEVERAL_EVERY: u32 = 3;

/// Once in so many times all are.
const ALL_EVERY: u32 = 8;

/// The stream of random numbers, apart from those of the clients and the fates.
const STREAM: u64 = 0x5EED_0F7B_E0D0_0BED;

/// Draws who is ended.
#[derive(Debug)]
pub struct Victims {
    rng: Xoshiro256PlusPlus,
    replicas: usize,
    drawn: u32,
    /// Where in their rounds the rarer draws come first.
    offsets: [u32; 2],
}

impl Victims {
    /// Of so many replicas.
    pub fn new(seed: u64, replicas: usize) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ STREAM);
        let offsets = [SEVERAL_EVERY, ALL_EVERY].map(|every| rng.random_range(0..every));
        Self { rng, replicas, drawn: 0, offsets }
    }

    /// The next ones: their numbers, at least one.
    pub fn draw(&mut self) -> Vec<usize> {
        let count = if self.drawn % ALL_EVERY == self.offsets[1] {
            self.replicas
        } else if self.drawn % SEVERAL_EVERY == self.offsets[0] && self.replicas > 2 {
            self.rng.random_range(2..self.replicas)
        } else {
            1
        };
        self.drawn += 1;
        let mut all: Vec<usize> = (0..self.replicas).collect();
        all.shuffle(&mut self.rng);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, replicas: usize) -> Vec<Vec<usize>> {
        let mut victims = Victims::new(seed, replicas);
        (0..16).map(|_| victims.draw()).collect()
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(drawn(1, 3), drawn(1, 3));
        assert_ne!(drawn(1, 3), drawn(2, 3));
    }

    #[test]
    fn a_run_of_eight_ends_one_some_and_all_and_nobody_twice() {
        for seed in 0..50 {
            let drawn = drawn(seed, 4);
            let counts: Vec<usize> = drawn[..8].iter().map(Vec::len).collect();
            assert!(counts.contains(&1) && counts.contains(&4), "{counts:?}");
            assert!(counts.iter().any(|count| (2..4).contains(count)), "{counts:?}");
            for victims in drawn {
                let each: std::collections::BTreeSet<usize> = victims.iter().copied().collect();
                assert!(each.len() == victims.len() && victims.iter().all(|at| *at < 4), "{victims:?}");
            }
        }
        assert!(drawn(1, 1).iter().all(|victims| victims == &[0]));
    }
}
