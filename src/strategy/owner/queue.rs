//! [`Queue`]: what waits for one owner: a bounded queue, and a line at its door.
//!
//! The queue holds `capacity` messages. Who comes when it is full waits at the door, and is let in, first come first
//! served, whenever the owner takes a message: that is the back-pressure, since its caller does not go on. Nobody
//! waits longer than the lock timeout, inside or at the door; then it is given up ([`Queue::remove_late`]). The line at the door
//! needs no bound of its own: it is as long as there are callers, and these are bounded by what lets them in.
//!
//! A message with nobody before it (nothing in the queue, owner idle) has no deadline: it waits for nobody, and its owner
//! takes it as soon as it runs. So such a call reads no clock, and a lock timeout of zero lets exactly those in that
//! need not wait, as `try_lock` would.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::strategy::Contention;
use crate::sync::{Condvar, Mutex, wait};

/// What waits for an owner.
#[derive(Debug)]
pub struct Queue<M> {
    state: Mutex<State<M>>,
    work: Condvar,
    capacity: usize,
    /// Whether the owner is at work on a message. Cleared before the answer is given, so that a lone caller never finds its
    /// own last call before it.
    is_busy: AtomicBool,
}

#[derive(Debug)]
struct State<M> {
    inside: VecDeque<Waiting<M>>,
    at_the_door: VecDeque<Waiting<M>>,
    is_asleep: bool,
    is_closed: bool,
    has_ended: bool,
    /// Who wants to know when the owner has ended.
    mourners: Vec<Waker>,
}

/// A message, and since when and until when it waits, if it waits for others.
#[derive(Debug)]
pub struct Waiting<M> {
    /// The message.
    pub message: M,
    term: Option<Term>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    since: Instant,
    /// `None`: as long as it takes.
    until: Option<Instant>,
}

/// How long one call may wait, in as many queues as it must. The clock starts where it first finds somebody before it.
#[derive(Debug)]
pub struct Patience {
    timeout: Option<Duration>,
    term: Option<Term>,
}

impl Patience {
    /// Waits of that long in all; `None` is as long as it takes.
    pub fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, term: None }
    }

    /// Whether it found somebody before it.
    pub fn is_contended(&self) -> bool {
        self.term.is_some()
    }

    fn begin(&mut self) -> Result<Term, Contention> {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Contention);
        }
        Ok(*self.term.get_or_insert_with(|| {
            let since = Instant::now();
            Term { since, until: self.timeout.map(|timeout| since + timeout) }
        }))
    }
}

impl<M> Waiting<M> {
    /// How long it has waited for others; `None` if there were none.
    pub fn waited(&self) -> Option<Duration> {
        self.term.map(|term| term.since.elapsed())
    }

    fn is_late(&self, now: Instant) -> bool {
        self.term.and_then(|term| term.until).is_some_and(|until| until <= now)
    }
}

impl<M> Queue<M> {
    /// An empty queue of that many places.
    pub fn new(capacity: usize) -> Self {
        let state = State {
            inside: VecDeque::with_capacity(capacity),
            at_the_door: VecDeque::new(),
            is_asleep: false,
            is_closed: false,
            has_ended: false,
            mourners: Vec::new(),
        };
        Self { state: Mutex::new(state), work: Condvar::new(), capacity, is_busy: AtomicBool::new(false) }
    }

