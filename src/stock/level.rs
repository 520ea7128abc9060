//! [`Level`]: the state of one stock level, a small `Copy` value that fits a 128-bit word.

use super::quantity::{QUANTITY_MAX, Quantity};

/// The largest version: 2^44 - 1. A level changed a million times a second reaches it after 203 days, and is
/// then refused rather than wrapped.
pub const VERSION_MAX: u64 = (1 << 44) - 1;

/// The state of one stock level at one version.
///
/// Invariant: `reserved <= on_hand <= QUANTITY_MAX`, `version <= VERSION_MAX`, and a level that does not exist
/// (never created, or deleted: a tombstone) holds nothing. The fields are private so that no code outside this
/// module can break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    on_hand: Quantity,
    reserved: Quantity,
    version: u64,
    exists: bool,
}

impl Level {
    /// A level that was never created: version 0.
    pub const ABSENT: Self =
        Self { on_hand: Quantity::ZERO, reserved: Quantity::ZERO, version: 0, exists: false };

    /// A level that exists; `None` where the parts break the invariant.
    pub fn existing(on_hand: u64, reserved: u64, version: u64) -> Option<Self> {
        let (on_hand, reserved) = (Quantity::new(on_hand)?, Quantity::new(reserved)?);
        let valid = reserved <= on_hand && version <= VERSION_MAX;
        valid.then_some(Self { on_hand, reserved, version, exists: true })
    }

    /// The tombstone of a level deleted at `version`; `None` past [`VERSION_MAX`].
    pub fn tombstone(version: u64) -> Option<Self> {
        (version <= VERSION_MAX).then_some(Self { version, ..Self::ABSENT })
    }

    /// Units physically there.
    pub fn on_hand(self) -> u64 {
        self.on_hand.units()
    }

    /// Units held by reservations.
    pub fn reserved(self) -> u64 {
        self.reserved.units()
    }

    /// Units a request may take: `on_hand - reserved`.
    pub fn available(self) -> u64 {
        self.on_hand() - self.reserved()
    }

    /// How many changes the level has seen in all its lives: 0 for one that was never created. Never reused,
    /// not even after a delete and re-create.
    pub fn version(self) -> u64 {
        self.version
    }

    /// Whether the level exists, rather than being absent or deleted.
    pub fn exists(self) -> bool {
        self.exists
    }
}

/// The 128-bit form: 40 bits on hand, 40 reserved, 44 version, 4 flags, from the lowest bit up.
///
/// The layout is one of the service's contracts: a lock-free strategy swaps a level whole, and no two levels
/// have the same bits.
impl Level {
    /// Set where the level does not exist.
    const ABSENT_FLAG: u128 = 1 << 124;
    /// Never set by [`Level::to_bits`]: free for a strategy to mark a word that holds no level but the claim of
    /// a transaction.
    pub const CLAIM_FLAG: u128 = 1 << 125;
    /// Kept for levels with reservations that run out; no level has it yet.
    #[cfg(test)]
    const DEADLINES_FLAG: u128 = 1 << 126;

    const RESERVED_SHIFT: u32 = 40;
    const VERSION_SHIFT: u32 = 80;

    /// Packs the level into one word.
    pub fn to_bits(self) -> u128 {
        let flag = if self.exists { 0 } else { Self::ABSENT_FLAG };
        u128::from(self.on_hand())
            | u128::from(self.reserved()) << Self::RESERVED_SHIFT
            | u128::from(self.version) << Self::VERSION_SHIFT
            | flag
    }

    /// Unpacks a word made by [`Level::to_bits`]; `None` for any other word.
    #[expect(clippy::cast_possible_truncation, reason = "each field is cut out of the word and masked")]
    pub fn from_bits(bits: u128) -> Option<Self> {
        let on_hand = (bits as u64) & QUANTITY_MAX;
        let reserved = ((bits >> Self::RESERVED_SHIFT) as u64) & QUANTITY_MAX;
        let version = ((bits >> Self::VERSION_SHIFT) as u64) & VERSION_MAX;
        match bits >> (Self::VERSION_SHIFT + 44) {
            0 => Self::existing(on_hand, reserved, version),
            1 if on_hand == 0 && reserved == 0 => Self::tombstone(version),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any level, with the ends of every range likelier than chance.
    pub(crate) fn any_level() -> impl proptest::strategy::Strategy<Value = Level> {
        let number = |max: u64| prop_oneof![Just(0), Just(1), Just(max - 1), Just(max), 0..=max];
        let parts = (number(QUANTITY_MAX), number(QUANTITY_MAX), number(VERSION_MAX), any::<bool>());
        parts.prop_map(|(a, b, version, exists)| {
            if exists {
                Level::existing(a.max(b), a.min(b), version).unwrap()
            } else {
                Level::tombstone(version).unwrap()
            }
        })
    }

    proptest! {
        #[test]
        fn packing_is_exact_and_never_sets_the_claim_flag(level in any_level()) {
            let bits = level.to_bits();
            prop_assert_eq!(Level::from_bits(bits), Some(level));
            prop_assert_eq!(bits & (Level::CLAIM_FLAG | Level::DEADLINES_FLAG), 0);
            prop_assert_eq!(Level::from_bits(bits | Level::CLAIM_FLAG), None);
        }

        #[test]
        fn a_word_that_unpacks_packs_back_to_itself(bits: u128) {
            if let Some(level) = Level::from_bits(bits) {
                prop_assert_eq!(level.to_bits(), bits);
            }
        }
    }

    #[test]
    fn parts_that_break_the_invariant_are_refused() {
        assert_eq!(Level::existing(1, 2, 1), None);
        assert_eq!(Level::existing(QUANTITY_MAX + 1, 0, 1), None);
        assert_eq!(Level::existing(1, 0, VERSION_MAX + 1), None);
        assert_eq!(Level::tombstone(VERSION_MAX + 1), None);
    }
}
