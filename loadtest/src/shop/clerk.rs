//! One client of a shop: what it asks next, and what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use history::shop::{Ask, Line, Told};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::board::Board;
use super::desk::{Desk, Effort};
use crate::interrupt::Stop;
use crate::schedule::Limit;

/// A reservation holds for up to so many seconds: it has to expire while somebody looks.
const TTL_S_MAX: u64 = 2;

/// Who waits for what becomes of its order, waits so many seconds.
const PATIENCE_S: u32 = 1;

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// When the clients stop.
#[derive(Debug)]
pub struct Hours {
    /// They are asked to.
    pub stop: Stop,
    /// Or closed down, between the kills of a crash test.
    pub over: std::sync::atomic::AtomicBool,
    /// Or have asked enough.
    pub left: AtomicU64,
    /// Or it is late.
    pub until: Option<Instant>,
}

/// What a client brings home.
#[derive(Debug, Default)]
pub struct Haul {
    /// What it was told.
    pub told: Vec<Told>,
    /// What that took.
    pub effort: Effort,
    /// Answers that do not fit the contract: how many, and the first.
    pub breaches: (u64, Option<String>),
}

impl Hours {
    /// By a limit.
    pub fn new(limit: Limit, stop: &Stop) -> Self {
        let (left, until) = match limit {
            Limit::Requests(requests) => (requests, None),
            Limit::For(duration) => (u64::MAX, Some(Instant::now() + duration)),
        };
        Self { stop: stop.clone(), over: false.into(), left: left.into(), until }
    }

    fn are_over(&self) -> bool {
        let enough = || {
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        };
        self.stop.requested()
            || self.over.load(Ordering::Relaxed)
            || self.until.is_some_and(|until| Instant::now() >= until)
            || enough()
    }
}

impl Haul {
    /// Takes in what was asked.
    pub fn take(&mut self, asked: super::desk::Asked) {
        self.effort.again += asked.effort.again;
        self.effort.in_doubt += asked.effort.in_doubt;
        if let Some(breach) = asked.breach {
            self.breaches.0 += 1;
            self.breaches.1.get_or_insert(breach);
        }
        self.told.push(asked.told);
    }

    /// Takes in what another brings.
    pub fn merge(&mut self, other: Self) {
        self.told.extend(other.told);
        self.effort.again += other.effort.again;
        self.effort.in_doubt += other.effort.in_doubt;
        self.breaches.0 += other.breaches.0;
        self.breaches.1 = self.breaches.1.take().or(other.breaches.1);
    }
}

/// Asks one thing after the other until the shop closes.
pub async fn work(client: u32, seed: u64, desk: Desk, board: Arc<Board>, hours: Arc<Hours>) -> Haul {
    let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (u64::from(client) << 32));
    let mut clerk = Clerk { rng, levels: desk.names().count() };
    let mut haul = Haul::default();
    while !hours.are_over() && !desk.is_given_up() {
        let ask = clerk.next(&board);
        let waits = matches!(ask, Ask::Order { .. }) && clerk.rng.random_range(0..5) == 0;
        let asked = desk.ask(board.next_number(), ask, waits.then_some(PATIENCE_S)).await;
        board.pin(&asked.told);
        haul.take(asked);
    }
    haul
}

struct Clerk {
    rng: Xoshiro256PlusPlus,
    levels: usize,
}

impl Clerk {
    /// What is asked next: about as much comes in as goes out, so that now and then there is too little.
    fn next(&mut self, board: &Board) -> Ask {
        match self.rng.random_range(0..100) {
            0..16 => self.adjust(),
            16..30 => Ask::Read { level: self.level() },
            30..47 => Ask::Reserve { lines: self.lines(), ttl_ns: self.ttl_ns() },
            47..68 => self.about_a_hold(board),
            68..84 => Ask::Order {
                lines: self.lines(),
                priority: self.rng.random_range(0..10),
                backorder: self.rng.random_range(0..10) < 6,
            },
            _ => self.about_an_order(board),
        }
    }

    fn adjust(&mut self) -> Ask {
        let receipt = self.rng.random_range(0..10) < 8;
        let delta = if receipt { self.rng.random_range(1..=11) } else { -self.rng.random_range(1..=4) };
        Ask::Adjust { level: self.level(), delta }
    }

    fn about_a_hold(&mut self, board: &Board) -> Ask {
        let Some((of, lines)) = board.some_hold(&mut self.rng) else {
            return Ask::Reserve { lines: self.lines(), ttl_ns: self.ttl_ns() };
        };
        match self.rng.random_range(0..21) {
            0..11 => Ask::Commit { of, lines: self.part_of(&lines) },
            11..15 => Ask::Release { of },
            15..17 => Ask::Extend { of, ttl_ns: self.ttl_ns() },
            _ => Ask::SeeHold { of },
        }
    }

    fn about_an_order(&mut self, board: &Board) -> Ask {
        let Some((of, lines)) = board.some_order(&mut self.rng) else { return self.adjust() };
        match self.rng.random_range(0..16) {
            0..3 => Ask::Cancel { of },
            3..8 => Ask::Return { of, lines: self.part_of(&lines) },
            _ => Ask::SeeOrder { of },
        }
    }

    /// All of it, or some units of some lines.
    fn part_of(&mut self, lines: &[Line]) -> Option<Vec<Line>> {
        if self.rng.random_range(0..2) == 0 {
            return None;
        }
        let count = self.rng.random_range(1..=lines.len());
        let mut part = |line: &Line| Line { units: self.rng.random_range(1..=line.units), ..*line };
        Some(lines[..count].iter().map(&mut part).collect())
    }

    fn ttl_ns(&mut self) -> u64 {
        self.rng.random_range(1..=TTL_S_MAX) * SECOND_NS
    }

    /// The lower the more often.
    fn level(&mut self) -> usize {
        let both = [self.rng.random_range(0..self.levels), self.rng.random_range(0..self.levels)];
        both[0].min(both[1])
    }

    /// One to three, each of another level.
    fn lines(&mut self) -> Vec<Line> {
        let count = self.rng.random_range(1..=3);
        let mut levels: Vec<usize> = (0..count).map(|_| self.level()).collect();
        levels.sort_unstable();
        levels.dedup();
        levels.into_iter().map(|level| Line { level, units: self.rng.random_range(1..=4) }).collect()
    }
}
