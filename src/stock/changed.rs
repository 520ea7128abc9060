//! What has happened to a level, and who is told: [`Changed`] and [`HandOff`].
//!
//! They belong to the domain because both sides need them and neither may know the other: whoever applies a change and
//! whoever records it. Nothing here applies or records.
//!
//! A caller acquires whatever it needs to record a change (a slot in a journal's queue, say) *before* it asks for the
//! change, and moves it in as the hand-off. From then on nothing can go wrong between the change and its record: the
//! hand-off cannot fail, wait or await.

use super::key::StockKey;
use super::level::Level;
use super::operation::Operation;

/// A permit to record one change or one transaction, called by whoever applied it.
pub trait HandOff: Send + 'static {
    /// Takes the record. Called after every lock is released, so it may cost what it must, but it may neither
    /// block on a lock that a caller of the stock holds nor panic.
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone;
}

/// One level's part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed<'a> {
    /// The level.
    pub key: &'a StockKey,
    /// What happened to it, the lines of a transaction combined.
    pub operation: Operation,
    /// The level before.
    pub before: Level,
    /// The level after.
    pub after: Level,
}

impl Changed<'_> {
    /// Whether the level came into being or ceased to be, which is all that an index of keys is about.
    #[inline]
    pub fn creates_or_deletes(&self) -> bool {
        self.before.exists() != self.after.exists()
    }
}

/// Records nothing: for stock that lives in memory only.
impl HandOff for () {
    fn hand_over<'a, C>(self, _changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
    }
}
