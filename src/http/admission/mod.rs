//! Admission: how many requests are carried out at once, how many wait for that, and what the others are told.
//!
//! - [`room`]: places, and a line for them. [`exports`]: how many exports there are at once.
//! - Here: for how long somebody stands in line, what who is turned away is told, and what is counted. Who asks for a place is said in
//!   [the middleware](super::middleware::AdmitLayer).
//!
//! **Why.** A service of which more is asked than it can do does everything late; one that does as much as it can, and says at once
//! what it will not do, does that in time. What is bounded here is work: requests that change or read stock, from when they may begin until
//! their answer is made.
//!
//! **How many.** Hundreds of changes wait for one sync of the disk together, and are written as one group: a bound that is too low makes groups small, and
//! that costs more than it saves. With the default of 1 024 places and a sync of 10 ms a hundred thousand changes a second are let in.
//!
//! **What it never does**: refuse what says how the service is; hold a place for who waits for a client, or sleeps.

pub mod exports;
mod room;

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use self::room::{LinedUp, Room, Ticket};
use super::problem::{Problem, ProblemKind};
use crate::telemetry::{Exposition, Histogram};

pub use self::room::Permit;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionConfig {
    /// How many requests are carried out at once.
    pub in_flight_max: usize,
    /// Those that wait for that.
    pub queue: QueueConfig,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueConfig {
    /// How many may stand in it.
    pub capacity: usize,
    /// For how long each may. It is refused then.
    pub failfast_timeout: Duration,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        let queue = QueueConfig { capacity: 1_024, failfast_timeout: Duration::from_millis(500) };
        Self { in_flight_max: 1_024, queue }
    }
}

/// Who is inside, and who is in line.
#[derive(Debug)]
pub struct Admission {
    config: AdmissionConfig,
    room: Room,
    /// How long those stood in line who were let in.
    waits: Histogram,
    /// Those who found the line full.
    full: AtomicU64,
    /// Those who stood in it for too long.
    late: AtomicU64,
}

/// What comes of it, to ask for a place.
#[derive(Debug)]
pub enum Entry {
    /// There was one.
    Inside(Permit),
    /// It is in line for one.
    Waiting(Waiting),
    /// There is none, and no more may stand in line.
    Refused(Box<Problem>),
}

/// A request in line. Dropped, it has left.
#[derive(Debug)]
pub struct Waiting {
    ticket: Ticket,
    since: Instant,
    late: Pin<Box<Sleep>>,
}

/// How it is, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Requests that are being carried out.
    pub in_flight: u64,
    /// How many that may be.
    pub in_flight_max: usize,
    /// Requests in line.
    pub waiting: u64,
    /// How many that may be.
    pub waiting_max: usize,
    /// Requests that were refused since the service started.
    pub shed: u64,
}

