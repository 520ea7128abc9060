//! [`Postgres`]: the store of many processes over one PostgreSQL, or whatever speaks its protocol.
//!
//! **A partition is a mutex in the database.** Stock falls to partitions by a hash of the sku. The row of a partition is locked first, and guards all
//! that is of it; a batch locks nothing else but the keys that it writes last, and of several the lowest first: so there is no deadlock. The ledger's end, the version of
//! the tables and leases have rows of their own, each locked in a transaction of its own; but a move locks all partitions first, and the ledger's end after them.
//!
//! **Batches, not requests.** What is asked of a partition gathers while a batch of it is under way; a batch locks, reads, decides with the pure
//! functions of the domain, writes with a statement for each kind of row, and commits: two round trips, whatever its length.
//!
//! - `work`: a command on its way. `lanes`: what waits, by partition. `batch`: from the locks to the commit.
//! - `load`, `working`, `save`: what a batch reads, works on, and writes. `deeds`, `deeds_of_orders`, `deeds_of_reservations`, `deeds_of_imports`: what
//!   each command comes to; pure.
//! - `commands`, `each`: from a command to work. `wholes`: what is carried out part by part, under one key. `reads`, `pages`: what only looks. `orders`: who gives orders their turn.
//! - `feed`, `history`, `walk`, `retention`: the ledger. `documents`: what is kept beside the stock. `leases`: what one process does at a time. `chores`, `import`, `verify`: what
//!   is done now and then.
//! - `moving`: all of it, to another store or from one; `origin`: what is known of that one.
//! - `connect`, `hosts`, `schema`, `script`, `open`: from an address to a store. `watch`, `sweeper`, `trimmer`: what is done now and then.
//! - `failure`, `health`: what goes wrong, and what it means. `kept`, `outcome`, `rows`, `pipeline`, `partition`, `names`, `counts`, `order_sql`,
//!   `metrics`: the parts.
//!
//! Time is the database's: one reading for each batch, under its locks. Replicas have no clock that counts, and keep nothing that matters.

mod batch;
mod chores;
mod commands;
mod connect;
mod counts;
mod deeds;
mod deeds_of_imports;
mod deeds_of_orders;
mod deeds_of_reservations;
mod documents;
mod each;
mod failure;
mod feed;
mod health;
mod history;
mod hosts;
mod import;
mod kept;
mod lanes;
mod leases;
mod load;
mod metrics;
pub mod moving;
mod names;
mod open;
mod order_sql;
mod orders;
mod origin;
mod outcome;
mod pages;
mod partition;
mod pipeline;
mod reads;
mod retention;
mod rows;
mod save;
mod schema;
mod script;
mod sweeper;
mod trimmer;
mod verify;
mod walk;
mod watch;
mod wholes;
mod work;
mod working;

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch::Sender;
use tokio::task::JoinHandle;

use self::batch::Batcher;
use self::chores::Rights;
use self::connect::Lent;
use self::failure::{Stage, Trouble};
use self::feed::Feed;
use self::lanes::Lanes;
use self::origin::Origin;
use self::working::How;
use crate::stock::{Level, Order, OrderId, Reservation, ReservationId, StockKey, Until};
use crate::store::{
    Answered, Command, Document, HistoryError, Kept, LedgerOrder, LevelPage, LevelQuery, Lineage, Moment,
    MovementCursor, MovementPage, MovementQuery, NotDone, OrderPage, OrderQuery, OrdersStatus,
    ReservationPage, ReservationQuery, Revision, Status, StockQuery, Store,
};
use crate::telemetry::Exposition;

pub use open::Opening;
pub use schema::OpenError;
pub use script::script;

