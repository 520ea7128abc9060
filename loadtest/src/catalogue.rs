//! The stock levels of one run: their names, and the parts of requests that never change, formatted once.
//!
//! Keys are indices in wire order (sku, then location, by bytes). The service answers many-line requests in that
//! order, so an answer is checked against the request by walking both, without a map.

use history::Key;

/// The location that the service assumes when none is given.
pub const DEFAULT_LOCATION: &str = "main";

/// The characters and the length the service accepts in a sku.
pub fn is_sku(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
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
}

/// All stock levels of one run, in wire order.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Catalogue {
    /// Sorts and numbers the levels. Every sku and location must be within the service's alphabet, which is also
    /// safe in a URL and in a JSON string, so nothing is escaped.
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
        let name = |entry: &Entry| match entry.location.as_str() {
            DEFAULT_LOCATION => entry.sku.clone(),
            elsewhere => format!("{}@{elsewhere}", entry.sku),
        };
        self.entries.iter().map(name).collect()
    }
}

impl Entry {
    fn new(sku: String, location: String) -> Self {
        let (query, member) = if location == DEFAULT_LOCATION {
            (String::new(), String::new())
        } else {
            (format!("?location={location}"), format!("\"location\":\"{location}\","))
        };
        Self {
            stock_path: format!("/v1/stock/{sku}{query}"),
            adjust_path: format!("/v1/stock/{sku}/adjust{query}"),
            line_head: format!("{{\"sku\":\"{sku}\",{member}\"delta\":"),
            sku,
            location,
        }
    }
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
        assert!(is_sku("85123A") && is_sku("a.b_c~d-e") && is_sku(&"x".repeat(64)));
        assert!(!is_sku("BANK CHARGES") && !is_sku("") && !is_sku(&"x".repeat(65)) && !is_sku("ä"));
    }

    #[test]
    fn the_default_location_is_left_out() {
        let catalogue = Catalogue::new(vec![("a".into(), "main".into()), ("a".into(), "annex".into())]);
        assert_eq!(catalogue.entry(Key(0)).line_head, r#"{"sku":"a","location":"annex","delta":"#);
        assert_eq!(catalogue.entry(Key(1)).adjust_path, "/v1/stock/a/adjust");
    }
}
