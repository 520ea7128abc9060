//! What the variables say, right and wrong.

use super::*;

fn read(said: &[(&str, &str)]) -> Result<Option<OtlpSettings>, String> {
    let lookup = |name: &str| {
        let found = said.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    OtlpSettings::read(lookup).map_err(|error| error.to_string())
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

fn with(more: &[(&str, &str)]) -> OtlpSettings {
    let said: Vec<_> = [ENDPOINT].iter().chain(more).copied().collect();
    read(&said).expect("it is right").expect("something is sent")
}

#[test]
fn nothing_is_sent_unless_an_endpoint_is_named() {
    let others = [("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_TRACES_SAMPLER", "nonsense")];
    assert!(read(&others).unwrap().is_none(), "what is for others is not looked at");
    assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap().is_none(), "empty is none");
    assert!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
    let none = [ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
    assert!(read(&none).unwrap().is_none());
    let traces = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a/x")]).unwrap().unwrap();
    assert!(traces.traces.is_some() && traces.metrics.is_none());
}

#[test]
fn a_signal_goes_where_it_is_said() {
    let urls = |settings: OtlpSettings| {
        let (traces, metrics) = (settings.traces.unwrap().target.url, settings.metrics.unwrap().target.url);
        (traces.to_string(), metrics.to_string())
    };
    let expected = |traces: &str, metrics: &str| (traces.to_owned(), metrics.to_owned());
    assert_eq!(
        urls(with(&[])),
        expected("http://collector:4318/v1/traces", "http://collector:4318/v1/metrics")
    );
    let settings = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/base/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t"),
    ]);
    assert_eq!(urls(settings.unwrap().unwrap()), expected("http://t/", "https://c/base/v1/metrics"));
}

#[test]
fn what_is_of_one_signal_beats_what_is_of_all() {
    let settings = with(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20s3cret, x-tenant = a=b"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x=1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "2000"),
    ]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("s3cret") && shown.contains("Sensitive"), "{shown}");
    let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
    assert_eq!((traces.target.headers.len(), traces.target.headers["x"].as_bytes()), (1, &b"1"[..]));
    let headers = &metrics.target.headers;
    assert_eq!(
        (&headers["authorization"], &headers["x-tenant"]),
        (&"Bearer s3cret".parse().unwrap(), &"a=b".parse().unwrap())
    );
    assert_eq!(
        (traces.target.timeout, metrics.target.timeout),
        (Duration::from_millis(250), Duration::from_millis(500))
    );
    assert_eq!(metrics.interval, Duration::from_secs(2));
}

#[test]
fn samplers_are_those_of_the_standard() {
    let sampling = |said: &[(&str, &str)]| with(said).traces.unwrap().sampling;
    let asked =
        |name, argument| sampling(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
    assert_eq!(sampling(&[]), Sampling::from_ratio(RATIO_DEFAULT, true));
    assert_eq!(sampling(&[("OTEL_TRACES_SAMPLER_ARG", "0.5")]), Sampling::from_ratio(0.5, true));
    for (name, argument, expected) in [
        ("always_on", "0.5", Sampling::from_ratio(1.0, false)),
        ("always_off", "", Sampling::from_ratio(0.0, false)),
        ("traceidratio", "0.25", Sampling::from_ratio(0.25, false)),
        ("traceidratio", "", Sampling::from_ratio(1.0, false)),
        ("parentbased_always_on", "", Sampling::from_ratio(1.0, true)),
        ("parentbased_always_off", "", Sampling::from_ratio(0.0, true)),
        ("ParentBased_TraceIdRatio", "0.75", Sampling::from_ratio(0.75, true)),
    ] {
        assert_eq!(asked(name, argument), expected, "{name}");
    }
}

#[test]
fn the_service_has_a_name() {
    let resource = |said: &[(&str, &str)]| with(said).resource;
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=t%2Cest,service.name=shop");
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(resource(&[]), pairs(&[("service.name", "inventory")]));
    let rest = ("deployment.environment.name", "t,est");
    assert_eq!(resource(&[attributes]), pairs(&[("service.name", "shop"), rest]));
    let named = [attributes, ("OTEL_SERVICE_NAME", "stock")];
    assert_eq!(resource(&named), pairs(&[("service.name", "stock"), rest]));
}

/// Each names its variable; none tells a secret.
#[test]
fn what_is_wrong_is_told_by_its_variable() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://user:s3cret@collector"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "na me=s3cret"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x=s3cret%0A"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_RESOURCE_ATTRIBUTES", "name"),
        ("OTEL_RESOURCE_ATTRIBUTES", "name=%FF"),
    ] {
        let error = read(&[(variable, value), ENDPOINT]).expect_err(variable);
        assert!(error.starts_with(&format!("{variable}: ")), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
