//! [`Policy`]: what whoever runs the service asks of each change, beyond what the change needs by itself.
//!
//! It makes nothing safe that was not: it makes clients say what they would have to say to be safe. Reads are never asked for anything.

/// Off where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Each POST that changes stock has an `Idempotency-Key`: a client that never repeats a request safely finds out the first time.
    pub idempotency_key: bool,
    /// Each PUT and DELETE of a level has a precondition, also where there is none yet or no units are left.
    pub precondition: bool,
}
