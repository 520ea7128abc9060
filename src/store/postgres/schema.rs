//! The tables: made and brought up to date by whichever process comes first, under a row's lock.

use thiserror::Error;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::AddressError;
use super::failure::told;
use super::partition::Partitions;
use crate::store::Database;
use crate::store::config::PARTITIONS_DEFAULT;

/// Each step from one version of the tables to the next, in order. A step that was released is never changed.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001.sql")];

/// What stands before all steps: where it is written down which were taken.
pub(super) const META: &str = "CREATE SCHEMA IF NOT EXISTS inventory; \
    CREATE TABLE IF NOT EXISTS inventory.meta (z int4 PRIMARY KEY, version int4 NOT NULL, partitions int4 NOT NULL)";

/// The rows that the tables begin with; `$1` is in how many partitions the stock is.
pub(super) const FIRST_ROWS: [&str; 2] = [
    "INSERT INTO inventory.part (p) SELECT generate_series(0, $1::int4 - 1)",
    "UPDATE inventory.feed SET heads = array_fill(0::int8, ARRAY[$1::int4]) WHERE z = 0",
];

/// Tries to make the same at the same time as somebody else.
const ATTEMPTS: usize = 10;

/// Why a store in a database cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// What was said of it cannot be meant.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The database lets nobody in who comes so, or does not do what is asked.
    #[error("--store {url}: {error}")]
    Denied {
        /// Where it is.
        url: crate::store::DatabaseUrl,
        /// What it says.
        error: String,
    },
    /// A newer version of the service has been there.
    #[error(
        "the tables of the store are of version {found}, and this program knows them up to {known}: it takes a newer one"
    )]
    Newer {
        /// The version of the tables.
        found: i32,
        /// The newest that is known.
        known: i32,
    },
    /// There is none.
    #[error("--store {url}: there is no store in this database; `inventory serve --store` makes one")]
    NoStore {
        /// Where it was looked for.
        url: crate::store::DatabaseUrl,
    },
    /// No version of the service has been there that is as new as this.
    #[error(
        "the tables of the store are of version {found}, and this program is for {known}: a replica of its version brings them up to date"
    )]
    Older {
        /// The version of the tables.
        found: i32,
        /// The one that this program is for.
        known: i32,
    },
    /// It was made with another number of partitions.
    #[error("--partitions {said}: the store was made with {found}, and keeps them; leave the flag out")]
    Partitions {
        /// What was said.
        said: u16,
        /// How many there are.
        found: i32,
    },
    /// The database acknowledges what a crash takes back.
    #[error(
        "the database has synchronous_commit = off: a crash of it takes back what was acknowledged. Set it to on for the user of the service \
         (ALTER ROLE ... SET synchronous_commit = on), or say --store-allow-async-commit"
    )]
    AsyncCommit,
    /// It cannot be reached now; it may be later.
    #[error("{0}")]
    Away(String),
}

impl OpenError {
    /// Whether what was said is to blame.
    pub fn is_misdirected(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Partitions { .. })
    }
}

/// The version of the tables that this program makes.
pub(super) fn version() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Sees to it that the tables are there, and of this version. Returns how many partitions there are.
pub(super) async fn bring_up_to_date(client: &Client, database: &Database) -> Result<Partitions, OpenError> {
    let wrong = |error: &tokio_postgres::Error| of(error, database);
    check_commit(client, database).await?;
    let mut attempt = 0;
    while let Err(error) = client.batch_execute(META).await {
        attempt += 1;
        // Somebody else makes the same.
        let is_race = error.code().is_some_and(|code| {
            [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_SCHEMA].contains(code)
        });
        if !is_race || attempt == ATTEMPTS {
            return Err(wrong(&error));
        }
    }
    let wanted = i32::from(database.partitions.unwrap_or(PARTITIONS_DEFAULT));
    let first =
        "INSERT INTO inventory.meta (z, version, partitions) VALUES (0, 0, $1) ON CONFLICT DO NOTHING";
    client.execute(first, &[&wanted]).await.map_err(|error| wrong(&error))?;
    client.batch_execute("BEGIN").await.map_err(|error| wrong(&error))?;
    let taken = take_steps(client, database).await;
    let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await.map_err(|error| wrong(&error))?;
    let partitions = taken?;
    if let Some(said) = database.partitions
        && i32::from(said) != partitions
    {
        return Err(OpenError::Partitions { said, found: partitions });
    }
    Ok(Partitions::new(u16::try_from(partitions).unwrap_or(u16::MAX)))
}

