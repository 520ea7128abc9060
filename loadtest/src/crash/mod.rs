//! Killing the server and seeing what it kept: `loadtest crash`.
//!
//! A server is started on a data directory, driven by many clients with keyed writes, and killed at random moments,
//! again and again, on the same data. A write without an answer is sent again under its key, in the same life or the
//! next one, until it is answered; all its attempts are one operation of the history. Beside them some levels come and
//! go, without keys; each has one client alone, who finds out what became of a change by looking. So in the end no
//! outcome is unknown, and judges say what the server kept, none of which relies on another:
//!
//! 1. the checker of histories: one order of all operations of all lives explains every answer;
//! 2. the books ([`accounts`]): the acknowledged changes are the final versions and units, one for one;
//! 3. the pairs ([`workload`]): levels that change only together have changed together;
//! 4. the sights ([`sights`]): what a listing or an export has shown is not taken back, and neither is it that a level was
//!    missing;
//! 5. with `--profile events`, what the event stream told ([`told`]): every change of every level once, in order, and from any export on what
//!    makes the final stock of it;
//! 6. with `--profile events` as well, what a webhook told ([`delivered`]): every movement of the ledger at least once, in order, word for word,
//!    and signed, to a receiver that does not take every message.
//!
//! With `--store` several replicas share a database, and are ended one or several at a time while clients go on with the others: what is in doubt at one is
//! asked of the next, under its key. The stream of events is taken up at another, and in the end whoever tells the webhook is killed ([`heir`]). With `--fault` the database is one of our own ([`crate::cluster`]) and is killed in their place. The judges are the same.
//!
//! * [`fate`] draws how each life ends, [`server`] starts and ends it, [`drive`] goes from life to life, with what every test has in `trial`;
//! * [`siege`] ends replicas or their database, [`victims`] draws which, [`fleet`] is all of them, [`outage`] what clients meet without a database, [`store`] its address;
//! * [`crew`] is all clients, [`access`] how they learn where to send, [`haul`] and [`counts`] what they bring home;
//! * [`workload`] is what is asked, [`errand`] one write until it is answered, [`worker`] one client;
//! * [`owner`] is the client of a level that comes and goes, [`watcher`] one that watches the events, [`hook`] the webhook and [`receiver`] who is told by it, [`lister`] one that lists and exports, [`walk`] what such an
//!   answer shows, [`board`] what it means that a level is missing;
//! * [`listing`] and [`accounts`] are the end, [`outcome`] is all of it, [`findings`] what it means, [`report`] and
//!   [`figures`] how it is told.
//!
//! A test calls it as `loadtest crash --server-bin PROGRAM --cycles N --json`, whose exit code says it all, or from Rust
//! as [`drive::drive`] with a [`Plan`] and a [`server::Launch`], then [`findings::findings`] and the checker on
//! [`outcome::Crash::history`]: both must find nothing.
//!
//! It never kills anything but the servers it started, and none of them outlives it.

pub mod access;
pub mod accounts;
pub mod board;
pub mod counts;
pub mod crew;
pub mod delivered;
pub mod drive;
pub mod errand;
pub mod fate;
pub mod figures;
pub mod findings;
pub mod fleet;
pub mod haul;
pub mod heir;
pub mod hook;
pub mod lister;
pub mod listing;
pub mod outage;
pub mod outcome;
pub mod owner;
pub mod receiver;
pub mod report;
pub mod server;
pub mod siege;
pub mod sights;
pub mod store;
pub mod told;
mod trial;
pub mod victims;
pub mod walk;
pub mod watcher;
pub mod worker;
pub mod workload;

use std::time::Duration;

use fate::Span;
use workload::Spec;

use crate::cluster::Fault;

/// Everything that decides a crash test, but the server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub spec: Spec,
    /// The beginning of every sku and key of the run, which nobody else uses.
    pub prefix: String,
    /// Lives that are ended, one after another.
    pub cycles: u32,
    /// Clients that change and read what is fought over, each with one request in flight at most.
    pub clients: u32,
    /// Clients that list and export, likewise.
    pub listers: u32,
    /// How long each life is driven.
    pub span: Span,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// The most records kept, over all clients.
    pub records_max: usize,
    /// How many replicas share a database; none, if there is one server with a data directory.
    pub replicas: Option<u32>,
    /// What is done to that database; nothing, if it is the replicas that are ended.
    pub fault: Option<Fault>,
    /// Whether somebody watches the events as well, and is told by a webhook.
    pub events: bool,
    /// The command line, for the record.
    pub command: String,
}

impl Plan {
    /// Clients of all kinds: each level that comes and goes has one as well.
    pub fn all_clients(&self) -> u32 {
        let comings = self.spec.comings();
        self.clients + (comings.end - comings.start) + self.listers
    }

    /// Whether there is anything to see that comes and goes, and anybody to see it.
    pub fn has_sights(&self) -> bool {
        self.listers > 0 && !self.spec.comings().is_empty()
    }
}
