//! Levels by name: what is asked, and what is answered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers::{StockLevel, WriteJson};
use super::fields::{Object, Text};
use crate::http::problem::{FieldError, Problem, ProblemKind};
use crate::stock::{KEYS_MAX, KeySet, Level, Location, Sku, StockKey};

/// Which levels to show.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockQueryRequest<'a> {
    /// The levels, each named once.
    #[serde(borrow)]
    #[schema(value_type = Vec<KeyRequest<'static>>, min_items = 1, max_items = 10_000)]
    keys: Vec<Object<KeyRequest<'a>>>,
    /// Whether all are to be as they were at one instant. Otherwise each is current when it is read, and others may change in between.
    #[serde(default)]
    #[schema(example = true)]
    pub consistent: bool,
}

/// One stock level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest<'a> {
    /// The sku.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "85123A")]
    sku: Text<'a>,
    /// The location; `main` where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    location: Option<Text<'a>>,
}

/// Levels by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockQueryAnswer<'a> {
    /// The levels that exist, in the order in which they were asked for.
    #[schema(max_items = 10_000)]
    items: Vec<StockLevel<'a>>,
    /// Those that do not, in that order.
    #[schema(max_items = 10_000)]
    missing: Vec<MissingLevel<'a>>,
    /// What they have together.
    totals: Totals,
    /// Whether all are as they were at one instant.
    consistent: bool,
    /// Where the events go on, which is `after` of `/v1/events`: whatever these levels do not show yet comes after it.
    #[schema(example = "AAAAAAAAEmc")]
    event_cursor: String,
}

/// A level that does not exist.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct MissingLevel<'a> {
    /// The sku.
    #[schema(example = "71053")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// The version of its deletion; 0 where it never existed.
    #[schema(example = 0)]
    version: u64,
}

/// Sums over levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Totals {
    /// How many of them exist.
    #[schema(example = 2)]
    levels: usize,
    /// Units physically there.
    #[schema(example = 120)]
    on_hand: u64,
    /// Units held by reservations.
    #[schema(example = 20)]
    reserved: u64,
    /// Units that can be taken: `on_hand - reserved`.
    #[schema(example = 100)]
    available: u64,
}

impl StockQueryRequest<'_> {
    /// The levels, in the order in which they are named, and as a set.
    pub fn keys(&self) -> Result<(Vec<StockKey>, KeySet), Problem> {
        match self.keys.len() {
            0 => return Err(Problem::field("/keys", "must have at least one key")),
            many if many > KEYS_MAX => {
                let detail = format!("the request has {many} keys, more than {KEYS_MAX}");
                return Err(Problem::new(ProblemKind::TooManyLines, detail));
            }
            _ => {}
        }
        let (mut keys, mut errors) = (Vec::with_capacity(self.keys.len()), Vec::new());
        for (index, Object(key)) in self.keys.iter().enumerate() {
            let mut wrong = |name: &str, error: crate::stock::NameError| {
                errors.push(error_at(format!("/keys/{index}/{name}"), error.to_string()));
            };
            let sku = Sku::parse(&key.sku.0).map_err(|error| wrong("sku", error)).ok();
            let location =
                key.location.as_ref().map_or(Ok(Location::DEFAULT), |text| Location::parse(&text.0));
            let location = location.map_err(|error| wrong("location", error)).ok();
            keys.extend(sku.zip(location).map(|(sku, location)| StockKey::new(&sku, &location)));
        }
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        let set = KeySet::new(keys.clone());
        if set.keys().len() < keys.len() { Err(Problem::fields(named_twice(&keys))) } else { Ok((keys, set)) }
    }
}

/// Every key that an earlier one names as well: in a sum it would count twice.
fn named_twice(keys: &[StockKey]) -> Vec<FieldError> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    // Stable: of the same keys the first stays the first.
    order.sort_by(|one, other| keys[*one].cmp(&keys[*other]));
    let mut errors: Vec<(usize, usize)> = Vec::new();
    for same in order.chunk_by(|one, other| keys[*one] == keys[*other]) {
        errors.extend(same[1..].iter().map(|again| (*again, same[0])));
    }
    errors.sort_unstable();
    let told = |(again, first)| {
        error_at(format!("/keys/{again}"), format!("names the same stock level as /keys/{first}"))
    };
    errors.into_iter().map(told).collect()
}

