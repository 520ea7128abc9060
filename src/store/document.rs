//! [`Document`]: which small documents whoever asks may keep beside the stock.

/// A document that is kept beside the stock: written as a whole, and on disk before that is answered, if the store has one. What is in it is
/// known to who keeps it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// When to raise an alarm.
    Alerts,
    /// Who is told of movements.
    Webhooks,
    /// How far they have been told.
    WebhookPositions,
}
