//! [`Work`]: one command on its way through a batch, with all that has to be locked and read for it.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::oneshot;

use super::partition::Partitions;
use crate::said::Said;
use crate::stock::{KeySet, Level, Once, OrderId, Refusal, ReservationId, StockKey};
use crate::store::import::Entry;
use crate::store::{Answered, Deed, Idempotency, Imported, NotDone};
use std::sync::Arc;

/// One command, and who waits for what comes of it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) what: What,
    /// The levels that it may look at or change.
    pub(super) keys: Vec<StockKey>,
    /// What makes it once.
    pub(super) once: Option<Once>,
    /// Of which whole it is a part, and which, if it is one of a batch under a key, or of an import: then its own key counts for none, and it may stand for
    /// nothing any more where that of the whole does.
    pub(super) line: Option<(Once, usize)>,
    pub(super) said: Said,
    /// When it was asked for.
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<Done, NotDone>>,
}

/// What is to be done under the locks.
#[derive(Debug)]
pub(super) enum What {
    /// A deed, but for lines that stand alone: each of those is work of its own.
    Deed(Deed),
    /// Levels of an import get the units that its file says.
    Import(Arc<Chunk>),
    /// To see levels as they are at one instant.
    Look(Arc<KeySet>),
    /// To end a reservation whose deadline has come.
    Expire(ReservationId),
    /// An order has its turn.
    Turn(OrderId),
}

/// Levels of an import.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
    /// They are all of it: they happen together, or none does. Else those that stand in the way are left out.
    pub(super) is_whole: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// Of a deed, or of levels of an import.
    Answered(Answered),
    /// Of a whole import: the levels that stand in its way, each with its place in there. Nothing was done.
    Refused(Vec<(usize, Refusal)>),
    /// Of levels of an import: it was carried through before, and this is what came of all of it.
    Over(Imported),
    /// Of a look: in the order of the set.
    Levels(Vec<Level>),
    /// Of an expiry.
    Ended,
    /// Of a turn: whether it is to have another, as it could not be said whether it is first.
    Turned { again: bool },
}

/// What whoever asked waits for.
pub(super) type Reply = oneshot::Receiver<Result<Done, NotDone>>;

impl Work {
    /// A deed that changes those levels, at most.
    pub(super) fn deed(
        deed: Deed,
        keys: Vec<StockKey>,
        idempotency: Option<&Idempotency>,
        said: Said,
    ) -> (Self, Reply) {
        let (work, reply) = Self::new(What::Deed(deed), keys);
        (Self { once: idempotency.map(|it| it.once), said, ..work }, reply)
    }

    /// Work of no key, about which nothing is said.
    pub(super) fn new(what: What, keys: Vec<StockKey>) -> (Self, Reply) {
        let (reply, receiver) = oneshot::channel();
        let (once, said) = (None, Said::default());
        (Self { what, keys, once, line: None, said, since: Instant::now(), reply }, receiver)
    }

    /// The reservation it is about, if it is about one that is there.
    pub(super) fn reservation(&self) -> Option<ReservationId> {
        match self.what {
            What::Deed(Deed::Settle { id, .. }) | What::Expire(id) => Some(id),
            _ => None,
        }
    }

    /// The order it is about, if it is about one that is there.
    pub(super) fn order(&self) -> Option<OrderId> {
        match self.what {
            What::Deed(Deed::Cancel { id } | Deed::Return { id, .. }) | What::Turn(id) => Some(id),
            _ => None,
        }
    }

    /// The partitions that have to be locked for it.
    pub(super) fn partitions(&self, partitions: Partitions) -> BTreeSet<i32> {
        let mut locked: BTreeSet<i32> = self.keys.iter().map(|key| partitions.of_key(key)).collect();
        locked.extend(self.reservation().map(|id| partitions.of_id(id)));
        locked.extend(self.order().map(|id| partitions.of_id(id)));
        locked
    }

    /// Whether it is a turn of an order, for which it counts who is first in the lines of its levels.
    pub(super) fn is_turn(&self) -> bool {
        matches!(self.what, What::Turn(_))
    }
}
