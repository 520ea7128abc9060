//! An HTTP inventory service that never loses an update, never oversells, and never refuses stock that was there.
//!
//! The map, in the order in which it is best read:
//!
//! - [`stock`]: the rules, pure. What a stock level is, what may happen to it, and how what happened is passed on.
//! - [`strategy`]: the ways of sharing levels between threads, behind one contract. This is what the service exists
//!   to show; start with the contract, then `mutex`, then `atomic`.
//! - [`journal`]: the durable log of what happened. It knows no strategy, nor does any strategy know it.
//! - [`inventory`]: the service, as commands and queries.
//! - [`http`]: its face: routes, bodies, problems, middleware, connections.
//! - [`telemetry`]: counting without contention; a leaf that all of the above may use.
//! - [`config`], [`app`], [`shutdown`], [`cli`]: wiring. [`app`] is the only place that builds long-lived parts.
//!
//! Imports run one way: `main -> cli -> app -> http -> inventory -> (journal, strategy) -> stock`.

pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod inventory;
pub mod journal;
pub mod shutdown;
pub mod stock;
pub mod strategy;
pub mod telemetry;
