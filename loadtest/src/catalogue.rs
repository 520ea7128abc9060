//! The stock levels of one run: their names, and the parts of requests that never change, formatted once.
//!
//! Keys are indices in wire order (sku, then location, by bytes). The service answers many-line requests in that
//! order, so an answer is checked against the request by walking both, without a map.

use std::borrow::Cow;
use std::fmt;

use history::Key;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization as _;

/// The location that the service assumes when none is given.
pub const DEFAULT_LOCATION: &str = "main";

/// All but the unreserved characters of RFC 3986, section 2.3: what is left means nothing in a path, a query or a form.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether the service takes that for a sku: 1 to 64 bytes of [`normal`] text without control characters, and without white space at
/// either end.
pub fn is_sku(text: &str) -> bool {
    let is_at_an_end = |c: Option<char>| c.is_some_and(char::is_whitespace);
    (1..=64).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.chars().any(char::is_control)
        && !is_at_an_end(text.chars().next())
        && !is_at_an_end(text.chars().next_back())
}

/// A name as the service tells it again: in Unicode's normal form C.
pub fn normal(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// One stock level, by name, with its pre-formatted pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The sku as the service knows it, with the prefix of the run.
    pub sku: String,
    /// The location.
    pub location: String,
    /// `/v1/stock/{sku}`, with `?location=` where it is not the default.
    pub stock_path: String,
    /// `/v1/stock/{sku}/adjust`, likewise.
    pub adjust_path: String,
    /// `{"sku":"..","location":"..","delta":`, the beginning of an adjustment's line.
    pub line_head: String,
    /// The sku as a JSON string, with its quotes.
    pub quoted_sku: String,
    /// The location likewise.
    pub quoted_location: String,
}

/// All stock levels of one run, in wire order.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Catalogue {
    /// Sorts and numbers the levels. Every sku and location must be one for the service, in normal form.
    pub fn new(mut names: Vec<(String, String)>) -> Self {
        names.sort_unstable();
        names.dedup();
        debug_assert!(names.iter().all(|(sku, location)| is_sku(sku) && is_sku(location)));
        Self { entries: names.into_iter().map(|(sku, location)| Entry::new(sku, location)).collect() }
    }

    /// How many levels there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The level behind a key of this catalogue.
    pub fn entry(&self, key: Key) -> &Entry {
        &self.entries[key.0 as usize]
    }

    /// Every key, in wire order.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(Key)
    }

    /// The key of a level, if it is one of ours.
    pub fn find(&self, sku: &str, location: &str) -> Option<Key> {
        let order = |entry: &Entry| (entry.sku.as_str(), entry.location.as_str()).cmp(&(sku, location));
        let index = self.entries.binary_search_by(order).ok()?;
        u32::try_from(index).ok().map(Key)
    }

    /// The names for a recorded history: `sku`, or `sku@location` away from the default.
    pub fn names(&self) -> Vec<String> {
        let name = |Entry { sku, location, .. }: &Entry| {
            if sku.contains('@') || location.contains('@') {
                // In quotes, so that no two levels are called the same.
                format!("{sku:?}@{location:?}")
            } else if location == DEFAULT_LOCATION {
                sku.clone()
            } else {
                format!("{sku}@{location}")
            }
        };
        self.entries.iter().map(name).collect()
    }
}

impl Entry {
    fn new(sku: String, location: String) -> Self {
        let (quoted_sku, quoted_location) = (quoted(&sku), quoted(&location));
        let (query, member) = if location == DEFAULT_LOCATION {
            (String::new(), String::new())
        } else {
            (format!("?location={}", encoded(&location)), format!("\"location\":{quoted_location},"))
        };
        Self {
            stock_path: format!("/v1/stock/{}{query}", encoded(&sku)),
            adjust_path: format!("/v1/stock/{}/adjust{query}", encoded(&sku)),
            line_head: format!("{{\"sku\":{quoted_sku},{member}\"delta\":"),
            quoted_sku,
            quoted_location,
            sku,
            location,
        }
    }
}

fn encoded(name: &str) -> impl fmt::Display {
    utf8_percent_encode(name, RESERVED)
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_wire_order_whatever_the_order_given() {
        let name = |sku: &str, location: &str| (sku.to_owned(), location.to_owned());
        let catalogue =
            Catalogue::new(vec![name("b", "main"), name("a", "main"), name("a", "annex"), name("a", "main")]);
        assert_eq!(catalogue.names(), ["a@annex", "a", "b"]);
        assert_eq!(catalogue.find("a", "main"), Some(Key(1)));
        assert_eq!(catalogue.find("c", "main"), None);
    }

    #[test]
    fn the_alphabet_is_the_services() {
        let long = "ä".repeat(32);
        for sku in ["85123A", "a.b_c~d-e", "BANK CHARGES", "1/2\"", "ä", "A+B", "a@b", "\\", &long] {
            assert!(is_sku(sku), "{sku}");
        }
        let long = "ä".repeat(33);
        for none in ["", ".", "..", " a", "a\u{3000}", "a\nb", "a\u{85}b", &long] {
            assert!(!is_sku(none), "{none:?}");
        }
        assert_eq!((normal("a\u{308}"), normal("BANK CHARGES")), ("\u{e4}".into(), "BANK CHARGES".into()));
    }

    /// As one segment, one value, one string; and no two are called the same in a history.
    #[test]
    fn names_are_encoded_wherever_they_stand() {
        let catalogue = Catalogue::new(vec![
            ("A/B \"+".into(), "ä&".into()),
            ("a@b".into(), "c".into()),
            ("a".into(), "b@c".into()),
        ]);
        let entry = catalogue.entry(Key(0));
        assert_eq!(entry.adjust_path, "/v1/stock/A%2FB%20%22%2B/adjust?location=%C3%A4%26");
        assert_eq!(entry.line_head, r#"{"sku":"A/B \"+","location":"ä&","delta":"#);
        assert_eq!(catalogue.names(), [r#"A/B "+@ä&"#, r#""a"@"b@c""#, r#""a@b"@"c""#]);
        assert_eq!(catalogue.find("A/B \"+", "ä&"), Some(Key(0)));
    }

    #[test]
    fn the_default_location_is_left_out() {
        let catalogue = Catalogue::new(vec![("a".into(), "main".into()), ("a".into(), "annex".into())]);
        assert_eq!(catalogue.entry(Key(0)).line_head, r#"{"sku":"a","location":"annex","delta":"#);
        assert_eq!(catalogue.entry(Key(1)).adjust_path, "/v1/stock/a/adjust");
    }
}
