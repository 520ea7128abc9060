//! A line of an import, as bytes and as a level: what may be in it, and what is said of one that is wrong.
//!
//! Strict, as request bodies are: a field that is not known, a number that is no integer, a name that is none are errors.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::json::{self, Faults, Field, Needed, Shape, Shaped, Whole, Wrong};
use crate::stock::{Location, NameError, QUANTITY_MAX, Quantity, Sku, StockKey, VERSION_MAX};
use crate::store::chores::LineError;

/// The longest line, in bytes: a multiple of what the longest names and numbers take.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// What a line may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(default)]
    location: Option<String>,
    on_hand: Whole<QUANTITY_MAX>,
    #[serde(default, rename = "reserved")]
    _reserved: Option<Whole<0>>,
    /// Of the level that was exported: what is imported has a version of its own.
    #[serde(default, rename = "version")]
    _version: Option<Whole<VERSION_MAX>>,
}

const HOLDS: &str = " or left out: holds cannot be imported";

impl Shaped for Fields<'_> {
    const SHAPE: &'static Shape = &Shape::Object(&[
        field("sku", Needed::Always, Shape::Text(|text| told(Sku::parse(text)))),
        field("location", Needed::Optional, Shape::Text(|text| told(Location::parse(text)))),
        field("on_hand", Needed::Always, Shape::integer(0, QUANTITY_MAX.cast_signed())),
        field("reserved", Needed::Optional, Shape::Integer { min: 0, max: 0, but_zero: false, why: HOLDS }),
        field("version", Needed::Optional, Shape::integer(0, VERSION_MAX.cast_signed())),
    ]);
}

const fn field(name: &'static str, needed: Needed, shape: Shape) -> Field {
    Field { name, needed, shape }
}

fn told<T>(parsed: Result<T, NameError>) -> Result<(), String> {
    parsed.map(drop).map_err(|error| error.to_string())
}

