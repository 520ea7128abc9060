//! A cell: one atomic word that holds either a level or the claim of a transaction.
//!
//! **Why sequentially consistent.** Acquire and release order the changes of one level. They do not rule out that two
//! readers see changes of two *different* levels, made by two threads, in opposite orders (the "independent
//! reads of independent writes" litmus test), and that is not linearizable (P5). Sequential consistency does. On
//! x86-64 the load is the same instruction either way and the swap is a locked one anyway.

use portable_atomic::{AtomicU128, Ordering};

use crate::stock::Level;

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A level nobody has claimed.
    Level(Level),
    /// A claim; the level is in the claimant's descriptor.
    Claimed(Claim),
}

/// Which transaction has claimed a cell, and for which of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The number of the transaction.
    pub transaction: u64,
    /// The index of its entry.
    pub entry: usize,
}

/// An atomic cell. Its two implementations are [`PackedWord`] and the model checker's.
pub trait Word: Send + Sync {
    /// A cell with this level.
    fn new(level: Level) -> Self;
    /// What it holds.
    fn load(&self) -> State;
    /// Puts `next` in if it holds exactly `current`; whether it did.
    fn swap_if(&self, current: State, next: State) -> bool;
    /// Puts a level in, whatever it holds.
    fn store(&self, level: Level);
}

/// A cell of 128 bits. A level lies as [`Level::to_bits`] says. A claim has [`Level::CLAIM_FLAG`], the transaction's
/// number in bits 0 to 63 and the entry in bits 64 to 79.
#[derive(Debug)]
pub struct PackedWord(AtomicU128);

const ENTRY_SHIFT: u32 = 64;
const _: () = assert!(crate::stock::ENTRIES_MAX <= 1 << 16, "an entry's index fits its 16 bits");

/// Refuses to run where 128-bit atomics would silently be a lock.
pub fn assert_lock_free() {
    assert!(
        AtomicU128::is_lock_free(),
        "this processor has no 128-bit compare-and-swap (on x86-64: cmpxchg16b); choose another strategy"
    );
}

impl Word for PackedWord {
    fn new(level: Level) -> Self {
        Self(AtomicU128::new(level.to_bits()))
    }

    fn load(&self) -> State {
        unpack(self.0.load(Ordering::SeqCst))
    }

    fn swap_if(&self, current: State, next: State) -> bool {
        let (current, next) = (pack(current), pack(next));
        self.0.compare_exchange(current, next, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn store(&self, level: Level) {
        self.0.store(level.to_bits(), Ordering::SeqCst);
    }
}

fn pack(state: State) -> u128 {
    match state {
        State::Level(level) => level.to_bits(),
        State::Claimed(claim) => {
            Level::CLAIM_FLAG | u128::from(claim.transaction) | (claim.entry as u128) << ENTRY_SHIFT
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each field is cut out of the word")]
fn unpack(bits: u128) -> State {
    if bits & Level::CLAIM_FLAG == 0 {
        return State::Level(Level::from_bits(bits).expect("cells hold only what pack made"));
    }
    let entry = usize::from((bits >> ENTRY_SHIFT) as u16);
    State::Claimed(Claim { transaction: bits as u64, entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::ENTRIES_MAX;

    #[test]
    fn atomics_of_128_bits_are_lock_free_here() {
        assert_lock_free();
    }

    #[test]
    fn claims_pack_exactly_and_are_never_levels() {
        for transaction in [0, 1, u64::MAX] {
            for entry in [0, 1, ENTRIES_MAX - 1] {
                let claim = State::Claimed(Claim { transaction, entry });
                assert_eq!(unpack(pack(claim)), claim);
                assert_eq!(Level::from_bits(pack(claim)), None);
            }
        }
    }

    #[test]
    fn a_swap_needs_exactly_what_is_there() {
        let (one, two) = (Level::existing(1, 0, 1).unwrap(), Level::existing(1, 0, 2).unwrap());
        let word = PackedWord::new(one);
        assert!(!word.swap_if(State::Level(two), State::Level(one)));
        assert!(word.swap_if(State::Level(one), State::Level(two)));
        assert_eq!(word.load(), State::Level(two));
    }
}
