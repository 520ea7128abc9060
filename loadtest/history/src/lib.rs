//! Recorded histories of stock operations, the sequential model, and the checkers that judge one by the other.
//!
//! In reading order:
//!
//! - [`record`]: what a client wrote down, one [`Record`] per operation;
//! - [`mod@log`]: the same in a compact form, for millions of them, on disk where memory ends;
//! - [`mod@file`]: a history as a file, so that a verdict can be repeated by anyone;
//! - [`model`]: what the service must do if it did one thing at a time;
//! - [`check()`]: whether a history can be explained by the model, in O(n log n), and who is to blame if not;
//! - [`brute`]: the same question answered by trying every order, for a handful of operations;
//! - [`sometimes`]: which interesting situations a history reached;
//! - [`shop`]: reservations, orders and returns, judged by the ledger of the service;
//! - [`sample`] and [`plant`]: good histories made by the model, and the faults to plant in them.
//!
//! Nothing here knows HTTP, links the service, or shares a line with its rules: a checker that borrowed the rules
//! of what it checks would agree with its mistakes.

pub mod brute;
pub mod check;
pub mod file;
pub mod log;
pub mod model;
pub mod plant;
pub mod record;
pub mod sample;
mod shape;
pub mod shop;
pub mod sometimes;

pub use check::{
    Bar, Conclusion, Kind, Limits, Require, Residual, Summary, Verdict, Violation, check, check_log,
    check_with,
};
pub use log::{Log, LogError, Store};
pub use record::{
    Answer, Asked, Effect, History, Key, Line, Meta, Op, Outcome, Reason, Record, Refused, Request, Seen,
    Stock,
};
