//! [`Local`]: the store of one process: a strategy, which shares the levels between threads, and a journal, which keeps them.
//!
//! The way of a change: take a permit of the journal, ask the strategy (which judges, changes, and hands the record over), wait
//! for the witness, answer. Everything that must be in that order is here:
//!
//! - [`books`]: permits, witnesses and keys, as the journal gives them. `kept`: the record of a key, read back.
//! - `once`: a command under an idempotency key. `each`: many that stand alone, with and without one.
//! - `levels`: reads and pages. `history`: the ledger. `metrics`: what is counted.
//! - `open`: from what is on disk to a store. `chores`, `import`: what is done now and then.
//! - `documents`: what is kept beside the stock. `moving`: all of it, to another store or from one.
//! - `orders`: placed, had their turn, cancelled, given back. `pipeline`: whose turn it is, and who waits for which level.
//! - `reservations`: units held until a deadline. `sweeper`: who tidies them up.
//! - `waiting`: who waits for a level to become something.
//!
//! Every change is one call of the strategy, so that nothing is looked at here and acted upon there.

mod backups;
mod books;
mod chores;
mod documents;
mod each;
mod history;
mod import;
mod kept;
mod levels;
mod metrics;
pub mod moving;
mod once;
mod open;
mod orders;
mod pipeline;
mod reservations;
mod sweeper;
mod waiting;

#[cfg(test)]
mod faults;

use std::sync::Arc;
use std::time::Duration;

use self::books::Books;
use self::chores::Rights;
use self::pipeline::Pipeline;
use crate::journal::documents::Documents;
use crate::journal::keys::Claim;
use crate::journal::record::RecordKind;
use crate::said::Said;
use crate::stock::{
    Applied, Change, EntryRefusal, Level, Order, OrderId, Refusal, RefusedLevel, Reservation, ReservationId,
    StockKey, Transaction, Until,
};
use crate::store::refusals::{RefusalCounts, most_telling};
use crate::store::{
    Answered, Command, Deed, Document, HistoryError, Kept, LedgerOrder, LevelPage, LevelQuery, Lineage,
    Moment, MovementCursor, MovementPage, MovementQuery, NotDone, OrderPage, OrderQuery, OrdersStatus,
    Outcome, ReservationPage, ReservationQuery, Revision, Status, StockQuery, Store, TransactionKind,
    WasApplied, Why,
};
use crate::strategy::{AnyStrategy, KeyIndex, Rejected, Strategy, TransactRefused, TransactRejected};
use crate::telemetry::Exposition;

pub use open::{Intent, OfflineVerification, OpenError, Opening, verify_offline};

/// The store of one process. A handle: clones are of the same store.
#[derive(Debug, Clone)]
pub struct Local(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    stock: AnyStrategy,
    /// Which levels there are.
    index: Arc<KeyIndex>,
    books: Books,
    documents: Arc<Documents>,
    /// The place after the last movement that was there before anything was done.
    opened_at: MovementCursor,
    refusals: RefusalCounts,
    pipeline: Arc<Pipeline>,
    rights: Rights,
    /// How many requests may wait for levels at once.
    waiters_max: usize,
}

/// A change of one level, or why it was refused.
type Judged = Result<Applied, Refusal>;

/// Changes of several levels, or all that stood in their way.
type JudgedTogether = Result<Vec<(StockKey, Applied)>, Vec<RefusedLevel>>;

impl Store for Local {
    async fn execute(&self, command: Command) -> Result<Answered, NotDone> {
        let outcome = match command {
            Command { deed: Deed::Change { key, change }, idempotency: None, said } => {
                Outcome::Change(self.change(&key, change, said, None).await?)
            }
            Command { deed: Deed::Transaction { transaction, kind }, idempotency: None, said } => {
                Outcome::Transaction(self.transact(&transaction, kind.into(), said, None).await?)
            }
            // Apart, so that the future of what nearly every command is has no room for it.
            command => return Box::pin(self.execute_apart(command)).await,
        };
        Ok(Answered { outcome, replayed: false })
    }

    async fn read(&self, key: &StockKey) -> Result<Level, NotDone> {
        self.read_level(key).await
    }

    async fn read_when(&self, key: &StockKey, until: &Until, patience: Duration) -> Result<Level, NotDone> {
        self.level_when(key, until, patience).await
    }

    async fn query(&self, query: StockQuery) -> Result<Vec<Level>, NotDone> {
        self.levels_of(&query).await
    }

    async fn list(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        self.page_of_levels(query).await
    }

