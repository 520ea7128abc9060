//! [`Remark`]: what is said about a change.

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 64;
/// The longest reference, in characters.
pub const REFERENCE_CHARS_MAX: usize = 128;

/// What whoever asks for a change says about it; the ledger keeps it with every movement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remark {
    /// Why: free text, at most [`REASON_CHARS_MAX`] characters; empty for nothing.
    pub reason: String,
    /// What it belongs to, in the asker's own books: free text, at most [`REFERENCE_CHARS_MAX`] characters; empty for nothing.
    pub reference: String,
}
