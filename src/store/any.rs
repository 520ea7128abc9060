//! [`AnyStore`]: the store that was chosen at startup.
//!
//! An enum, as [`AnyStrategy`](crate::strategy::AnyStrategy) is: the compiler finds a missing arm, and a call costs a jump.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;

use super::chores::{
    Archive, Backup, ChoreError, ImportError, ImportInto, KeptBackup, StockForm, VerifyReport,
};
use super::local::Local;
use super::postgres::Postgres;
use super::{
    Answered, Chores, Command, Document, HistoryError, Idempotency, Kept, Leases, LevelPage, LevelQuery,
    Lineage, Moment, MovementCursor, MovementPage, MovementQuery, NotDone, OrderPage, OrderQuery,
    ReservationPage, ReservationQuery, Revision, Status, StockQuery, Store,
};
use crate::stock::{Level, Order, OrderId, Reservation, ReservationId, StockKey, Until};
use crate::telemetry::Exposition;

/// One of the stores.
#[derive(Debug)]
pub enum AnyStore {
    /// See [`super::local`].
    Local(Local),
    /// See [`super::postgres`].
    Postgres(Postgres),
}

impl AnyStore {
    /// Who does what one process does at a time, if several use the same stock.
    pub fn leases(&self) -> Option<&(impl Leases + 'static)> {
        match self {
            Self::Local(_) => None,
            Self::Postgres(postgres) => Some(postgres),
        }
    }
}

/// An import into one of them.
enum Import<L, P> {
    Local(L),
    Postgres(P),
}

impl<L: ImportInto, P: ImportInto> ImportInto for Import<L, P> {
    async fn push(&mut self, bytes: Bytes) -> bool {
        match self {
            Self::Local(import) => import.push(bytes).await,
            Self::Postgres(import) => import.push(bytes).await,
        }
    }

    async fn finish(
        self,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> Result<Answered, ImportError> {
        match self {
            Self::Local(import) => import.finish(idempotency, actor).await,
            Self::Postgres(import) => import.finish(idempotency, actor).await,
        }
    }
}

impl Chores for AnyStore {
    fn begin_import(&self, form: StockForm) -> Result<impl ImportInto + 'static, ImportError> {
        match self {
            Self::Local(local) => local.begin_import(form).map(Import::Local),
            Self::Postgres(postgres) => postgres.begin_import(form).map(Import::Postgres),
        }
    }

    async fn verify(&self) -> Result<VerifyReport, ChoreError> {
        match self {
            Self::Local(local) => local.verify().await,
            Self::Postgres(postgres) => postgres.verify().await,
        }
    }

    async fn back_up(&self, into: PathBuf) -> Result<Backup, ChoreError> {
        match self {
            Self::Local(local) => local.back_up(into).await,
            Self::Postgres(postgres) => postgres.back_up(into).await,
        }
    }

    async fn backups(&self) -> Result<Vec<KeptBackup>, ChoreError> {
        match self {
            Self::Local(local) => local.backups().await,
            Self::Postgres(postgres) => postgres.backups().await,
        }
    }

    async fn archive(&self, name: &str) -> Result<Archive, ChoreError> {
        match self {
            Self::Local(local) => local.archive(name).await,
            Self::Postgres(postgres) => postgres.archive(name).await,
        }
    }

    async fn remove_backup(&self, name: &str) -> Result<(), ChoreError> {
        match self {
            Self::Local(local) => local.remove_backup(name).await,
            Self::Postgres(postgres) => postgres.remove_backup(name).await,
        }
    }
}

impl Store for AnyStore {
    async fn execute(&self, command: Command) -> Result<Answered, NotDone> {
        match self {
            #[cfg(feature = "mutants")]
            Self::Local(local) if super::double_replay::is_asked_for(local) => {
                super::double_replay::execute(local, command).await
            }
            Self::Local(local) => local.execute(command).await,
            Self::Postgres(postgres) => postgres.execute(command).await,
        }
    }

    async fn read(&self, key: &StockKey) -> Result<Level, NotDone> {
        match self {
            Self::Local(local) => local.read(key).await,
            Self::Postgres(postgres) => postgres.read(key).await,
        }
    }

    async fn read_when(&self, key: &StockKey, until: &Until, patience: Duration) -> Result<Level, NotDone> {
        match self {
            Self::Local(local) => local.read_when(key, until, patience).await,
            Self::Postgres(postgres) => postgres.read_when(key, until, patience).await,
        }
    }

    async fn query(&self, query: StockQuery) -> Result<Vec<Level>, NotDone> {
        match self {
            Self::Local(local) => local.query(query).await,
            Self::Postgres(postgres) => postgres.query(query).await,
        }
    }

