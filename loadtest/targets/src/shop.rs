//! What a shop can be asked, and what it says if it is not done. It knows neither HTTP nor a database.

use std::future::Future;

use clap::ValueEnum;

/// How a shop changes a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Reads it, looks whether it suffices, writes the new one. Two requests that read the same lose one of their changes.
    Naive,
    /// Looks and changes in one step of the database's.
    Atomic,
    /// Locks it, looks, and writes, in a transaction: what people do who know of the bug. Over Redis the same as atomic.
    Locked,
    /// The same, and writes in that transaction what was changed, and under which key, so that a retry finds the answer: what people do who want
    /// a ledger, and retries that are safe. Over Redis the same as atomic.
    Recorded,
}

/// Why a request was not carried out, or that nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// Nothing is called that.
    #[error("no-such-item")]
    NoSuchItem,
    /// Something is called that already.
    #[error("exists")]
    Exists,
    /// There are fewer than asked for.
    #[error("out-of-stock")]
    OutOfStock,
    /// It was not tried, or the database took it back for the sake of others. Nothing was changed.
    #[error("busy")]
    Busy,
    /// The database did not say what became of it.
    #[error("database: {0}")]
    Unknown(String),
}

/// A shop. Quantities are never negative.
pub trait Shop: Clone + Send + Sync + 'static {
    /// Makes an item of which there are so many.
    fn create(&self, sku: &str, quantity: i64) -> impl Future<Output = Result<(), Denial>> + Send;

    /// How many there are.
    fn quantity(&self, sku: &str) -> impl Future<Output = Result<i64, Denial>> + Send;

    /// Adds units, or takes them if `delta` is negative. Returns how many there are then.
    fn change(&self, sku: &str, delta: i64) -> impl Future<Output = Result<i64, Denial>> + Send;

    /// Takes units from one item and adds them to another, both or neither. Returns how many there are then of each.
    fn transfer(
        &self,
        from: &str,
        to: &str,
        units: i64,
    ) -> impl Future<Output = Result<(i64, i64), Denial>> + Send;
}
