//! [`Quantity`]: a number of units, never negative and never past 40 bits.

use std::fmt;

/// The largest quantity: 2^40 - 1. Forty bits hold a million units a second for twelve days, and leave room for
/// two quantities, a version and four flags in one 128-bit word.
pub const QUANTITY_MAX: u64 = (1 << 40) - 1;

/// A number of units, from 0 to [`QUANTITY_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(u64);

impl Quantity {
    /// No units.
    pub const ZERO: Self = Self(0);

    /// The quantity of that many units; `None` past [`QUANTITY_MAX`].
    pub const fn new(units: u64) -> Option<Self> {
        if units <= QUANTITY_MAX { Some(Self(units)) } else { None }
    }

    /// The units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// This many units and `delta` more; `None` below zero or past [`QUANTITY_MAX`].
    pub fn plus(self, delta: i64) -> Option<Self> {
        self.0.checked_add_signed(delta).and_then(Self::new)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn adding_is_checked_at_both_ends(units in 0..=QUANTITY_MAX, delta: i64) {
            let exact = i128::from(units) + i128::from(delta);
            let sum = Quantity::new(units).unwrap().plus(delta);
            let expected = u64::try_from(exact).ok().and_then(Quantity::new);
            prop_assert_eq!(sum, expected);
        }
    }

    #[test]
    fn the_limit_is_two_to_the_forty_minus_one() {
        assert_eq!(Quantity::new(1_099_511_627_775).map(Quantity::units), Some(QUANTITY_MAX));
        assert_eq!(Quantity::new(1_099_511_627_776), None);
    }
}