/// Looks for the tables of this version, and changes nothing. Returns how many partitions there are.
pub(super) async fn found(
    client: &Client,
    database: &Database,
    is_to_change: bool,
) -> Result<Partitions, OpenError> {
    let wrong = |error: &tokio_postgres::Error| of(error, database);
    if is_to_change {
        check_commit(client, database).await?;
    }
    let there = client.query_one("SELECT to_regclass('inventory.meta') IS NOT NULL", &[]).await;
    let is_there: bool = there.map_err(|error| wrong(&error))?.get(0);
    let meta = "SELECT version, partitions FROM inventory.meta WHERE z = 0";
    let row = if is_there { client.query_opt(meta, &[]).await.map_err(|error| wrong(&error))? } else { None };
    let row = row.ok_or_else(|| OpenError::NoStore { url: database.url.clone() })?;
    let (found, partitions): (i32, i32) = (row.get(0), row.get(1));
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    match found.cmp(&known) {
        std::cmp::Ordering::Greater => Err(OpenError::Newer { found, known }),
        std::cmp::Ordering::Less => Err(OpenError::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(Partitions::new(u16::try_from(partitions).unwrap_or(u16::MAX))),
    }
}

/// Within a transaction: takes the steps that were not taken yet. Returns how many partitions there are.
async fn take_steps(client: &Client, database: &Database) -> Result<i32, OpenError> {
    let wrong = |error: &tokio_postgres::Error| of(error, database);
    let lock = "SELECT version, partitions FROM inventory.meta WHERE z = 0 FOR UPDATE";
    let row = client.query_one(lock, &[]).await.map_err(|error| wrong(&error))?;
    let (found, partitions): (i32, i32) = (row.get(0), row.get(1));
    let known = version();
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, step) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        client.batch_execute(step).await.map_err(|error| wrong(&error))?;
        if version == 1 {
            for rows in FIRST_ROWS {
                client.execute(rows, &[&partitions]).await.map_err(|error| wrong(&error))?;
            }
        }
        let note = "UPDATE inventory.meta SET version = $1 WHERE z = 0";
        client.execute(note, &[&version]).await.map_err(|error| wrong(&error))?;
        tracing::info!(version, "the tables of the store are made");
    }
    Ok(partitions)
}

async fn check_commit(client: &Client, database: &Database) -> Result<(), OpenError> {
    let row = client.query_one("SELECT current_setting('synchronous_commit')", &[]).await;
    let setting: String = row.map_err(|error| of(&error, database))?.get(0);
    if setting == "off" && !database.allows_async_commit {
        return Err(OpenError::AsyncCommit);
    }
    Ok(())
}

/// What an error means for who opens a store.
pub(super) fn of(error: &tokio_postgres::Error, database: &Database) -> OpenError {
    // Of a connection that is lost, of a server that starts, stops, or has no room, of somebody who was in the way.
    let passes = ["08", "25", "40", "53", "55", "57", "58", "XX"];
    if error.code().is_some_and(|code| !passes.iter().any(|class| code.code().starts_with(class))) {
        return OpenError::Denied { url: database.url.clone(), error: told(error) };
    }
    OpenError::Away(told(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing in the tables keeps a distributed engine from serving them.
    #[test]
    fn the_tables_ask_for_nothing_special() {
        for step in MIGRATIONS {
            let words: String =
                step.lines().map(|line| line.split("--").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
            let words = words.to_lowercase();
            for special in ["serial", "sequence", "trigger", "references", "identity", "advisory", "listen"] {
                assert!(!words.contains(special), "{special}");
            }
        }
    }
}
