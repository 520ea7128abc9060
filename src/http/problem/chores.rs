//! What stands in the way of imports, backups and verifications, as problems.

use super::{FieldError, Kind, Problem};
use crate::inventory::import::{ImportError, LineError};
use crate::inventory::{BackupError, VerifyAnswerError};
use crate::journal::backup;
use crate::journal::verify::VerifyError;

impl Problem {
    /// There is no ledger to look at.
    pub fn ledger_not_kept() -> Self {
        Self::new(Kind::LedgerNotKept, "this service runs with --ephemeral: no movements are recorded")
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
            ImportError::CutOff => {
                Self::new(Kind::InvalidRequest, "the body ended before it was complete; nothing was imported")
            }
            ImportError::Refused { errors, total } => {
                let told: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
                let detail =
                    format!("{} ({total} stock levels in all); nothing was imported", told.join("; "));
                Self::new(Kind::BelowReserved, detail)
            }
            ImportError::Io(error) if is_full(&error) => {
                Self::new(Kind::Overloaded, "the disk has no room for the import; nothing was imported")
            }
            ImportError::Io(_) => Self::new(Kind::InternalError, error.to_string()),
            ImportError::Obstacle(obstacle) => obstacle.into(),
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

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match &error {
            BackupError::NotKept => Self::ledger_not_kept(),
            BackupError::AlreadyRunning => Self::new(Kind::AlreadyRunning, error.to_string()),
            BackupError::Backup(backup::BackupError::Exists(_)) => {
                Self::new(Kind::BackupExists, "there is a backup of that name; nothing was overwritten")
            }
            BackupError::Backup(backup::BackupError::Stopped) => Self::new(Kind::NotReady, error.to_string()),
            BackupError::Backup(backup::BackupError::Io { source, .. }) if is_full(source) => {
                Self::new(Kind::Overloaded, "the disk has no room for the backup; none was made")
            }
            _ => Self::new(Kind::InternalError, error.to_string()),
        }
    }
}

impl From<VerifyAnswerError> for Problem {
    fn from(error: VerifyAnswerError) -> Self {
        match &error {
            VerifyAnswerError::NotKept => Self::ledger_not_kept(),
            VerifyAnswerError::AlreadyRunning => Self::new(Kind::AlreadyRunning, error.to_string()),
            VerifyAnswerError::Verify(VerifyError::Stopped) => Self::new(Kind::NotReady, error.to_string()),
            _ => Self::new(Kind::InternalError, error.to_string()),
        }
    }
}
