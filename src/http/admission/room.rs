//! [`Room`]: a bounded number inside, a bounded number in line for a place, each let in when it is its turn.
//!
//! **While nobody is in line** to come in is one atomic operation on one word, and so is to leave: no lock, no allocation. tokio's semaphore
//! takes a lock whenever a permit comes back, and does not say how many wait.
//!
//! **While somebody is in line** a place goes from who leaves to who is first, under the lock of the line, and never comes free in between: so
//! nobody overtakes, and what is inside stays at the bound. Who is in line and who is inside stand in one word: who leaves either sees
//! who has lined up, or has left before that one looked.
//!
//! A [`Permit`] is given back when it is dropped, and cannot be otherwise: to give back more than was taken cannot be written.

#[cfg(test)]
mod model;

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Mutex};
use crate::telemetry::Pace;

/// In the word: one who is in line. Below it: one who is inside.
const IN_LINE: u64 = 1 << 32;

/// Places, and a line for them.
#[derive(Debug)]
pub(super) struct Room {
    inside_max: u64,
    line_max: usize,
    // Relaxed throughout: it guards nothing but itself, and the line has its lock.
    counts: CachePadded<AtomicU64>,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// The number of the next who lines up: numbers ascend along the line.
    next: u64,
    /// As many as the word says, while the lock is held.
    waiting: VecDeque<InLine>,
    pace: Pace,
}

#[derive(Debug)]
struct InLine {
    number: u64,
    waker: Option<Waker>,
}

/// A place. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Permit(&'static Room);

/// Somebody in line. Dropped, it has left.
#[derive(Debug)]
pub(super) struct Ticket {
    room: &'static Room,
    number: u64,
    /// Whether it is in line no more.
    is_over: bool,
}

/// What comes of it, to line up.
#[derive(Debug)]
pub(super) enum LinedUp {
    /// There was a place after all.
    Inside(Permit),
    /// It is in line.
    Waiting(Ticket),
    /// The line is as long as it may be.
    Full,
}

impl Room {
    /// With so many places, and so many in line for them.
    pub(super) fn new(inside_max: usize, line_max: usize) -> Self {
        let inside_max = u64::try_from(inside_max).unwrap_or(u64::MAX).min(IN_LINE - 1);
        Self { inside_max, line_max, counts: CachePadded::new(AtomicU64::new(0)), line: Mutex::default() }
    }

    /// How many are inside, and how many in line.
    pub(super) fn counts(&self) -> (u64, u64) {
        let counts = self.counts.load(Relaxed);
        (counts % IN_LINE, counts / IN_LINE)
    }

    /// A place, if there is one and nobody is in line for it.
    pub(super) fn try_enter(&'static self) -> Option<Permit> {
        // Whoever is in line makes it more than the bound.
        let entered = |counts| (counts < self.inside_max).then_some(counts + 1);
        // Not made before it is had: a permit that is dropped is given back.
        self.counts.fetch_update(Relaxed, Relaxed, entered).is_ok().then(|| Permit(self))
    }

    /// A place in line, or inside, should one have come free since.
    pub(super) fn line_up(&'static self) -> LinedUp {
        let mut line = self.line.lock();
        if line.waiting.len() >= self.line_max {
            return LinedUp::Full;
        }
        // In one step: who leaves after it sees that somebody is in line, and waits for the lock.
        let entered = |counts| Some(if counts < self.inside_max { counts + 1 } else { counts + IN_LINE });
        let before = self.counts.fetch_update(Relaxed, Relaxed, entered).unwrap_or_else(|counts| counts);
        if before < self.inside_max {
            return LinedUp::Inside(Permit(self));
        }
        if line.waiting.is_empty() {
            line.pace.begin(Instant::now());
        }
        let number = line.next;
        line.next += 1;
        line.waiting.push_back(InLine { number, waker: None });
        LinedUp::Waiting(Ticket { room: self, number, is_over: false })
    }

