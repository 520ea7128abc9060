//! [`Refused`]: the levels that stand in the way of an import, by line, in words of whoever keeps the stock.

use super::entries::{Entry, OTHER_HISTORY};
use crate::stock::{Reason, Refusal};
use crate::store::chores::{ImportError, LINE_ERRORS_MAX, LineError};

/// Levels that stand in the way of an import.
#[derive(Debug, Default)]
pub(in crate::store) struct Refused {
    first: Vec<LineError>,
    total: u64,
    moved_on: bool,
}

impl Refused {
    /// One more, and why.
    pub(in crate::store) fn add(&mut self, entry: &Entry, Refusal { reason, found }: Refusal) {
        self.total += 1;
        self.moved_on |= matches!(reason, Reason::PreconditionFailed(_));
        if self.first.len() >= LINE_ERRORS_MAX {
            return;
        }
        let Entry { key, line, expected, .. } = entry;
        let (field, detail) = match (reason, expected) {
            (Reason::PreconditionFailed(_), Some(OTHER_HISTORY)) => (
                "version",
                format!("{key}: the version is one of a history that a restore took back; export again"),
            ),
            (Reason::PreconditionFailed(_), Some(0)) => (
                "version",
                format!("{key} is there, at version {}; version 0 says that it is not", found.version()),
            ),
            (Reason::PreconditionFailed(_), expected) => {
                let expected = expected.unwrap_or_default();
                let now = if found.exists() {
                    format!("is at version {} now", found.version())
                } else {
                    "is not there now".to_owned()
                };
                (
                    "version",
                    format!("{key} {now}, not at version {expected}: it has changed since the export"),
                )
            }
            (Reason::BelowReserved { .. }, _) => {
                ("on_hand", format!("{} units of {key} are reserved", found.reserved()))
            }
            _ => ("", format!("{key} has had all the versions there are: it cannot be counted")),
        };
        self.first.push(LineError { line: *line, field: field.to_owned(), detail });
    }

    /// All of them, if there are any.
    pub(in crate::store) fn told(self) -> Result<(), ImportError> {
        let Self { first: mut errors, total, moved_on } = self;
        errors.sort_by_key(|error| error.line);
        if total == 0 { Ok(()) } else { Err(ImportError::Refused { moved_on, errors, total }) }
    }
}
