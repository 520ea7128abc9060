//! From opening the levels to the last look at everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use history::shop::{Answer, Ask, Books, Bound, Numbered, OrderState, Turns};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::board::Board;
use super::clerk::{Haul, Hours, work};
use super::desk::{Asked, Desk, Door};
use super::names::Names;
use super::pages::Itself;
use super::{Plan, pages};
use crate::output::Progress;
use crate::runner::joined;

/// Questions of the last look that are in flight at once.
const LOOKS: usize = 32;

/// All is quiet when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(300);

/// How often that is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// The longest that quiet is waited for.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// A little longer than a deadline may be late.
const GRACE: Duration = Duration::from_millis(60);

/// Why there are no books to judge.
#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    /// The client could not be made.
    #[error("the client could not be made: {0}")]
    Client(#[from] reqwest::Error),
    /// Not every level could be opened.
    #[error("{url} did not open a level: {example}")]
    Opening {
        /// Where.
        url: String,
        /// What it answered.
        example: String,
    },
}

/// A shop that is open.
#[derive(Debug)]
pub struct Course {
    desk: Desk,
    board: Arc<Board>,
    haul: Haul,
    opened_at: Instant,
    strategy: Option<String>,
    turns: Turns,
    numbered: Numbered,
    /// The newest movement before.
    after: u64,
}

/// What a run of a shop brought.
#[derive(Debug)]
pub struct Brought {
    /// The books, unless the ledger could not be read.
    pub books: Result<Books, pages::LedgerError>,
    /// What the clients brought, but for what they were told, which is in the books.
    pub haul: Haul,
    /// The strategy, if the server told it.
    pub strategy: Option<String>,
    /// How far its ledger is in order, as it told.
    pub numbered: Numbered,
    /// From opening to closing.
    pub took: Duration,
    /// Orders that were still queued after a long while.
    pub queued: usize,
}

impl Course {
    /// Opens the levels of a plan, of the service behind these doors. What is asked before the clients come in, and after they have left, is
    /// asked at the first door that opens.
    pub async fn open(plan: &Plan, doors: Vec<Door>) -> Result<Self, CourseError> {
        let names = Arc::new(Names::new(&plan.prefix, plan.skus as usize));
        let desk = Desk::new(plan, names, doors)?;
        let Itself { strategy, turns, numbered } = pages::told_of_itself(&desk).await;
        let opened_at = Instant::now();
        let (board, haul) = (Arc::default(), Haul::default());
        let mut course = Self { desk, board, haul, opened_at, strategy, turns, numbered, after: 0 };
        let open = |level| Ask::Open { level, on_hand: plan.opening_stock };
        course.look(vec![open(0)]).await;
        // What is before the first level is not of this run; where that is not known, all of it is read.
        let first = pages::newest_of(&course.desk, 0).await;
        course.after = first.map_or(0, |first| first.saturating_sub(1));
        course.look((1..plan.skus as usize).map(open).collect()).await;
        let failed = course.haul.told.iter().find(|told| !matches!(told.answer, Answer::Level(_)));
        if let Some(failed) = failed {
            let url = course.desk.address();
            let example = course.haul.breaches.1.clone().unwrap_or_else(|| format!("{:?}", failed.answer));
            return Err(CourseError::Opening { url, example });
        }
        Ok(course)
    }

    /// Sends the clients in.
    pub fn hire(&self, plan: &Plan, hours: &Arc<Hours>) -> JoinSet<Haul> {
        let mut clients = JoinSet::new();
        for client in 0..plan.clients {
            let (desk, board) = (self.desk.of_client(client), Arc::clone(&self.board));
            clients.spawn(work(client, plan.seed, desk, board, Arc::clone(hours)));
        }
        clients
    }

