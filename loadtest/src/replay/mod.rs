//! Replaying the orders of a real shop.
//!
//! An invoice is one atomic adjustment of many lines. What a line means:
//!
//! * a sale (positive quantity) takes its units;
//! * a cancellation (the invoice starts with `C`, negative quantity) brings them back;
//! * any other negative line is a write-off: broken or lost, the units leave.
//!
//! Goods that come back are at the door, whatever became of the order they belong to: a cancellation is booked even
//! if its sale was refused (it only adds, so it is never refused itself). An invoice that both takes and brings back
//! is one adjustment like any other; if it is refused, what it brings back is booked on its own afterwards.
//!
//! Invoices of one window of shop time are in flight at once, windows follow one another. The opening stock is the
//! least that suffices whatever the order within a window is, so with all of it a refusal is a fault of the server.

pub mod drive;
pub mod file;
pub mod overlap;
pub mod plan;
pub mod report;