impl Admission {
    /// With these bounds, and nobody there.
    pub fn new(config: AdmissionConfig) -> Self {
        Self {
            config,
            room: Room::new(config.in_flight_max, config.queue.capacity),
            waits: Histogram::default(),
            full: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    /// Asks for a place.
    pub fn enter(&'static self) -> Entry {
        match self.room.try_enter() {
            Some(permit) => Entry::Inside(permit),
            None => self.line_up(),
        }
    }

    #[cold]
    fn line_up(&'static self) -> Entry {
        match self.room.line_up() {
            LinedUp::Inside(permit) => Entry::Inside(permit),
            LinedUp::Waiting(ticket) => {
                let late = Box::pin(sleep(self.config.queue.failfast_timeout));
                Entry::Waiting(Waiting { ticket, since: Instant::now(), late })
            }
            LinedUp::Full => {
                self.full.fetch_add(1, Ordering::Relaxed);
                let AdmissionConfig { in_flight_max, queue } = self.config;
                Entry::Refused(Box::new(self.refusal(format!(
                    "{in_flight_max} requests are being carried out and {} wait, and that is as many as may; nothing was changed",
                    queue.capacity
                ))))
            }
        }
    }

    /// A place, once it is the turn of who waits; why not, once it has stood in line for too long.
    pub fn poll_waiting(
        &'static self,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Permit, Box<Problem>>> {
        let permit = match waiting.ticket.poll(cx) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => {
                ready!(waiting.late.as_mut().poll(cx));
                waiting.ticket.give_up()
            }
        };
        if let Some(permit) = permit {
            self.waits.observe(waiting.since.elapsed());
            return Poll::Ready(Ok(permit));
        }
        self.late.fetch_add(1, Ordering::Relaxed);
        let waited_ms = self.config.queue.failfast_timeout.as_millis();
        Poll::Ready(Err(Box::new(self.refusal(format!(
            "as many requests as may are being carried out, and this one has waited for {waited_ms} ms; nothing was changed"
        )))))
    }

    fn refusal(&self, detail: String) -> Problem {
        Problem::new(ProblemKind::Overloaded, detail).again_after(self.room.until_let_in())
    }

    /// How it is now.
    pub fn now(&self) -> Occupancy {
        let (in_flight, waiting) = self.room.counts();
        Occupancy {
            in_flight,
            in_flight_max: self.config.in_flight_max,
            waiting,
            waiting_max: self.config.queue.capacity,
            shed: self.full.load(Ordering::Relaxed) + self.late.load(Ordering::Relaxed),
        }
    }

    /// Appends what is counted of it.
    pub fn expose(&self, text: &mut Exposition) {
        let Occupancy { in_flight, in_flight_max, waiting, waiting_max, .. } = self.now();
        let gauges = [
            (
                "inventory_admission_in_flight",
                "Requests that are being carried out, of --max-in-flight.",
                in_flight,
            ),
            (
                "inventory_admission_in_flight_max",
                "How many requests may be carried out at once.",
                in_flight_max as u64,
            ),
            ("inventory_admission_waiting", "Requests that wait for that, of --admission-queue.", waiting),
            ("inventory_admission_waiting_max", "How many requests may wait for that.", waiting_max as u64),
        ];
        for (name, help, count) in gauges {
            text.gauge(name, help);
            text.sample(name, &[], count);
        }
        let name = "inventory_admission_shed_total";
        text.counter(
            name,
            "Requests refused because as many wait as may, or because they waited for too long.",
        );
        text.sample(name, &[("reason", "full")], self.full.load(Ordering::Relaxed));
        text.sample(name, &[("reason", "late")], self.late.load(Ordering::Relaxed));
        let name = "inventory_admission_wait_seconds";
        text.histogram(name, "How long requests waited that could not begin at once, and were let in.");
        text.distribution(name, &[], &self.waits.distribution());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use axum::response::IntoResponse as _;

    use super::*;

    fn admission(in_flight_max: usize, capacity: usize) -> &'static Admission {
        let queue = QueueConfig { capacity, failfast_timeout: Duration::from_millis(500) };
        Box::leak(Box::new(Admission::new(AdmissionConfig { in_flight_max, queue })))
    }

    fn entered(admission: &'static Admission) -> Permit {
        match admission.enter() {
            Entry::Inside(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn in_line(admission: &'static Admission) -> Waiting {
        match admission.enter() {
            Entry::Waiting(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    /// P10: nobody stands in line for longer than may be, and who is let in in time is.
    #[tokio::test(start_paused = true)]
    async fn who_stands_in_line_for_too_long_is_refused() {
        let admission = admission(1, 2);
        let inside = entered(admission);
        let (mut first, mut second) = (in_line(admission), in_line(admission));
        assert!(matches!(admission.enter(), Entry::Refused(_)));
        let began = tokio::time::Instant::now();
        let refused = poll_fn(|cx| admission.poll_waiting(&mut first, cx)).await.expect_err("it is late");
        assert_eq!(began.elapsed().as_millis(), 500);
        assert!(refused.into_response().headers().contains_key("retry-after"));
        drop(inside);
        // It is late as well, and was let in before anybody looked.
        let inside = poll_fn(|cx| admission.poll_waiting(&mut second, cx)).await.expect("it is its turn");
        let now = admission.now();
        assert_eq!((now.in_flight, now.waiting, now.shed), (1, 0, 2));
        drop(inside);
        assert_eq!(admission.now().in_flight, 0);
    }
}
