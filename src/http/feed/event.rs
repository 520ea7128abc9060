//! An event, as it goes over the wire: the WHATWG's server-sent events, of which `data` is one line of JSON.

use std::io::Write as _;

use crate::http::dto::MovementAnswer;
use crate::store::{Lineage, Movement, MovementCursor};

/// About how long an event gets, in bytes.
pub(super) const BYTES: usize = 400;

/// Appends a movement as an event: its place, its kind, and itself as `/v1/movements` shows it.
pub(super) fn write(out: &mut Vec<u8>, movement: &Movement, lineage: Lineage) {
    let id = MovementCursor::after(movement.seq, lineage);
    let written = write!(out, "id: {id}\nevent: {}\ndata: ", movement.kind.name());
    written.expect("a buffer takes what is written");
    // JSON has no line ends: they are escaped.
    let written = serde_json::to_writer(&mut *out, &MovementAnswer::new(movement));
    written.expect("a movement has string keys and plain values");
    out.extend_from_slice(b"\n\n");
}
