//! From an address to a store: waits for the database, sees to its tables, and starts who works on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::batch::Batcher;
use super::connect::Pools;
use super::failure::Trouble;
use super::lanes::{self, Lanes};
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
        let (mut pause, mut told) = (PAUSE_FIRST, None);
        loop {
            match self.try_to_open().await {
                Err(OpenError::Away(why)) => {
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(store = %self.database.url, why, "the database cannot be reached; it is tried again");
                        told = Some(why);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                opened => return opened,
            }
        }
    }

    async fn try_to_open(&self) -> Result<Postgres, OpenError> {
        let client = self.pools.for_writing().await.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => schema::of(&error, &self.database),
            error => match Trouble::unconnected(&error).into_not_done().why {
                crate::store::Why::Away(why) => OpenError::Away(why),
                why => OpenError::Away(why.to_string()),
            },
        })?;
        let partitions = schema::bring_up_to_date(&client, &self.database).await?;
        drop(client);
        let how = Arc::new(How::new(partitions, self.keeping.clone()));
        let batcher = Arc::new(Batcher {
            how: Arc::clone(&how),
            pools: self.pools.clone(),
            batch_max: self.database.batch_max,
            lock_timeout: self.database.lock_timeout,
            metrics: super::metrics::Metrics::default(),
            health: super::health::Health::default(),
            orders: Notify::new(),
        });
        let lanes = Arc::new(Lanes::new(partitions));
        let parts = Parts {
            how,
            batcher,
            lanes,
            feed: super::feed::Feed::default(),
            opened_at: std::sync::OnceLock::new(),
            waiters: std::sync::atomic::AtomicUsize::new(0),
            stopped: tokio::sync::watch::Sender::new(false),
            tasks: parking_lot::Mutex::default(),
        };
        let store = Postgres(Arc::new(parts));
        let away = |not_done: crate::store::NotDone| OpenError::Away(not_done.to_string());
        watch::look(&store).await.map_err(away)?;
        store.count_keys().await.map_err(away)?;
        let end = store.catch_up().await.map_err(away)?;
        let _first = store.0.opened_at.set(MovementCursor::after(end, super::LINEAGE));
        store.start();
        Ok(store)
    }
}

impl Postgres {
    /// Starts whoever works for it.
    fn start(&self) {
        let mut tasks = lanes::start(&self.0.lanes, &self.0.batcher);
        tasks.push(watch::start(self));
        tasks.push(super::sweeper::start(self));
        tasks.push(super::orders::start(self));
        *self.0.tasks.lock() = tasks;
    }
}
