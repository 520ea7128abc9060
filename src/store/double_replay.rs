//! The mutant `double-replay`: a request under an idempotency key that is sent again is carried out again.
//!
//! **The bug:** the key is looked up after the deed, for the sake of the answer alone. **Why people write it:** idempotency is
//! added in a middleware that keeps answers by key, beside the stock and not within its transaction. As long as nobody asks
//! twice everything is right, and who does ask twice is given the first answer, word for word, marked as a replay: so tests that
//! compare the two answers pass.
//!
//! **Breaks P8.** Only in builds with the feature `mutants`, see [`crate::strategy::mutants`]. It is a store around a store: nothing
//! of the way a command takes is touched.

use super::{Answered, Command, Deed, NotDone, Store};
use crate::strategy::StrategyKind;
use crate::strategy::mutants::Mutant;

/// Whether a store is to have this fault: its strategy is named so.
pub fn is_asked_for(store: &impl Store) -> bool {
    store.status().strategy == StrategyKind::Mutant(Mutant::DoubleReplay).name()
}

/// Carries a command out, and a replay once more.
pub async fn execute(store: &impl Store, command: Command) -> Result<Answered, NotDone> {
    let again = Command { deed: copy(&command.deed), idempotency: None, said: command.said.clone() };
    let answered = store.execute(command).await?;
    if answered.replayed {
        // What comes of it is told to nobody.
        let _ = store.execute(again).await;
    }
    Ok(answered)
}

fn copy(deed: &Deed) -> Deed {
    match deed {
        Deed::Change { key, change } => Deed::Change { key: key.clone(), change: *change },
        Deed::Transaction { transaction, kind } => {
            Deed::Transaction { transaction: transaction.clone(), kind: *kind }
        }
        Deed::Each { lines } => Deed::Each { lines: lines.clone() },
        Deed::Reserve { transaction, ttl } => Deed::Reserve { transaction: transaction.clone(), ttl: *ttl },
        Deed::Settle { id, transition } => Deed::Settle { id: *id, transition: transition.clone() },
        Deed::Order { lines, priority, backorder } => {
            Deed::Order { lines: lines.clone(), priority: *priority, backorder: *backorder }
        }
        Deed::Cancel { id } => Deed::Cancel { id: *id },
        Deed::Return { id, lines } => Deed::Return { id: *id, lines: lines.clone() },
    }
}
