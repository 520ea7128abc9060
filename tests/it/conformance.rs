//! The contract of a strategy, one clause a test, one caller at a time (P1, P3, P4, P6; what many callers at once must see is
//! in [`crate::histories`] and [`crate::stampede`]).

mod calls;
mod control;
mod hand_off;
mod life;
mod snapshots;
mod transactions;