/// What time it is, in milliseconds of Unix time.
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// A store over a database. A handle: clones are of the same store.
#[derive(Debug, Clone)]
pub struct Postgres(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    how: Arc<How>,
    batcher: Arc<Batcher>,
    lanes: Arc<Lanes>,
    feed: Feed,
    origin: Origin,
    /// The place after the last movement that was there when this was opened.
    opened_at: OnceLock<MovementCursor>,
    /// Requests that wait for levels.
    waiters: AtomicUsize,
    rights: Rights,
    stopped: Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Store for Postgres {
    async fn execute(&self, command: Command) -> Result<Answered, NotDone> {
        self.carried_out(command).await
    }

    async fn read(&self, key: &StockKey) -> Result<Level, NotDone> {
        self.level_now(key).await
    }

    async fn read_when(&self, key: &StockKey, until: &Until, patience: Duration) -> Result<Level, NotDone> {
        self.level_when(key, until, patience).await
    }

    async fn query(&self, query: StockQuery) -> Result<Vec<Level>, NotDone> {
        self.levels_of(&query).await
    }

    async fn list(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        self.page_of_levels(query).await
    }

    async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, NotDone> {
        self.reservation_named(id).await
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<ReservationPage, NotDone> {
        self.page_of_reservations(query).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, NotDone> {
        Ok(self.order_named(id).await?.map(|order| (*order).clone()))
    }

    async fn order_when_final(&self, id: OrderId, patience: Duration) -> Result<Option<Order>, NotDone> {
        self.order_named_when_final(id, patience).await
    }

    async fn orders(&self, query: OrderQuery) -> Result<OrderPage, NotDone> {
        self.page_of_orders(query).await
    }

    async fn movements(&self, query: MovementQuery) -> Result<MovementPage, HistoryError> {
        self.page_of_movements(query).await
    }

    async fn level_at(&self, key: &StockKey, moment: Moment) -> Result<Level, HistoryError> {
        self.level_as_it_was(key, moment).await
    }

    async fn feed_caught_up(&self) -> Result<(), NotDone> {
        self.catch_up().await.map(drop)
    }

    fn feed_end(&self) -> MovementCursor {
        MovementCursor::after(self.0.feed.end(), self.0.origin.lineage)
    }

    fn feed_end_at_opening(&self) -> MovementCursor {
        self.0.opened_at.get().copied().unwrap_or_else(|| self.feed_end())
    }

    async fn feed_grows(&self, after: MovementCursor) -> Result<(), NotDone> {
        self.more_than(after).await
    }

    async fn document(&self, name: Document) -> Result<Option<Kept>, NotDone> {
        self.document_named_after(name, Revision::default()).await
    }

    async fn document_after(&self, name: Document, known: Revision) -> Result<Option<Kept>, NotDone> {
        self.document_named_after(name, known).await
    }

    async fn keep_document(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        self.document_kept(name, bytes).await
    }

    async fn change_document(
        &self,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Revision>, NotDone> {
        self.document_changed(name, known, change).await
    }

    fn lineage(&self) -> Lineage {
        self.0.origin.lineage
    }

    fn status(&self) -> Status {
        let (counts, orders) = (&self.0.how.counts, &self.0.how.keeping.orders);
        // Partitions are numbered when somebody first reads; of one the numbers are the order of its commits.
        let is_one = self.0.how.partitions.count() == 1;
        Status {
            lineage: self.0.origin.lineage,
            ledger_order: if is_one { LedgerOrder::All } else { LedgerOrder::Level },
            strategy: "postgres",
            durable: true,
            full: false,
            away: self.0.batcher.health.away(),
            levels: counts.total(|part| part.levels),
            contention: self.0.batcher.metrics.contention(),
            orders: OrdersStatus {
                discipline: orders.discipline,
                ageing: orders.ageing,
                queued: counts.total(|part| part.queued),
                backordered: counts.total(|part| part.backordered),
            },
        }
    }

    fn expose(&self, text: &mut Exposition) {
        let Parts { batcher, how, lanes, .. } = &*self.0;
        batcher.metrics.expose(text, how, &batcher.pools, lanes.waiting());
        let name = "inventory_stock_waiters";
        text.gauge(name, "Requests that wait for a stock level to change or to have enough.");
        text.sample(name, &[], self.0.waiters.load(std::sync::atomic::Ordering::Relaxed));
    }

    async fn failed(&self) -> String {
        // The database may be away for as long as it likes: it is waited for.
        std::future::pending().await
    }

    async fn drain(&self) {
        // What is queued has its turn in any process, now or later.
    }

    fn stop(&self) {
        self.0.rights.stop();
    }

    async fn shut_down(&self) {
        self.0.rights.stop();
        self.end().await;
    }
}

impl Postgres {
    /// A connection for what only looks.
    async fn for_reading(&self) -> Result<Lent, Trouble> {
        self.0.batcher.pools.for_reading().await.map_err(|error| Trouble::unconnected(&error))
    }

    /// What comes of something that only looks, or that it took too long: the network may say nothing for as long as it likes.
    fn in_time<'s, T: 's>(
        &'s self,
        looking: impl Future<Output = Result<T, Trouble>> + 's,
    ) -> impl Future<Output = Result<T, Trouble>> + 's {
        // Once, where it is made: it is large, and would be a part of every future around it twice.
        let looking = Box::pin(looking);
        async move {
            let looked = tokio::time::timeout(self.0.batcher.pools.look_time(), looking).await;
            looked.unwrap_or_else(|_| Err(Trouble::late(Stage::Before)))
        }
    }

    /// The same; if the database cannot be reached it is noted.
    fn looked<'s, T: 's>(
        &'s self,
        looking: impl Future<Output = Result<T, Trouble>> + 's,
    ) -> impl Future<Output = Result<T, NotDone>> + 's {
        let looking = self.in_time(looking);
        async move { self.noted(looking.await) }
    }

    /// What came of something; if the database cannot be reached it is noted. That it can be is for others to say: who reads does not know whether
    /// changes are taken.
    fn noted<T>(&self, done: Result<T, Trouble>) -> Result<T, NotDone> {
        done.map_err(|trouble| {
            let not_done = trouble.into_not_done();
            self.0.batcher.health.failed(&not_done);
            not_done
        })
    }

    /// Ends whoever works for it, and its connections.
    async fn end(&self) {
        self.0.stopped.send_replace(true);
        self.0.lanes.stop();
        let tasks = std::mem::take(&mut *self.0.tasks.lock());
        for task in tasks {
            // One that panicked has ended, too.
            let _ended = task.await;
        }
        self.0.batcher.pools.close();
    }

    /// Sleeps for that long; `false` once the store stops.
    async fn pause(&self, time: Duration) -> bool {
        let mut stopped = self.0.stopped.subscribe();
        let stops = stopped.wait_for(|stopped| *stopped);
        tokio::time::timeout(time, stops).await.is_err()
    }
}
