//! The bodies of answers.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::stock::{Level, StockKey};

/// Something that writes itself as JSON, byte for byte as its `Serialize` would (a test holds them equal), only faster: names have no
/// control characters, and few have anything to escape.
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
    /// How many changes the level has seen: rises by exactly 1 with each. In quotes, it is the `ETag`; after a restore of a backup, with the lineage.
    #[schema(example = 1)]
    version: u64,
}

/// The levels after a request, one per level it changed, ascending by sku, then location.
#[derive(Debug, Serialize, ToSchema)]
pub struct LevelsAnswer<'a> {
    /// The levels.
    #[schema(max_items = 20_000)]
    pub levels: Vec<StockLevel<'a>>,
}

/// A page of levels, ascending by sku, then location. Each is current when it was read; a page is not a
/// snapshot of all.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageAnswer<'a> {
    /// The levels. A filter may leave a page short, or empty, although more follow.
    #[schema(max_items = 1_000)]
    pub items: Vec<StockLevel<'a>>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Where the events go on, which is `after` of `/v1/events`: whatever these levels do not show yet comes after it. Of a walk over
    /// several pages, that of the first.
    #[schema(example = "AAAAAAAAEmc")]
    pub event_cursor: String,
}

/// What became of each line of an independent batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer<'a> {
    /// One per line, in the order of the lines.
    #[schema(max_items = 10_000)]
    pub results: Vec<LineResult<'a>>,
    /// How many lines were applied.
    pub applied: usize,
    /// How many were refused.
    pub refused: usize,
}

/// What became of one line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineResult<'a> {
    /// The sku, as the line names it; absent where it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "85123A")]
    pub sku: Option<&'a str>,
    /// The location.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "main")]
    pub location: Option<&'a str>,
    /// The status the line would have been answered with on its own.
    #[schema(example = 200)]
    pub status: u16,
    /// The level after the line, where it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<StockLevel<'a>>,
    /// Why not, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Problem>)]
    pub problem: Option<LineProblem>,
}

/// Why a line was not applied.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum LineProblem {
    /// As it is told.
    Told(Box<Problem>),
    /// As the first version of the service stored it.
    Written(Box<RawValue>),
}

/// What `POST /v1/adjustments` answers. For the document only: each form is written by itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AdjustmentsAnswer<'a> {
    /// In `atomic` mode.
    Atomic(LevelsAnswer<'a>),
    /// In `independent` mode.
    Independent(BatchAnswer<'a>),
}

/// How the service is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// The version of the service.
    pub version: &'static str,
    /// How stock is shared between threads; `postgres` where it is in a database.
    #[schema(example = "atomic")]
    pub strategy: &'static str,
    /// Whether changes survive a restart: `ephemeral` is memory only.
    #[schema(example = "ephemeral")]
    pub durability: &'static str,
    /// Seconds since the service started.
    pub uptime_seconds: u64,
    /// The lineage its versions and movements are of: absent unless a backup was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "00c0ffee00c0ffee")]
    pub lineage: Option<String>,
    /// How far the numbers of movements say which came first: of `all`, or of one `level` only, as where the stock is in several partitions of a database.
    #[schema(example = "all")]
    pub ledger_order: &'static str,
    /// How many stock levels exist.
    pub levels: usize,
    /// What sharing has cost so far.
    pub contention: ContentionAnswer,
    /// The queue of orders.
    pub orders: OrderQueueAnswer,
    /// The requests that are being carried out.
    pub admission: AdmissionAnswer,
    /// What is asked of each change, beyond what it needs by itself.
    pub policy: PolicyAnswer,
}

/// What whoever runs the service asks of each change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyAnswer {
    /// Whether each POST that changes stock needs an `Idempotency-Key` (`--require-idempotency-key`).
    pub require_idempotency_key: bool,
    /// Whether each PUT and DELETE of a level needs a precondition (`--require-precondition`).
    pub require_precondition: bool,
}

/// The requests that are being carried out, and those that wait for that.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdmissionAnswer {
    /// Requests that are being carried out. Those that wait for their body, or sleep, are not counted.
    pub in_flight: u64,
    /// How many that may be (`--max-in-flight`).
    #[schema(example = 1_024)]
    pub in_flight_max: usize,
    /// Requests that wait for that.
    pub waiting: u64,
    /// How many that may be (`--admission-queue`).
    #[schema(example = 1_024)]
    pub waiting_max: usize,
    /// Requests that were refused since the service started, as too many waited, or they had waited for too long.
    pub shed: u64,
}

/// The queue of orders, and who waits for stock.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderQueueAnswer {
    /// Whose turn it is: `fifo`, `lifo` or `priority`.
    #[schema(example = "fifo")]
    pub discipline: &'static str,
    /// Milliseconds of waiting that count as one priority more, where priorities count.
    #[schema(example = 10_000)]
    pub ageing_ms: u64,
    /// Orders whose turn it is not yet.
    pub queued: usize,
    /// Orders that wait for stock.
    pub backordered: usize,
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
        write_place(self.sku, self.location, out);
        self.write_stock(out);
    }
}