    async fn list(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        match self {
            Self::Local(local) => local.list(query).await,
            Self::Postgres(postgres) => postgres.list(query).await,
        }
    }

    async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, NotDone> {
        match self {
            Self::Local(local) => local.reservation(id).await,
            Self::Postgres(postgres) => postgres.reservation(id).await,
        }
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<ReservationPage, NotDone> {
        match self {
            Self::Local(local) => local.reservations(query).await,
            Self::Postgres(postgres) => postgres.reservations(query).await,
        }
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, NotDone> {
        match self {
            Self::Local(local) => local.order(id).await,
            Self::Postgres(postgres) => postgres.order(id).await,
        }
    }

    async fn order_when_final(&self, id: OrderId, patience: Duration) -> Result<Option<Order>, NotDone> {
        match self {
            Self::Local(local) => local.order_when_final(id, patience).await,
            Self::Postgres(postgres) => postgres.order_when_final(id, patience).await,
        }
    }

    async fn orders(&self, query: OrderQuery) -> Result<OrderPage, NotDone> {
        match self {
            Self::Local(local) => local.orders(query).await,
            Self::Postgres(postgres) => postgres.orders(query).await,
        }
    }

    async fn movements(&self, query: MovementQuery) -> Result<MovementPage, HistoryError> {
        match self {
            Self::Local(local) => local.movements(query).await,
            Self::Postgres(postgres) => postgres.movements(query).await,
        }
    }

    async fn level_at(&self, key: &StockKey, moment: Moment) -> Result<Level, HistoryError> {
        match self {
            Self::Local(local) => local.level_at(key, moment).await,
            Self::Postgres(postgres) => postgres.level_at(key, moment).await,
        }
    }

    async fn feed_caught_up(&self) -> Result<(), NotDone> {
        match self {
            Self::Local(local) => local.feed_caught_up().await,
            Self::Postgres(postgres) => postgres.feed_caught_up().await,
        }
    }

    fn feed_end(&self) -> MovementCursor {
        match self {
            Self::Local(local) => local.feed_end(),
            Self::Postgres(postgres) => postgres.feed_end(),
        }
    }

    fn feed_end_at_opening(&self) -> MovementCursor {
        match self {
            Self::Local(local) => local.feed_end_at_opening(),
            Self::Postgres(postgres) => postgres.feed_end_at_opening(),
        }
    }

    async fn feed_grows(&self, after: MovementCursor) -> Result<(), NotDone> {
        match self {
            Self::Local(local) => local.feed_grows(after).await,
            Self::Postgres(postgres) => postgres.feed_grows(after).await,
        }
    }

    async fn document(&self, name: Document) -> Result<Option<Kept>, NotDone> {
        match self {
            Self::Local(local) => local.document(name).await,
            Self::Postgres(postgres) => postgres.document(name).await,
        }
    }

    async fn document_after(&self, name: Document, known: Revision) -> Result<Option<Kept>, NotDone> {
        match self {
            Self::Local(local) => local.document_after(name, known).await,
            Self::Postgres(postgres) => postgres.document_after(name, known).await,
        }
    }

    async fn keep_document(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        match self {
            Self::Local(local) => local.keep_document(name, bytes).await,
            Self::Postgres(postgres) => postgres.keep_document(name, bytes).await,
        }
    }

    async fn change_document(
        &self,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Revision>, NotDone> {
        match self {
            Self::Local(local) => local.change_document(name, known, change).await,
            Self::Postgres(postgres) => postgres.change_document(name, known, change).await,
        }
    }

    fn lineage(&self) -> Lineage {
        match self {
            Self::Local(local) => local.lineage(),
            Self::Postgres(postgres) => postgres.lineage(),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Local(local) => local.status(),
            Self::Postgres(postgres) => postgres.status(),
        }
    }

    fn expose(&self, text: &mut Exposition) {
        match self {
            Self::Local(local) => local.expose(text),
            Self::Postgres(postgres) => postgres.expose(text),
        }
    }

    async fn failed(&self) -> String {
        match self {
            Self::Local(local) => local.failed().await,
            Self::Postgres(postgres) => postgres.failed().await,
        }
    }

    async fn drain(&self) {
        match self {
            Self::Local(local) => local.drain().await,
            Self::Postgres(postgres) => postgres.drain().await,
        }
    }

    fn stop(&self) {
        match self {
            Self::Local(local) => local.stop(),
            Self::Postgres(postgres) => postgres.stop(),
        }
    }

    async fn shut_down(&self) {
        match self {
            Self::Local(local) => local.shut_down().await,
            Self::Postgres(postgres) => postgres.shut_down().await,
        }
    }
}
