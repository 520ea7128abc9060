//! A line of JSON for each stock level: what may be in it.
//!
//! Strict, as request bodies are: a field that is not known, a number that is no integer, a name that is none are errors.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;

use super::line::{Faulty, Wanted, units, version, whole};
use crate::json::{self, Faults, Field, Needed, Shape, Shaped, Whole, Wrong};
use crate::stock::{Location, NameError, QUANTITY_MAX, Quantity, Sku, StockKey, VERSION_MAX};
use crate::store::chores::LineError;
use crate::store::{Lineage, Numbered};

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
    #[serde(default)]
    version: Option<Whole<VERSION_MAX>>,
    /// Of which history the version is: an export after a restore says so.
    #[serde(default)]
    lineage: Option<String>,
}

const HOLDS: &str = " or left out: holds cannot be imported";

impl Shaped for Fields<'_> {
    const SHAPE: &'static Shape = &Shape::Object(&[
        field("sku", Needed::Always, Shape::Text(|text| told(Sku::parse(text)))),
        field("location", Needed::Optional, Shape::Text(|text| told(Location::parse(text)))),
        field("on_hand", Needed::Always, Shape::integer(0, QUANTITY_MAX.cast_signed())),
        field("reserved", Needed::Optional, Shape::Integer { min: 0, max: 0, but_zero: false, why: HOLDS }),
        field("version", Needed::Optional, Shape::integer(0, VERSION_MAX.cast_signed())),
        field("lineage", Needed::Optional, Shape::Text(|text| numbered(0, text).map(drop))),
    ]);
}

const fn field(name: &'static str, needed: Needed, shape: Shape) -> Field {
    Field { name, needed, shape }
}

fn told<T>(parsed: Result<T, NameError>) -> Result<(), String> {
    parsed.map(drop).map_err(|error| error.to_string())
}

/// A version of that lineage.
fn numbered(number: u64, lineage: &str) -> Result<Numbered, String> {
    let parsed = format!("{number}-{lineage}").parse();
    parsed
        .map_err(|_| "must be the lineage that an export names: 16 digits and letters from a to f".to_owned())
}

