//! Recorded histories of stock operations, the sequential model, and the checkers that judge one by the other.

pub mod record;

pub use record::{Effect, History, Key, Line, Meta, Outcome, Reason, Record, Refused, Request, Seen, Stock};
