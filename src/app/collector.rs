//! What tells a collector of the service, where one is named and the feature `otlp` is there; else nothing.

use std::time::Duration;

use crate::config::Config;
use crate::http::HttpState;
use crate::telemetry::spans::Tracer;

/// Even where the grace has run out: what has happened then is what one wants to see.
const FLUSH_MIN: Duration = Duration::from_secs(1);

/// Records requests, if somebody is to be told of them. Lives as long as the process, as the state does.
pub(super) fn tracer(config: &Config) -> Option<&'static Tracer> {
    #[cfg(feature = "otlp")]
    if let Some(traces) = config.otlp.as_ref().and_then(|otlp| otlp.traces.as_ref()) {
        return Some(Box::leak(Box::new(Tracer::new(traces.sampling, traces.bounds))));
    }
    let _unused_without = config;
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
    pub(super) async fn finish(self, left: Duration) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = self.exporter {
            return exporter.finish(left.max(FLUSH_MIN)).await;
        }
        let _unused_without = left.max(FLUSH_MIN);
    }
}
