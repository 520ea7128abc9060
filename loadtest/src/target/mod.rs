//! Any inventory over HTTP: a description in TOML of how to ask it, and how to read what it answers (`docs/targets.md`).
//!
//! [`description`] is the shape of the file, [`compile`] makes a [`Target`] of it or says which key on which line is wrong;
//! [`template`] fills in requests, [`reading`] finds what answers tell, [`judge`] says what the history may believe of them, and
//! [`workload`] what such a target can be asked for.
//!
//! Nothing here guesses: an answer that no rule of the description covers leaves the outcome of its request unknown. This
//! service's own protocol does not come this way: [`crate::client`] speaks it without looking anything up.

mod compile;
mod description;
mod judge;
mod operation;
mod reading;
mod request;
mod template;
mod workload;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use operation::Operation;
pub use workload::Unable;

use crate::client::Call;

/// An inventory that is described.
#[derive(Debug)]
pub struct Target {
    /// What it is called in reports.
    pub name: String,
    /// The path that has to answer 2xx before anything is asked, if there is one.
    pub ready: Option<String>,
    /// The version of a level that has just been created.
    first_version: i64,
    /// Whether a level is a sku at a location, or a sku alone.
    has_locations: bool,
    operations: Operations,
    /// Numbers idempotency keys.
    keys: AtomicU64,
    /// Makes them this run's own.
    run: String,
}

/// What it can be asked.
#[derive(Debug)]
struct Operations {
    create: Operation,
    read: Operation,
    adjust: Option<Adjust>,
    transfer: Option<Operation>,
    count: Option<Operation>,
    count_if_version: Option<Operation>,
    remove: Option<Operation>,
}

/// How units are added and taken.
#[derive(Debug)]
enum Adjust {
    /// With one request for both.
    Delta(Box<Operation>),
    /// With a request for each.
    TakeGive { take: Box<Operation>, give: Box<Operation> },
}

/// A description that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is no such file, or it is no text.
    #[error("the target description {file} could not be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}, line {line}: {what}; docs/targets.md has the format")]
    Wrong {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What, with the key it is about.
        what: String,
    },
}

impl Target {
    /// Reads a description from a file.
    pub fn load(path: &Path) -> Result<Self, TargetError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(source) => Err(TargetError::Unreadable { file, source }),
        }
    }

    /// Reads a description; `file` is what it is called in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, TargetError> {
        compile::compile(text).map_err(|fault| {
            let line = text.bytes().take(fault.at).filter(|byte| *byte == b'\n').count() + 1;
            TargetError::Wrong { file: file.to_owned(), line, what: fault.what }
        })
    }

    /// The operation that a call is made with. A run asks only for what [`Target::workload`] allowed; reading stands in for all
    /// else, since it changes nothing.
    fn operation(&self, call: &Call) -> &Operation {
        let operations = &self.operations;
        let found = match call {
            Call::Create { .. } => Some(&operations.create),
            Call::Read(_) => Some(&operations.read),
            Call::Adjust(change) => operations.adjust.as_ref().map(|adjust| adjust.of(change.delta)),
            Call::Transfer(_) => operations.transfer.as_ref(),
            Call::Count { if_version: Some(_), .. } => operations.count_if_version.as_ref(),
            Call::Count { if_version: None, .. } => operations.count.as_ref(),
            Call::Delete(_) => operations.remove.as_ref(),
            Call::Batch(_) | Call::Independent(_) | Call::Query(_) => None,
        };
        debug_assert!(found.is_some(), "{call:?} is not described");
        found.unwrap_or(&operations.read)
    }
}

impl Adjust {
    fn of(&self, delta: i64) -> &Operation {
        match self {
            Self::Delta(operation) => operation,
            Self::TakeGive { take, .. } if delta < 0 => take,
            Self::TakeGive { give, .. } => give,
        }
    }

    fn all(&self) -> Vec<&Operation> {
        match self {
            Self::Delta(operation) => vec![operation],
            Self::TakeGive { take, give } => vec![take, give],
        }
    }
}

#[cfg(test)]
mod tests;
