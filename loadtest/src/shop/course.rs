//! From opening the levels to the last look at everything.

use std::sync::Arc;
use std::time::Duration;

use history::shop::{Answer, Ask, Books, Bound, Name, OrderState, Turns};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::board::Board;
use super::clerk::{Haul, Hours, work};
use super::desk::{Desk, Door};
use super::names::Names;
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
    /// From opening to closing.
    pub took: Duration,
    /// Orders that were still queued after a long while.
    pub queued: usize,
}

impl Course {
    /// Opens the levels of a plan, on the server behind that door.
    pub async fn open(plan: &Plan, door: Door) -> Result<Self, CourseError> {
        let names = Arc::new(Names::new(&plan.prefix, plan.skus as usize));
        let desk = Desk::new(plan, names, door.clone())?;
        let (strategy, turns) = pages::told_of_itself(&desk).await;
        // What is before is not of this run; where it cannot be read, the end will say so.
        let after = pages::newest(&desk).await.unwrap_or(0);
        let mut course = Self {
            desk,
            board: Arc::default(),
            haul: Haul::default(),
            opened_at: Instant::now(),
            strategy,
            turns,
            after,
        };
        let open = |level| Ask::Open { level, on_hand: plan.opening_stock };
        course.look((0..plan.skus as usize).map(open).collect()).await;
        let failed = course.haul.told.iter().find(|told| !matches!(told.answer, Answer::Level(_)));
        if let Some(failed) = failed {
            let url = door.borrow().as_deref().unwrap_or_default().to_owned();
            let example = course.haul.breaches.1.clone().unwrap_or_else(|| format!("{:?}", failed.answer));
            return Err(CourseError::Opening { url, example });
        }
        Ok(course)
    }

    /// The strategy of the server, if it told.
    pub fn strategy(&self) -> Option<&str> {
        self.strategy.as_deref()
    }

    /// Sends the clients in.
    pub fn hire(&self, plan: &Plan, hours: &Arc<Hours>) -> JoinSet<Haul> {
        let mut clients = JoinSet::new();
        for client in 0..plan.clients {
            let (desk, board, hours) = (self.desk.clone(), Arc::clone(&self.board), Arc::clone(hours));
            clients.spawn(work(client, plan.seed, desk, board, hours));
        }
        clients
    }

    /// Takes in what the clients bring, looks at everything once more, and reads the ledger.
    pub async fn close(mut self, mut clients: JoinSet<Haul>, levels: usize, progress: &Progress) -> Brought {
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
        });
        Brought { books, haul: self.haul, strategy: self.strategy, took, queued }
    }

    /// Cancels what waits and removes the levels. What cannot be removed stays.
    pub async fn clean_up(desk: &Desk, orders: Vec<Name>, levels: usize) {
        for of in orders {
            desk.ask(0, Ask::Cancel { of }, None).await;
        }
        for level in 0..levels {
            desk.remove(level).await;
        }
    }

    /// Who asks, for what comes after the books are closed.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// What is known of reservations and orders.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Asks all of this, some at a time.
    async fn look(&mut self, asks: Vec<Ask>) {
        let mut asking = JoinSet::new();
        let mut asks = asks.into_iter();
        loop {
            while asking.len() < LOOKS {
                let Some(ask) = asks.next() else { break };
                let (desk, number) = (self.desk.clone(), self.board.next_number());
                asking.spawn(async move { desk.ask(number, ask, None).await });
            }
            let Some(asked) = asking.join_next().await else { return };
            self.haul.take(joined(asked));
        }
    }

    /// Waits until no order is queued, and no level changes any more. Answers how many orders are queued all the same.
    async fn quiet(&mut self, levels: usize) -> usize {
        let begun = Instant::now();
        let mut open = self.board.orders();
        while begun.elapsed() < QUIET_MAX && !self.desk.is_given_up() {
            let mut queued = Vec::new();
            for of in open {
                let seen = self.desk.ask(self.board.next_number(), Ask::SeeOrder { of }, None).await;
                if matches!(seen.told.answer, Answer::Order(seen) if seen.state == OrderState::Queued) {
                    queued.push(of);
                }
            }
            open = queued;
            if open.is_empty() {
                break;
            }
            sleep(GLANCE).await;
        }
        let (mut last, mut since) = (Vec::new(), Instant::now());
        while begun.elapsed() < QUIET_MAX && since.elapsed() < QUIET && !self.desk.is_given_up() {
            let mut seen = Vec::with_capacity(levels);
            for level in 0..levels {
                seen.push(
                    self.desk.ask(self.board.next_number(), Ask::Read { level }, None).await.told.answer,
                );
            }
            if seen != last {
                (last, since) = (seen, Instant::now());
            }
            sleep(GLANCE).await;
        }
        open.len()
    }
}
