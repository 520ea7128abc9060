//! The bodies of answers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::stock::{Level, StockKey};

/// Something that writes itself as JSON, byte for byte as its `Serialize` would (a test holds them equal), only
/// without looking for characters to escape in names that have none.
pub trait WriteJson {
    /// Appends the JSON.
    fn write_json(&self, out: &mut Vec<u8>);
}

/// A stock level at one version.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct StockLevel<'a> {
    /// The sku.
    #[schema(example = "85123A")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// Units physically there.
    #[schema(example = 100)]
    on_hand: u64,
    /// Units held by reservations.
    #[schema(example = 0)]
    reserved: u64,
    /// Units that can be taken: `on_hand - reserved`.
    #[schema(example = 100)]
    available: u64,
    /// How many changes the level has seen: rises by exactly 1 with each. In quotes, it is the `ETag`.
    #[schema(example = 1)]
    version: u64,
}

/// The levels after a request, one per level it changed, ascending by sku, then location.
#[derive(Debug, Serialize, ToSchema)]
pub struct LevelsAnswer<'a> {
    /// The levels.
    pub levels: Vec<StockLevel<'a>>,
}

/// A page of levels, ascending by sku, then location. Each is current when it was read; a page is not a
/// snapshot of all.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageAnswer<'a> {
    /// The levels. A filter may leave a page short, or empty, although more follow.
    pub items: Vec<StockLevel<'a>>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What became of each line of an independent batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer<'a> {
    /// One per line, in the order of the lines.
    pub results: Vec<LineResult<'a>>,
    /// How many lines were applied.
    pub applied: usize,
    /// How many were refused.
    pub refused: usize,
}

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineResult<'a> {
    /// The sku.
    #[schema(example = "85123A")]
    pub sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    pub location: &'a str,
    /// The status the line would have been answered with on its own.
    #[schema(example = 200)]
    pub status: u16,
    /// The level after the line, where it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<StockLevel<'a>>,
    /// Why not, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// How the service is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// The version of the service.
    pub version: &'static str,
    /// How stock is shared between threads.
    #[schema(example = "atomic")]
    pub strategy: &'static str,
    /// Whether changes survive a restart: `ephemeral` is memory only.
    #[schema(example = "ephemeral")]
    pub durability: &'static str,
    /// Seconds since the service started.
    pub uptime_seconds: u64,
    /// How many stock levels exist.
    pub levels: usize,
    /// What sharing has cost so far.
    pub contention: ContentionAnswer,
}

/// What sharing the stock has cost since the service started.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContentionAnswer {
    /// Times a request got in.
    pub acquisitions: u64,
    /// Times it had to wait, or to try again.
    pub contended: u64,
    /// Times it gave up at the lock timeout.
    pub timeouts: u64,
    /// Compare-and-swaps that had to be tried again.
    pub retries: u64,
    /// Nanoseconds waited, in all.
    pub wait_ns: u64,
    /// Nanoseconds that one lock was held, on average over a sample; absent where there is no lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_ns_mean: Option<u64>,
}

impl<'a> StockLevel<'a> {
    /// The level of a key.
    pub fn new(key: &'a StockKey, level: Level) -> Self {
        Self {
            sku: key.sku(),
            location: key.location(),
            on_hand: level.on_hand(),
            reserved: level.reserved(),
            available: level.available(),
            version: level.version(),
        }
    }

    /// About as long as the JSON of one level gets, to reserve room for it.
    pub const JSON_BYTES: usize = 160;
}

impl WriteJson for StockLevel<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b"{\"sku\":\"");
        out.extend_from_slice(self.sku.as_bytes());
        out.extend_from_slice(b"\",\"location\":\"");
        out.extend_from_slice(self.location.as_bytes());
        out.extend_from_slice(b"\",\"on_hand\":");
        out.extend_from_slice(digits.format(self.on_hand).as_bytes());
        out.extend_from_slice(b",\"reserved\":");
        out.extend_from_slice(digits.format(self.reserved).as_bytes());
        out.extend_from_slice(b",\"available\":");
        out.extend_from_slice(digits.format(self.available).as_bytes());
        out.extend_from_slice(b",\"version\":");
        out.extend_from_slice(digits.format(self.version).as_bytes());
        out.push(b'}');
    }
}

impl WriteJson for LevelsAnswer<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"levels\":");
        write_list(&self.levels, out);
        out.push(b'}');
    }
}

impl WriteJson for PageAnswer<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"items\":");
        write_list(&self.items, out);
        if let Some(cursor) = &self.next_cursor {
            out.extend_from_slice(b",\"next_cursor\":\"");
            out.extend_from_slice(cursor.as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }
}

impl WriteJson for BatchAnswer<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b"{\"results\":");
        write_list(&self.results, out);
        out.extend_from_slice(b",\"applied\":");
        out.extend_from_slice(digits.format(self.applied).as_bytes());
        out.extend_from_slice(b",\"refused\":");
        out.extend_from_slice(digits.format(self.refused).as_bytes());
        out.push(b'}');
    }
}

impl WriteJson for LineResult<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"sku\":\"");
        out.extend_from_slice(self.sku.as_bytes());
        out.extend_from_slice(b"\",\"location\":\"");
        out.extend_from_slice(self.location.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        if let Some(level) = &self.level {
            out.extend_from_slice(b",\"level\":");
            level.write_json(out);
        }
        if let Some(problem) = &self.problem {
            out.extend_from_slice(b",\"problem\":");
            serde_json::to_writer(&mut *out, problem).expect("writing to memory does not fail");
        }
        out.push(b'}');
    }
}

fn write_list<T: WriteJson>(items: &[T], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item.write_json(out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{Change, IfMissing, Location, Operation, QUANTITY_MAX, Sku};

    fn written(answer: &(impl WriteJson + Serialize)) {
        let mut out = Vec::new();
        answer.write_json(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(answer).unwrap());
    }

    #[test]
    fn what_is_written_is_what_serde_would_write() {
        let key = StockKey::new(Sku::parse("A.b_c~d-1").unwrap(), Location::DEFAULT);
        let largest = Level::existing(QUANTITY_MAX, 7, crate::stock::VERSION_MAX).unwrap();
        let level = StockLevel::new(&key, largest);
        written(&level);
        written(&LevelsAnswer { levels: vec![] });
        written(&LevelsAnswer { levels: vec![level, level] });
        written(&PageAnswer { items: vec![level], next_cursor: Some("abc".to_owned()) });
        written(&PageAnswer { items: vec![], next_cursor: None });
        let change = Change::unconditional(Operation::Adjust { delta: -1, if_missing: IfMissing::Refuse });
        let refusal = change.judge(Level::ABSENT).unwrap_err();
        let problem = Some(Box::new(Problem::refused(refusal, &key, "/lines/1")));
        let (sku, location) = (key.sku(), key.location());
        let applied = LineResult { sku, location, status: 200, level: Some(level), problem: None };
        let refused = LineResult { sku, location, status: 404, level: None, problem };
        written(&BatchAnswer { results: vec![applied, refused], applied: 1, refused: 1 });
    }
}
