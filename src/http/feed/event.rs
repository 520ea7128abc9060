//! An event, as it goes over the wire: the WHATWG's server-sent events, of which `data` is one line of JSON.

use std::io::Write as _;

use super::wants::Wants;
use crate::alerts::{Crossing, Rules};
use crate::http::dto::{AlertEventAnswer, EventAnswer, MovementAnswer};
use crate::store::{Lineage, Movement, MovementCursor, Seq};

/// About how long an event gets, in bytes.
pub(super) const BYTES: usize = 400;

/// A place in the stream: after a movement, or after that and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    seq: Seq,
    /// What follows from the movement is not to come any more.
    is_past: bool,
}

/// A movement, and what it has crossed, if anything: one event, or two.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) movement: Movement,
    pub(super) crossing: Option<Crossing>,
}

impl Place {
    /// After that movement, and all that follows from it.
    pub(super) fn after(seq: Seq) -> Self {
        Self { seq, is_past: true }
    }

    /// The place that a cursor names, if it is one of the stream.
    pub(super) fn of(cursor: MovementCursor) -> Self {
        Self { seq: cursor.seq().unwrap_or_default(), is_past: !cursor.is_within() }
    }

    /// As a cursor, in that history.
    pub(super) fn cursor(self, lineage: Lineage) -> MovementCursor {
        if self.is_past {
            MovementCursor::after(self.seq, lineage)
        } else {
            MovementCursor::within(self.seq, lineage)
        }
    }

    /// The movement after which whatever is still to come can be found.
    pub(super) fn found_after(self) -> Seq {
        if self.is_past { self.seq } else { Seq::new(self.seq.number().saturating_sub(1)) }
    }
}

impl Told {
    /// A movement by those rules.
    pub(super) fn new(movement: Movement, rules: &Rules) -> Self {
        let crossing = rules.judge(&movement);
        Self { movement, crossing }
    }

    /// Appends those of its events that come after a place and are wanted, each with its own place as its id. The movement comes before what follows from it, and is past
    /// only with that.
    pub(super) fn write(&self, out: &mut Vec<u8>, after: Place, wants: &Wants, lineage: Lineage) {
        let Self { movement, crossing } = self;
        let place = Place { seq: movement.seq, is_past: crossing.is_none() };
        if place > after && wants.has(movement) {
            let answer = EventAnswer::Movement(MovementAnswer::new(movement));
            event(out, place.cursor(lineage), movement.kind.name(), &answer);
        }
        let Some(crossing) = crossing else { return };
        let place = Place::after(movement.seq);
        if place > after && wants.has_crossing(movement, *crossing) {
            let answer = EventAnswer::Alert(AlertEventAnswer::new(movement, *crossing));
            event(out, place.cursor(lineage), crossing.side.event(), &answer);
        }
    }
}

fn event(out: &mut Vec<u8>, id: MovementCursor, name: &str, data: &EventAnswer<'_>) {
    let written = write!(out, "id: {id}\nevent: {name}\ndata: ");
    written.expect("a buffer takes what is written");
    // JSON has no line ends: they are escaped.
    serde_json::to_writer(&mut *out, data).expect("an event has string keys and plain values");
    out.extend_from_slice(b"\n\n");
}
