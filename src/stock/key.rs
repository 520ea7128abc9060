//! [`StockKey`]: which stock level, as one small value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use smol_str::{SmolStr, SmolStrBuilder};

use super::name::{Location, Sku};

/// Stands between a sku and a location neither of which has a space. Sorts below every character of such names.
const SPACE: char = ' ';
/// Stands between them where either has one: a control character, which no name has.
const UNIT_SEPARATOR: char = '\u{1f}';

/// One sku at one location. Orders by sku, then location, as bytes.
///
/// Kept as one text ([`StockKey::text`]) in one [`SmolStr`]: up to 23 bytes lie inline (`85123A main` takes 11), so making a
/// key to look a level up allocates nothing for the names shops use, and cloning one never does.
#[derive(Clone)]
pub struct StockKey {
    text: SmolStr,
    /// Where the separator stands, so that splitting costs no search.
    sku_len: u8,
    /// Whether that is a [`UNIT_SEPARATOR`].
    has_space: bool,
}

impl StockKey {
    /// The key of a sku at a location.
    pub fn new(sku: &Sku<'_>, location: &Location<'_>) -> Self {
        Self::of(sku.as_str(), location.as_str(), sku.has_space() || location.has_space())
    }

    /// A key at or below every key whose sku starts with `prefix`, and above every key whose sku sorts before
    /// `prefix`: where an ordered walk of that prefix starts. `None` where the prefix is empty, or no sku can
    /// start so.
    pub fn least_with_prefix(prefix: &str) -> Option<Self> {
        u8::try_from(prefix.len()).ok().filter(|&len| len > 0)?;
        Some(Self::of(prefix, "", prefix.contains(SPACE)))
    }

    /// The key whose [`StockKey::text`] this is: `None` where it is no key's.
    pub fn from_text(text: &str) -> Option<Self> {
        let (sku, location) = split(text)?;
        let key = Self::new(&Sku::kept(sku).ok()?, &Location::kept(location).ok()?);
        // Of two texts that split alike only one is the key's.
        (key.text == text).then_some(key)
    }

    /// The key of a sku and a location that were checked when they were written down: `None` where one of them is none.
    pub fn kept(sku: &str, location: &str) -> Option<Self> {
        Some(Self::new(&Sku::kept(sku).ok()?, &Location::kept(location).ok()?))
    }

    /// `sku`, a separator, `location`: the form in which keys are stored. The separator is a space where neither name has one, and
    /// else a unit separator (U+001F), which is in no name; so it splits one way only.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The sku.
    pub fn sku(&self) -> &str {
        &self.text[..usize::from(self.sku_len)]
    }

    /// The location.
    pub fn location(&self) -> &str {
        &self.text[usize::from(self.sku_len) + 1..]
    }

    fn of(sku: &str, location: &str, has_space: bool) -> Self {
        let mut text = SmolStrBuilder::new();
        text.push_str(sku);
        text.push(if has_space { UNIT_SEPARATOR } else { SPACE });
        text.push_str(location);
        let sku_len = u8::try_from(sku.len()).expect("a sku has at most 64 bytes");
        Self { text: text.finish(), sku_len, has_space }
    }
}

/// The sku and the location in a [`StockKey::text`]: `None` where there is no separator.
pub fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once(UNIT_SEPARATOR).or_else(|| text.split_once(SPACE))
}

// Two keys are equal exactly when their texts are: each text splits one way only, and which separator it has the names say.

impl PartialEq for StockKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StockKey {}

impl Hash for StockKey {
    fn hash<S: Hasher>(&self, state: &mut S) {
        // Without the end mark of a `str`, which tells strings in a row apart and costs another round: here is but one.
        state.write(self.text.as_bytes());
    }
}

impl PartialOrd for StockKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StockKey {
    fn cmp(&self, other: &Self) -> Ordering {
        // Either separator sorts below all that is in names it stands between, so texts that have the same one compare as their skus
        // do, then as their locations (`a` before `a-b`, whatever their locations).
        if self.has_space == other.has_space {
            return self.text.cmp(&other.text);
        }
        (self.sku(), self.location()).cmp(&(other.sku(), other.location()))
    }
}

impl fmt::Debug for StockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `sku@location`, for messages.
impl fmt::Display for StockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sku(), self.location())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use proptest::prelude::*;

    use super::*;

    fn key(sku: &str, location: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::parse(location).unwrap())
    }

    /// Names of a few characters, so that many begin alike: those around the separators, and some of two bytes.
    fn name() -> impl Strategy<Value = String> {
        let few = "[ !a-c/-]{1,5}|[ -~]{1,9}|[ a\u{e4}\u{2028}\u{ac00}]{1,5}";
        few.prop_filter("a name", |text| Sku::parse(text).is_ok())
    }

    proptest! {
        #[test]
        fn keys_split_back_and_order_by_sku_then_location(a in name(), b in name(), c in name(), d in name()) {
            let (left, right) = (key(&a, &b), key(&c, &d));
            prop_assert_eq!((left.sku(), left.location()), (a.as_str(), b.as_str()));
            prop_assert_eq!(left.cmp(&right), (&a, &b).cmp(&(&c, &d)));
            prop_assert_eq!(left == right, (&a, &b) == (&c, &d));
            prop_assert_eq!(left.text() == right.text(), (&a, &b) == (&c, &d));
            let state = std::hash::RandomState::new();
            prop_assert!(left != right || state.hash_one(&left) == state.hash_one(&right));
            let back = StockKey::from_text(left.text()).unwrap();
            prop_assert_eq!((back.sku(), back.location(), back.cmp(&left)), (a.as_str(), b.as_str(), Ordering::Equal));
            prop_assert_eq!(split(left.text()), Some((a.as_str(), b.as_str())));
        }

        #[test]
        fn a_prefix_begins_where_its_keys_do(prefix in "[ !a-c/-]{1,3}|[ -~]{1,3}", sku in name(), location in name()) {
            let (least, key) = (StockKey::least_with_prefix(&prefix).unwrap(), key(&sku, &location));
            prop_assert_eq!(least <= key, sku >= prefix);
        }

        /// Only what is a key's text is read as one, and it is that key's.
        #[test]
        fn a_text_that_is_read_is_the_keys(text in "[ a\u{1f}]{0,6}") {
            if let Some(key) = StockKey::from_text(&text) {
                prop_assert_eq!(key.text(), text);
            }
        }
    }

    /// Data directories have keys as they always were, unless a name has a space, which none had.
    #[test]
    fn the_stored_form_is_as_it_was_but_for_spaces() {
        assert_eq!(key("85123A", "main").text(), "85123A main");
        assert_eq!(key("\u{e4}/\"", "a@b").text(), "\u{e4}/\" a@b");
        assert_eq!(key("BANK CHARGES", "main").text(), "BANK CHARGES\u{1f}main");
        assert_eq!(key("a", "back room").text(), "a\u{1f}back room");
        for none in [
            "",
            "a",
            " ",
            "a ",
            " a",
            "a b c",
            "a\u{1f}b",
            "a b\u{1f}",
            "a b \u{1f}c",
            "a b\u{1f}c\u{1f}d",
            ". main",
        ] {
            assert!(StockKey::from_text(none).is_none(), "{none:?}");
        }
        // What has another normal form one day is still there then.
        assert_eq!(StockKey::from_text("a\u{308} main").unwrap().sku(), "a\u{308}");
    }
}
