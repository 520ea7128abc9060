//! [`Document`]: which small documents whoever asks may keep beside the stock.

/// A document that is kept beside the stock: written as a whole, and on disk before that is answered, if the store has one. What is in it is
/// known to who keeps it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// When to raise an alarm.
    Alerts,
    /// Who is told of movements.
    Webhooks,
    /// How far they have been told, where one process tells them all; of several each writes it down with its lease.
    WebhookPositions,
}

impl Document {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Alerts, Self::Webhooks, Self::WebhookPositions];
}

/// How often a document was replaced, as far as others may do that: where one process alone does, it is always the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A document as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Of those that were kept under its name, which it is.
    pub revision: Revision,
    /// What is in it.
    pub bytes: Vec<u8>,
}
