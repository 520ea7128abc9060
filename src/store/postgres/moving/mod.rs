//! Stock on its way out of a database, and into one: see [`crate::store::moving`].
//!
//! `leaving` reads under the locks of all partitions, so it is of one instant whoever else is there; `entering` writes in one transaction, so it is whole
//! or not there at all. `alone` says whether somebody serves the store meanwhile, which neither wants.

mod alone;
mod entering;
mod leaving;

pub use entering::{EnterError, enter};
pub use leaving::{LeaveError, leave};
