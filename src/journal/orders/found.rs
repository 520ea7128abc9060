//! [`Found`]: an order as the log tells of it, and as a snapshot keeps it. Bytes and records only; no lock, no clock.
//!
//! Every record of an order tells the whole of it, with its revision: so records may be found in any order, and twice, and the highest
//! revision is what became of it. There is no record that says a part.
//!
//! ```text
//! order    id u128, revision u32, state u8 (0 queued, 1 backordered, 2 fulfilled, 3 rejected, 4 cancelled), priority u8,
//!          flags u8 (1 it waits, 2 it says who placed it: since version 5 of the log's format, and 4 of snapshots),
//!          created_ms u64, backordered_ms u64, ended_ms u64 (0 for never), grown_ms u64 (when it ended, as it grows old; 0 in a record),
//!          reason_len u16, reason, reference_len u16, reference, [actor_len u16, actor]
//!          lines u16, per line: key_len u8, key, quantity u64, returned u64
//!          problem u8: 0 none; 1 count u32, then per level: key_len u8, key, line u32, refusal (see `stored`); 2 key_len u8, key
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use smol_str::SmolStr;

use crate::journal::record::Record;
use crate::journal::register;
use crate::journal::stored::{put_key, put_refused_levels, take_key, take_refused_levels};
use crate::stock::order::PRIORITY_MAX;
use crate::stock::{Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes, Quantity, Remark};

/// An order that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The order.
    pub order: Arc<Order>,
    /// How often it had changed; of two that were found, the higher is the newer.
    pub revision: u32,
    /// When it ended, by the time in which things grow old; 0 if it has not.
    pub grown_ms: u64,
}

/// All that a start finds: from a snapshot, and from what was written after it.
#[derive(Debug, Clone, Default)]
pub struct AllFound(HashMap<OrderId, Found>);

const FLAG_WAITS: u8 = 1;
const FLAG_ACTOR: u8 = 2;
const PROBLEM_NONE: u8 = 0;
const PROBLEM_LEVELS: u8 = 1;
const PROBLEM_PROMISED: u8 = 2;

impl AllFound {
    /// What was found, in the order in which it ended; what has not, by name, is first.
    pub fn into_sorted(self) -> Vec<Found> {
        let mut all: Vec<Found> = self.0.into_values().collect();
        all.sort_unstable_by_key(|found| (found.grown_ms, found.order.id));
        all
    }

    /// Takes one in, unless a newer one is there.
    pub fn insert(&mut self, found: Found) {
        let there = self.0.get(&found.order.id);
        if there.is_none_or(|there| there.revision < found.revision) {
            // When it ended was said first: what is given back later does not make it younger.
            let grown_ms = there.map_or(0, |there| there.grown_ms);
            let grown_ms = if grown_ms > 0 { grown_ms } else { found.grown_ms };
            self.0.insert(found.order.id, Found { grown_ms, ..found });
        }
    }

    /// Takes a record in, if it is of an order.
    pub fn replay(&mut self, record: &Record<'_>, steady_ms: u64) {
        let Some(found) = record.order() else { return };
        let grown_ms = if found.order.state.is_final() { steady_ms.max(1) } else { 0 };
        self.insert(Found { grown_ms, ..found });
    }

    /// Forgets what ended at `before_ms` or earlier, and of the others that have ended all but the newest `finished_max`.
    pub fn forget(&mut self, before_ms: u64, finished_max: usize) {
        register::forget(&mut self.0, before_ms, finished_max, |found| {
            found.order.state.is_final().then_some(found.grown_ms)
        });
    }
}

