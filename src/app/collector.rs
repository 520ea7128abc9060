//! What tells a collector of the service, where one is named and the feature `otlp` is there; else nothing.

use std::time::Duration;

use crate::config::Config;
use crate::http::HttpState;
use crate::telemetry::spans::Tracer;

/// Even where the grace has run out: what has happened then is what one wants to see.
#[cfg(feature = "otlp")]
const FLUSH_MIN: Duration = Duration::from_secs(1);

/// Records requests, if somebody is to be told of them. Lives as long as the process, as the state does.
#[cfg(feature = "otlp")]
pub(super) fn tracer(config: &Config) -> Option<&'static Tracer> {
    let traces = config.otlp.as_ref()?.traces.as_ref()?;
    Some(Box::leak(Box::new(Tracer::new(traces.sampling, traces.bounds))))
}

/// Records none.
#[cfg(not(feature = "otlp"))]
pub(super) fn tracer(_config: &Config) -> Option<&'static Tracer> {
    None
}

/// What tells it.
pub(super) struct Telling {
    #[cfg(feature = "otlp")]
    exporter: Option<crate::telemetry::otlp::Exporter>,
}

impl Telling {
    /// Tells it from here on.
    #[cfg(feature = "otlp")]
    pub(super) fn start(config: &Config, state: &'static HttpState) -> Self {
        let gather = Box::new(move || crate::http::metrics::gathered(state));
        let start = |otlp| crate::telemetry::otlp::Exporter::start(otlp, state.tracer, gather);
        Self { exporter: config.otlp.clone().map(start) }
    }

    /// Tells nobody.
    #[cfg(not(feature = "otlp"))]
    pub(super) fn start(_config: &Config, _state: &'static HttpState) -> Self {
        Self {}
    }

    /// Tells it the rest, within what is left of the grace.
    #[cfg(feature = "otlp")]
    pub(super) async fn finish(self, left: Duration) {
        if let Some(exporter) = self.exporter {
            exporter.finish(left.max(FLUSH_MIN)).await;
        }
    }

    /// There is nothing to tell.
    #[cfg(not(feature = "otlp"))]
    #[expect(clippy::unused_async, reason = "with the feature it takes time")]
    pub(super) async fn finish(self, _left: Duration) {}
}
