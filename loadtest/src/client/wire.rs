//! What the service's answers look like on the wire: this client's own types, after `openapi.yaml`.
//!
//! Members the contract does not name are ignored, so that the service may grow; the ones it names must be there
//! and of the right type. Names borrow from the body: an answer of a thousand levels allocates one vector.

use std::borrow::Cow;

use serde::Deserialize;

/// The largest quantity the service can hold, 2^40 - 1.
pub const QUANTITY_MAX: u64 = (1 << 40) - 1;

/// A stock level.
#[derive(Debug, Deserialize)]
pub struct Level<'a> {
    /// The sku.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// The location.
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// Units physically there.
    pub on_hand: u64,
    /// Units held.
    pub reserved: u64,
    /// `on_hand - reserved`
    pub available: u64,
    /// The version, which rises by one with each change.
    pub version: u64,
}

/// The answer to an atomic batch or a transfer.
#[derive(Debug, Deserialize)]
pub struct Levels<'a> {
    /// One per key, in key order.
    #[serde(borrow)]
    pub levels: Vec<Level<'a>>,
}

/// The answer to a consistent query.
#[derive(Debug, Deserialize)]
pub struct Queried<'a> {
    /// The levels that exist, in the order in which they were asked for.
    #[serde(borrow)]
    pub items: Vec<Level<'a>>,
    /// Those that do not, in that order.
    #[serde(borrow)]
    pub missing: Vec<Missing<'a>>,
    /// What they have together.
    pub totals: Totals,
    /// Whether all are as of one instant.
    pub consistent: bool,
}

/// A level that does not exist.
#[derive(Debug, Deserialize)]
pub struct Missing<'a> {
    /// The sku.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// The location.
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// The version of its deletion; 0 if it never existed.
    pub version: u64,
}

/// Sums over levels.
#[derive(Debug, Deserialize)]
pub struct Totals {
    /// How many exist.
    pub levels: u64,
    /// Units physically there.
    pub on_hand: u64,
    /// Units held.
    pub reserved: u64,
    /// `on_hand - reserved`
    pub available: u64,
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// Levels by sku, then location, each current when it was read.
    #[serde(borrow)]
    pub items: Vec<Level<'a>>,
    /// Where the next page begins; absent on the last one.
    #[serde(borrow)]
    pub next_cursor: Option<Cow<'a, str>>,
}

/// A line of an export.
#[derive(Debug, Deserialize)]
pub struct ExportLine<'a> {
    /// The sku.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// The location.
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// Units physically there.
    pub on_hand: u64,
    /// Units held.
    pub reserved: u64,
    /// The version.
    pub version: u64,
}

/// The answer to an independent batch.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
pub struct Results<'a> {
    /// One per line, in line order.
    #[serde(borrow)]
    pub results: Vec<LineResult<'a>>,
    /// How many lines took effect.
    pub applied: usize,
    /// How many did not.
    pub refused: usize,
}

/// The outcome of one line of an independent batch.
#[derive(Debug, Deserialize)]
pub struct LineResult<'a> {
    /// The sku of the line.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// Its location.
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// As the status of a request of its own.
    pub status: u16,
    /// With status 200.
    #[serde(borrow)]
    pub level: Option<Level<'a>>,
    /// With any other.
    #[serde(borrow)]
    pub problem: Option<Problem<'a>>,
}

/// An RFC 9457 problem.
#[derive(Debug, Deserialize)]
pub struct Problem<'a> {
    /// `/problems/<name>`
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The status, repeated.
    pub status: u16,
    /// What happened, for people.
    #[serde(borrow)]
    pub detail: Option<Cow<'a, str>>,
    /// On 503 and 5xx: `no` or `unknown`.
    #[serde(borrow)]
    pub applied: Option<Cow<'a, str>>,
    /// The version of a single missing level, where it is not told in a line.
    pub version: Option<u64>,
    /// The levels that were judged, with what was there.
    #[serde(borrow)]
    pub lines: Option<Vec<ProblemLine<'a>>>,
}

/// A level that a problem names.
#[derive(Debug, Deserialize)]
pub struct ProblemLine<'a> {
    /// The sku.
    #[serde(borrow)]
    pub sku: Cow<'a, str>,
    /// The location.
    #[serde(borrow)]
    pub location: Cow<'a, str>,
    /// `on_hand - reserved` when it was judged; absent where there is no level.
    pub available: Option<u64>,
    /// Its version when it was judged.
    pub version: Option<u64>,
}

impl Problem<'_> {
    /// The name at the end of its type, which is the stable contract.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix("/problems/").unwrap_or(&self.kind)
    }
}
