//! Where telemetry is sent, as the standard variables of OpenTelemetry say, which are no flags: every program on a machine has them in common.

use std::ffi::OsString;

use crate::config::Config;

/// Notes in `config` what is to be sent; says what is wrong with the variables.
#[cfg(feature = "otlp")]
pub(super) fn ask(config: &mut Config, lookup: impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
    config.otlp = crate::telemetry::otlp::OtlpSettings::read(lookup).map_err(|error| error.to_string())?;
    Ok(())
}

/// Warns of what is asked for and not in this program.
#[cfg(not(feature = "otlp"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
pub(super) fn ask(_config: &mut Config, lookup: impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
    let is_said = |name: &&str| lookup(name).is_some_and(|value| !value.is_empty());
    let is_off = lookup("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoints = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ];
    if let Some(variable) = endpoints.iter().find(|name| is_said(name)).filter(|_| !is_off) {
        tracing::warn!(
            "{variable} is set, and this program is built without the feature `otlp`: nothing is sent there"
        );
    }
    Ok(())
}
