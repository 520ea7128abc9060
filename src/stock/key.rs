//! [`StockKey`]: which stock level, as one small value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use smol_str::{SmolStr, SmolStrBuilder};

use super::name::{Location, Sku};

/// Sorts below every character of a name, so that comparing whole keys compares skus first, then locations
/// (`a` before `a-b`, whatever their locations).
pub const SEPARATOR: char = ' ';

/// One sku at one location. Orders by sku, then location.
///
/// Kept as `"sku location"` in one [`SmolStr`]: up to 23 bytes lie inline (`85123A main` takes 11), so making a
/// key to look a level up allocates nothing for the names shops use, and cloning one never does.
#[derive(Clone)]
pub struct StockKey {
    text: SmolStr,
    /// Where the separator stands, so that splitting costs no search.
    sku_len: u8,
}

impl StockKey {
    /// The key of a sku at a location.
    pub fn new(sku: Sku<'_>, location: Location<'_>) -> Self {
        let (sku, location) = (sku.as_str(), location.as_str());
        let mut text = SmolStrBuilder::new();
        text.push_str(sku);
        text.push(SEPARATOR);
        text.push_str(location);
        let sku_len = u8::try_from(sku.len()).expect("a sku has at most 64 characters");
        Self { text: text.finish(), sku_len }
    }

    /// A key at or below every key whose sku starts with `prefix`, and above every key whose sku sorts before
    /// `prefix`: where an ordered walk of that prefix starts. `None` where the prefix is empty, or no sku can
    /// start so.
    pub fn least_with_prefix(prefix: &str) -> Option<Self> {
        let sku_len = u8::try_from(prefix.len()).ok().filter(|&len| len > 0)?;
        Some(Self { text: SmolStr::new(format!("{prefix} ")), sku_len })
    }

    /// The key whose [`StockKey::text`] this is: `None` where it is no key's.
    pub fn from_text(text: &str) -> Option<Self> {
        let (sku, location) = text.split_once(SEPARATOR)?;
        Some(Self::new(Sku::parse(sku).ok()?, Location::parse(location).ok()?))
    }

    /// `sku`, a space, `location`: the form in which keys are stored.
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
}

// Two keys are equal exactly when their texts are: the separator is in no name, so it splits one way only.

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
        self.text.cmp(&other.text)
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_split_back_and_order_by_sku_then_location(
            a in "[A-Za-z0-9._~-]{1,64}", b in "[A-Za-z0-9._~-]{1,32}",
            c in "[A-Za-z0-9._~-]{1,64}", d in "[A-Za-z0-9._~-]{1,32}",
        ) {
            prop_assume!(![".", ".."].contains(&a.as_str()) && ![".", ".."].contains(&c.as_str()));
            let key = |sku: &str, location: &str| {
                StockKey::new(Sku::parse(sku).unwrap(), Location::parse(location).unwrap())
            };
            let (left, right) = (key(&a, &b), key(&c, &d));
            prop_assert_eq!((left.sku(), left.location()), (a.as_str(), b.as_str()));
            prop_assert_eq!(left.cmp(&right), (&a, &b).cmp(&(&c, &d)));
            prop_assert_eq!(left == right, (a, b) == (c, d));
        }
    }
}
