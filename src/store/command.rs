//! [`Command`]: what may be asked of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::said::Said;
use crate::stock::{
    Change, HeldLine, Once, OrderId, OrderLine, Quantity, ReservationId, StockKey, Transaction,
};

/// One deed, what makes it once, and what is said about it.
#[derive(Debug)]
pub struct Command {
    /// What is to be done.
    pub deed: Deed,
    /// Under which idempotency key, if it has one. Boxed: most have none.
    pub idempotency: Option<Box<Idempotency>>,
    /// What the ledger says about it, and who asks.
    pub said: Said,
}

/// What is to be done.
#[derive(Debug)]
pub enum Deed {
    /// One change of one level.
    Change {
        /// The level.
        key: StockKey,
        /// The change, with its precondition.
        change: Change,
    },
    /// Changes of several levels, all or none.
    Transaction {
        /// The changes.
        transaction: Arc<Transaction>,
        /// What the ledger calls them.
        kind: TransactionKind,
    },
    /// Changes that stand alone: as many commands, asked for together. Each is judged, applied or refused, recorded and
    /// answered by itself; under an idempotency key each line is once.
    Each {
        /// The changes; at least one. Under an idempotency key a retry has the same, in the same order: a line is told by its place.
        lines: Arc<[EachLine]>,
    },
    /// Units of several levels held until a deadline, all or none.
    Reserve {
        /// What to hold: only [`Operation::Reserve`](crate::stock::Operation::Reserve).
        transaction: Arc<Transaction>,
        /// How long.
        ttl: Duration,
    },
    /// What becomes of a reservation.
    Settle {
        /// Which.
        id: ReservationId,
        /// What.
        transition: Transition,
    },
    /// An order: it is queued, and takes its units when it is its turn, all or none.
    Order {
        /// What it is for: ascending by key, each level once ([`combined`](crate::stock::order::combined)); at least one.
        lines: Vec<OrderLine>,
        /// From 0 to [`PRIORITY_MAX`](crate::stock::order::PRIORITY_MAX), the most urgent.
        priority: u8,
        /// Whether it waits for units where it finds too little, rather than be rejected.
        backorder: bool,
    },
    /// An order is not wanted any more: only until it has taken its units. To ask for it again is answered the same.
    Cancel {
        /// Which.
        id: OrderId,
    },
    /// What a fulfilled order took comes back, each unit once.
    Return {
        /// Which.
        id: OrderId,
        /// What; all that is not back yet, to where it was, if nothing is named.
        lines: Option<Vec<ReturnLine>>,
    },
}

/// Units that an order took, and that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnLine {
    /// The level they were taken from.
    pub key: StockKey,
    /// How many; at least one.
    pub quantity: Quantity,
    /// The level they go to: of the same sku. It is made where it is missing.
    pub to: StockKey,
}

/// What may become of a reservation. Whichever is first happens, once; to ask for the same again is answered the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// Its units leave the house: all of them, or those of these lines (ascending by key), and the others are let go.
    Commit(Option<Vec<HeldLine>>),
    /// Its units are let go.
    Release,
    /// It holds for that long from now on, and never for less than before.
    Extend(Duration),
}

/// What the ledger calls the changes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionKind {
    /// By what happened to each level.
    Adjustment,
    /// Units moved between locations.
    Transfer,
}

/// A change that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EachLine {
    /// The level.
    pub key: StockKey,
    /// The change.
    pub change: Change,
}

/// What makes a command take effect once.
#[derive(Debug)]
pub struct Idempotency {
    /// Key and fingerprint.
    pub once: Once,
    /// As version 1 of the log's format had them: keys that were used before an upgrade are honoured after it. To be removed
    /// once nobody upgrades from 0.1.
    pub version_1: Option<KeyOfVersion1>,
}

/// An idempotency key as the first version of the service hashed it: bound to the path as it was spelt, its fingerprint another
/// hash, which is made only where such a key is found.
pub struct KeyOfVersion1 {
    scope: [u8; 32],
    fingerprint: Box<dyn Fn() -> [u8; 32] + Send + Sync>,
}

impl Command {
    /// A command without an idempotency key, about which nothing is said, of nobody.
    pub fn new(deed: Deed) -> Self {
        Self { deed, idempotency: None, said: Said::default() }
    }

    /// A change of one level, about which nothing is said, of nobody.
    pub fn change(key: StockKey, change: Change) -> Self {
        Self::new(Deed::Change { key, change })
    }
}

impl KeyOfVersion1 {
    /// The key whose parts hash to `scope`.
    pub fn new(scope: [u8; 32], fingerprint: impl Fn() -> [u8; 32] + Send + Sync + 'static) -> Self {
        Self { scope, fingerprint: Box::new(fingerprint) }
    }

    /// The key of the whole request.
    pub fn whole(&self) -> u128 {
        half(&self.scope)
    }

    /// The key of one line of it.
    pub fn line(&self, line: u32) -> u128 {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.scope).update(&u64::from(line).to_le_bytes());
        half(hash.finalize().as_bytes())
    }

    /// The fingerprint of the request.
    pub fn fingerprint(&self) -> [u8; 32] {
        (self.fingerprint)()
    }
}

impl fmt::Debug for KeyOfVersion1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOfVersion1").field("whole", &self.whole()).finish_non_exhaustive()
    }
}

/// Half a hash, which is enough to tell keys apart.
fn half(hash: &[u8; 32]) -> u128 {
    u128::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}
