//! Who sends the requests of an open loop: each is a number, and a client that is free takes one and waits until it is due.
//!
//! Taking the next number is all that the clients share, one atomic addition; with [`Dispatch::Client`] not even that.
//! Numbers are taken in order, so a client that comes late finds the request that has waited longest.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::timer::Timer;
use super::timetable::Timetable;
use super::{Clock, Limit, Offered, nanos};
use crate::runner::vitals::Vitals;

/// After the last arrival, clients that are busy still have this long to begin the waiting ones.
const GRACE: Duration = Duration::from_millis(100);

/// The longest a client sleeps before it looks whether to stop.
const NAP_MAX: Duration = Duration::from_millis(50);

/// Who sends which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dispatch {
    /// Whoever is free sends what is due next: a request waits only if every client is busy.
    Shared,
    /// Each client has its own, every so many: a request waits for its client, as on a connection of its own.
    Client,
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Client => "client",
        })
    }
}

/// The arrivals of one phase.
#[derive(Debug)]
pub struct Arrivals {
    timetable: Timetable,
    dispatch: Dispatch,
    clients: u64,
    start_ns: u64,
    ends: Option<u64>,
    next: AtomicU64,
}

/// The part of one client in them.
#[derive(Debug)]
pub struct Ticket {
    arrivals: Arc<Arrivals>,
    /// Shared by the clients of a thread: their numbers are neighbours, and are drawn together.
    timetable: Rc<RefCell<Timetable>>,
    own_next: u64,
    timer: Option<Timer>,
}

impl Arrivals {
    /// Plans the arrivals of a phase that begins at `start_ns`.
    pub fn plan(offered: &Offered, limit: Limit, seed: u64, start_ns: u64, clients: u64) -> Self {
        let ends = match limit {
            Limit::Requests(_) => None,
            Limit::For(duration) => Some(start_ns + nanos(duration) + nanos(GRACE)),
        };
        let timetable = Timetable::new(&offered.rate, offered.pattern, limit, seed);
        let next = AtomicU64::new(0);
        Self { timetable, dispatch: offered.dispatch, clients, start_ns, ends, next }
    }

    /// How many requests were to be sent.
    pub fn planned(&self) -> u64 {
        self.timetable.planned()
    }

    /// The timetable of a thread.
    pub fn timetable(&self) -> Rc<RefCell<Timetable>> {
        Rc::new(RefCell::new(self.timetable.clone()))
    }

    fn take(&self, own_next: &mut u64) -> u64 {
        match self.dispatch {
            // Relaxed: the number is all that is shared.
            Dispatch::Shared => self.next.fetch_add(1, Ordering::Relaxed),
            Dispatch::Client => {
                let number = *own_next;
                *own_next += self.clients;
                number
            }
        }
    }
}

impl Ticket {
    /// Of a client, with the timetable of its thread.
    pub fn new(arrivals: Arc<Arrivals>, timetable: Rc<RefCell<Timetable>>, client: u64) -> Self {
        Self { arrivals, timetable, own_next: client, timer: None }
    }

    /// Waits for the client's next arrival and gives its intended start; `None` at the end of the phase, or when it is over
    /// before its time.
    pub async fn next(&mut self, clock: Clock, vitals: &Vitals) -> Option<u64> {
        let number = self.arrivals.take(&mut self.own_next);
        if number >= self.arrivals.planned() {
            return None;
        }
        let intended_ns = self.arrivals.start_ns + self.timetable.borrow_mut().start_ns(number);
        loop {
            let now = clock.now_ns();
            if vitals.over() || self.arrivals.ends.is_some_and(|ends| now >= ends) {
                return None;
            }
            if now >= intended_ns {
                return Some(intended_ns);
            }
            let nap = Duration::from_nanos(intended_ns - now).min(NAP_MAX);
            self.timer.get_or_insert_with(Timer::new).sleep(nap).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Stop;
    use crate::schedule::Pattern;

    /// What three clients of one thread are given.
    async fn handed_out(offered: Offered, limit: Limit, stop: Stop) -> Vec<Vec<u64>> {
        let clock = Clock::start();
        let vitals = Vitals::new("127.0.0.1:1", stop);
        let arrivals = Arc::new(Arrivals::plan(&offered, limit, 3, clock.now_ns(), 3));
        let timetable = arrivals.timetable();
        let client = async |client| {
            let mut ticket = Ticket::new(Arc::clone(&arrivals), Rc::clone(&timetable), client);
            let mut starts = Vec::new();
            while let Some(start) = ticket.next(clock, &vitals).await {
                assert!(clock.now_ns() >= start);
                starts.push(start - arrivals.start_ns);
                tokio::task::yield_now().await;
            }
            starts
        };
        let (a, b, c) = tokio::join!(client(0), client(1), client(2));
        vec![a, b, c]
    }

    fn planned(offered: &Offered, limit: Limit) -> Vec<u64> {
        let mut timetable = Timetable::new(&offered.rate, offered.pattern, limit, 3);
        (0..timetable.planned()).map(|number| timetable.start_ns(number)).collect()
    }

    #[tokio::test]
    async fn every_planned_arrival_is_handed_out_once_and_in_order() {
        for pattern in ["uniform", "poisson"] {
            for dispatch in [Dispatch::Shared, Dispatch::Client] {
                let pattern = Pattern::from_str(pattern, true).unwrap();
                let offered = Offered { pattern, dispatch, ..Offered::from(20_000.0) };
                let limit = Limit::Requests(500);
                let handed = handed_out(offered.clone(), limit, Stop::default()).await;
                assert!(handed.iter().all(|starts| starts.is_sorted()));
                let mut all = handed.concat();
                all.sort_unstable();
                assert_eq!(all, planned(&offered, limit));
                if dispatch == Dispatch::Client {
                    assert_eq!(handed.iter().map(Vec::len).collect::<Vec<_>>(), [167, 167, 166]);
                }
            }
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_run_that_is_over() {
        let stop = Stop::default();
        stop.request();
        let limit = Limit::Requests(500);
        assert!(handed_out(Offered::from(0.001), limit, stop).await.concat().is_empty());
    }
}