    /// Takes in what the clients bring, looks at everything once more, and reads the ledger.
    pub async fn close(mut self, mut clients: JoinSet<Haul>, progress: &Progress) -> Brought {
        let levels = self.desk.names().count();
        while let Some(done) = clients.join_next().await {
            self.haul.merge(joined(done));
        }
        let took = self.opened_at.elapsed();
        progress.begin("letting reservations run out and orders have their turn", None);
        let left = Duration::from_nanos(self.board.last_deadline_ns().saturating_sub(self.desk.now_ns()));
        sleep(left + GRACE).await;
        let queued = self.quiet(levels).await;
        progress.begin("looking at everything once more", None);
        self.look((0..levels).map(|level| Ask::Read { level }).collect()).await;
        self.look(self.board.holds().into_iter().map(|of| Ask::SeeHold { of }).collect()).await;
        self.look(self.board.orders().into_iter().map(|of| Ask::SeeOrder { of }).collect()).await;
        progress.begin("reading the ledger", None);
        let movements = pages::ledger(&self.desk, self.after).await;
        let told = std::mem::take(&mut self.haul.told);
        let levels = (0..levels).map(|level| self.desk.names().sku(level)).collect();
        let books = movements.map(|movements| Books {
            levels,
            told,
            movements,
            bound: Bound::default(),
            turns: self.turns,
            numbered: self.numbered,
        });
        Brought { books, haul: self.haul, strategy: self.strategy, numbered: self.numbered, took, queued }
    }

    /// Who asks, for what comes after the books are closed.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Asks all of this, and writes it down.
    async fn look(&mut self, asks: Vec<Ask>) {
        for asked in self.ask(asks).await {
            self.haul.take(asked);
        }
    }

    /// Asks all of this, some at a time; the answers in no order.
    async fn ask(&self, asks: Vec<Ask>) -> Vec<Asked> {
        let (mut asking, mut answered) = (JoinSet::new(), Vec::with_capacity(asks.len()));
        let mut asks = asks.into_iter();
        loop {
            while asking.len() < LOOKS {
                let Some(ask) = asks.next() else { break };
                let (desk, number) = (self.desk.clone(), self.board.next_number());
                asking.spawn(async move { desk.ask(number, ask, None).await });
            }
            let Some(asked) = asking.join_next().await else { return answered };
            answered.push(joined(asked));
        }
    }

    /// Waits until no order is queued, and no level changes any more. Answers how many orders are queued all the same.
    async fn quiet(&self, levels: usize) -> usize {
        let begun = Instant::now();
        let goes_on = || begun.elapsed() < QUIET_MAX && !self.desk.is_given_up();
        let mut queued = self.board.orders();
        while goes_on() {
            let seen = self.ask(queued.into_iter().map(|of| Ask::SeeOrder { of }).collect()).await;
            let still = |asked: Asked| match asked.told.answer {
                Answer::Order(seen) if seen.state == OrderState::Queued => Some(seen.id),
                _ => None,
            };
            queued = seen.into_iter().filter_map(still).collect();
            if queued.is_empty() {
                break;
            }
            sleep(GLANCE).await;
        }
        let (mut last, mut since) = (Vec::new(), Instant::now());
        while goes_on() && since.elapsed() < QUIET {
            let seen = self.ask((0..levels).map(|level| Ask::Read { level }).collect()).await;
            let version = |asked: Asked| match asked.told.answer {
                Answer::Level(seen) => Some((seen.level, seen.version)),
                _ => None,
            };
            let mut seen: Vec<(usize, u64)> = seen.into_iter().filter_map(version).collect();
            seen.sort_unstable();
            if seen != last {
                (last, since) = (seen, Instant::now());
            }
            sleep(GLANCE).await;
        }
        // Of a server that does not answer nothing is known.
        if self.desk.is_given_up() { 0 } else { queued.len() }
    }
}

impl Brought {
    /// Cancels what still waits and removes the levels. What cannot be removed stays.
    pub async fn clean_up(&self, desk: &Desk) {
        let mut waiting = BTreeSet::new();
        // The last that was told of each is the last look.
        for told in self.books.iter().flat_map(|books| &books.told) {
            if let Answer::Order(seen) = &told.answer {
                if seen.state == OrderState::Backordered {
                    waiting.insert(seen.id);
                } else {
                    waiting.remove(&seen.id);
                }
            }
        }
        for of in waiting {
            desk.ask(0, Ask::Cancel { of }, None).await;
        }
        for level in 0..desk.names().count() {
            desk.remove(level).await;
        }
    }
}
