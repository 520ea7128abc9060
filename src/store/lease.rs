//! [`Leases`]: what is done by one process at a time, where several use the same stock: who has its *lease* does it, until that ends.
//!
//! A lease ends by the store's clock. Whoever has it measures by his own, from before he asked for it, so he takes it for over before the store
//! does, and has stopped by the time somebody else can have it. What he leaves in it moves by his claim alone: who has lost it moves nothing.

use std::future::Future;
use std::time::Duration;

use super::NotDone;

/// What a lease is had by: a number that nobody else has, and that is had once.
pub type Claim = u128;

/// A lease, as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is of.
    pub name: String,
    /// Whether somebody has it.
    pub is_held: bool,
    /// What was left in it last.
    pub left: Option<Vec<u8>>,
}

/// A store that several processes use at the same time.
pub trait Leases: Send + Sync {
    /// Takes a lease that nobody has, for that long. Returns what was left in it, if anything was; `None` if somebody has it.
    fn take(
        &self,
        name: &str,
        claim: Claim,
        time: Duration,
    ) -> impl Future<Output = Result<Option<Option<Vec<u8>>>, NotDone>> + Send;

    /// Has it for that long from now, and leaves this in it. `false`: it is not the claim's any more, and nothing was changed.
    fn renew(
        &self,
        name: &str,
        claim: Claim,
        time: Duration,
        left: Vec<u8>,
    ) -> impl Future<Output = Result<bool, NotDone>> + Send;

    /// Whether nobody else has taken it.
    fn is_held(&self, name: &str, claim: Claim) -> impl Future<Output = Result<bool, NotDone>> + Send;

    /// Lets the next have it at once, and leaves this in it, unless it is not the claim's any more.
    fn give_back(
        &self,
        name: &str,
        claim: Claim,
        left: Vec<u8>,
    ) -> impl Future<Output = Result<(), NotDone>> + Send;

    /// There is nothing to have any more, nor anything left in it; unless it is not the claim's.
    fn end(&self, name: &str, claim: Claim) -> impl Future<Output = Result<(), NotDone>> + Send;

    /// All there are.
    fn leases(&self) -> impl Future<Output = Result<Vec<Lease>, NotDone>> + Send;
}