    async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, NotDone> {
        self.reservation_named(id).await
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<ReservationPage, NotDone> {
        self.page_of_reservations(query).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, NotDone> {
        self.order_named(id).await
    }

    async fn order_when_final(&self, id: OrderId, patience: Duration) -> Result<Option<Order>, NotDone> {
        self.order_named_when_final(id, patience).await
    }

    async fn orders(&self, query: OrderQuery) -> Result<OrderPage, NotDone> {
        self.page_of_orders(query).await
    }

    async fn movements(&self, query: MovementQuery) -> Result<MovementPage, HistoryError> {
        self.page_of_movements(query).await
    }

    async fn level_at(&self, key: &StockKey, moment: Moment) -> Result<Level, HistoryError> {
        self.level_as_it_was(key, moment).await
    }

    async fn feed_caught_up(&self) -> Result<(), NotDone> {
        Ok(())
    }

    fn feed_end(&self) -> MovementCursor {
        self.end_of_feed()
    }

    fn feed_end_at_opening(&self) -> MovementCursor {
        self.0.opened_at
    }

    async fn feed_grows(&self, after: MovementCursor) -> Result<(), NotDone> {
        self.more_than(after).await
    }

    async fn document(&self, name: Document) -> Result<Option<Kept>, NotDone> {
        let kept = self.document_named(name).await?;
        Ok(kept.map(|bytes| Kept { revision: Revision::default(), bytes }))
    }

    async fn document_after(&self, _: Document, _: Revision) -> Result<Option<Kept>, NotDone> {
        Ok(None)
    }

    async fn keep_document(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        self.document_kept(name, bytes).await
    }

    async fn change_document(
        &self,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Revision>, NotDone> {
        let Some(bytes) = change(None, self.feed_end()) else { return Ok(None) };
        self.document_kept(name, bytes).await?;
        Ok(Some(known))
    }

    fn lineage(&self) -> Lineage {
        Lineage::restored(self.0.books.shared().control.restored())
    }

    fn status(&self) -> Status {
        let durable = self.0.rights.home().is_some();
        Status {
            lineage: self.lineage(),
            // Where no answer waits for the log, whoever made a change may be held up before it has its number.
            ledger_order: if durable { LedgerOrder::All } else { LedgerOrder::Level },
            strategy: self.0.stock.kind().name(),
            durable,
            full: self.0.books.is_full(),
            away: None,
            levels: self.0.index.len(),
            contention: self.0.stock.contention(),
            orders: OrdersStatus {
                discipline: self.0.pipeline.how().discipline,
                ageing: self.0.pipeline.how().ageing,
                queued: self.register().queued(),
                backordered: self.register().backordered(),
            },
        }
    }

    fn expose(&self, text: &mut Exposition) {
        metrics::expose(text, &self.0);
    }

    async fn failed(&self) -> String {
        self.0.books.journal().failed().await.reason
    }

    async fn drain(&self) {
        self.drained().await;
    }

    fn stop(&self) {
        self.0.rights.stop();
    }

    async fn shut_down(&self) {
        self.stop();
        self.0.pipeline.stop();
        self.0.pipeline.joined().await;
        self.0.stock.shut_down().await;
        let store = self.clone();
        // It blocks until the last group is on disk. A panic in there has failed the journal, which is told otherwise.
        let _closed = tokio::task::spawn_blocking(move || store.0.books.journal().close()).await;
    }
}

impl Local {
    /// Carries out what has an idempotency key, or is more than changes.
    async fn execute_apart(&self, command: Command) -> Result<Answered, NotDone> {
        let Command { deed, idempotency, said } = command;
        let Some(idempotency) = idempotency else {
            let outcome = self.carry_out(&deed, said, None).await?;
            return Ok(Answered { outcome, replayed: false });
        };
        match deed {
            Deed::Each { lines } => self.each_once(lines, idempotency, said).await,
            deed => self.once(&deed, &idempotency, said).await,
        }
    }

    /// Carries a deed out, under that key if there is one; but for lines that stand alone, which have keys of their own.
    async fn carry_out(&self, deed: &Deed, said: Said, claim: Option<Claim>) -> Result<Outcome, NotDone> {
        Ok(match deed {
            Deed::Change { key, change } => Outcome::Change(self.change(key, *change, said, claim).await?),
            Deed::Transaction { transaction, kind } => {
                Outcome::Transaction(self.transact(transaction, (*kind).into(), said, claim).await?)
            }
            Deed::Each { lines } => {
                assert!(claim.is_none(), "lines that stand alone are once each");
                Outcome::Each(self.each(lines, said).await)
            }
            Deed::Reserve { transaction, ttl } => {
                Outcome::Reservation(self.reserve(transaction, *ttl, said, claim).await?.map(Box::new))
            }
            Deed::Settle { id, transition } => {
                Outcome::Reservation(self.settle(*id, transition, said, claim).await?.map(Box::new))
            }
            Deed::Order { .. } | Deed::Cancel { .. } | Deed::Return { .. } => {
                Outcome::Order(self.of_order(deed, said, claim).await?.map(Box::new))
            }
        })
    }

    /// Makes one change. What is returned has been witnessed.
    async fn change(
        &self,
        key: &StockKey,
        change: Change,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        let judged = self.change_unwitnessed(key, change, said, claim).await?;
        let (version, applied) = match &judged {
            Ok(applied) => (applied.after.version(), WasApplied::Unknown),
            Err(refusal) => (refusal.found.version(), WasApplied::No),
        };
        self.0.books.witness(key, version, applied).await?;
        Ok(judged)
    }

    /// Makes one change, which is not witnessed yet: for many that are witnessed together.
    async fn change_unwitnessed(
        &self,
        key: &StockKey,
        change: Change,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        // What nearly no change waits for is boxed, and what nearly every one does is no future of its own: here each costs what is copied.
        if self.is_due() {
            Box::pin(self.expire_due_of(key)).await?;
        }
        let slot = match self.0.books.slot() {
            Some(slot) => slot,
            None => Box::pin(self.0.books.slot_in_time()).await?,
        };
        let permit = slot.permit(RecordKind::Change, said, claim);
        match self.0.stock.apply(key, change, permit).await {
            Ok(applied) => Ok(Ok(applied)),
            Err(Rejected::Refused(refusal)) => {
                self.0.refusals.count(refusal.reason);
                Ok(Err(refusal))
            }
            Err(Rejected::Contention(_)) => Err(NotDone::no(Why::Contention)),
        }
    }

    /// Makes the changes of several levels, all or none. What is returned has been witnessed.
    async fn transact(
        &self,
        transaction: &Arc<Transaction>,
        kind: RecordKind,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<JudgedTogether, NotDone> {
        self.settle_due_of_all(transaction.entries().iter().map(|entry| &entry.key)).await?;
        let permit = self.0.books.permit(kind, said, claim).await?;
        let made = self.0.stock.transact(transaction, permit).await;
        self.told_of(transaction, made).await
    }

    /// What a strategy made of a transaction, once it has been witnessed.
    async fn told_of(
        &self,
        transaction: &Transaction,
        made: Result<Vec<Applied>, TransactRejected>,
    ) -> Result<JudgedTogether, NotDone> {
        let entries = transaction.entries();
        match made {
            Ok(applied) => {
                let seen =
                    entries.iter().zip(&applied).map(|(entry, made)| (&entry.key, made.after.version()));
                self.0.books.witness_levels(seen, WasApplied::Unknown).await?;
                let levels = entries.iter().zip(applied).map(|(entry, applied)| (entry.key.clone(), applied));
                Ok(Ok(levels.collect()))
            }
            Err(TransactRejected::Refused(refused)) => {
                self.0.refusals.count(most_telling(&refused.refusals).reason);
                self.0.books.witness_levels(versions_seen(transaction, &refused), WasApplied::No).await?;
                Ok(Err(levels_refused(transaction, &refused)))
            }
            Err(TransactRejected::Contention(_)) => Err(NotDone::no(Why::Contention)),
        }
    }
}

/// The levels that stood in the way of a transaction.
fn levels_refused(transaction: &Transaction, refused: &TransactRefused) -> Vec<RefusedLevel> {
    let named = |refused: &EntryRefusal| {
        let entry = &transaction.entries()[refused.entry];
        RefusedLevel { key: entry.key.clone(), line: entry.line, refusal: refused.refusal }
    };
    refused.refusals.iter().map(named).collect()
}

/// The versions at which a transaction was refused, of all of its levels.
fn versions_seen<'t>(
    transaction: &'t Transaction,
    refused: &'t TransactRefused,
) -> impl Iterator<Item = (&'t StockKey, u64)> {
    transaction.entries().iter().zip(&refused.found).map(|(entry, found)| (&entry.key, found.version()))
}

impl From<TransactionKind> for RecordKind {
    fn from(kind: TransactionKind) -> Self {
        match kind {
            TransactionKind::Adjustment => Self::Change,
            TransactionKind::Transfer => Self::Transfer,
        }
    }
}