fn error_at(pointer: String, detail: String) -> FieldError {
    FieldError { pointer: Some(pointer), parameter: None, line: None, detail }
}

impl<'a> StockQueryAnswer<'a> {
    /// The answer about these levels, in this order.
    pub fn new(
        levels: impl Iterator<Item = (&'a StockKey, Level)>,
        consistent: bool,
        event_cursor: String,
    ) -> Self {
        let (mut items, mut missing) = (Vec::with_capacity(levels.size_hint().0), Vec::new());
        let mut totals = Totals::default();
        for (key, level) in levels {
            if level.exists() {
                totals.add(level);
                items.push(StockLevel::new(key, level));
            } else {
                let (sku, location) = (key.sku(), key.location());
                missing.push(MissingLevel { sku, location, version: level.version() });
            }
        }
        Self { items, missing, totals, consistent, event_cursor }
    }

    /// About as long as its JSON gets.
    pub fn json_bytes(&self) -> usize {
        StockLevel::JSON_BYTES * (self.items.len() + self.missing.len() + 1)
    }
}

impl Totals {
    // Ten thousand levels of 2^40 units are far from the end of the range.
    fn add(&mut self, level: Level) {
        self.levels += 1;
        self.on_hand += level.on_hand();
        self.reserved += level.reserved();
        self.available += level.available();
    }
}

impl WriteJson for StockQueryAnswer<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"items\":");
        super::answers::write_list(&self.items, out);
        let Self { missing, totals, consistent, event_cursor, .. } = self;
        let rest = Rest { missing, totals: *totals, consistent: *consistent, event_cursor };
        let comma = out.len();
        serde_json::to_writer(&mut *out, &rest).expect("writing to memory does not fail");
        // What follows continues the object that was begun.
        out[comma] = b',';
    }
}

/// What follows the levels that exist.
#[derive(Serialize)]
struct Rest<'a> {
    missing: &'a [MissingLevel<'a>],
    totals: Totals,
    consistent: bool,
    event_cursor: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sku: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
    }

    fn asked(keys: &str) -> Result<Vec<StockKey>, Vec<String>> {
        let text = format!("{{\"keys\":{keys}}}");
        let request: StockQueryRequest<'_> = serde_json::from_str(&text).unwrap();
        request.keys().map(|(keys, _)| keys).map_err(|problem| {
            let errors = problem.into_errors().into_iter();
            errors.map(|error| format!("{}: {}", error.pointer.unwrap(), error.detail)).collect()
        })
    }

    #[test]
    fn each_key_is_named_once() {
        assert_eq!(asked(r#"[{"sku":"b"},{"sku":"a"}]"#), Ok(vec![key("b"), key("a")]));
        let twice = asked(r#"[{"sku":"b"},{"sku":"a"},{"sku":"b","location":"main"},{"sku":"b"}]"#);
        let same = "names the same stock level as /keys/0";
        assert_eq!(twice, Err(vec![format!("/keys/2: {same}"), format!("/keys/3: {same}")]));
        assert_eq!(asked("[]"), Err(vec!["/keys: must have at least one key".to_owned()]));
        let wrong = asked(r#"[{"sku":""},{"sku":"a","location":""}]"#).unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].starts_with("/keys/0/sku: ") && wrong[1].starts_with("/keys/1/location: "));
    }

    #[test]
    fn what_is_written_is_what_serde_would_write() {
        let (a, b) = (key("a"), key("b"));
        let levels = [(&a, Level::existing(5, 2, 3).unwrap()), (&b, Level::tombstone(7).unwrap())];
        for levels in [&levels[..], &levels[..1], &levels[1..]] {
            let answer = StockQueryAnswer::new(levels.iter().copied(), true, "AAA".to_owned());
            let mut out = Vec::new();
            answer.write_json(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&answer).unwrap());
        }
        let answer = StockQueryAnswer::new(levels.into_iter(), false, String::new());
        assert_eq!(answer.totals, Totals { levels: 1, on_hand: 5, reserved: 2, available: 3 });
    }
}
