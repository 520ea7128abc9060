//! An export as a database of `SQLite`: the levels as they are, and every movement that is kept.
//!
//! Row by row in one transaction, in constant memory. The file is nobody's but ours until it is whole, so it is written without
//! a journal of its own.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};
use thiserror::Error;

use crate::app::Offline;
use crate::http::dto::{Export, time};
use crate::store::ledger::From;
use crate::store::{HistoryError, MovementFilter, MovementPage, MovementQuery, NotDone, Store as _};

/// Movements that are read at a time.
const PAGE_MOVEMENTS: usize = 1_000;

const TABLES: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    BEGIN;
    CREATE TABLE levels (
        sku TEXT NOT NULL, location TEXT NOT NULL, on_hand INTEGER NOT NULL, reserved INTEGER NOT NULL,
        version INTEGER NOT NULL, PRIMARY KEY (sku, location)
    ) WITHOUT ROWID;
    CREATE TABLE movements (
        seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, sku TEXT NOT NULL, location TEXT NOT NULL,
        delta INTEGER NOT NULL, on_hand_before INTEGER NOT NULL, reserved_before INTEGER NOT NULL,
        on_hand_after INTEGER NOT NULL, reserved_after INTEGER NOT NULL, version INTEGER NOT NULL,
        reason TEXT NOT NULL, reference TEXT NOT NULL, reservation TEXT,
        order_id TEXT, actor TEXT NOT NULL
    );
";

const INSERT_LEVEL: &str = "INSERT INTO levels VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT_MOVEMENT: &str =
    "INSERT INTO movements VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

/// Why there is no database.
#[derive(Debug, Error)]
pub(super) enum SqliteError {
    /// The disk said so.
    #[error("{0}")]
    Io(io::Error),
    /// `SQLite` said so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A level could not be read.
    #[error("a level could not be read: {0}")]
    Level(NotDone),
    /// The ledger could not be read.
    #[error("the ledger could not be read: {0}")]
    Ledger(#[from] HistoryError),
}

/// Writes the database to a new file, and syncs it.
pub(super) async fn write(stock: &Offline, path: &Path) -> Result<(), SqliteError> {
    let database = Connection::open(path)?;
    database.execute_batch(TABLES)?;
    levels(stock, &database).await?;
    movements(stock, &database).await?;
    database.execute_batch("COMMIT")?;
    database.close().map_err(|(_, error)| error)?;
    File::open(path).and_then(|file| file.sync_all()).map_err(SqliteError::Io)
}

async fn levels(stock: &Offline, database: &Connection) -> Result<(), SqliteError> {
    let mut insert = database.prepare(INSERT_LEVEL)?;
    let mut export = Export::default();
    while let Some(levels) = export.page(&stock.store).await.map_err(SqliteError::Level)? {
        for (key, level) in levels {
            let (on_hand, reserved) = (level.on_hand().cast_signed(), level.reserved().cast_signed());
            let version = level.version().cast_signed();
            insert.execute(params![key.sku(), key.location(), on_hand, reserved, version])?;
        }
    }
    Ok(())
}

async fn movements(stock: &Offline, database: &Connection) -> Result<(), SqliteError> {
    let mut insert = database.prepare(INSERT_MOVEMENT)?;
    let mut next = Some(From::Oldest);
    while let Some(from) = next {
        let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: PAGE_MOVEMENTS };
        let MovementPage { movements, next: cursor, .. } = stock.store.movements(query).await?;
        for movement in &movements {
            let (on_hand, reserved) = movement.before;
            insert.execute(params![
                movement.seq.number().cast_signed(),
                time(movement.time_ms),
                movement.kind.name(),
                movement.key.sku(),
                movement.key.location(),
                movement.after.on_hand().cast_signed() - on_hand.cast_signed(),
                on_hand.cast_signed(),
                reserved.cast_signed(),
                movement.after.on_hand().cast_signed(),
                movement.after.reserved().cast_signed(),
                movement.after.version().cast_signed(),
                movement.reason,
                movement.reference,
                movement.reservation.map(|id| id.to_string()),
                movement.order.map(|id| id.to_string()),
                movement.actor,
            ])?;
        }
        next = cursor.map(From::Cursor);
    }
    Ok(())
}