impl Found {
    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { order, revision, grown_ms } = self;
        out.put_u128_le(order.id.to_bits());
        out.put_u32_le(*revision);
        out.put_u8(state_byte(order.state));
        out.put_u8(order.priority);
        let waits = if order.backorder { FLAG_WAITS } else { 0 };
        out.put_u8(waits | if order.actor.is_some() { FLAG_ACTOR } else { 0 });
        let OrderTimes { created_ms, backordered_ms, ended_ms } = order.times;
        for time in [created_ms, backordered_ms.unwrap_or(0), ended_ms.unwrap_or(0), *grown_ms] {
            out.put_u64_le(time);
        }
        let remark = order.remark.as_deref();
        put_text(out, remark.map_or("", |remark| &remark.reason));
        put_text(out, remark.map_or("", |remark| &remark.reference));
        if let Some(actor) = &order.actor {
            put_text(out, actor);
        }
        out.put_u16_le(u16::try_from(order.lines.len()).expect("an order has at most 1 000 lines"));
        for (index, line) in order.lines.iter().enumerate() {
            put_key(out, &line.key);
            out.put_u64_le(line.quantity.units());
            out.put_u64_le(order.returned.get(index).map_or(0, |returned| returned.units()));
        }
        match &order.problem {
            None => out.put_u8(PROBLEM_NONE),
            Some(OrderProblem::Levels(levels)) => {
                out.put_u8(PROBLEM_LEVELS);
                put_refused_levels(out, levels);
            }
            Some(OrderProblem::Promised(key)) => {
                out.put_u8(PROBLEM_PROMISED);
                put_key(out, key);
            }
        }
    }

    /// Reads what [`Found::write`] wrote off the beginning of `bytes`: `None` where that is none.
    pub fn take(bytes: &mut &[u8]) -> Option<Self> {
        let id = OrderId::from_bits(bytes.try_get_u128_le().ok()?);
        let revision = bytes.try_get_u32_le().ok()?;
        let state = state_of(bytes.try_get_u8().ok()?)?;
        let priority = Some(bytes.try_get_u8().ok()?).filter(|priority| *priority <= PRIORITY_MAX)?;
        let flags = Some(bytes.try_get_u8().ok()?).filter(|flags| flags & !(FLAG_WAITS | FLAG_ACTOR) == 0)?;
        let mut time = || bytes.try_get_u64_le().ok();
        let (created_ms, backordered_ms, ended_ms, grown_ms) = (time()?, time()?, time()?, time()?);
        let at = |time: u64| Some(time).filter(|time| *time > 0);
        let times = OrderTimes { created_ms, backordered_ms: at(backordered_ms), ended_ms: at(ended_ms) };
        let (reason, reference) = (take_text(bytes)?.to_owned(), take_text(bytes)?.to_owned());
        let is_said = !(reason.is_empty() && reference.is_empty());
        let remark = is_said.then(|| Box::new(Remark { reason, reference }));
        let actor = match flags & FLAG_ACTOR {
            0 => None,
            _ => Some(SmolStr::new(take_text(bytes)?)),
        };
        let (lines, returned) = take_lines(bytes)?;
        let problem = match bytes.try_get_u8().ok()? {
            PROBLEM_NONE => None,
            tag => Some(take_problem(tag, bytes)?),
        };
        let backorder = flags & FLAG_WAITS != 0;
        let order = Order { id, state, lines, priority, backorder, remark, actor, times, returned, problem };
        Some(Self { order: Arc::new(order), revision, grown_ms })
    }

    /// The order in those bytes, all of them.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        Self::take(&mut bytes).filter(|_| bytes.is_empty())
    }
}

/// The lines, of which there is one at least, and what was given back of each.
fn take_lines(bytes: &mut &[u8]) -> Option<(Vec<OrderLine>, Vec<Quantity>)> {
    let (mut lines, mut returned) = (Vec::<OrderLine>::new(), Vec::new());
    for _ in 0..bytes.try_get_u16_le().ok()? {
        let key = take_key(bytes)?;
        let quantity = Quantity::new(bytes.try_get_u64_le().ok()?).filter(|it| it.units() > 0)?;
        let back = Quantity::new(bytes.try_get_u64_le().ok()?).filter(|back| *back <= quantity)?;
        // Each level once, in order: whoever looks a line up relies on it.
        lines.last().is_none_or(|last| last.key < key).then_some(())?;
        lines.push(OrderLine { key, quantity });
        returned.push(back);
    }
    if returned.iter().all(|back| *back == Quantity::ZERO) {
        returned.clear();
    }
    (!lines.is_empty()).then_some((lines, returned))
}

fn take_problem(tag: u8, bytes: &mut &[u8]) -> Option<OrderProblem> {
    match tag {
        PROBLEM_LEVELS => Some(OrderProblem::Levels(take_refused_levels(bytes)?)),
        PROBLEM_PROMISED => Some(OrderProblem::Promised(take_key(bytes)?)),
        _ => None,
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16_le(u16::try_from(text.len()).expect("a text is at most 128 characters"));
    out.put_slice(text.as_bytes());
}

fn take_text<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    let len = usize::from(bytes.try_get_u16_le().ok()?);
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn state_byte(state: OrderState) -> u8 {
    match state {
        OrderState::Queued => 0,
        OrderState::Backordered => 1,
        OrderState::Fulfilled => 2,
        OrderState::Rejected => 3,
        OrderState::Cancelled => 4,
    }
}

fn state_of(byte: u8) -> Option<OrderState> {
    OrderState::ALL.into_iter().find(|state| state_byte(*state) == byte)
}

#[cfg(test)]
mod tests;
