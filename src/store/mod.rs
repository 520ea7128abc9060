//! The gate: everything that may be asked of the stock, and everything that can come of it.
//!
//! A [`Command`] goes in, what came of it comes out, and [`Store::execute`] is the one way between. Whoever asks (`http`,
//! `cli`) knows nothing of how stock is kept: no permit, no claim, no witness, no file. So two promises are kept here, once
//! per store, and nowhere above: nothing is shown that a crash could take back (P7), and a command with an idempotency key
//! takes effect once (P8).
//!
//! - [`command`]: a deed, what makes it once, what is said about it.
//! - [`outcome`]: what came of it, as data: fresh or replayed, the same; or why nothing did.
//! - [`query`]: what may be asked beside commands: levels, pages, how the store is doing. [`ledger`]: movements, and places among them.
//! - [`chores`]: what is done now and then: imports, backups, verification.
//! - [`document`]: what is kept beside the stock, for somebody else. [`lease`]: what one of several processes does at a time.
//! - [`moving`]: all there is, on its way to another store.
//! - [`config`]: how stock is kept. [`any`]: the store that was chosen at startup.
//! - [`local`]: the store of one process: a strategy and a journal. [`postgres`]: that of many processes over one database.
//! - `import`, `of_orders`, `of_reservations`, `rank`, `refusals`: what is the same in every store.
//! - `double_replay`, in builds with the feature `mutants` alone: a store that is wrong on purpose.
//!
//! A new store is an implementation of [`Store`], a variant of [`AnyStore`], and one line in the list of the contract's tests.

pub mod any;
pub mod chores;
pub mod command;
pub mod config;
pub mod document;
#[cfg(feature = "mutants")]
pub mod double_replay;
pub mod import;
pub mod lease;
pub mod ledger;
pub mod moving;
pub mod outcome;
pub mod query;

mod level_cursor;
pub mod local;
mod movement_kind;
mod of_orders;
mod of_reservations;
pub mod postgres;
mod rank;
mod refusals;

use std::future::Future;
use std::time::Duration;

pub use any::AnyStore;
pub use chores::Chores;
pub use command::{
    Command, Deed, EachLine, Idempotency, KeyOfVersion1, ReturnLine, TransactionKind, Transition,
};
pub use config::{Database, DatabaseUrl, Discipline, Keeping, Orders, Storage};
pub use document::{Document, Kept, Revision};
pub use lease::Leases;
pub use ledger::{
    HistoryError, Lineage, Moment, Movement, MovementCursor, MovementFilter, MovementKind, MovementPage,
    MovementQuery, Numbered, Seq,
};
pub use outcome::{
    Answered, Imported, LineOutcome, NotDone, OrderRefused, Outcome, ReservationRefused, WasApplied, Why,
    WrittenAnswer,
};
pub use query::{
    LedgerOrder, LevelCursor, LevelPage, LevelQuery, OrderPage, OrderQuery, OrdersStatus, ReservationPage,
    ReservationQuery, Status, StockQuery,
};

use crate::stock::{Level, Order, OrderId, Reservation, ReservationId, StockKey, Until};
use crate::telemetry::Exposition;

/// What keeps stock.
///
/// # The contract
///
/// **One effect.** A command takes effect at one instant between the call and its return, as the rules of the domain say
/// ([`crate::stock`]): of a change one, of a transaction all or none (P4), of a batch of lines that stand alone each by itself.
///
/// **Nothing is shown that a crash could take back** (P7). Whatever is returned of a level - of a command, a refusal, a read,
/// a page, and that a page leaves a level out - is on disk, if the store has one.
///
/// **Once** (P8). A command with [`Idempotency`] takes effect at most once, across retries, races and crashes. A retry comes
/// out as the first did, [`Answered::replayed`]; while the first is under way, or for another request with its key, as
/// [`Why::KeyInProgress`] or [`Why::KeyReused`]. What was not judged leaves the key free.
///
/// **Nothing is said that may be false.** [`NotDone::applied`] is [`WasApplied::No`] only if nothing of the command took
/// effect, nor of an earlier one under its key.
///
/// **Held until the deadline, exactly** (P9). Whatever is asked from a reservation's deadline on sees its units free, whether or not anything
/// runs in the background; whatever was answered before did not. It is settled once, whoever tries.
///
/// **An order that was accepted is not lost**: it is fulfilled, rejected or cancelled, once, or is still there, across crashes; one that
/// is fulfilled has taken its units once. Who is next among those that are queued, and first among those that wait for units of one level,
/// is said by the [`Discipline`]. What an order took is given back once, each unit.
///
/// **Bounded** (P10), and **cancellation-safe** (P11): a future that is dropped leaves the whole effect of its command or none;
/// a batch under a key is carried through.
pub trait Store: Send + Sync {
    /// Carries a command out.
    fn execute(&self, command: Command) -> impl Future<Output = Result<Answered, NotDone>> + Send;

    /// The level as it is; [`Level::ABSENT`] or a tombstone where there is none.
    fn read(&self, key: &StockKey) -> impl Future<Output = Result<Level, NotDone>> + Send;

    /// [`Store::read`] once the level is that; after `patience` as it is then. Whoever waits is woken by the change, or the deadline, that makes it
    /// so, and is not passed over where it stays so. So many may wait at once; one more is told [`Why::WaitersFull`].
    fn read_when(
        &self,
        key: &StockKey,
        until: &Until,
        patience: Duration,
    ) -> impl Future<Output = Result<Level, NotDone>> + Send;