    /// How long it takes until those who are in line now have come in, at the present pace.
    pub(super) fn until_let_in(&self) -> Duration {
        let line = self.line.lock();
        line.pace.until_left(line.waiting.len().max(1), Instant::now())
    }

    /// One has left: its place is another's.
    fn leave(&self) {
        let left = |counts| (counts < IN_LINE).then(|| counts - 1);
        if self.counts.fetch_update(Relaxed, Relaxed, left).is_err() {
            self.let_in();
        }
    }

    #[cold]
    fn let_in(&self) {
        let mut line = self.line.lock();
        let Some(first) = line.waiting.pop_front() else {
            // Whoever was in line has left it meanwhile.
            self.counts.fetch_sub(1, Relaxed);
            return;
        };
        // It is inside in place of who has left.
        self.counts.fetch_sub(IN_LINE, Relaxed);
        line.pace.left(Instant::now());
        drop(line);
        if let Some(waker) = first.waker {
            waker.wake();
        }
    }
}

impl Ticket {
    /// A place, once it is its turn.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Permit> {
        let mut line = self.room.line.lock();
        let Ok(at) = line.waiting.binary_search_by_key(&self.number, |in_line| in_line.number) else {
            self.is_over = true;
            return Poll::Ready(Permit(self.room));
        };
        let waker = &mut line.waiting[at].waker;
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Leaves the line; a place, if it had just become its turn.
    pub(super) fn give_up(&mut self) -> Option<Permit> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let mut line = self.room.line.lock();
        let Ok(at) = line.waiting.binary_search_by_key(&self.number, |in_line| in_line.number) else {
            return Some(Permit(self.room));
        };
        line.waiting.remove(at);
        self.room.counts.fetch_sub(IN_LINE, Relaxed);
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // A place that it had without knowing is another's.
        drop(self.give_up());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(inside_max: usize, line_max: usize) -> &'static Room {
        Box::leak(Box::new(Room::new(inside_max, line_max)))
    }

    fn ticket(room: &'static Room) -> Ticket {
        match room.line_up() {
            LinedUp::Waiting(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn is_let_in(ticket: &mut Ticket) -> Option<Permit> {
        match ticket.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    /// P10: so many inside, so many in line, the rest turned away; and each comes in when it is its turn.
    #[test]
    fn places_go_from_hand_to_hand_in_turn() {
        let room = room(2, 2);
        let (first, second) = (room.try_enter().unwrap(), room.try_enter().unwrap());
        assert!(room.try_enter().is_none());
        let (mut third, mut fourth) = (ticket(room), ticket(room));
        assert!(matches!(room.line_up(), LinedUp::Full));
        assert_eq!(room.counts(), (2, 2));
        assert!(is_let_in(&mut third).is_none());
        drop(first);
        assert!(room.try_enter().is_none(), "nobody overtakes");
        assert!(is_let_in(&mut fourth).is_none(), "it is not its turn");
        let third = is_let_in(&mut third).expect("it is its turn");
        assert_eq!(room.counts(), (2, 1));
        drop((second, third));
        assert_eq!(room.counts(), (1, 0), "the last in line has a place, and does not know it");
        drop(fourth);
        assert_eq!(room.counts(), (0, 0));
    }

    #[test]
    fn who_gives_up_leaves_the_line_or_comes_in() {
        let room = room(1, 9);
        let inside = room.try_enter().unwrap();
        let (mut first, mut second) = (ticket(room), ticket(room));
        let third = ticket(room);
        assert!(first.give_up().is_none());
        assert_eq!(room.counts(), (1, 2));
        drop(inside);
        let inside = second.give_up().expect("it was its turn");
        assert!(second.give_up().is_none(), "once");
        drop(second);
        assert_eq!(room.counts(), (1, 1));
        drop(third);
        drop(inside);
        assert_eq!(room.counts(), (0, 0));
        assert!(room.try_enter().is_some());
    }
}
