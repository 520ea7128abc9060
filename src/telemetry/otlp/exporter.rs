//! [`Exporter`]: what is sent when: spans, as soon as there are enough or they have waited; and every so often all that is counted.
//!
//! A task for each, so that neither waits for the other. At the end both are told so, send what there is, once, and end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::metrics::{self, Period};
use super::resource::resource;
use super::sender::Sender;
use super::settings::{MetricsSettings, OtlpSettings, TracesSettings};
use super::traces::{self, unix_nano};
use crate::outgoing::Trust;
use crate::telemetry::Exposition;
use crate::telemetry::spans::Tracer;

/// For how long spans are tried to be handed over, before they make room for others.
const SPANS_TRIED_FOR: Duration = Duration::from_mins(1);

/// Gathers all that is counted.
pub type Gather = Box<dyn Fn() -> Exposition + Send + Sync>;

/// What sends. Dropped, it ends at once.
#[derive(Debug)]
pub struct Exporter {
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Exporter {
    /// Sends, from here on, what `tracer` records and what `gather` gathers, as far as it is asked for.
    pub fn start(settings: OtlpSettings, tracer: Option<&'static Tracer>, gather: Gather) -> Self {
        let OtlpSettings { traces, metrics, resource: given } = settings;
        let (ending, ends) = watch::channel(false);
        let (trust, resource) = (Trust::of_system(), Arc::new(resource(&given)));
        let mut tasks = JoinSet::new();
        if let (Some(TracesSettings { delay, target, .. }), Some(tracer)) = (traces, tracer) {
            let sender = Sender::new("traces", target, trust.clone(), ends.clone());
            let spans = Spans { tracer, sender, delay, resource: Arc::clone(&resource) };
            tasks.spawn(spans.send_all(ends.clone()));
        }
        if let Some(MetricsSettings { interval, target }) = metrics {
            let sender = Sender::new("metrics", target, trust, ends.clone());
            let counts = Counts { gather, sender, interval, resource, from: unix_nano(SystemTime::now()) };
            tasks.spawn(counts.send_all(ends));
        }
        Self { ending, tasks }
    }

    /// Sends what there is, and ends; at the latest when that time is over, whatever is left.
    pub async fn finish(mut self, within: Duration) {
        self.ending.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, ended).await.is_err() {
            tracing::warn!("there was no time to tell the collector of the end");
        }
    }
}

/// What sends spans.
struct Spans {
    tracer: &'static Tracer,
    sender: Sender,
    delay: Duration,
    resource: Arc<Resource>,
}

impl Spans {
    async fn send_all(self, mut ending: watch::Receiver<bool>) {
        let mut is_ending = false;
        while !is_ending {
            tokio::select! {
                _ = ending.wait_for(|ending| *ending) => is_ending = true,
                () = self.tracer.enough() => {}
                () = tokio::time::sleep(self.delay) => {}
            }
            loop {
                let spans = self.tracer.take();
                if spans.is_empty() {
                    break;
                }
                let count = spans.len();
                let message = traces::message(&self.resource, spans);
                let answer = self.sender.hand_over(message, SPANS_TRIED_FOR).await;
                let failed = answer.map_or(count, |answer| self.rejected(&answer).min(count));
                self.tracer.handed_over(count - failed, failed);
            }
        }
    }

    /// How many were not wanted.
    fn rejected(&self, answer: &[u8]) -> usize {
        let Some((count, why)) = traces::rejected(answer) else { return 0 };
        self.sender.complain(&format!("it rejected {count} spans: {why}"));
        count
    }
}

/// What sends all that is counted.
struct Counts {
    gather: Gather,
    sender: Sender,
    interval: Duration,
    resource: Arc<Resource>,
    /// Since when it is counted.
    from: u64,
}

impl Counts {
    async fn send_all(self, mut ending: watch::Receiver<bool>) {
        let mut is_ending = false;
        while !is_ending {
            tokio::select! {
                _ = ending.wait_for(|ending| *ending) => is_ending = true,
                () = tokio::time::sleep(self.interval) => {}
            }
            let gathered = (self.gather)();
            let time = Period { from: self.from, to: unix_nano(SystemTime::now()) };
            let message = metrics::message(&self.resource, &gathered, time);
            // What was given up is in the next message as well: sums are of all since the start.
            let _given_up = self.sender.hand_over(message, self.interval).await;
        }
    }
}
