//! Stock on its way out of a data directory, and into one: see [`crate::store::moving`].
//!
//! `leaving` reads what a start would go on with, and changes nothing; `entering` writes a journal anew (`journal::founding`), under a temporary name.
//! `recorded` says what a movement's record was. Both are for a directory that nobody serves.

mod entering;
mod leaving;
mod recorded;

pub use entering::{EnterError, enter};
pub use leaving::{LeaveError, leave};
