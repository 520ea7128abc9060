//! A shop: customers who reserve, commit, order, wait, cancel and give back, all of them at the same few levels, and at each other's
//! reservations and orders. Its books are judged by the ledger of the service ([`history::shop`]).
//!
//! `loadtest run --profile shop` drives a server that runs; `loadtest crash --profile shop` one of its own that is killed again and again. In both
//! a question that may have had an effect is sent again under its key until it is answered, so in the end nearly nothing is unknown.
//!
//! * [`names`] are the levels, [`desk`] asks one question until it is answered, [`wire`] is what goes over the wire;
//! * [`clerk`] is one client, [`board`] what all of them know of, [`course`] all of it from opening to the last look, [`pages`] the ledger;
//! * [`lives`] starts and kills the server, its replicas or their database; [`report`] tells what came of it.

pub mod board;
pub mod clerk;
pub mod course;
pub mod desk;
pub mod lives;
pub mod names;
pub mod pages;
pub mod report;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::crash::outage::Outages;
use crate::schedule::Limit;

/// Everything that decides a run, but the server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What every sku begins with, which nobody else uses.
    pub prefix: String,
    /// Levels.
    pub skus: u32,
    /// Units that each opens with.
    pub opening_stock: u64,
    /// Clients, each with one question in flight.
    pub clients: u32,
    /// How much is asked.
    pub limit: Limit,
    /// The seed of everything drawn.
    pub seed: u64,
    /// The longest wait for one answer; after it the question is sent again.
    pub timeout: Duration,
    /// How long a question is sent again and again before its outcome is unknown.
    pub give_up: Duration,
    /// What is met while the database is away, in a crash test that kills it.
    pub outages: Arc<Outages>,
    /// The command line, for the record.
    pub command: String,
}
