//! The fields of request bodies: integers that refuse everything else, and text that borrows.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

use crate::json::{Shape, Shaped};
use crate::stock::{QUANTITY_MAX, Quantity};

/// A signed change of units: an integer, not 0, of at most [`QUANTITY_MAX`] either way. Floats, exponents and
/// strings are refused, so that `1e3` or `"3"` is never silently something else. `3.0` is an integer; those are made plain before
/// they come here ([`crate::json`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta(pub i64);

/// A number of units: an integer from 0 to [`QUANTITY_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units(pub Quantity);

/// A number of units to move: an integer from 1 to [`QUANTITY_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedUnits(pub Quantity);

/// Text that stays where it was parsed from, unless it had escapes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A `T` that was an object. A derived `T` alone would take an array of its fields in order as well, which nobody
/// means and nobody could read.
#[derive(Debug)]
pub struct Object<T>(pub T);

/// `QUANTITY_MAX` with a sign to spare.
const DELTA_MAX: i64 = QUANTITY_MAX.cast_signed();

struct DeltaVisitor;

impl Visitor<'_> for DeltaVisitor {
    type Value = Delta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from -{DELTA_MAX} to {DELTA_MAX}, not 0")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Delta, E> {
        if value != 0 && (-DELTA_MAX..=DELTA_MAX).contains(&value) {
            return Ok(Delta(value));
        }
        Err(E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Delta, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }
}

struct UnitsVisitor;

impl Visitor<'_> for UnitsVisitor {
    type Value = Units;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from 0 to {QUANTITY_MAX}")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Units, E> {
        Quantity::new(value).map(Units).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Units, E> {
        let units = u64::try_from(value).ok().and_then(Quantity::new).map(Units);
        units.ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<T: Shaped> Shaped for Object<T> {
    const SHAPE: &'static Shape = T::SHAPE;
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(DeltaVisitor)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(UnitsVisitor)
    }
}

impl<'de> Deserialize<'de> for MovedUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Units(units) = Units::deserialize(deserializer)?;
        let is_some = units.units() > 0;
        is_some
            .then_some(Self(units))
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(0), &"1 or more"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_integers_in_range_are_numbers() {
        let delta = |text| serde_json::from_str::<Delta>(text).ok().map(|delta| delta.0);
        let units = |text| serde_json::from_str::<Units>(text).ok().map(|units| units.0.units());
        assert_eq!((delta("-1099511627775"), delta("1099511627775")), (Some(-DELTA_MAX), Some(DELTA_MAX)));
        assert_eq!((units("0"), units("1099511627775")), (Some(0), Some(QUANTITY_MAX)));
        for refused in [
            "0",
            "-0",
            "1.0",
            "1e3",
            "\"1\"",
            "null",
            "true",
            "1099511627776",
            "-1099511627776",
            "18446744073709551616",
            "99999999999999999999999",
        ] {
            assert_eq!(delta(refused), None, "{refused}");
        }
        for refused in ["-1", "-0", "1.0", "0.0", "1e3", "\"1\"", "1099511627776", "18446744073709551616"] {
            assert_eq!(units(refused), None, "{refused}");
        }
    }

    #[test]
    fn text_borrows_unless_it_has_escapes() {
        let text: Text<'_> = serde_json::from_str("\"abc\"").unwrap();
        assert!(matches!(text.0, Cow::Borrowed("abc")));
        let text: Text<'_> = serde_json::from_str("\"a\\u0062c\"").unwrap();
        assert!(matches!(text.0, Cow::Owned(_)));
        assert_eq!(text.0, "abc");
    }
}
