//! How far each has come is written down now and then, all in one document, where one process tells them all. Where several do, each writes it down with
//! its lease ([`super::turn`]).

use std::sync::atomic::{AtomicBool, Ordering};

use super::Webhooks;
use super::changes::NotChanged;
use super::kept::KeptPositions;
use crate::store::{Document, NotDone, Store as _};

impl Webhooks {
    /// Writes down how far each has come, at most so often.
    pub(super) async fn write_now_and_then(&'static self) {
        let mut is_failing = false;
        loop {
            self.dirty.notified().await;
            match self.write_down().await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "how far webhooks have come cannot be written down; it is tried again");
                    }
                    is_failing = true;
                    self.dirty.notify_one();
                }
            }
            tokio::time::sleep(self.config.positions_every).await;
        }
    }

    /// Writes down how far each has come; and, before that, which were disabled.
    pub(super) async fn write_down(&'static self) -> Result<(), NotDone> {
        self.write_disabled().await?;
        let positions = self.every().iter().map(|hook| hook.kept_progress()).collect();
        let document = serde_json::to_vec(&KeptPositions { positions });
        let document = document.expect("it has string keys and plain values");
        self.store.keep_document(Document::WebhookPositions, document).await
    }

    /// Writes which were disabled, if that is not written yet.
    pub(super) async fn write_disabled(&'static self) -> Result<(), NotDone> {
        // Before it is looked: whoever finds nothing to be written is to find it written.
        let _changing = self.changing.lock().await;
        // Before it is read what is to be written: what changes meanwhile is written next time.
        if !self.has_unwritten.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let mut unwritten = Unwritten(Some(&self.has_unwritten));
        self.write(|_, _| Ok(())).await.map_err(NotChanged::into_not_done)?;
        unwritten.0 = None;
        Ok(())
    }
}

/// There is something that is not written; still, if this is dropped before it is.
struct Unwritten<'a>(Option<&'a AtomicBool>);

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if let Some(has_unwritten) = self.0 {
            has_unwritten.store(true, Ordering::Release);
        }
    }
}

impl NotChanged {
    /// What stood in the way of a change that nothing else can.
    fn into_not_done(self) -> NotDone {
        match self {
            Self::NotDone(not_done) => not_done,
            other => NotDone::no(crate::store::Why::Damaged(other.to_string())),
        }
    }
}
