//! [`Level`]: the state of one stock level, a small `Copy` value that fits a 128-bit word.

use std::fmt;

use super::quantity::QUANTITY_MAX;

/// The largest version: 2^44 - 1. A level changed a million times a second reaches it after 203 days, and is
/// then refused rather than wrapped.
pub const VERSION_MAX: u64 = (1 << 44) - 1;

/// The state of one stock level at one version.
///
/// Invariant: `reserved <= on_hand <= QUANTITY_MAX`, `version <= VERSION_MAX`, and a level that does not exist
/// (never created, or deleted: a tombstone) holds nothing. The fields are private so that no code outside this
/// module can break it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The 128-bit form, low half first. Every answer carries levels by value, so they are kept as small as they get; in
    /// halves because a `u128` has to lie at a multiple of 16 bytes, which would pad whatever holds a level.
    halves: [u64; 2],
}

impl Level {
    /// A level that was never created: version 0.
    pub const ABSENT: Self = Self::packed(Self::ABSENT_FLAG);

    /// A level that exists; `None` where the parts break the invariant.
    #[inline]
    pub fn existing(on_hand: u64, reserved: u64, version: u64) -> Option<Self> {
        let valid = reserved <= on_hand && on_hand <= QUANTITY_MAX && version <= VERSION_MAX;
        valid.then(|| {
            let stock = u128::from(on_hand) | u128::from(reserved) << Self::RESERVED_SHIFT;
            Self::packed(stock | u128::from(version) << Self::VERSION_SHIFT)
        })
    }

    /// The tombstone of a level deleted at `version`; `None` past [`VERSION_MAX`].
    #[inline]
    pub fn tombstone(version: u64) -> Option<Self> {
        let word = u128::from(version) << Self::VERSION_SHIFT | Self::ABSENT_FLAG;
        (version <= VERSION_MAX).then_some(Self::packed(word))
    }

    /// Units physically there.
    #[inline]
    pub fn on_hand(self) -> u64 {
        self.field(0, QUANTITY_MAX)
    }

    /// Units held by reservations.
    #[inline]
    pub fn reserved(self) -> u64 {
        self.field(Self::RESERVED_SHIFT, QUANTITY_MAX)
    }

    /// Units a request may take: `on_hand - reserved`.
    #[inline]
    pub fn available(self) -> u64 {
        self.on_hand() - self.reserved()
    }

    /// How many changes the level has seen in all its lives: 0 for one that was never created. Never reused,
    /// not even after a delete and re-create.
    #[inline]
    pub fn version(self) -> u64 {
        self.field(Self::VERSION_SHIFT, VERSION_MAX)
    }

    /// Whether the level exists, rather than being absent or deleted.
    #[inline]
    pub fn exists(self) -> bool {
        self.to_bits() & Self::ABSENT_FLAG == 0
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level")
            .field("on_hand", &self.on_hand())
            .field("reserved", &self.reserved())
            .field("version", &self.version())
            .field("exists", &self.exists())
            .finish()
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
    const FLAGS_SHIFT: u32 = 124;

    /// The level as one word.
    #[inline]
    pub fn to_bits(self) -> u128 {
        let [low, high] = self.halves;
        u128::from(low) | u128::from(high) << 64
    }

    /// The level of a word made by [`Level::to_bits`]; `None` for any other word.
    #[inline]
    pub fn from_bits(bits: u128) -> Option<Self> {
        let level = Self::packed(bits);
        let valid = match bits >> Self::FLAGS_SHIFT {
            0 => level.reserved() <= level.on_hand(),
            1 => level.on_hand() == 0 && level.reserved() == 0,
            _ => false,
        };
        valid.then_some(level)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the word is cut in two")]
    const fn packed(bits: u128) -> Self {
        Self { halves: [bits as u64, (bits >> 64) as u64] }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the field is cut out of the word and masked")]
    #[inline]
    fn field(self, shift: u32, mask: u64) -> u64 {
        (self.to_bits() >> shift) as u64 & mask
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