/// The level that a line names, and its units; or everything that is wrong with it.
pub(super) fn parse(number: u64, line: &[u8]) -> Result<(StockKey, Quantity), LineError> {
    let wrong = |field: &str, detail: String| LineError { line: number, field: field.to_owned(), detail };
    let text = std::str::from_utf8(line).map_err(|_| wrong("", "is not UTF-8".to_owned()))?;
    // The parser would take an array of the fields in order as well, which nobody means.
    if !text.trim_start().starts_with('{') {
        return Err(wrong("", "must be a JSON object".to_owned()));
    }
    let plain = OnceLock::new();
    let fields = json::read::<Fields<'_>>(text, &plain).map_err(|error| match error {
        Wrong::Faults(faults) => joined(number, faults),
        // The parser appends where in the text it stood, of which the line is always the first.
        Wrong::NotJson(detail) => {
            let end = detail.rfind(" at line ").unwrap_or(detail.len());
            wrong("", format!("is not JSON: {}", &detail[..end]))
        }
    })?;
    let location = fields.location.as_deref().map_or(Ok(Location::DEFAULT), Location::parse);
    match (Sku::parse(&fields.sku), location, Quantity::new(fields.on_hand.0)) {
        (Ok(sku), Ok(location), Some(on_hand)) => Ok((StockKey::new(sku, location), on_hand)),
        _ => Err(joined(number, json::faults::<Fields<'_>>(text))),
    }
}

/// The most faults of one line that are told.
const FAULTS_MAX: usize = 10;

/// All faults of a line as one, named after the first: it is lines that are counted.
fn joined(line: u64, faults: Faults) -> LineError {
    let mut faults = faults.first.into_iter().take(FAULTS_MAX).map(|fault| {
        let field = fault.pointer.strip_prefix('/').unwrap_or_default().to_owned();
        (field, fault.detail)
    });
    let (field, first) = faults.next().unwrap_or_default();
    let others = faults.map(|(field, detail)| format!("; {field}: {detail}"));
    LineError { line, field, detail: first + &others.collect::<String>() }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// How many lines have ended.
    ended: u64,
    /// Whether the line under way is longer than it may be: the rest of it is passed over.
    too_long: bool,
}

impl Lines {
    /// Calls `each` with the number of every line that ends in these bytes, and its bytes: `None` for one that is too long.
    pub(super) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() && !self.too_long {
                self.ended += 1;
                each(self.ended, (line.len() <= LINE_BYTES_MAX).then_some(line))?;
            } else {
                self.take_in(line);
                self.end(&mut each)?;
            }
        }
        self.take_in(bytes);
        Ok(())
    }

    /// The last line, where no line end follows it.
    pub(super) fn finish<E>(
        &mut self,
        mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.begun.is_empty() && !self.too_long { Ok(()) } else { self.end(&mut each) }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.too_long |= self.begun.len() + bytes.len() > LINE_BYTES_MAX;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end<E>(&mut self, each: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        self.ended += 1;
        let outcome = each(self.ended, (!self.too_long).then_some(self.begun.as_slice()));
        self.begun.clear();
        self.too_long = false;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(line: &str) -> String {
        parse(3, line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_what_an_export_writes_or_less() {
        let units = |line: &str| {
            let (key, on_hand) = parse(1, line.as_bytes()).unwrap();
            (key.text().to_owned(), on_hand.units())
        };
        let whole = r#"{"sku":"A","location":"shop","on_hand":5,"reserved":0,"version":7}"#;
        assert_eq!(units(whole), ("A shop".to_owned(), 5));
        assert_eq!(units(r#"{"on_hand":0,"sku":"\u0041"}"#), ("A main".to_owned(), 0));
        assert_eq!(units(r#"{"sku":"A","on_hand":3.0,"reserved":0.0}"#), ("A main".to_owned(), 3));
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_field() {
        let units = "line 3: on_hand: must be an integer from 0 to 1099511627775; it is ";
        for wrong in ["-1", "1.5", "1e3", "1099511627776", "99999999999999999999", "\"1\"", "null"] {
            assert!(told(&format!(r#"{{"sku":"A","on_hand":{wrong}}}"#)).starts_with(units), "{wrong}");
        }
        assert!(told(r#"{"sku":"A b","on_hand":1}"#).starts_with("line 3: sku: "));
        assert!(told(r#"{"sku":"A","location":"","on_hand":1}"#).starts_with("line 3: location: "));
        let holds = "line 3: reserved: must be 0 or left out: holds cannot be imported; it is 1";
        assert_eq!(told(r#"{"sku":"A","on_hand":1,"reserved":1}"#), holds);
        assert!(told(r#"{"sku":"A","on_hand":1,"colour":2}"#).starts_with("line 3: colour: is not a field"));
        assert_eq!(told(r#"{"sku":"A"}"#), "line 3: on_hand: is missing");
        let version = told(r#"{"sku":"A","on_hand":1,"version":99999999999999}"#);
        assert!(version.starts_with("line 3: version: must be an integer from 0 to "), "{version}");
        // All at once.
        let all = told(r#"{"location":5,"on_hand":"x","reserved":-1,"colour":2}"#);
        assert!(
            all.starts_with("line 3: sku: is missing; location: must be a string; it is 5; on_hand: "),
            "{all}"
        );
        assert!(all.contains("; reserved: ") && all.contains("; colour: is not a field"), "{all}");
        let many: Vec<String> = (0..500).map(|n| format!("\"f{n}\":1")).collect();
        assert!(told(&format!("{{{}}}", many.join(","))).len() < 2_000);
        assert_eq!(told(r#"["A",null,1]"#), "line 3: must be a JSON object");
        assert_eq!(told(""), "line 3: must be a JSON object");
        assert!(told(r#"{"sku":"A","on_hand":1"#).starts_with("line 3: is not JSON: "));
    }

    proptest! {
        /// However a text is cut, its lines and their numbers are the same, and none is longer than it may be.
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_come(
            lines in prop::collection::vec(prop_oneof![9 => 0..40_usize, 1 => 4090..5000_usize], 0..20),
            ends in any::<bool>(),
            cut in 1..3000_usize,
        ) {
            let text: Vec<String> = lines.iter().map(|&len| "x".repeat(len)).collect();
            let mut text = text.join("\n").into_bytes();
            if ends {
                text.push(b'\n');
            }
            let mut seen = Vec::new();
            let mut each = |number, line: Option<&[u8]>| {
                seen.push((number, line.map(<[u8]>::len)));
                Ok::<_, ()>(())
            };
            let mut cutter = Lines::default();
            for piece in text.chunks(cut) {
                cutter.push(piece, &mut each).unwrap();
            }
            cutter.finish(&mut each).unwrap();
            let mut expected: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let expected: Vec<_> = (1..)
                .zip(expected)
                .map(|(number, line)| (number, (line.len() <= LINE_BYTES_MAX).then_some(line.len())))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
