//! [`Hold`]: one reservation, which is settled once.
//!
//! ```text
//!            (units are taken)          (a change of the levels is under way)
//!   opening ------------------> pending <------------------> settling -----> committed | released | expired
//!      |                                 given back, or extended
//!      '-> never: the levels refused
//! ```
//!
//! *Opening* and *settling* have an owner, [`Opening`] and [`Settlement`]: whoever drops one without having finished it gives the
//! reservation back as it was, so a client that goes away, or a strategy that met contention, leaves the whole of it or nothing. Both
//! are finished by the hand-off of the change of the levels, by whoever applied it: there is no moment at which the levels have changed
//! and nobody would say so. Whether a deadline has come is judged by whoever begins: a commit that began before it is under way, and
//! nobody expires it.

use std::sync::Arc;

use super::Holds;
use super::found::Found;
use crate::stock::{HeldLine, Quantity, Reservation, ReservationId, ReservationState, Term};
use crate::sync::Mutex;

/// One reservation. There may be millions: of one line, nothing of it lies elsewhere.
#[derive(Debug)]
pub struct Hold {
    /// In halves, as a `u128` has to lie at a multiple of 16 bytes.
    id: [u64; 2],
    lines: Lines,
    inner: Mutex<Inner>,
}

// With the two counts of an `Arc` a size that the allocator has, without a byte to spare.
#[cfg(not(test))]
const _: () = assert!(size_of::<Hold>() == 96);

/// What a reservation holds. Nearly all have one line.
#[derive(Debug)]
enum Lines {
    One(HeldLine),
    Many(Box<[HeldLine]>),
}

/// What may change.
#[derive(Debug)]
struct Inner {
    phase: Phase,
    expires_ms: u64,
    expires_date_ms: u64,
}

/// How far it is; and when it was finished, by the time in which things grow old.
#[derive(Debug)]
enum Phase {
    Opening,
    Never,
    Pending,
    Settling,
    Committed(Box<Committed>),
    Released(u64),
    Expired(u64),
}

#[derive(Debug)]
struct Committed {
    /// What left the house, line by line.
    shipped: Box<[Quantity]>,
    finished_ms: u64,
}

/// Which way a reservation is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// So many units of each line leave the house, the others are let go.
    Commit(Box<[Quantity]>),
    /// All are let go.
    Release,
    /// All are let go, as the deadline has come.
    Expire,
}

/// What is found by who wants to settle a reservation, or to extend it.
#[derive(Debug)]
pub enum Begun {
    /// It is theirs alone to do.
    Mine(Settlement),
    /// Somebody else is at it.
    UnderWay,
    /// Its deadline has come: it is to be expired first.
    Due,
    /// Its deadline has not come.
    NotDue,
    /// It was settled before, or was never made.
    Finished,
}

/// A reservation that is being made. Dropped unfinished, it never was.
#[derive(Debug)]
pub struct Opening {
    holds: Arc<Holds>,
    hold: Arc<Hold>,
}

/// The right to settle a reservation, or to extend it. Dropped unfinished, it is pending again.
#[derive(Debug)]
pub struct Settlement {
    holds: Arc<Holds>,
    hold: Arc<Hold>,
    is_over: bool,
}

impl Hold {
    pub(super) fn opening(term: Term, lines: Box<[HeldLine]>) -> Self {
        Self::of(term, lines, Phase::Opening)
    }

    /// One that a start found, and when it was finished.
    pub(super) fn found(found: Found) -> (Self, Option<u64>) {
        let Found { term, state, lines, committed, finished_ms } = found;
        let phase = match state {
            ReservationState::Pending => Phase::Pending,
            ReservationState::Committed => Phase::committed(committed, finished_ms),
            ReservationState::Released => Phase::Released(finished_ms),
            ReservationState::Expired => Phase::Expired(finished_ms),
        };
        (Self::of(term, lines, phase), (state != ReservationState::Pending).then_some(finished_ms))
    }

    fn of(term: Term, lines: Box<[HeldLine]>, phase: Phase) -> Self {
        let Term { id, expires_date_ms, expires_ms } = term;
        let inner = Inner { phase, expires_ms, expires_date_ms };
        Self { id: id.to_halves(), lines: lines.into(), inner: Mutex::new(inner) }
    }

    /// What a snapshot keeps of it: all as of one instant.
    pub(super) fn as_found(&self) -> Option<Found> {
        let inner = self.inner.lock();
        let (committed, finished_ms) = match &inner.phase {
            Phase::Committed(committed) => (committed.shipped.clone(), committed.finished_ms),
            Phase::Released(finished_ms) | Phase::Expired(finished_ms) => (Box::default(), *finished_ms),
            Phase::Opening | Phase::Never | Phase::Pending | Phase::Settling => (Box::default(), 0),
        };
        let (term, state) = (inner.term(self), inner.phase.state()?);
        Some(Found { term, state, lines: self.lines().into(), committed, finished_ms })
    }

    /// Its name.
    pub fn id(&self) -> ReservationId {
        ReservationId::from_halves(self.id)
    }

    /// What it holds, or held: ascending by key.
    pub fn lines(&self) -> &[HeldLine] {
        match &self.lines {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::Many(lines) => lines,
        }
    }

    /// How long it holds.
    pub fn term(&self) -> Term {
        self.inner.lock().term(self)
    }

    /// How far it is: `None` while it is being made, and if it never was.
    pub fn state(&self) -> Option<ReservationState> {
        self.inner.lock().phase.state()
    }

