//! What stands in the way of imports, backups and verifications, as problems.

use super::{FieldError, Problem, ProblemKind};
use crate::store::chores::{ChoreError, ImportError, LineError};

impl Problem {
    /// There are no files to look at.
    pub fn ledger_not_kept() -> Self {
        Self::new(ProblemKind::LedgerNotKept, ChoreError::NoFiles.to_string())
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Lines { errors, total } => {
                let count = usize::try_from(total).unwrap_or(usize::MAX);
                Self::fields_of(errors.into_iter().map(field).collect(), count)
            }
            ImportError::Empty => Self::field("", error.to_string()),
            ImportError::TooLarge => crate::http::extract::too_large(),
            ImportError::AlreadyRunning => Self::new(ProblemKind::AlreadyRunning, error.to_string()),
            ImportError::Stopped => Self::new(ProblemKind::NotReady, error.to_string()),
            ImportError::Refused { moved_on, errors, total } => {
                let kind = if moved_on { ProblemKind::VersionMismatch } else { ProblemKind::BelowReserved };
                let told: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
                let is_all = told.len() as u64 == total;
                let count = if is_all { String::new() } else { format!(" ({total} stock levels in all)") };
                let detail = format!("{}{count}; nothing was imported", told.join("; "));
                Self { errors: errors.into_iter().map(field).collect(), ..Self::new(kind, detail) }
            }
            ImportError::Io(error) if is_full(&error) => Self::new(
                ProblemKind::Overloaded,
                "the disk has no room for the import; nothing was imported",
            ),
            ImportError::Io(_) => Self::new(ProblemKind::InternalError, error.to_string()),
            ImportError::NotDone(not_done) => not_done.into(),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn field(error: LineError) -> FieldError {
    let pointer = (!error.field.is_empty()).then(|| format!("/{}", error.field));
    FieldError { pointer, parameter: None, line: Some(error.line), detail: error.detail }
}

impl From<ChoreError> for Problem {
    fn from(error: ChoreError) -> Self {
        if let ChoreError::NotDone(not_done) = error {
            return not_done.into();
        }
        match &error {
            ChoreError::NoFiles => Self::ledger_not_kept(),
            ChoreError::InDatabase => Self::new(ProblemKind::NotSupported, error.to_string()),
            ChoreError::AlreadyRunning(_) => Self::new(ProblemKind::AlreadyRunning, error.to_string()),
            ChoreError::Exists(_) => Self::new(
                ProblemKind::BackupExists,
                "there is a backup of that name; nothing was overwritten",
            ),
            ChoreError::NotFound(_) => Self::new(ProblemKind::BackupNotFound, error.to_string()),
            ChoreError::Full | ChoreError::TooManyFiles => {
                Self::new(ProblemKind::Overloaded, error.to_string())
            }
            ChoreError::Stopped => Self::new(ProblemKind::NotReady, error.to_string()),
            ChoreError::Failed(_) | ChoreError::NotDone(_) => {
                Self::new(ProblemKind::InternalError, error.to_string())
            }
        }
    }
}
