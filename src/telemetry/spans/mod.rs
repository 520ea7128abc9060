//! [`Tracer`]: which requests are recorded as spans, and a bounded queue of those until somebody takes them.
//!
//! Plain data: it knows neither what a request is nor where spans go. Who is not sampled ([`sampling`]) pays for a compare; there is no allocation,
//! no lock and no counter that others write. Who finds the queue full goes on without its span, which is counted.

pub mod sampling;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::sampling::Sampling;
use super::Exposition;

/// How many spans wait at most, and how many are handed over together. The defaults are those of OpenTelemetry's batch processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// One more is dropped.
    pub spans_max: usize,
    /// As many are worth a message of their own.
    pub batch_max: usize,
}

impl Default for QueueBounds {
    fn default() -> Self {
        Self { spans_max: 2_048, batch_max: 512 }
    }
}

/// Records spans.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    bounds: QueueBounds,
    queue: Mutex<VecDeque<Span>>,
    /// There are enough for a batch.
    enough: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// The span of another service, of which a span here is a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace of both.
    pub trace: u128,
    /// The other span.
    pub span: u64,
    /// Whether it is recorded.
    pub is_sampled: bool,
}

/// The names of a span that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanIds {
    /// That of its trace.
    pub trace: u128,
    /// Its own.
    pub span: u64,
    /// That of the span that it is a part of, in another service.
    pub parent: Option<u64>,
}

/// What was done for somebody: the answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Which it is.
    pub ids: SpanIds,
    /// `tracestate`, as it came.
    pub trace_state: String,
    /// What was done, of few kinds.
    pub name: String,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What is known of it, by the names of OpenTelemetry's semantic conventions.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Whether the service failed.
    pub is_failed: bool,
}

/// What is known of a span.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A word.
    Text(Cow<'static, str>),
    /// A list of one word.
    OneOf(String),
    /// A number.
    Number(i64),
}

impl Tracer {
    /// Records what is sampled, as far as there is room.
    pub fn new(sampling: Sampling, bounds: QueueBounds) -> Self {
        Self {
            sampling,
            bounds,
            queue: Mutex::default(),
            enough: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// The names of the span that begins now, if it is to be recorded.
    #[inline]
    pub fn begin(&self, parent: Option<Parent>) -> Option<SpanIds> {
        let trace = self.sampling.trace(parent)?;
        let parent = parent.map(|parent| parent.span);
        Some(SpanIds { trace, span: sampling::random_id(), parent })
    }

    /// It is over. Never waits for whoever takes spans.
    pub fn end(&self, span: Span) {
        let mut queue = self.queue.lock();
        if queue.len() >= self.bounds.spans_max {
            drop(queue);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.push_back(span);
        let is_enough = queue.len() >= self.bounds.batch_max;
        drop(queue);
        if is_enough {
            self.enough.notify_one();
        }
    }

    /// Completes once there are enough for a batch.
    pub async fn enough(&self) {
        // A permit may be left of spans that were taken since: then there are fewer, which does no harm.
        self.enough.notified().await;
    }

    /// The oldest, as many as make a batch at most.
    pub fn take(&self) -> Vec<Span> {
        let mut queue = self.queue.lock();
        let count = queue.len().min(self.bounds.batch_max);
        queue.drain(..count).collect()
    }

    /// So many of those that were taken have arrived, and so many never will.
    pub fn handed_over(&self, sent: usize, failed: usize) {
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
        self.failed.fetch_add(failed as u64, Ordering::Relaxed);
    }

    /// Appends what became of spans.
    pub fn expose(&self, text: &mut Exposition) {
        let name = "inventory_trace_spans_total";
        text.counter(
            name,
            "Spans of requests: sent to the collector; dropped, as as many waited as may; failed, as the collector did not take them.",
        );
        for (outcome, count) in [("sent", &self.sent), ("dropped", &self.dropped), ("failed", &self.failed)] {
            text.sample(name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
        text.gauge("inventory_trace_spans_queued", "Spans that wait to be sent.");
        text.sample("inventory_trace_spans_queued", &[], self.queue.lock().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::text::Format;

    fn span(name: &str) -> Span {
        Span {
            ids: SpanIds { trace: 1, span: 2, parent: None },
            trace_state: String::new(),
            name: name.to_owned(),
            began: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            attributes: Vec::new(),
            is_failed: false,
        }
    }

    /// P10: the queue is bounded, keeps the oldest, and what has no room is counted.
    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let tracer = Tracer::new(Sampling::from_ratio(1.0, true), QueueBounds { spans_max: 3, batch_max: 2 });
        for name in ["a", "b", "c", "d", "e"] {
            tracer.end(span(name));
        }
        let taken = || tracer.take().into_iter().map(|span| span.name).collect::<Vec<_>>();
        let shown = |line: &str| {
            let mut text = Exposition::default();
            tracer.expose(&mut text);
            assert!(text.to_text(Format::Prometheus).contains(line), "{line}");
        };
        shown("inventory_trace_spans_queued 3\n");
        assert_eq!((taken(), taken()), (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]));
        assert!(taken().is_empty());
        tracer.handed_over(2, 1);
        shown("{outcome=\"sent\"} 2\n");
        shown("{outcome=\"dropped\"} 2\n");
        shown("{outcome=\"failed\"} 1\n");
    }
}
