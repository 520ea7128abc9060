//! [`OtlpSettings`]: what is sent where, by the standard variables of OpenTelemetry and no others.
//!
//! Nothing is sent unless an endpoint is named; then what is wrong is refused rather than guessed at, and so is what this program cannot do (gRPC, compression): else
//! somebody waits for what never comes.

use std::ffi::OsString;
use std::time::Duration;

use hyper::header::HeaderMap;

use super::variables::{self, Variables, WrongVariable, wrong};
use crate::outgoing::url::Url;
use crate::telemetry::spans::QueueBounds;
use crate::telemetry::spans::sampling::Sampling;

/// Of the requests that are no part of a client's trace, the share that is recorded where nobody says otherwise. OpenTelemetry's default is all
/// of them, which of a hundred thousand a second is more than anybody sends, keeps, or reads.
const RATIO_DEFAULT: f64 = 0.01;
/// As OpenTelemetry has them.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const INTERVAL_DEFAULT: Duration = Duration::from_mins(1);
const DELAY_DEFAULT: Duration = Duration::from_secs(5);
/// A day, in milliseconds: more than anybody waits for.
const MILLIS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// More spans than one may want to hold: each is about a KiB.
const SPANS_MAX: u64 = 1 << 20;

/// What is pushed, and where to.
#[derive(Debug, Clone)]
pub struct OtlpSettings {
    /// Spans, if they are.
    pub traces: Option<TracesSettings>,
    /// Everything that is counted, if it is.
    pub(super) metrics: Option<MetricsSettings>,
    /// Who it is that tells.
    pub(super) resource: Vec<(String, String)>,
}

/// How spans are pushed.
#[derive(Debug, Clone)]
pub struct TracesSettings {
    /// Which there are.
    pub sampling: Sampling,
    /// How many may wait.
    pub bounds: QueueBounds,
    /// How long they wait for others to go with.
    pub(super) delay: Duration,
    pub(super) target: Target,
}

#[derive(Debug, Clone)]
pub(super) struct MetricsSettings {
    pub(super) interval: Duration,
    pub(super) target: Target,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    /// Secrets, marked as such: `Debug` shows none.
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

impl OtlpSettings {
    /// What the variables say; `None` if nothing is to be sent.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, WrongVariable> {
        let variables = Variables(&lookup);
        let endpoints = ["", "TRACES_", "METRICS_"].map(|signal| variable(signal, "ENDPOINT"));
        if variables.first(&endpoints)?.is_none() {
            return Ok(None);
        }
        if variables.word("OTEL_SDK_DISABLED", &["true", "false"])? == Some("true") {
            return Ok(None);
        }
        refuse_what_is_not_there(&variables)?;
        let traces = match target(&variables, "TRACES", "v1/traces")? {
            Some(target) => Some(traces(&variables, target)?),
            None => None,
        };
        let interval = variables.millis("OTEL_METRIC_EXPORT_INTERVAL", INTERVAL_DEFAULT, 1..=MILLIS_MAX)?;
        let metrics = target(&variables, "METRICS", "v1/metrics")?;
        let metrics = metrics.map(|target| MetricsSettings { interval, target });
        let resource = resource(&variables)?;
        Ok((traces.is_some() || metrics.is_some()).then_some(Self { traces, metrics, resource }))
    }
}

fn variable(signal: &str, name: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{signal}{name}")
}

/// A variable of one signal, and that of all, which it beats.
fn of_signal(signal: &str, name: &str) -> [String; 2] {
    [variable(&format!("{signal}_"), name), variable("", name)]
}

