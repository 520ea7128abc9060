//! Strict JSON: what is read into types, and everything that is wrong with what is not.
//!
//! A parser stops at the first thing that it cannot take, and says so in the words of its types. So what is well is read by it in one
//! go, and only what is not is walked again, along a [`Shape`]: all faults are found, each with its place, in words that a client
//! knows. One thing the parser does not take is well: `3.0` is an integer, `3.5` and `1e3` are not. The walk finds those, too, and the
//! text is read without their zeros.

mod shape;
mod walk;

use std::sync::OnceLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use shape::{Field, Needed, Shape, Shaped};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901), empty for the whole text.
    pub pointer: String,
    /// What it must be.
    pub detail: String,
}

/// Why a text is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It is no JSON: what the parser says of it.
    NotJson(String),
    /// It is not as its shape demands.
    Faults(Faults),
}

/// Everything that is wrong with a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The first [`FAULTS_MAX`] of the text, in the order of the shape.
    pub first: Vec<Fault>,
    /// How many there are.
    pub total: usize,
}

/// The most faults that are kept of one text.
pub const FAULTS_MAX: usize = 100;

/// Reads a text. What is read borrows from it, or, where integers had zeros behind a point, from what is put into `plain`.
pub fn read<'t, T: Deserialize<'t> + Shaped>(text: &'t str, plain: &'t OnceLock<String>) -> Result<T, Wrong> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let walked = walk::walk(text, T::SHAPE).map_err(|error| Wrong::NotJson(error.to_string()))?;
    if walked.faults.total > 0 {
        return Err(Wrong::Faults(walked.faults));
    }
    let plain = plain.get_or_init(|| walked.without_zeros(text));
    serde_json::from_str(plain).map_err(|_| Wrong::NotJson(error.to_string()))
}

/// A whole number up to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const MAX: u64>(pub u64);

impl<'de, const MAX: u64> Deserialize<'de> for Whole<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number <= MAX { Ok(Self(number)) } else { Err(D::Error::custom("too large")) }
    }
}

/// Everything that is wrong with a text that could be read, and was found wrong afterwards.
pub fn faults<T: Shaped>(text: &str) -> Faults {
    walk::walk(text, T::SHAPE).map(|walked| walked.faults).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(rename = "n")]
        number: Whole<9>,
        #[serde(default)]
        #[expect(dead_code, reason = "it is only read")]
        text: Option<String>,
    }

    impl Shaped for Pair {
        const SHAPE: &'static Shape = &Shape::Object(&[
            Field { name: "n", needed: Needed::Always, shape: Shape::integer(0, 9) },
            Field { name: "text", needed: Needed::Optional, shape: Shape::Text(|_| Ok(())) },
        ]);
    }

    fn number(text: &str) -> Result<u64, Wrong> {
        read::<Pair>(text, &OnceLock::new()).map(|pair| pair.number.0)
    }

    fn told(text: &str) -> Vec<(String, String)> {
        match number(text) {
            Err(Wrong::Faults(faults)) => {
                faults.first.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_integer_may_have_zeros_behind_its_point() {
        for well in ["3", "3.0", "3.000", " 3.0 "] {
            assert_eq!(number(&format!("{{\"n\":{well},\"text\":\"3.0\"}}")), Ok(3), "{well}");
        }
        for wrong in [
            "3.5", "3.05", "1e0", "3.0e0", "10", "10.0", "-3.0", "-0", "-0.0", "\"3\"", "null", "true", "[3]",
        ] {
            let told = told(&format!("{{\"n\":{wrong}}}"));
            let expected = "must be an integer from 0 to 9; it is ";
            assert!(told.len() == 1 && told[0].0 == "/n" && told[0].1.starts_with(expected), "{told:?}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let told = told(r#"{"text":1,"a/b~":2,"text":"x","text":{}}"#);
        let told: Vec<(&str, &str)> = told.iter().map(|(at, what)| (at.as_str(), what.as_str())).collect();
        let expected = [
            ("/n", "is missing"),
            ("/text", "must be a string; it is 1"),
            ("/text", "is there twice"),
            ("/text", "is there twice"),
            ("/a~1b~0", "is not a field of this object, which has n, text"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_json_is_no_fault() {
        for broken in ["", "{", "{\"n\":3", "{\"m\":3,}", "{\"n\":03}", "{\"n\":3,\"text\":\"\\ud80\"}"] {
            assert!(matches!(number(broken), Err(Wrong::NotJson(_))), "{broken}: {:?}", number(broken));
        }
    }

    /// An escape that is half of a character is JSON, and no text: it is told where it is, not as a fault of syntax.
    #[test]
    fn half_a_character_is_told_in_its_place() {
        let half = |pointer: &str| {
            let told = told(&format!(r#"{{"n":3,{pointer}}}"#));
            (told.len(), told[0].0.clone(), told[0].1.clone())
        };
        let (count, pointer, detail) = half(r#""text":"\ud800""#);
        assert_eq!((count, pointer.as_str()), (1, "/text"));
        assert!(detail.starts_with("must be text; an escape in it (\\ud800 to \\udfff) is half"), "{detail}");
        let (count, _, detail) = half(r#""\udc00":"x""#);
        assert!(count == 1 && detail.starts_with("is not a field"), "{detail}");
        assert_eq!(number(r#"{"n":3,"text":"\ud83d\ude00"}"#), Ok(3));
    }

    /// P10: however much is wrong, what is told is bounded, and counted.
    #[test]
    fn what_is_told_is_bounded() {
        let many: Vec<String> = (0..1_000).map(|n| format!("\"f{n}\":{}", "9".repeat(999))).collect();
        let Err(Wrong::Faults(faults)) = number(&format!("{{{}}}", many.join(","))) else {
            panic!("it is wrong")
        };
        assert_eq!((faults.first.len(), faults.total), (FAULTS_MAX, 1_001));
        assert!(told(&format!("{{\"n\":\"{}\"}}", "ä".repeat(5_000)))[0].1.len() < 300);
    }
}
