//! The pure domain: what a stock level is and what may happen to it.
//!
//! No clock, no lock, no I/O, no serialisation. Every strategy, the recovery, the property tests and any
//! external store call the same two functions, [`Change::judge`] for one level and
//! [`Transaction::judge`] for many, so the rules of the service exist once.
//!
//! Start with [`level`] (the value), then [`operation`] (what may be asked of it), [`refusal`] (why not), then
//! [`transaction`] (many levels, all or nothing), then [`changed`] (what has happened, and who is told),
//! [`reservation`] (units held for somebody) and [`order`] (units that are to leave the house, in turn), and [`until`] (what somebody waits for).

pub mod changed;
pub mod id;
pub mod key;
pub mod key_set;
pub mod level;
pub mod name;
pub mod once;
pub mod operation;
pub mod order;
pub mod quantity;
pub mod refusal;
pub mod remark;
pub mod reservation;
pub mod transaction;
pub mod until;

pub use changed::{Changed, HandOff};
pub use id::Id;
pub use key::StockKey;
pub use key_set::{KEYS_MAX, KeySet};
pub use level::{Level, VERSION_MAX};
pub use name::{LOCATION_BYTES_MAX, Location, NameError, SKU_BYTES_MAX, Sku};
pub use once::Once;
pub use operation::{Applied, Change, IfMissing, Operation, Precondition};
pub use order::{Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes};
pub use quantity::{QUANTITY_MAX, Quantity};
pub use refusal::{Reason, Refusal};
pub use remark::{REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Remark};
pub use reservation::{HeldLine, Reservation, ReservationId, ReservationState, Term};
pub use transaction::{ENTRIES_MAX, Entry, EntryRefusal, RefusedLevel, Transaction, TransactionError};
pub use until::{Known, Until};
