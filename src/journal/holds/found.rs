//! [`Found`]: a reservation as the log tells of it, and as a snapshot keeps it. Bytes and records only; no lock, no clock.
//!
//! ```text
//! reservation   term 40 bytes (see `record`), state u8 (0 pending, 1 committed, 2 released, 3 expired), finished_ms u64, lines u16,
//!               then per line: key_len u8, key, quantity u64, and of a committed one the units that left the house u64
//! ```

use std::collections::HashMap;

use bytes::{Buf, BufMut};

use crate::journal::record::{Record, RecordKind, put_term, take_term};
use crate::journal::register;
use crate::journal::stored::Stored;
use crate::stock::{
    HeldLine, Operation, Quantity, Reservation, ReservationId, ReservationState, StockKey, Term,
};

/// What is wrong with a record of which [`found_in`] makes nothing.
pub const UNFIT: &str = "a record of a reservation has a line that does not fit it";

/// A reservation that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which, and how long it holds.
    pub term: Term,
    /// How far it is.
    pub state: ReservationState,
    /// What it holds, or held.
    pub lines: Box<[HeldLine]>,
    /// Of a committed one, what left the house, line by line.
    pub committed: Box<[Quantity]>,
    /// When it was finished, by the time in which things grow old; 0 if it is not.
    pub finished_ms: u64,
}

/// All that a start finds: from a snapshot, and from what was written after it.
#[derive(Debug, Clone, Default)]
pub struct AllFound(HashMap<ReservationId, Found>);

impl AllFound {
    /// What was found, in the order in which it was finished.
    pub fn into_sorted(self) -> Vec<Found> {
        let mut all: Vec<Found> = self.0.into_values().collect();
        all.sort_unstable_by_key(|found| (found.finished_ms, found.term.id));
        all
    }

    /// Those that are pending, with what they hold.
    pub fn into_pending(self) -> impl Iterator<Item = (ReservationId, Box<[HeldLine]>)> {
        let pending = self.0.into_iter().filter(|(_, found)| found.state == ReservationState::Pending);
        pending.map(|(id, found)| (id, found.lines))
    }

    /// Takes one in, as a snapshot has it.
    pub fn insert(&mut self, found: Found) {
        self.0.insert(found.term.id, found);
    }

    /// Takes a record in, if it is of a reservation. A snapshot may have seen it already: what is finished stays so, and a deadline only
    /// ever moves on. What is wrong with it, if it cannot be.
    pub fn replay(&mut self, record: &Record<'_>, steady_ms: u64) -> Result<(), &'static str> {
        if let Some(Stored::Extended(term, _)) = record.stored() {
            if let Some(found) = self.0.get_mut(&term.id)
                && found.term.expires_ms < term.expires_ms
            {
                found.term = term;
            }
            return Ok(());
        }
        let Some(term) = record.term() else { return Ok(()) };
        let found = found_in(record, term, steady_ms).ok_or(UNFIT)?;
        let there = self.0.get(&term.id);
        if there.is_none_or(|there| there.state == ReservationState::Pending && found.state != there.state) {
            // The term of a final record is that of the reservation when it was begun to be settled.
            self.0.insert(term.id, found);
        }
        Ok(())
    }

    /// Forgets what was finished at `before_ms` or earlier, and of the others that are finished all but the newest `finished_max`.
    pub fn forget(&mut self, before_ms: u64, finished_max: usize) {
        register::forget(&mut self.0, before_ms, finished_max, |found| {
            (found.state != ReservationState::Pending).then_some(found.finished_ms)
        });
    }
}

/// The reservation as a record with lines tells of it: `None` where a line is none of the kind.
pub fn found_in(record: &Record<'_>, term: Term, steady_ms: u64) -> Option<Found> {
    let state = match record.note().kind {
        RecordKind::Reserved => ReservationState::Pending,
        RecordKind::Committed => ReservationState::Committed,
        RecordKind::Released => ReservationState::Released,
        RecordKind::Expired => ReservationState::Expired,
        _ => return None,
    };
    let (mut lines, mut committed) = (Vec::new(), Vec::new());
    for line in record.lines() {
        let none = Quantity::ZERO;
        let (quantity, shipped) = match (state, line.operation) {
            (ReservationState::Pending, Operation::Reserve { quantity }) => (quantity, none),
            (ReservationState::Committed, Operation::Ship { quantity }) => (quantity, quantity),
            (ReservationState::Committed, Operation::Settle { ship, release }) => {
                (Quantity::new(ship.units() + release.units())?, ship)
            }
            (ReservationState::Pending, _) => return None,
            (_, Operation::Release { quantity }) => (quantity, none),
            _ => return None,
        };
        lines.push(HeldLine { key: line.stock_key()?, quantity });
        committed.push(shipped);
    }
    if state != ReservationState::Committed {
        committed.clear();
    }
    let finished_ms = if state == ReservationState::Pending { 0 } else { steady_ms };
    Some(Found { term, state, lines: lines.into(), committed: committed.into(), finished_ms })
}

impl Found {
    /// As it is told.
    pub fn reservation(&self) -> Reservation {
        Reservation {
            term: self.term,
            state: self.state,
            lines: self.lines.to_vec(),
            committed: super::hold::shipped_of(&self.lines, &self.committed),
        }
    }

    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_term(out, &self.term);
        out.put_u8(match self.state {
            ReservationState::Pending => 0,
            ReservationState::Committed => 1,
            ReservationState::Released => 2,
            ReservationState::Expired => 3,
        });
        out.put_u64_le(self.finished_ms);
        out.put_u16_le(u16::try_from(self.lines.len()).expect("a reservation has at most 1 000 lines"));
        for (index, line) in self.lines.iter().enumerate() {
            let key = line.key.text().as_bytes();
            out.put_u8(u8::try_from(key.len()).expect("a key is at most 97 bytes"));
            out.put_slice(key);
            out.put_u64_le(line.quantity.units());
            if let Some(shipped) = self.committed.get(index) {
                out.put_u64_le(shipped.units());
            }
        }
    }

    /// Reads what [`Found::write`] wrote off the beginning of `bytes`: `None` where that is none.
    pub fn take(bytes: &mut &[u8]) -> Option<Self> {
        let term = take_term(bytes)?;
        let state = match bytes.try_get_u8().ok()? {
            0 => ReservationState::Pending,
            1 => ReservationState::Committed,
            2 => ReservationState::Released,
            3 => ReservationState::Expired,
            _ => return None,
        };
        let told_ms = bytes.try_get_u64_le().ok()?;
        // Whatever is there, of one that is not over it says nothing.
        let finished_ms = if state == ReservationState::Pending { 0 } else { told_ms };
        let count = bytes.try_get_u16_le().ok()?;
        let (mut lines, mut committed) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let len = usize::from(bytes.try_get_u8().ok()?);
            let (key, rest) = bytes.split_at_checked(len)?;
            *bytes = rest;
            let key = StockKey::from_text(std::str::from_utf8(key).ok()?)?;
            lines.push(HeldLine { key, quantity: Quantity::new(bytes.try_get_u64_le().ok()?)? });
            if state == ReservationState::Committed {
                committed.push(Quantity::new(bytes.try_get_u64_le().ok()?)?);
            }
        }
        let is_whole = count > 0
            && committed.iter().zip(&lines).all(|(shipped, line)| shipped.units() <= line.quantity.units());
        is_whole.then(|| Self { term, state, lines: lines.into(), committed: committed.into(), finished_ms })
    }
}
