//! An HTTP inventory service that never loses an update, never oversells, and never refuses stock that was there.
//!
//! The map, in the order in which it is best read:
//!
//! - [`stock`]: the rules, pure. What a stock level is, what may happen to it, and how what happened is passed on.
//! - [`strategy`]: the ways of sharing levels between threads, behind one contract. This is what the service exists
//!   to show; start with the contract, then `mutex`, then `atomic`.
//! - [`journal`]: the durable log, which is the ledger. It knows no strategy, nor does any strategy know it.
//! - [`store`]: the gate: commands and queries in, outcomes out; and the store of one process behind it, which puts a
//!   strategy and a journal together, and that of many over one database.
//! - [`alerts`]: who is told when a level is low, derived from what the store has recorded.
//! - [`http`]: its face: routes, bodies, problems, middleware, connections.
//! - [`webhooks`]: whoever asked for it is told of every movement, by a signed message to a URL; [`wire`]: a movement as it is told.
//! - [`said`]: what is said about a change, and who asked for it; for commands and records.
//! - [`access`]: who may do what, by named keys in a file; a leaf.
//! - [`json`]: reading JSON, and telling everything that is wrong with it; a leaf that all of the above may use.
//! - [`csv`]: the cells of a line of comma-separated values; a leaf.
//! - [`telemetry`]: counting without contention; a leaf that all of the above may use.
//! - [`clock`]: how old something is, and what date it is, whatever becomes of the system's clock; a leaf.
//! - [`outgoing`]: one request to another service; a leaf, which [`telemetry`] may use as well.
//! - [`sync`]: the locks, words and threads of what the model checker runs; a leaf.
//! - [`config`], [`app`], [`shutdown`], [`descriptors`], [`cli`]: wiring. [`app`] is the only place that builds long-lived parts.
//!
//! Imports run one way:
//! `main -> cli -> app -> config, descriptors -> http -> webhooks -> wire -> alerts -> store -> store/local, store/postgres -> store/import -> journal, strategy -> said -> stock -> access, json, csv, telemetry, clock, sync, shutdown -> outgoing`.
//! Modules between two arrows do not know each other. What is behind the gate, [`journal`], [`store::local`] and [`store::postgres`], nobody above it
//! imports but [`app`], which builds it.

pub mod access;
pub mod alerts;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod csv;
pub mod descriptors;
pub mod http;
pub mod journal;
pub mod json;
pub mod outgoing;
pub mod said;
pub mod shutdown;
pub mod stock;
pub mod store;
pub mod strategy;
pub mod sync;
pub mod telemetry;
pub mod webhooks;
pub mod wire;