    /// Adds a message, or a place in the line at the door. [`Contention`] if it would have to wait and may not, or if the
    /// queue is closed; then the message is not in it.
    pub fn push(&self, message: M, patience: &mut Patience) -> Result<(), Contention> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Contention);
        }
        let is_first = state.inside.is_empty() && !self.is_busy.load(Ordering::Acquire);
        let term = if is_first { None } else { Some(patience.begin()?) };
        let line =
            if state.inside.len() < self.capacity { &mut state.inside } else { &mut state.at_the_door };
        line.push_back(Waiting { message, term });
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.work.notify_one();
        }
        Ok(())
    }

    /// The next message, for the owner; it sleeps until there is one. `None` when the queue is closed and empty.
    pub fn next(&self) -> Option<Waiting<M>> {
        let mut state = self.state.lock();
        loop {
            if let Some(waiting) = state.inside.pop_front() {
                state.let_in(self.capacity);
                self.is_busy.store(true, Ordering::Release);
                return Some(waiting);
            }
            self.served();
            if state.is_closed {
                return None;
            }
            state.is_asleep = true;
            state = wait(&self.work, state);
            state.is_asleep = false;
        }
    }

    /// The owner is done with its message, and about to answer it.
    pub fn served(&self) {
        self.is_busy.store(false, Ordering::Release);
    }

    /// Removes what has waited past its deadline, and returns it: the caller gives it up.
    #[must_use]
    pub fn remove_late(&self, now: Instant) -> Vec<M> {
        let mut state = self.state.lock();
        let mut late = Vec::new();
        let State { inside, at_the_door, .. } = &mut *state;
        for line in [inside, at_the_door] {
            if line.iter().any(|waiting| waiting.is_late(now)) {
                let all = std::mem::take(line);
                let (gone, left): (VecDeque<_>, _) =
                    all.into_iter().partition(|waiting| waiting.is_late(now));
                *line = left;
                late.extend(gone.into_iter().map(|waiting| waiting.message));
            }
        }
        state.let_in(self.capacity);
        late
    }

    /// Whether anybody waits who may not wait for ever.
    pub fn has_deadlines(&self) -> bool {
        let state = self.state.lock();
        let mut waiting = state.inside.iter().chain(&state.at_the_door);
        waiting.any(|waiting| waiting.term.is_some_and(|term| term.until.is_some()))
    }

    /// Lets nothing in any more. The owner works off what is there and at the door, and ends.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.work.notify_one();
    }

    /// The owner has ended. Returns what it has left, which is nothing unless it panicked: the caller gives it up.
    #[must_use]
    pub fn end(&self) -> Vec<M> {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.has_ended = true;
        let State { inside, at_the_door, mourners, .. } = &mut *state;
        let left = inside.drain(..).chain(at_the_door.drain(..)).map(|waiting| waiting.message).collect();
        let mourners = std::mem::take(mourners);
        drop(state);
        mourners.into_iter().for_each(Waker::wake);
        left
    }

    /// Waits for the owner to end.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.has_ended {
            return Poll::Ready(());
        }
        state.mourners.push(context.waker().clone());
        Poll::Pending
    }
}

impl<M> State<M> {
    fn let_in(&mut self, capacity: usize) {
        while self.inside.len() < capacity
            && let Some(first) = self.at_the_door.pop_front()
        {
            self.inside.push_back(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(term: Option<Term>) -> Waiting<u8> {
        Waiting { message: 0, term }
    }

    /// As many as there are places come in from the door, in their order.
    #[test]
    fn no_more_are_let_in_than_there_are_places() {
        let mut state = State {
            inside: VecDeque::new(),
            at_the_door: (1..=3).map(|message| Waiting { message, term: None }).collect(),
            is_asleep: false,
            is_closed: false,
            has_ended: false,
            mourners: Vec::new(),
        };
        state.let_in(2);
        assert_eq!(state.inside.iter().map(|waiting| waiting.message).collect::<Vec<u8>>(), [1, 2]);
        assert_eq!(state.at_the_door.len(), 1);
    }

    #[test]
    fn only_who_found_somebody_before_it_waits_and_may_be_late() {
        let now = Instant::now();
        let until = |until| waiting(Some(Term { since: now, until }));
        assert!(waiting(None).waited().is_none() && until(None).waited().is_some());
        let later = now + Duration::from_secs(1);
        assert!(until(Some(now)).is_late(now) && until(Some(now)).is_late(later));
        assert!(
            !until(Some(later)).is_late(now) && !until(None).is_late(later) && !waiting(None).is_late(later)
        );
    }
}