    /// Levels by name, in the order of the set; [`Level::ABSENT`] or a tombstone where there is none. If they are to be consistent, all
    /// are as they were at one instant between the call and its return (P4), at which no reservation whose deadline had come held anything (P9).
    fn query(&self, query: StockQuery) -> impl Future<Output = Result<Vec<Level>, NotDone>> + Send;

    /// A page of levels, each current when it is read: no snapshot of all. A level whose creation was answered before the call,
    /// and that is not deleted meanwhile, is in it.
    fn list(&self, query: LevelQuery<'_>) -> impl Future<Output = Result<LevelPage, NotDone>> + Send;

    /// The reservation of that name, while it is kept.
    fn reservation(
        &self,
        id: ReservationId,
    ) -> impl Future<Output = Result<Option<Reservation>, NotDone>> + Send;

    /// A page of reservations, in the order in which they were made; each is current when it is read.
    fn reservations(
        &self,
        query: ReservationQuery,
    ) -> impl Future<Output = Result<ReservationPage, NotDone>> + Send;

    /// The order of that name, while it is kept.
    fn order(&self, id: OrderId) -> impl Future<Output = Result<Option<Order>, NotDone>> + Send;

    /// [`Store::order`] once it is fulfilled, rejected or cancelled; after `patience` as it is then.
    fn order_when_final(
        &self,
        id: OrderId,
        patience: Duration,
    ) -> impl Future<Output = Result<Option<Order>, NotDone>> + Send;

    /// A page of orders, in the order in which they were placed; each is current when it is read.
    fn orders(&self, query: OrderQuery) -> impl Future<Output = Result<OrderPage, NotDone>> + Send;

    /// A page of the ledger.
    fn movements(
        &self,
        query: MovementQuery,
    ) -> impl Future<Output = Result<MovementPage, HistoryError>> + Send;

    /// The level as it was at a moment, as the ledger has it; [`Level::ABSENT`] or a tombstone where there was none.
    fn level_at(
        &self,
        key: &StockKey,
        moment: Moment,
    ) -> impl Future<Output = Result<Level, HistoryError>> + Send;

    /// Completes when [`Store::feed_end`] is after every movement whose command was answered before the call. Of one process it always is; of
    /// several, only who asks knows what the others have done.
    fn feed_caught_up(&self) -> impl Future<Output = Result<(), NotDone>> + Send;

    /// The place right after the last movement that is kept for good, as far as this process knows: whoever was answered before the call was told of nothing after it
    /// but what is in the levels by then. So levels that are read after this, and the movements after this place, leave nothing out.
    fn feed_end(&self) -> MovementCursor;

    /// That place as it was when the store was opened: after it is what has been done since, also by itself, and of a backup that is gone on
    /// with everything that is not in the backup.
    fn feed_end_at_opening(&self) -> MovementCursor;

    /// Completes when there may be movements after that place, which is that of a walk over all of them.
    fn feed_grows(&self, after: MovementCursor) -> impl Future<Output = Result<(), NotDone>> + Send;

    /// The document of that name, as it was kept last, by whichever process; `None` where none was. One that is damaged is an error, which names it.
    fn document(&self, name: Document) -> impl Future<Output = Result<Option<Kept>, NotDone>> + Send;

    /// The same if another process has kept one after that; `None` if none has, which costs little, and nothing where there is no other.
    fn document_after(
        &self,
        name: Document,
        known: Revision,
    ) -> impl Future<Output = Result<Option<Kept>, NotDone>> + Send;

    /// Replaces the document of that name, as a whole: on disk when this returns, if the store has one. A crash leaves the old one or the
    /// new one. What fails is told, and the stock goes on.
    fn keep_document(
        &self,
        name: Document,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<(), NotDone>> + Send;

    /// Replaces the document of that name by what `change` makes of it; by none if it makes none. `change` is given the document if another process has
    /// kept one after `known`, and where the ledger ends: after that place come all movements that are made when this has returned, and whoever has
    /// read one of them from the ledger finds what was kept here, or later, in the document that he asks for next. No other process replaces it
    /// meanwhile; of this one, that is for who calls to see to. Returns which it is.
    fn change_document(
        &self,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> impl Future<Output = Result<Option<Revision>, NotDone>> + Send;

    /// Which history its versions and movements are of. The same for as long as the store is open.
    fn lineage(&self) -> Lineage;

    /// How the store is doing. It may be ahead of what is durable.
    fn status(&self) -> Status;

    /// Appends what the store counts, as Prometheus reads it. It may be ahead of what is durable.
    fn expose(&self, text: &mut Exposition);

    /// Completes with the reason when the store can keep nothing any more, and the process is to end.
    fn failed(&self) -> impl Future<Output = String> + Send;

    /// Lets the orders that are queued have their turn, and completes when none is left to have it, or nobody gives turns any more: orders
    /// that wait for units stay. For a service that stops, when it takes in no more orders; it may be given up at any time, and what is
    /// left is there at the next start.
    fn drain(&self) -> impl Future<Output = ()> + Send;

    /// Tells whatever runs in the background to end: the service stops. Does not wait.
    fn stop(&self);

    /// Ends, once everything that was accepted is kept.
    fn shut_down(&self) -> impl Future<Output = ()> + Send;
}
