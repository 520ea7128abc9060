//! A shop over PostgreSQL: a table of items and four ways to change it; one of them keeps a ledger and keys besides.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{
    Client, GenericClient, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};

use crate::shop::{Denial, Shop, Way};

/// How many connections there are at most. Who finds none free waits.
const CONNECTIONS_MAX: usize = 16;

/// How long anybody waits for a free connection, and for a new one to be made.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The check is what people put there to be safe. It keeps quantities from going below zero, and loses updates all the same.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS items (
    sku text PRIMARY KEY,
    quantity bigint NOT NULL CHECK (quantity >= 0)
);
CREATE TABLE IF NOT EXISTS movements (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL,
    delta bigint NOT NULL,
    quantity bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS keys (
    key uuid PRIMARY KEY,
    asked text NOT NULL,
    quantity bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)";

const SELECT: &str = "SELECT quantity FROM items WHERE sku = $1";
const UPDATE: &str = "UPDATE items SET quantity = $2 WHERE sku = $1 RETURNING quantity";
const CHANGE: &str = "UPDATE items SET quantity = quantity + $2 WHERE sku = $1 AND quantity + $2 >= 0
    RETURNING quantity";
const LOCK: &str = "SELECT sku FROM items WHERE sku = ANY($1) ORDER BY sku FOR UPDATE";
const MOVED: &str = "INSERT INTO movements (sku, delta, quantity) VALUES ($1, $2, $3)";
/// The key is one that nobody else has, as those of senders are: what the table costs is the same.
const KEPT: &str = "INSERT INTO keys (key, asked, quantity) VALUES (gen_random_uuid(), $1, $2)";

/// A shop that keeps its items in a table.
#[derive(Debug, Clone)]
pub struct PostgresShop {
    pool: Pool,
    way: Way,
}

impl PostgresShop {
    /// Connects to a database, and makes the table if it is not there.
    pub async fn open(url: &str, way: Way) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(Config::from_str(url)?, NoTls, recycling);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(WAIT_MAX))
            .create_timeout(Some(WAIT_MAX))
            .runtime(Runtime::Tokio1)
            .build()?;
        pool.get().await?.batch_execute(SCHEMA).await?;
        Ok(Self { pool, way })
    }

    async fn client(&self) -> Result<Client, Denial> {
        Ok(self.pool.get().await?)
    }
}

impl Shop for PostgresShop {
    async fn create(&self, sku: &str, quantity: i64) -> Result<(), Denial> {
        let insert = "INSERT INTO items VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING quantity";
        let made = one(&self.client().await?, insert, &[&sku, &quantity]).await?;
        made.map(drop).ok_or(Denial::Exists)
    }

    async fn quantity(&self, sku: &str) -> Result<i64, Denial> {
        one(&self.client().await?, SELECT, &[&sku]).await?.ok_or(Denial::NoSuchItem)
    }

    async fn change(&self, sku: &str, delta: i64) -> Result<i64, Denial> {
        let mut client = self.client().await?;
        match self.way {
            Way::Naive => {
                let transaction = client.transaction().await?;
                let quantity = naive_change(&transaction, sku, delta).await?;
                transaction.commit().await?;
                Ok(quantity)
            }
            Way::Locked | Way::Recorded => {
                let transaction = client.transaction().await?;
                let lock = transaction.prepare_cached(LOCK).await?;
                transaction.execute(&lock, &[&[sku].as_slice()]).await?;
                // A statement after the lock sees what whoever had it before has left.
                let quantity = naive_change(&transaction, sku, delta).await?;
                if self.way == Way::Recorded {
                    record(&transaction, &[(sku, delta, quantity)]).await?;
                }
                transaction.commit().await?;
                Ok(quantity)
            }
            // One statement: it waits for whoever is changing the row, and judges what they leave.
            Way::Atomic => match one(&client, CHANGE, &[&sku, &delta]).await? {
                Some(quantity) => Ok(quantity),
                // Items are never deleted, so one that is there now was there when it had too few.
                None => one(&client, SELECT, &[&sku])
                    .await?
                    .map_or(Err(Denial::NoSuchItem), |_| Err(Denial::OutOfStock)),
            },
        }
    }

    async fn transfer(&self, from: &str, to: &str, units: i64) -> Result<(i64, i64), Denial> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if self.way != Way::Naive {
            // Both rows first, in one order for everybody: so no two transfers wait for each other, and what is read below stays.
            let lock = transaction.prepare_cached(LOCK).await?;
            transaction.execute(&lock, &[&[from, to].as_slice()]).await?;
        }
        let left = naive_change(&transaction, from, -units).await?;
        let there = naive_change(&transaction, to, units).await?;
        if self.way == Way::Recorded {
            record(&transaction, &[(from, -units, left), (to, units, there)]).await?;
        }
        // Whoever left early has been rolled back.
        transaction.commit().await?;
        Ok((left, there))
    }
}

/// Reads, judges, writes: right only under a lock. That it is in a transaction does not help, although many think so: at
/// PostgreSQL's default isolation, READ COMMITTED, two transactions read the same number, and each writes what it made of it.
async fn naive_change(client: &impl GenericClient, sku: &str, delta: i64) -> Result<i64, Denial> {
    let quantity = one(client, SELECT, &[&sku]).await?.ok_or(Denial::NoSuchItem)? + delta;
    if quantity < 0 {
        return Err(Denial::OutOfStock);
    }
    one(client, UPDATE, &[&sku, &quantity]).await?.ok_or(Denial::NoSuchItem)
}

/// Writes down what was changed, by how much and to what, and once the key under which it was asked for.
async fn record(client: &impl GenericClient, changes: &[(&str, i64, i64)]) -> Result<(), Denial> {
    let moved = client.prepare_cached(MOVED).await?;
    for (sku, delta, quantity) in changes {
        client.execute(&moved, &[sku, delta, quantity]).await?;
    }
    if let Some((sku, delta, quantity)) = changes.first() {
        let kept = client.prepare_cached(KEPT).await?;
        client.execute(&kept, &[&format!("{delta} of {sku}"), quantity]).await?;
    }
    Ok(())
}

/// The number that a statement returns, if it returns a row.
async fn one(
    client: &impl GenericClient,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<i64>, Denial> {
    let statement = client.prepare_cached(statement).await?;
    Ok(client.query_opt(&statement, parameters).await?.map(|row| row.get(0)))
}

impl From<tokio_postgres::Error> for Denial {
    fn from(error: tokio_postgres::Error) -> Self {
        // The one who is chosen to end a deadlock has been rolled back. Of everything else, it may have been committed.
        match error.code() {
            Some(&SqlState::T_R_DEADLOCK_DETECTED) => Self::Busy,
            _ => Self::Unknown(error.to_string()),
        }
    }
}

impl From<PoolError> for Denial {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(_) => Self::Busy,
            error => Self::Unknown(error.to_string()),
        }
    }
}
