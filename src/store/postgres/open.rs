//! From an address to a store: waits for the database, sees to its tables, and starts who works on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::batch::{Batcher, COMMIT_TIME};
use super::connect::{Lent, Pools};
use super::failure::Trouble;
use super::lanes::{self, Lanes};
use super::order_sql::OrderSql;
use super::origin::Origin;
use super::partition::Partitions;
use super::schema::{self, OpenError};
use super::working::How;
use super::{Parts, Postgres, watch};
use crate::store::{Database, Keeping, MovementCursor};

/// Between two attempts to reach the database: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A store in a database that is about to be opened.
#[derive(Debug)]
pub struct Opening {
    database: Database,
    keeping: Keeping,
    pools: Pools,
}

impl Opening {
    /// Checks what was said of the database. Nothing is asked of it yet.
    pub fn begin(database: &Database, keeping: &Keeping) -> Result<Self, OpenError> {
        let pools = Pools::new(database)?;
        Ok(Self { database: database.clone(), keeping: keeping.clone(), pools })
    }

    /// Opens it, as soon as the database can be reached: however long that takes, and saying why not.
    pub async fn open(&self) -> Result<Postgres, OpenError> {
        self.open_telling(|_| ()).await
    }

    /// The same; what is waited for is told whenever it is something else.
    pub async fn open_telling(&self, tell: impl Fn(&str)) -> Result<Postgres, OpenError> {
        let (mut pause, mut told) = (PAUSE_FIRST, None);
        loop {
            match self.try_to_open().await {
                Err(OpenError::Away(why)) => {
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(store = %self.database.url, why, "the database cannot be reached; it is tried again");
                        tell(&why);
                        told = Some(why);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                opened => return opened,
            }
        }
    }

    /// Opens it for who comes by and serves nobody: at once or not at all, as it is found, and nobody works for it. Nobody's turn is given, and nothing
    /// that is old is removed: how that is done is for who serves to say.
    pub async fn visit(&self, is_to_change: bool) -> Result<Postgres, OpenError> {
        let client = self.connection().await?;
        let found = schema::found(&client, &self.database, is_to_change);
        let partitions = tokio::time::timeout(COMMIT_TIME, found).await.map_err(late)??;
        let origin = self.origin(&client).await?;
        client.give_back();
        let how = How::new(partitions, self.keeping.clone());
        let store = self.store(How { sql: OrderSql::of_any_discipline(), ..how }, origin);
        // No further than that: who may only read is to get by, and the ledger's end is a row that is written.
        watch::look(&store).await.map_err(away)?;
        *store.0.tasks.lock() = lanes::start(&store.0.lanes, &store.0.batcher);
        Ok(store)
    }

    async fn try_to_open(&self) -> Result<Postgres, OpenError> {
        let store = self.assembled(|how| how).await?;
        store.start();
        Ok(store)
    }

    /// Opens it, now or not at all, for who has something to tidy up in it: nothing is done by itself, and no order has its turn.
    pub(super) async fn open_to_tidy(&self) -> Result<Postgres, OpenError> {
        let any = |how| How { sql: OrderSql::of_any_discipline(), ..how };
        let store = self.assembled(any).await?;
        *store.0.tasks.lock() = lanes::start(&store.0.lanes, &store.0.batcher);
        Ok(store)
    }

    /// Sees to it that the tables are there, now or not at all. Returns in how many partitions the stock is, and the version of the tables.
    pub async fn make_tables(&self) -> Result<(i32, i32), OpenError> {
        let client = self.connection().await?;
        let partitions = self.tables(&client).await?;
        client.give_back();
        Ok((partitions.count(), schema::version()))
    }

    /// A connection, if the database can be reached now.
    pub(super) async fn connection(&self) -> Result<Lent, OpenError> {
        self.pools.for_transaction().await.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => schema::of(&error, &self.database),
            error => match Trouble::unconnected(&error).into_not_done().why {
                crate::store::Why::Away(why) => OpenError::Away(why),
                why => OpenError::Away(why.to_string()),
            },
        })
    }

    /// Sees to it that the tables are there, in bounded time.
    async fn tables(&self, client: &Lent) -> Result<Partitions, OpenError> {
        let brought = schema::bring_up_to_date(client, &self.database);
        tokio::time::timeout(COMMIT_TIME, brought).await.map_err(late)?
    }

    async fn assembled(&self, as_kept: impl FnOnce(How) -> How) -> Result<Postgres, OpenError> {
        let client = self.connection().await?;
        let partitions = self.tables(&client).await?;
        let origin = self.origin(&client).await?;
        client.give_back();
        let store = self.store(as_kept(How::new(partitions, self.keeping.clone())), origin);
        watch::look(&store).await.map_err(away)?;
        store.count_keys().await.map_err(away)?;
        let end = store.catch_up().await.map_err(away)?;
        let _first = store.0.opened_at.set(MovementCursor::after(end, origin.lineage));
        Ok(store)
    }

    async fn origin(&self, client: &Lent) -> Result<Origin, OpenError> {
        let origin = tokio::time::timeout(COMMIT_TIME, Origin::of(client)).await.map_err(late)?;
        origin.map_err(|error| schema::of(&error, &self.database))
    }

    fn store(&self, how: How, origin: Origin) -> Postgres {
        let lanes = Arc::new(Lanes::new(how.partitions));
        let how = Arc::new(how);
        let batcher = Arc::new(Batcher {
            how: Arc::clone(&how),
            pools: self.pools.clone(),
            batch_max: self.database.batch_max,
            lock_timeout: self.database.lock_timeout,
            metrics: super::metrics::Metrics::default(),
            health: super::health::Health::default(),
            orders: Notify::new(),
        });
        Postgres(Arc::new(Parts {
            how,
            batcher,
            lanes,
            feed: super::feed::Feed::after(origin.dropped),
            origin,
            opened_at: std::sync::OnceLock::new(),
            waiters: std::sync::atomic::AtomicUsize::new(0),
            rights: super::chores::Rights::default(),
            stopped: tokio::sync::watch::Sender::new(false),
            tasks: parking_lot::Mutex::default(),
        }))
    }
}

fn late(_: tokio::time::error::Elapsed) -> OpenError {
    OpenError::Away("it gave no answer in time".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error becomes")]
fn away(not_done: crate::store::NotDone) -> OpenError {
    OpenError::Away(not_done.to_string())
}

impl Postgres {
    /// Starts whoever works for it.
    fn start(&self) {
        let mut tasks = lanes::start(&self.0.lanes, &self.0.batcher);
        tasks.push(watch::start(self));
        tasks.push(super::sweeper::start(self));
        tasks.push(super::trimmer::start(self));
        tasks.push(super::orders::start(self));
        *self.0.tasks.lock() = tasks;
    }
}
