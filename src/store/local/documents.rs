//! What is kept beside the stock, over the files that the journal has for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Local;
use crate::journal::disk::{is_full, is_out_of_files};
use crate::journal::documents::{Name, NotKept};
use crate::store::chores::Finding;
use crate::store::{Document, NotDone, WasApplied, Why};

/// When a document that found no room may find some, where the log itself does not wait for any.
const LOOKS_FOR_ROOM_IN: Duration = Duration::from_secs(1);

impl Local {
    pub(super) async fn document_named(&self, name: Document) -> Result<Option<Vec<u8>>, NotDone> {
        let documents = Arc::clone(&self.0.documents);
        let read = tokio::task::spawn_blocking(move || documents.read(file_of(name))).await;
        match read.map_err(|panicked| NotDone::no(Why::Damaged(panicked.to_string())))? {
            Ok(document) => Ok(document),
            Err(error) if is_out_of_files(&error) => Err(NotDone::no(Why::TooManyFiles)),
            // What is damaged names itself.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(NotDone::no(Why::Damaged(error.to_string())))
            }
            Err(error) => {
                let what = format!("{} cannot be read: {error}", file_of(name).file());
                Err(NotDone::no(Why::Damaged(what)))
            }
        }
    }

    pub(super) async fn document_kept(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        self.0.books.is_alive()?;
        let documents = Arc::clone(&self.0.documents);
        // Once begun it is carried through, whoever has gone away.
        let written = tokio::task::spawn_blocking(move || documents.write(file_of(name), bytes)).await;
        let written = written.map_err(|panicked| NotDone::unknown(Why::Damaged(panicked.to_string())))?;
        written.map_err(|NotKept { source, may_be_kept }| {
            let why = if is_full(&source) {
                let retry_after = self.0.books.journal().looks_for_room_in().max(LOOKS_FOR_ROOM_IN);
                Why::DiskFull { retry_after }
            } else if is_out_of_files(&source) {
                Why::TooManyFiles
            } else {
                Why::Damaged(format!("{} cannot be written: {source}", file_of(name).file()))
            };
            NotDone { why, applied: if may_be_kept { WasApplied::Unknown } else { WasApplied::No } }
        })
    }
}

/// What a verification says of a document that is not as it was written.
pub(super) fn finding((name, error): (Name, crate::journal::documents::DocumentError)) -> Finding {
    let file = name.file().to_owned();
    let detail = format!("{file}: {error}; restore the file from a backup, or remove it");
    Finding { file: Some(file), detail, ..Finding::default() }
}

/// The file of a document.
pub(super) fn file_of(document: Document) -> Name {
    match document {
        Document::Alerts => Name::Alerts,
        Document::Webhooks => Name::Webhooks,
        Document::WebhookPositions => Name::WebhookPositions,
    }
}
