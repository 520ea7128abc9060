//! [`Origin`]: what a store knows of the one its stock came from, if it came from one: which history it goes on with, and where its ledger begins.
//!
//! The history is written when the stock is moved, and never again. Movements that were dropped, there or here ([`super::retention`]), are a run of no partition, so that
//! numbers go on.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Error;

use crate::store::Lineage;

/// The partition of the run of movements that were dropped: none. It is the first, if it is there.
pub(super) const DROPPED: i32 = -1;

/// In place of the number of a movement in its partition: it was dropped before.
pub(super) const DROPPED_SEQ: i64 = -1;

/// The name of the row among the documents that has the lineage.
pub(super) const LINEAGE: &str = "lineage";

const LOAD: &str = "SELECT (SELECT bytes FROM inventory.document WHERE z = 0 AND name = $1), \
    (SELECT last FROM inventory.run WHERE z = 0 AND p = $2 LIMIT 1)";

/// Where the stock came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The history that versions and numbers are of.
    pub(super) lineage: Lineage,
    /// The number of the last movement that was dropped by then; 0 for none.
    pub(super) dropped: u64,
}

impl Origin {
    /// As the database has it.
    pub(super) async fn of(client: &ClientWrapper) -> Result<Self, Error> {
        let row = client.query_one(LOAD, &[&LINEAGE, &DROPPED]).await?;
        let id = row.get::<_, Option<&[u8]>>(0).and_then(|bytes| bytes.try_into().ok());
        let dropped = row.get::<_, Option<i64>>(1).unwrap_or(0);
        Ok(Self { lineage: Lineage::restored(id.map(u64::from_be_bytes)), dropped: dropped.unsigned_abs() })
    }
}
