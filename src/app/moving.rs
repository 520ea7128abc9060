//! Stock from one store to another, while nobody serves either; and the tables of one in which there is none yet.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;

use crate::store::moving::{Moved, ON_THE_WAY_MAX};
use crate::store::postgres::{self, Opening};
use crate::store::{Database, local};

/// Where stock is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// A data directory.
    Folder(PathBuf),
    /// A database.
    Store(Database),
}

/// Why stock was not moved.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The data directory that is left.
    #[error(transparent)]
    LeaveFolder(#[from] local::moving::LeaveError),
    /// The database that is left.
    #[error(transparent)]
    LeaveStore(#[from] postgres::moving::LeaveError),
    /// The data directory that is entered.
    #[error(transparent)]
    EnterFolder(#[from] local::moving::EnterError),
    /// The database that is entered.
    #[error(transparent)]
    EnterStore(#[from] postgres::moving::EnterError),
    /// Who reads, or who writes, panicked.
    #[error("moving the stock panicked")]
    Panicked,
}

impl MigrateError {
    /// Whether what was said is to blame.
    pub fn is_misdirected(&self) -> bool {
        match self {
            Self::LeaveStore(postgres::moving::LeaveError::Open(error))
            | Self::EnterStore(postgres::moving::EnterError::Open(error)) => error.is_misdirected(),
            Self::LeaveFolder(local::moving::LeaveError::Open(error)) => error.is_misdirected(),
            _ => false,
        }
    }

    /// Whether it says only that the other store has failed.
    fn is_of_the_other(&self) -> bool {
        matches!(
            self,
            Self::LeaveFolder(local::moving::LeaveError::NotTaken)
                | Self::LeaveStore(postgres::moving::LeaveError::NotTaken)
        )
    }
}

/// Moves all there is. `keys_retention`: how long a service over the data directory keeps idempotency keys. `progress` is told what came so far.
///
/// What is left stays as it is. What is entered is whole, or there is nothing.
pub async fn migrate(
    from: Place,
    to: Place,
    keys_retention: Duration,
    progress: impl Fn(&Moved) + Send + Sync + 'static,
) -> Result<Moved, MigrateError> {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY_MAX);
    let leaving = async move {
        match from {
            Place::Folder(path) => {
                let left = move || local::moving::leave(&path, keys_retention, &sender);
                let left = tokio::task::spawn_blocking(left).await;
                Ok(left.map_err(|_| MigrateError::Panicked)??)
            }
            Place::Store(database) => Ok(postgres::moving::leave(&database, sender).await?),
        }
    };
    let entering = async move {
        match to {
            Place::Folder(path) => {
                let entered = move || local::moving::enter(&path, keys_retention, receiver, &progress);
                let entered = tokio::task::spawn_blocking(entered).await;
                Ok(entered.map_err(|_| MigrateError::Panicked)??)
            }
            Place::Store(database) => Ok(postgres::moving::enter(&database, receiver, &progress).await?),
        }
    };
    let (left, entered): (Result<(), MigrateError>, Result<Moved, MigrateError>) =
        tokio::join!(leaving, entering);
    match (left, entered) {
        // What was entered is whole: it is only when all was said.
        (_, Ok(moved)) => Ok(moved),
        (Err(error), Err(_)) if !error.is_of_the_other() => Err(error),
        (_, Err(error)) => Err(error),
    }
}

/// Sees to it that a database has the tables. Returns in how many partitions its stock is, and the version of the tables.
pub async fn make_tables(database: &Database) -> Result<(i32, i32), postgres::OpenError> {
    Opening::begin(database, &crate::store::Keeping::default())?.make_tables().await
}

/// The statements that make the tables.
pub fn tables(partitions: Option<u16>, citus: bool) -> String {
    postgres::script(partitions, citus)
}