/// What the line asks for; or everything that is wrong with it.
pub(super) fn parse(line: u64, text: &str) -> Result<Wanted, LineError> {
    // The parser would take an array of the fields in order as well, which nobody means.
    if !text.trim_start().starts_with('{') {
        return Err(whole(line, "must be a JSON object: {\"sku\":\"85123A\",\"on_hand\":5}"));
    }
    let plain = OnceLock::new();
    let fields = json::read::<Fields<'_>>(text, &plain).map_err(|error| match error {
        Wrong::Faults(faults) => joined(line, faults),
        Wrong::NotJson(detail) => whole(line, broken(&detail)),
    })?;
    let location = fields.location.as_deref().map_or(Ok(Location::DEFAULT), Location::parse);
    let expected = match (fields.version, fields.lineage) {
        (None, _) => Ok(None),
        (Some(Whole(number)), None) => Ok(Some(Numbered { number, lineage: Lineage::FIRST })),
        (Some(Whole(number)), Some(lineage)) => numbered(number, &lineage).map(Some),
    };
    match (Sku::parse(&fields.sku), location, Quantity::new(fields.on_hand.0), expected) {
        (Ok(sku), Ok(location), Some(on_hand), Ok(expected)) => {
            Ok(Wanted { key: StockKey::new(&sku, &location), on_hand, expected })
        }
        _ => Err(joined(line, json::faults::<Fields<'_>>(text))),
    }
}

/// What is said of a text that is no JSON, by what the parser said: where it stopped, without its words.
fn broken(detail: &str) -> String {
    let character = detail.rsplit_once(" column ").map(|(_, column)| column);
    match character {
        Some(column) if !detail.starts_with("EOF") => {
            format!("is not JSON: it goes wrong at character {column}")
        }
        _ => "is not JSON: it ends too early".to_owned(),
    }
}

fn joined(line: u64, found: Faults) -> LineError {
    let mut faulty = Faulty::new(line);
    for fault in found.first {
        let field = fault.pointer.strip_prefix('/').unwrap_or_default();
        let value = fault
            .detail
            .strip_prefix("must be an integer from ")
            .and_then(|rest| rest.split_once("; it is "));
        let detail = match (field, value) {
            ("on_hand", Some((_, value))) => units(value),
            ("version", Some((_, value))) => version(value),
            _ => fault.detail,
        };
        faulty.add(field, &detail);
    }
    faulty.none().err().unwrap_or_else(|| whole(line, "is not as it must be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        parse(3, line).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_what_an_export_writes_or_less() {
        let wanted = |line: &str| {
            let Wanted { key, on_hand, expected } = parse(1, line).unwrap();
            (key.text().to_owned(), on_hand.units(), expected.map(|expected| expected.to_string()))
        };
        let whole = r#"{"sku":"A","location":"shop","on_hand":5,"reserved":0,"version":7}"#;
        assert_eq!(wanted(whole), ("A shop".to_owned(), 5, Some("7".to_owned())));
        let restored = r#"{"sku":"A","on_hand":5,"reserved":0,"version":7,"lineage":"00c0ffee00c0ffee"}"#;
        assert_eq!(wanted(restored), ("A main".to_owned(), 5, Some("7-00c0ffee00c0ffee".to_owned())));
        assert_eq!(wanted(r#"{"on_hand":0,"sku":"\u0041"}"#), ("A main".to_owned(), 0, None));
        assert_eq!(wanted(r#"{"sku":"A","on_hand":3.0,"reserved":0.0}"#), ("A main".to_owned(), 3, None));
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_field() {
        for wrong in ["-1", "1.5", "1e3", "1099511627776", "99999999999999999999", "null"] {
            let expected =
                format!("line 3, on_hand: {wrong} is not a whole number from 0 to 1 099 511 627 775");
            assert_eq!(told(&format!(r#"{{"sku":"A","on_hand":{wrong}}}"#)), expected);
        }
        let text = "line 3, on_hand: the string \"ten\" is not a whole number from 0 to 1 099 511 627 775";
        assert_eq!(told(r#"{"sku":"A","on_hand":"ten"}"#), text);
        assert!(told(r#"{"sku":"A ","on_hand":1}"#).starts_with("line 3, sku: "));
        assert!(told(r#"{"sku":"A","location":"","on_hand":1}"#).starts_with("line 3, location: "));
        let holds = "line 3, reserved: must be 0 or left out: holds cannot be imported; it is 1";
        assert_eq!(told(r#"{"sku":"A","on_hand":1,"reserved":1}"#), holds);
        assert!(told(r#"{"sku":"A","on_hand":1,"colour":2}"#).starts_with("line 3, colour: is not a field"));
        assert_eq!(told(r#"{"sku":"A"}"#), "line 3, on_hand: is missing");
        let version = told(r#"{"sku":"A","on_hand":1,"version":99999999999999}"#);
        assert!(version.starts_with("line 3, version: 99999999999999 is not a version, "), "{version}");
        assert!(
            told(r#"{"sku":"A","on_hand":1,"version":1,"lineage":"x"}"#)
                .starts_with("line 3, lineage: must be")
        );
        // All at once.
        let all = told(r#"{"location":5,"on_hand":"x","reserved":-1,"colour":2}"#);
        assert!(
            all.starts_with("line 3, sku: is missing; location: must be a string; it is 5; on_hand: "),
            "{all}"
        );
        assert!(all.contains("; reserved: ") && all.contains("; colour: is not a field"), "{all}");
        let many: Vec<String> = (0..500).map(|n| format!("\"f{n}\":1")).collect();
        assert!(told(&format!("{{{}}}", many.join(","))).len() < 2_000);
        assert!(told(r#"["A",null,1]"#).starts_with("line 3: must be a JSON object"));
        assert_eq!(told(r#"{"sku":"A","on_hand":1"#), "line 3: is not JSON: it ends too early");
        assert_eq!(told(r#"{"sku":"A",,"on_hand":1}"#), "line 3: is not JSON: it goes wrong at character 12");
    }
}
