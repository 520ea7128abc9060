//! What travels: the bodies of requests and answers, as they are in JSON and in the OpenAPI document.
//!
//! Requests borrow from the bytes they were parsed from. Answers are written by hand ([`WriteJson`]): names hardly ever need
//! escaping and numbers are integers, so an answer is a handful of copies.

mod alerts;
mod answers;
mod chores;
mod export;
mod fields;
mod lines;
mod orders;
mod requests;
mod reservations;
mod shapes;
mod stock_query;
mod webhooks;

pub use alerts::{AlertAnswer, AlertRequest, AlertsAnswer};
pub use answers::{
    AdjustmentsAnswer, AdmissionAnswer, BatchAnswer, BatchWriter, ContentionAnswer, LevelsAnswer,
    LineProblem, LineResult, OrderQueueAnswer, PageAnswer, PolicyAnswer, StatusAnswer, StockLevel, WriteJson,
};
pub use chores::{
    BackupAnswer, BackupRequest, BackupsAnswer, ExportLine, FindingAnswer, ImportAnswer, ImportLine,
    KeptBackupAnswer, VerifyAnswer, backup_name,
};
pub use export::{Export, ExportForm};
pub use fields::{Delta, MovedUnits, Object, Text, Units};
pub use lines::{QuantityLine, QuantityLineAnswer, ReturnedLine};
pub use orders::{OrderAnswer, OrderRequest, OrderStateAnswer, OrdersAnswer, ReturnRequest};
pub use requests::{
    AdjustRequest, AdjustmentsRequest, Line, LooseAdjustmentsRequest, Mode, PutRequest, TransferLine,
    TransfersRequest, WrongLine,
};
pub use reservations::{
    CommitRequest, ExtendRequest, ReleaseRequest, ReservationAnswer, ReservationStateAnswer,
    ReservationsAnswer, ReserveRequest,
};
pub use stock_query::{KeyRequest, MissingLevel, StockQueryAnswer, StockQueryRequest, Totals};
pub use webhooks::{
    GapAnswer, PingAnswer, SecretRequest, WebhookAnswer, WebhookRequest, WebhookStateAnswer, WebhooksAnswer,
};

pub use crate::wire::{
    AlertEventAnswer, AlertKind, EventAnswer, EventName, MovementAnswer, MovementKind, MovementsAnswer,
    UnitsAnswer, time,
};
