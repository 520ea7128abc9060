//! [`Said`]: what is said about a change, and who asked for it; the word that commands and records share for that.
//!
//! It is kept, and never looked at to decide anything.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::stock::Remark;

/// What the ledger keeps of a change beside what happened: what was said, and who asked. A clone allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What who asks says about it; `None` for nothing.
    pub remark: Option<Arc<Remark>>,
    /// Who asks: the name of a key or of the subject of a token, of at most 64 bytes. `None` where nobody has to say so, and of what the service does by itself.
    // A name of up to 23 bytes stands in here: nothing is allocated for it, and no count is shared.
    pub actor: Option<SmolStr>,
}
