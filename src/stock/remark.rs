//! [`Remark`]: what is said about a change; [`Said`]: that, and who asked for it.

use std::sync::Arc;

use smol_str::SmolStr;

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

/// What the ledger keeps of a change beside what happened: what was said, and who asked. A clone allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What who asks says about it; `None` for nothing.
    pub remark: Option<Arc<Remark>>,
    /// Who asks: the name of a key, of at most 64 bytes. `None` where nobody has to say so, and of what the service does by itself.
    // A name of up to 23 bytes stands in here: nothing is allocated for it, and no count is shared.
    pub actor: Option<SmolStr>,
}
