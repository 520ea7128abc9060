//! [`Message`]: what is sent, as it is signed.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::alerts::Crossing;
use crate::store::{Movement, MovementCursor, Seq};
use crate::wire::{AlertEventAnswer, EventAnswer, MovementAnswer, time};

/// What happened: a movement, or what it has crossed.
#[derive(Debug)]
pub(super) struct Happening {
    /// The movement.
    pub(super) movement: Arc<Movement>,
    /// Not the movement is told, but that it has crossed this.
    pub(super) crossing: Option<Crossing>,
    /// Its place in the stream.
    pub(super) at: MovementCursor,
}

/// A message. The same again has the same id, so that who gets it twice can tell.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// `webhook-id`.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Bytes,
}

/// The body: what happened, when, and the whole of it.
#[derive(Debug, Serialize)]
struct Envelope<D> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: D,
}

impl Happening {
    fn kind(&self) -> String {
        match self.crossing {
            Some(crossing) => crossing.side.event().to_owned(),
            None => format!("stock.{}", self.movement.kind.name()),
        }
    }

    fn answer(&self) -> EventAnswer<'_> {
        match self.crossing {
            Some(crossing) => EventAnswer::Alert(AlertEventAnswer::new(&self.movement, crossing)),
            None => EventAnswer::Movement(MovementAnswer::new(&self.movement)),
        }
    }
}

impl Message {
    /// Of what happened, at least one thing. `one_by_one`: there is one, and never more.
    pub(super) fn of(happenings: &[Happening], one_by_one: bool) -> Self {
        let newest = happenings.last().expect("a message tells of something");
        let answers: Vec<_> = happenings.iter().map(Happening::answer).collect();
        let time_ms = newest.movement.time_ms;
        let body = if one_by_one {
            envelope(&newest.kind(), time_ms, &answers[0])
        } else {
            envelope("stock.batch", time_ms, &answers)
        };
        Self { id: newest.at.to_string(), body }
    }

    /// Of movements that nobody can tell of any more: those after one, up to the oldest that is kept.
    pub(super) fn of_gap(after: Seq, oldest: Seq, at: MovementCursor, now_ms: u64) -> Self {
        let data = json!({ "after": after.number(), "oldest": oldest.number() });
        Self { id: format!("gap_{at}"), body: envelope("stock.gap", now_ms, &data) }
    }

    /// One that tells of nothing.
    pub(super) fn ping(id: &str, now_ms: u64) -> Self {
        let body = json!({ "type": "ping", "timestamp": time(now_ms), "data": {} }).to_string();
        Self { id: format!("ping_{id}"), body: body.into() }
    }
}

fn envelope(kind: &str, time_ms: u64, data: &impl Serialize) -> Bytes {
    let envelope = Envelope { kind: kind.to_owned(), timestamp: time(time_ms), data };
    serde_json::to_vec(&envelope).expect("it has string keys and plain values").into()
}