/// Where a signal goes; `None` if it goes nowhere.
fn target(variables: &Variables<'_>, signal: &str, path: &str) -> Result<Option<Target>, WrongVariable> {
    let exporter = format!("OTEL_{signal}_EXPORTER");
    if variables.word(&exporter, &["otlp", "none"])? == Some("none") {
        return Ok(None);
    }
    let [own, common] = of_signal(signal, "ENDPOINT");
    let url = match (variables.text(&own)?, variables.text(&common)?) {
        // As it stands.
        (Some(endpoint), _) => variables::url(&own, &endpoint)?,
        (None, Some(base)) => {
            variables::url(&common, &base)?;
            variables::url(&common, &format!("{}/{path}", base.trim_end_matches('/')))?
        }
        (None, None) => return Ok(None),
    };
    let headers = match variables.first(&of_signal(signal, "HEADERS"))? {
        Some((name, text)) => variables::headers(&name, &text)?,
        None => HeaderMap::new(),
    };
    let timeout = match variables.first(&of_signal(signal, "TIMEOUT"))? {
        Some((name, _)) => variables.millis(&name, TIMEOUT_DEFAULT, 1..=MILLIS_MAX)?,
        None => TIMEOUT_DEFAULT,
    };
    Ok(Some(Target { url, headers, timeout }))
}

/// What would be asked for in vain.
fn refuse_what_is_not_there(variables: &Variables<'_>) -> Result<(), WrongVariable> {
    for signal in ["", "TRACES_", "METRICS_"] {
        variables.word(&variable(signal, "PROTOCOL"), &["http/protobuf"])?;
        variables.word(&variable(signal, "COMPRESSION"), &["none"])?;
        for name in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
            let name = variable(signal, name);
            if variables.text(&name)?.is_some() {
                let instead =
                    "it is not read: collectors are trusted as the system trusts, or by SSL_CERT_FILE";
                return Err(wrong(&name, instead));
            }
        }
    }
    Ok(())
}

fn traces(variables: &Variables<'_>, target: Target) -> Result<TracesSettings, WrongVariable> {
    let default = QueueBounds::default();
    let spans_max = variables.number("OTEL_BSP_MAX_QUEUE_SIZE", default.spans_max as u64, 1..=SPANS_MAX)?;
    let batch_default = (default.batch_max as u64).min(spans_max);
    let batch_max = variables.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch_default, 1..=spans_max)?;
    let whole = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(TracesSettings {
        sampling: sampling(variables)?,
        bounds: QueueBounds { spans_max: whole(spans_max), batch_max: whole(batch_max) },
        delay: variables.millis("OTEL_BSP_SCHEDULE_DELAY", DELAY_DEFAULT, 1..=MILLIS_MAX)?,
        target,
    })
}

fn sampling(variables: &Variables<'_>) -> Result<Sampling, WrongVariable> {
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let samplers = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let sampler = variables.word("OTEL_TRACES_SAMPLER", &samplers)?;
    let argument = match variables.text(ARGUMENT)? {
        Some(text) => {
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            Some(ratio.ok_or_else(|| wrong(ARGUMENT, format!("{text:?} is no number from 0 to 1")))?)
        }
        None => None,
    };
    let Some(sampler) = sampler else {
        return Ok(Sampling::from_ratio(argument.unwrap_or(RATIO_DEFAULT), true));
    };
    let (root, by_parent) = match sampler.strip_prefix("parentbased_") {
        Some(root) => (root, true),
        None => (sampler, false),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        _ => argument.unwrap_or(1.0),
    };
    Ok(Sampling::from_ratio(ratio, by_parent))
}

/// The attributes that were given, with the name of the service first.
fn resource(variables: &Variables<'_>) -> Result<Vec<(String, String)>, WrongVariable> {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    const NAME: &str = "service.name";
    let mut given = match variables.text(ATTRIBUTES)? {
        Some(text) => variables::pairs(ATTRIBUTES, &text)?,
        None => Vec::new(),
    };
    let own = given.iter().find(|(name, _)| name == NAME).map(|(_, value)| value.clone());
    let name = variables.text("OTEL_SERVICE_NAME")?.or(own).unwrap_or_else(|| "inventory".to_owned());
    given.retain(|(attribute, _)| attribute != NAME);
    given.insert(0, (NAME.to_owned(), name));
    Ok(given)
}

#[cfg(test)]
mod tests;
