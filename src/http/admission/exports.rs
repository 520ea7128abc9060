//! [`Exports`]: how many exports there are at once. One may take as long as its client does, and reads every level there is.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Bytes;
use http_body::{Body, Frame};
use parking_lot::Mutex;

use crate::http::problem::{Problem, ProblemKind};
use crate::telemetry::{Exposition, Pace};

/// The exports that are under way.
#[derive(Debug)]
pub struct Exports {
    max: usize,
    running: Mutex<Running>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Running {
    count: usize,
    /// How fast they have ended since there were as many as may be.
    pace: Pace,
}

/// One export. Dropped, it is over.
#[derive(Debug)]
pub struct Export(&'static Exports);

/// The body of an export, which is over when that has ended, or its client has gone away.
#[derive(Debug)]
pub struct ExportBody<B> {
    body: B,
    export: Option<Export>,
}

impl Exports {
    /// So many at once.
    pub fn new(max: usize) -> Self {
        Self { max, running: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// One more; refused if there are as many as may be.
    pub fn begin(&'static self) -> Result<Export, Problem> {
        let mut running = self.running.lock();
        if running.count < self.max {
            running.count += 1;
            if running.count == self.max {
                running.pace.begin(Instant::now());
            }
            return Ok(Export(self));
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let until = running.pace.until_left(1, Instant::now());
        let detail = format!("{} exports are under way, and that is as many as may", self.max);
        Err(Problem::new(ProblemKind::Overloaded, detail).again_after(until))
    }

    /// Appends what is counted of them.
    pub fn expose(&self, text: &mut Exposition) {
        text.gauge("inventory_exports", "Exports that are under way, of --exports-max.");
        text.sample("inventory_exports", &[], self.running.lock().count);
        text.gauge("inventory_exports_max", "How many exports may be under way at once.");
        text.sample("inventory_exports_max", &[], self.max);
        text.counter(
            "inventory_exports_refused_total",
            "Exports refused because as many are under way as may.",
        );
        text.sample("inventory_exports_refused_total", &[], self.refused.load(Ordering::Relaxed));
    }
}

impl Export {
    /// The body that it is made of.
    pub fn of<B>(self, body: B) -> ExportBody<B> {
        ExportBody { body, export: Some(self) }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        running.count -= 1;
        running.pace.left(Instant::now());
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ExportBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.export = None;
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_may_be() {
        let exports: &'static Exports = Box::leak(Box::new(Exports::new(2)));
        let first = exports.begin().unwrap();
        let _second = exports.begin().unwrap();
        assert_eq!(exports.begin().unwrap_err().kind(), ProblemKind::Overloaded);
        drop(first);
        exports.begin().unwrap();
    }
}