    /// Whether it is of that state (of any, if none is named) at that time, or may be: what somebody is at may end as anything.
    pub(super) fn may_be(&self, state: Option<ReservationState>, now_ms: u64) -> bool {
        let inner = self.inner.lock();
        let is = match inner.phase {
            Phase::Never => return false,
            Phase::Opening | Phase::Settling => return true,
            Phase::Pending if inner.expires_ms <= now_ms => Some(ReservationState::Expired),
            _ => inner.phase.state(),
        };
        state.is_none() || state == is
    }

    /// Whether somebody is making, settling or extending it.
    pub fn is_under_way(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Opening | Phase::Settling)
    }

    /// As it is; while it is being settled, as it was before. `None` while it is being made, and if it never was.
    pub fn reservation(&self) -> Option<Reservation> {
        let inner = self.inner.lock();
        let state = inner.phase.state()?;
        let committed = match &inner.phase {
            Phase::Committed(committed) => shipped_of(self.lines(), &committed.shipped),
            _ => Vec::new(),
        };
        Some(Reservation { term: inner.term(self), state, lines: self.lines().to_vec(), committed })
    }

    /// Takes the right to settle or extend it, if it is pending. `expires`: because its deadline has come; else it must not have.
    pub fn begin(self: &Arc<Self>, holds: &Arc<Holds>, now_ms: u64, expires: bool) -> Begun {
        let mut inner = self.inner.lock();
        match inner.phase {
            Phase::Opening | Phase::Settling => Begun::UnderWay,
            Phase::Pending if expires != (inner.expires_ms <= now_ms) => {
                if expires {
                    Begun::NotDue
                } else {
                    Begun::Due
                }
            }
            Phase::Pending => {
                inner.phase = Phase::Settling;
                Begun::Mine(Settlement { holds: Arc::clone(holds), hold: Arc::clone(self), is_over: false })
            }
            _ => Begun::Finished,
        }
    }
}

impl From<Box<[HeldLine]>> for Lines {
    fn from(lines: Box<[HeldLine]>) -> Self {
        <[HeldLine; 1]>::try_from(lines.into_vec())
            .map_or_else(|many| Self::Many(many.into()), |[one]| Self::One(one))
    }
}

impl Inner {
    fn term(&self, hold: &Hold) -> Term {
        let Self { expires_ms, expires_date_ms, .. } = *self;
        Term { id: hold.id(), expires_date_ms, expires_ms }
    }
}

impl Phase {
    fn committed(shipped: Box<[Quantity]>, finished_ms: u64) -> Self {
        Self::Committed(Box::new(Committed { shipped, finished_ms }))
    }

    fn state(&self) -> Option<ReservationState> {
        match self {
            Self::Opening | Self::Never => None,
            Self::Pending | Self::Settling => Some(ReservationState::Pending),
            Self::Committed(_) => Some(ReservationState::Committed),
            Self::Released(_) => Some(ReservationState::Released),
            Self::Expired(_) => Some(ReservationState::Expired),
        }
    }
}

impl Opening {
    pub(super) fn new(holds: Arc<Holds>, hold: Arc<Hold>) -> Self {
        Self { holds, hold }
    }

    /// The reservation.
    pub fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Its units were taken; `record` records that.
    pub fn made(self, record: impl FnOnce()) {
        {
            let mut inner = self.hold.inner.lock();
            record();
            inner.phase = Phase::Pending;
        }
        self.holds.changed.notify_waiters();
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let expires_ms = {
            let inner = self.hold.inner.lock();
            // Nobody else ends it; and once it is pending it is no business of ours.
            if !matches!(inner.phase, Phase::Opening) {
                return;
            }
            inner.expires_ms
        };
        // First: who looks what is due of a level is not sent to one that never was, again and again.
        self.holds.leave(&self.hold, expires_ms);
        self.hold.inner.lock().phase = Phase::Never;
        self.holds.never(&self.hold);
    }
}

impl Settlement {
    /// The reservation.
    pub fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Its units went that way, at that time as it grows old; `record` records that.
    pub fn settled(mut self, way: Way, steady_ms: u64, record: impl FnOnce()) {
        let phase = match way {
            Way::Commit(shipped) => Phase::committed(shipped, steady_ms),
            Way::Release => Phase::Released(steady_ms),
            Way::Expire => Phase::Expired(steady_ms),
        };
        self.end(|holds, hold, inner| {
            record();
            // First: who looks what is due of a level is not sent to one that is finished.
            holds.leave(hold, inner.expires_ms);
            inner.phase = phase;
        });
        self.holds.finished(&self.hold, steady_ms);
    }

    /// It holds until then; `record` records that, before anybody sees it.
    pub fn extended<T>(mut self, term: Term, record: impl FnOnce() -> T) -> T {
        self.end(|holds, hold, inner| {
            let recorded = record();
            // First: who finds the old deadline meanwhile waits, as it is still being extended.
            holds.postpone(hold, inner.expires_ms, term.expires_ms);
            (inner.expires_ms, inner.expires_date_ms) = (term.expires_ms, term.expires_date_ms);
            inner.phase = Phase::Pending;
            recorded
        })
    }

    /// From here on it is somebody else's.
    fn end<T>(&mut self, change: impl FnOnce(&Holds, &Arc<Hold>, &mut Inner) -> T) -> T {
        self.is_over = true;
        let changed = change(&self.holds, &self.hold, &mut self.hold.inner.lock());
        self.holds.changed.notify_waiters();
        changed
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(|_, _, inner| inner.phase = Phase::Pending);
        }
    }
}

/// What left the house, by level.
pub(super) fn shipped_of(lines: &[HeldLine], shipped: &[Quantity]) -> Vec<HeldLine> {
    let shipped = lines.iter().zip(shipped).filter(|(_, quantity)| quantity.units() > 0);
    shipped.map(|(line, quantity)| HeldLine { key: line.key.clone(), quantity: *quantity }).collect()
}
