//! [`Trouble`]: what went wrong with a database, and what that means for whoever asked.
//!
//! **Nothing is said that may be false.** Until `COMMIT` is sent nothing was changed, whatever happens. After it only the database knows: an error
//! of a statement *before* it says that it was not carried out; its own error, or a connection that is lost, says nothing, and so neither do we.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::PoolError;
use thiserror::Error;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::{NotDone, Why};

/// Why something could not be done.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// Others were in the way, and nothing was changed: the same again may do.
    #[error("{0}")]
    Again(String),
    /// It was not done, or nobody knows.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// How far a transaction was when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `COMMIT` was not sent.
    Before,
    /// It was, and this is what a statement before it came to.
    Within,
    /// It was, and this is what it came to; or there is no telling.
    Commit,
}

/// Until somebody looks again for room.
const LOOKS_FOR_ROOM_IN: Duration = Duration::from_secs(1);

/// What a database is that does not take changes: a standby, or one that was made to stop.
const READ_ONLY: &str = "the database is read-only, and takes no changes";

impl Trouble {
    /// What an error means for a transaction that was so far.
    pub(super) fn of(error: &Error, stage: Stage) -> Self {
        let Some(code) = error.code().filter(|_| stage != Stage::Commit || is_conflict(error)) else {
            let away = Why::Away(told(error));
            return Self::NotDone(match stage {
                Stage::Before => NotDone::no(away),
                Stage::Within | Stage::Commit => NotDone::unknown(away),
            });
        };
        if is_conflict(error) {
            return Self::Again(told(error));
        }
        Self::NotDone(NotDone::no(match *code {
            SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED => Why::Contention,
            SqlState::DISK_FULL => Why::DiskFull { retry_after: LOOKS_FOR_ROOM_IN },
            SqlState::READ_ONLY_SQL_TRANSACTION => Why::Away(READ_ONLY.to_owned()),
            _ => Why::Away(told(error)),
        }))
    }

    /// What it means that there is no connection.
    pub(super) fn unconnected(error: &PoolError) -> Self {
        let what = match error {
            PoolError::Backend(error) => told(error),
            PoolError::Timeout(_) => "no connection to it came free, or could be made, in time".to_owned(),
            other => other.to_string(),
        };
        Self::NotDone(NotDone::no(Why::Away(what)))
    }

    /// The transaction did not come to an end in time; whether it will, the stage says.
    pub(super) fn late(stage: Stage) -> Self {
        let what = "it gave no answer in time".to_owned();
        Self::NotDone(match stage {
            Stage::Before => NotDone::no(Why::Away(what)),
            Stage::Within | Stage::Commit => NotDone::unknown(Why::Away(what)),
        })
    }

    /// The database shows what it has, and takes no changes.
    pub(super) fn read_only() -> Self {
        Self::NotDone(NotDone::no(Why::Away(READ_ONLY.to_owned())))
    }

    /// Whether that is the trouble.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::NotDone(NotDone { why: Why::Away(what), .. }) if what == READ_ONLY)
    }

    /// A row cannot be what it says.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        let what = what.into();
        tracing::error!(what, "what is in the database cannot be understood");
        Self::NotDone(NotDone::no(Why::Damaged(what)))
    }

    /// What whoever asked is told, once it is not tried any more.
    pub(super) fn into_not_done(self) -> NotDone {
        match self {
            Self::Again(_) => NotDone::no(Why::Contention),
            Self::NotDone(not_done) => not_done,
        }
    }
}

/// Whether the database has taken a transaction back as it ran into another one: a serialization failure, a deadlock, a row that somebody else
/// has just made.
fn is_conflict(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION]
            .contains(code)
    })
}

/// An error in words, with what it came of.
pub(super) fn told(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return format!("{} ({})", database.message(), database.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
