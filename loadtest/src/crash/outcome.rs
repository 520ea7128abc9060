//! What a crash test brings: the lives of the server, and everything that was seen.

use history::History;
use serde::Serialize;

use super::accounts::Accounts;
use super::counts::{Counts, Examples};
use super::delivered::WebhookAudit;
use super::outage::Outage;
use super::server::StartError;
use super::sights::TakenBack;
use super::told::EventsAudit;
use crate::cluster::ClusterError;
use crate::runner::session::Tally;

/// Why there was no crash test.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// The first life did not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The levels could not be opened.
    #[error("{open} of {all} levels could not be opened: {example}")]
    Opening {
        /// How many.
        open: usize,
        /// Of how many.
        all: usize,
        /// What happened.
        example: String,
    },
    /// There is no database to kill.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nobody will be told by a webhook.
    #[error("no webhook could be made: {0}")]
    Webhook(String),
}

/// What a crash test brought.
#[derive(Debug)]
pub struct Crash {
    /// Everything that was seen, over all lives.
    pub history: History,
    /// The strategy of the server, if it told.
    pub strategy: Option<String>,
    /// Every start, in order.
    pub lives: Vec<Life>,
    /// How many replicas were ended together, in each cycle that ended any.
    pub ended: Vec<usize>,
    /// Every time that the database was taken away.
    pub outages: Vec<Outage>,
    /// What the clients did.
    pub counts: Counts,
    /// What listings and exports showed and a kill took back.
    pub taken_back: Vec<TakenBack>,
    /// Levels that were missing from a listing or an export although they were there all along.
    pub left_out: Examples,
    /// Refusals and failures of everything the clients sent.
    pub tally: Tally,
    /// Answers outside the contract, the reading back included.
    pub breaches: u64,
    /// What the books say; nothing if there was no final state to compare with.
    pub accounts: Option<Accounts>,
    /// Pairs that were seen with a transaction in one level only.
    pub torn_pairs: usize,
    /// Levels that could not be read back one by one in the end.
    pub unread: usize,
    /// Why there is no listing of the final stock.
    pub unlisted: Option<String>,
    /// What the event stream told, if anybody watched it to the end.
    pub events: Option<EventsAudit>,
    /// What the webhook told, if there was one and its receiver saw the end.
    pub webhook: Option<WebhookAudit>,
    /// Why the server did not come back.
    pub lost: Option<String>,
    /// Stops by SIGTERM that did not go as they should.
    pub unclean: Vec<String>,
}

/// One start of the server.
#[derive(Debug, Clone, Serialize)]
pub struct Life {
    /// Which start, from 1.
    pub number: u32,
    /// Which replica it was, from 0; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<usize>,
    /// How it ended.
    pub end: End,
    /// From its start to being ready; absent if it never was.
    pub ready_after_ms: Option<f64>,
    /// Writes that may have taken effect in it, although it did not answer them.
    pub in_doubt: u64,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By SIGKILL, under traffic.
    Killed,
    /// By SIGKILL, before it was ready, or just then.
    KilledEarly,
    /// By SIGTERM, under traffic.
    Terminated,
    /// It ended by itself, which it must not.
    ByItself,
    /// It was never ready, or ended before.
    NeverReady,
    /// It was the last one: everything was read back from it.
    Last,
}
