//! [`Until`]: what somebody waits for a level to become. Pure, as all of this: it does not wait, and knows of nobody who does.

use super::level::Level;
use super::operation::Precondition;
use super::quantity::Quantity;

/// What a level is waited for: that it is not what is known any more *and* has so many units available; or that it is not as demanded, so that
/// there is nothing to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    /// What the level has to be for as long as somebody waits.
    pub demanded: Precondition,
    /// What is known of it: it has to become something else.
    pub other_than: Option<Known>,
    /// How many units it has to have available, which one that does not exist never has.
    pub min_available: Option<Quantity>,
}

/// What somebody knows of a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// That it exists, at whichever version.
    Existing,
    /// That it is at one of these versions, whether or not it exists.
    Versions(Box<[u64]>),
}

impl Until {
    /// Whether nobody has to wait any more, now that the level is this.
    pub fn is_met(&self, level: Level) -> bool {
        let is_other = !self.other_than.as_ref().is_some_and(|known| known.is_of(level));
        let is_enough =
            self.min_available.is_none_or(|units| level.exists() && level.available() >= units.units());
        !self.demanded.holds(level) || (is_other && is_enough)
    }

    /// How many units a level that exists must have available at least for it to be met; `None` where it never is while the level exists. For who
    /// keeps many and looks at few.
    pub fn least_available(&self) -> Option<u64> {
        match (self.demanded, &self.other_than) {
            (Precondition::Any, Some(Known::Existing)) => None,
            (Precondition::Any, _) => Some(self.min_available.map_or(0, Quantity::units)),
            _ => Some(0),
        }
    }
}

impl Known {
    fn is_of(&self, level: Level) -> bool {
        match self {
            Self::Existing => level.exists(),
            Self::Versions(versions) => versions.contains(&level.version()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn until(demanded: Precondition, other_than: Option<Known>, units: Option<u64>) -> Until {
        let min_available = units.map(|units| Quantity::new(units).unwrap());
        Until { demanded, other_than, min_available }
    }

    fn level(available: u64, version: u64) -> Level {
        Level::existing(available + 7, 7, version).unwrap()
    }

    #[test]
    fn it_is_enough_and_something_else() {
        let known = || Some(Known::Versions(Box::new([3, 4])));
        let gone = |version| Level::tombstone(version).unwrap();
        let any = Precondition::Any;
        for (until, level, expected) in [
            (until(any, None, Some(5)), level(4, 9), false),
            (until(any, None, Some(5)), level(5, 9), true),
            (until(any, None, Some(1)), gone(9), false),
            (until(any, None, Some(1)), Level::ABSENT, false),
            (until(any, known(), None), level(5, 4), false),
            (until(any, known(), None), level(5, 5), true),
            (until(any, known(), None), gone(4), false),
            (until(any, known(), None), gone(5), true),
            (until(any, known(), Some(5)), level(5, 4), false),
            (until(any, known(), Some(5)), level(4, 5), false),
            (until(any, known(), Some(5)), level(5, 5), true),
            (until(any, Some(Known::Existing), None), level(0, 1), false),
            (until(any, Some(Known::Existing), None), gone(2), true),
            (until(Precondition::Version(3), None, Some(5)), level(4, 3), false),
            (until(Precondition::Version(3), None, Some(5)), level(4, 4), true),
            (until(Precondition::Exists, known(), None), gone(3), true),
        ] {
            assert_eq!(until.is_met(level), expected, "{until:?} of {level:?}");
        }
    }

    fn any_until() -> impl Strategy<Value = Until> {
        let demanded = prop_oneof![
            Just(Precondition::Any),
            Just(Precondition::Exists),
            (0_u64..4).prop_map(Precondition::Version)
        ];
        let versions = prop::collection::vec(0_u64..4, 0..3);
        let known = prop_oneof![
            Just(None),
            Just(Some(Known::Existing)),
            versions.prop_map(|versions| Some(Known::Versions(versions.into())))
        ];
        (demanded, known, prop::option::of(1_u64..4))
            .prop_map(|(demanded, known, units)| until(demanded, known, units))
    }

    proptest! {
        /// Who looks only at those that ask for no more than there is passes over none.
        #[test]
        fn none_is_met_by_less_than_its_least(until in any_until(), available in 0_u64..5, version in 0_u64..4) {
            let level = level(available, version);
            if until.is_met(level) {
                prop_assert!(until.least_available().is_some_and(|least| least <= available));
            }
            let gone = Level::tombstone(version).unwrap();
            if until.is_met(gone) {
                prop_assert!(until.least_available().is_none_or(|least| least == 0));
            }
        }
    }
}