impl StockLevel<'_> {
    /// What follows the place.
    fn write_stock(&self, out: &mut Vec<u8>) {
        let (mut on_hand, mut digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let on_hand = on_hand.format(self.on_hand).as_bytes();
        out.extend_from_slice(b",\"on_hand\":");
        out.extend_from_slice(on_hand);
        // Most levels have nothing reserved: two numbers less to format.
        if self.reserved == 0 {
            out.extend_from_slice(b",\"reserved\":0,\"available\":");
            out.extend_from_slice(on_hand);
        } else {
            out.extend_from_slice(b",\"reserved\":");
            out.extend_from_slice(digits.format(self.reserved).as_bytes());
            out.extend_from_slice(b",\"available\":");
            out.extend_from_slice(digits.format(self.available).as_bytes());
        }
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
        out.extend_from_slice(b",\"event_cursor\":\"");
        out.extend_from_slice(self.event_cursor.as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

impl LineResult<'_> {
    /// About as long as the JSON of a line that was applied gets.
    const JSON_BYTES: usize = StockLevel::JSON_BYTES + 60;
}

impl WriteJson for LineResult<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let Some(level) = &self.level else {
            // What a line that is wrong names may need escaping.
            return serde_json::to_writer(out, self).expect("writing to memory does not fail");
        };
        let start = out.len();
        write_place(level.sku, level.location, out);
        let place = start..out.len();
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        // A level begins with its place, which has just been written.
        out.extend_from_slice(b",\"level\":");
        out.extend_from_within(place);
        level.write_stock(out);
        out.push(b'}');
    }
}

/// The beginning of an object about a stock level.
pub(super) fn write_place(sku: &str, location: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"sku\":\"");
    write_name(sku, out);
    out.extend_from_slice(b"\",\"location\":\"");
    write_name(location, out);
    out.push(b'"');
}

/// What is between the quotes of a name. It has no control characters, so there are but two characters to escape.
fn write_name(name: &str, out: &mut Vec<u8>) {
    let is_escaped = |byte: &u8| matches!(byte, b'"' | b'\\');
    if !name.as_bytes().iter().any(is_escaped) {
        return out.extend_from_slice(name.as_bytes());
    }
    for byte in name.as_bytes() {
        if is_escaped(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

/// Writes a [`BatchAnswer`] line by line, as the lines are applied: ten thousand results are never held at once.
#[derive(Debug)]
pub struct BatchWriter {
    out: Vec<u8>,
    applied: usize,
    refused: usize,
}

impl BatchWriter {
    /// An answer of about that many lines.
    pub fn new(lines: usize) -> Self {
        let mut out = Vec::with_capacity(LineResult::JSON_BYTES * (lines + 1));
        out.extend_from_slice(b"{\"results\":[");
        Self { out, applied: 0, refused: 0 }
    }

    /// Adds what became of the next line.
    pub fn push(&mut self, result: &LineResult<'_>) {
        if self.applied + self.refused > 0 {
            self.out.push(b',');
        }
        result.write_json(&mut self.out);
        match result.problem {
            None => self.applied += 1,
            Some(_) => self.refused += 1,
        }
    }

    /// The whole answer.
    pub fn finish(mut self) -> Vec<u8> {
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(b"],\"applied\":");
        self.out.extend_from_slice(digits.format(self.applied).as_bytes());
        self.out.extend_from_slice(b",\"refused\":");
        self.out.extend_from_slice(digits.format(self.refused).as_bytes());
        self.out.push(b'}');
        self.out
    }
}

pub(super) fn write_list<T: WriteJson>(items: &[T], out: &mut Vec<u8>) {
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
        let names = [
            ("A.b_c~d-1", "main"),
            ("1/2\" \\ \u{e4}\u{2028}\u{1F4E6}", "back \"room\""),
            ("\"", "\\"),
            ("a\u{feff}</b>", "'"),
        ];
        for (sku, location) in names {
            written_of(&StockKey::new(&Sku::parse(sku).unwrap(), &Location::parse(location).unwrap()));
        }
    }

    fn written_of(key: &StockKey) {
        let largest = Level::existing(QUANTITY_MAX, 7, crate::stock::VERSION_MAX).unwrap();
        let level = StockLevel::new(key, largest);
        written(&level);
        written(&StockLevel::new(key, Level::existing(5, 0, 3).unwrap()));
        written(&LevelsAnswer { levels: vec![] });
        written(&LevelsAnswer { levels: vec![level, level] });
        written(&PageAnswer {
            items: vec![level],
            next_cursor: Some("abc".to_owned()),
            event_cursor: "AAA".to_owned(),
        });
        written(&PageAnswer { items: vec![], next_cursor: None, event_cursor: String::new() });
        let change = Change::unconditional(Operation::Adjust { delta: -1, if_missing: IfMissing::Refuse });
        let refusal = change.judge(Level::ABSENT).unwrap_err();
        let problem = Some(LineProblem::Told(Box::new(Problem::refused(refusal, key, "/lines/1"))));
        let (sku, location) = (Some(key.sku()), Some(key.location()));
        let applied = LineResult { sku, location, status: 200, level: Some(level), problem: None };
        let refused = LineResult { sku, location, status: 404, level: None, problem };
        let mut batch = BatchWriter::new(2);
        batch.push(&applied);
        batch.push(&refused);
        let answer = BatchAnswer { results: vec![applied, refused], applied: 1, refused: 1 };
        let expected = serde_json::to_string(&answer).unwrap();
        assert_eq!(String::from_utf8(batch.finish()).unwrap(), expected);
    }
}
