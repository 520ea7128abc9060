//! Traces and metrics at a collector: what comes there, what does not, and that no request pays for a collector that is not well (P10).

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as Measured;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::log::logged;
use super::{Served, end_of, inventory, told};
use crate::support::app::WATCHDOG;
use crate::support::app::collector::{Collector, resource, spans, words};
use crate::support::app::receiver::Reply;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn serve(args: &[&str]) -> Command {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral"]);
    command.args(args);
    command
}

/// Only what a client records, and nothing before the end unless there is enough of it.
fn traced(collector: &Collector, args: &[&str]) -> Command {
    let mut command = serve(args);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    command
}

/// The head of the answer to a request with these further fields.
fn ask(served: &Served, request: &str, fields: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(served.address()).expect("it listens");
    let length = body.len();
    let head = format!("{request} HTTP/1.1\r\nHost: shop.example:81\r\nConnection: close\r\n{fields}");
    write!(stream, "{head}Content-Length: {length}\r\nContent-Type: application/json\r\n\r\n{body}")
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).expect("a status")
}

/// A request that its client records, or not.
fn ask_within(served: &Served, request: &str, flags: &str) -> String {
    ask(served, request, &format!("Traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n"), "")
}

fn end(served: Served) {
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
}

/// What `/metrics` shows of spans that ended so, once it is that.
fn wait_for_spans(served: &Served, outcome: &str, count: usize) {
    let wanted = format!("inventory_trace_spans_total{{outcome=\"{outcome}\"}} {count}\n");
    let began = Instant::now();
    while !served.get("/metrics").contains(&wanted) {
        assert!(began.elapsed() < WATCHDOG, "{wanted} {}", served.get("/metrics"));
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    words(&span.attributes).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Its names, its attributes and its time; it is sent at the end, which waits for it. The query is in none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_request_is_a_span_of_its_clients_trace() {
    let mut collector = Collector::start().await;
    let mut command = traced(&collector, &[]);
    let served = Served::start(command.env("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,a=b"));
    let fields = format!(
        "Traceparent: 00-{TRACE}-{PARENT}-01\r\nTracestate: k=v\r\nX-Request-Id: mine\r\nAuthorization: Bearer s3cret\r\n"
    );
    let answer = ask(&served, "PUT /v1/stock/A?location=s3cret", &fields, r#"{"on_hand":3}"#);
    assert_eq!(status(&answer), "201", "{answer}");
    assert_eq!(status(&ask_within(&served, "BREW /pot", "01")), "404");
    end(served);
    let delivery = collector.next().await;
    assert!(!String::from_utf8_lossy(&delivery.body).contains("s3cret"));
    let told = resource(&delivery);
    assert!(
        told.contains(&("service.name".into(), "shop".into())) && told.contains(&("a".into(), "b".into()))
    );
    let [put, brew] = <[Span; 2]>::try_from(spans(&delivery)).expect("two spans");
    assert_eq!((hex(&put.trace_id).as_str(), hex(&put.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!((put.trace_state.as_str(), put.kind), ("k=v", SpanKind::Server.into()));
    assert_eq!(put.flags, 0x301, "sampled, and of a span that is known to be another service's");
    assert!(put.span_id.len() == 8 && put.span_id != brew.span_id);
    assert!(put.start_time_unix_nano > 1_600_000_000_000_000_000);
    assert!(put.end_time_unix_nano > put.start_time_unix_nano);
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let expected = [
        ("http.request.method", "PUT"),
        ("http.response.header.x-request-id", "[\"mine\"]"),
        ("http.response.status_code", "201"),
        ("http.route", "/v1/stock/{sku}"),
        ("network.protocol.version", "1.1"),
        ("server.address", "shop.example"),
        ("server.port", "81"),
        ("url.path", "/v1/stock/A"),
        ("url.scheme", "http"),
    ];
    assert_eq!((put.name.as_str(), words(&put.attributes)), ("PUT /v1/stock/{sku}", pairs(&expected)));
    assert_eq!((brew.name.as_str(), &put.status, &brew.status), ("HTTP", &None, &None));
    assert_eq!(attribute(&brew, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!((attribute(&brew, "http.route"), attribute(&brew, "error.type")), (None, None));
    collector.assert_quiet();
}

/// Only of what the service could not do is it said that it failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_the_service_is_an_error() {
    let mut collector = Collector::start().await;
    let served = Served::start(&mut traced(&collector, &["--idempotency-keys", "1"]));
    assert_eq!(status(&ask(&served, "PUT /v1/stock/A", "", r#"{"on_hand":3}"#)), "201");
    for (number, expected) in [("1", "200"), ("2", "503")] {
        let fields = format!("Traceparent: 00-{TRACE}-{PARENT}-01\r\nIdempotency-Key: {number}\r\n");
        let answer = ask(&served, "POST /v1/stock/A/adjust", &fields, r#"{"delta":1}"#);
        assert_eq!(status(&answer), expected);
    }
    end(served);
    let [well, failed] = <[Span; 2]>::try_from(collector.spans().await).expect("two spans");
    assert_eq!(well.status, None);
    assert_eq!(failed.status.as_ref().map(|status| status.code), Some(StatusCode::Error.into()));
    assert_eq!(attribute(&failed, "error.type").as_deref(), Some("503"));
    collector.assert_quiet();
}

/// Without a client that decides, the sampler does; and what it leaves out is sent by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_not_sent() {
    for (sampler, unrecorded, alone) in [
        ("parentbased_always_off", false, false),
        ("parentbased_always_on", false, true),
        ("always_on", true, true),
        ("always_off", false, false),
    ] {
        let mut collector = Collector::start().await;
        let served = Served::start(traced(&collector, &[]).env("OTEL_TRACES_SAMPLER", sampler));
        ask_within(&served, "GET /v1/stock/UNRECORDED", "00");
        ask(&served, "GET /v1/stock/ALONE", "", "");
        ask(&served, "GET /v1/stock/ALONE", "", "");
        end(served);
        let came = if unrecorded || alone { collector.spans().await } else { Vec::new() };
        let of = |path: &str| {
            let path = format!("/v1/stock/{path}");
            came.iter().filter(|span| attribute(span, "url.path") == Some(path.clone())).collect::<Vec<_>>()
        };
        let (of_parent, roots) = (of("UNRECORDED"), of("ALONE"));
        assert_eq!(
            (of_parent.len(), roots.len()),
            (usize::from(unrecorded), 2 * usize::from(alone)),
            "{sampler}"
        );
        assert!(of_parent.iter().all(|span| hex(&span.trace_id) == TRACE));
        let traces: BTreeSet<String> = roots.iter().map(|span| hex(&span.trace_id)).collect();
        assert_eq!(traces.len(), roots.len(), "each has a trace of its own");
        assert!(roots.iter().all(|span| span.parent_span_id.is_empty()));
        collector.assert_quiet();
    }
}

/// What `/metrics` shows of a name and a label, as a name with all labels and a number.
fn shown<'a>(text: &'a str, name: &str, label: &str) -> Vec<(&'a str, f64)> {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    lines
        .map(|line| line.rsplit_once(' ').expect("a value"))
        .map(|(name, value)| (name, value.parse().expect("a number")))
        .collect()
}

/// The same names, and of what stood still the same numbers: counters as sums since the start, histograms with their buckets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_what_is_shown() {
    let mut collector = Collector::start().await;
    let mut command = traced(&collector, &[]);
    command.env("OTEL_METRICS_EXPORTER", "otlp").env("OTEL_METRIC_EXPORT_INTERVAL", "3600000");
    let served = Served::start(command.env("OTEL_TRACES_EXPORTER", "none"));
    let running = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let within = format!("Traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    for (sku, fields) in [("A", ""), ("B", &*within), ("C", "")] {
        assert_eq!(status(&ask(&served, &format!("PUT /v1/stock/{sku}"), fields, r#"{"on_hand":3}"#)), "201");
    }
    served.get("/metrics");
    let text = served.get("/metrics");
    end(served);
    let metrics = collector.metrics().await;
    collector.assert_quiet();
    let names: BTreeSet<String> = metrics.iter().map(|metric| metric.name.replace('.', "_")).collect();
    let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let declared: BTreeSet<String> =
        declared.map(|name| name.replace("request_duration_seconds", "request_duration")).collect();
    assert_eq!(names, declared);
    let metric = |name: &str| metrics.iter().find(|metric| metric.name == name).expect("it is there");
    assert_sums(metric("inventory_http_requests_total"), &text, running);
    assert_durations(metric("http.server.request.duration"), &text);
    assert!(matches!(metric("inventory_stock_levels").data, Some(Data::Gauge(_))));
    let active = metric("http.server.active_requests").data.as_ref();
    assert!(matches!(active, Some(Data::Sum(sum)) if !sum.is_monotonic));
    assert_eq!(metric("inventory_body_memory_bytes").unit, "By");
}

/// `running`: a time, in nanoseconds since 1970, after the start and before what is counted.
fn assert_sums(metric: &Metric, text: &str, running: u128) {
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let put = |point: &&NumberDataPoint| words(&point.attributes).contains(&("method".into(), "PUT".into()));
    let [point] = <[_; 1]>::try_from(sum.data_points.iter().filter(put).collect::<Vec<_>>()).expect("one");
    assert!(0 < point.start_time_unix_nano && u128::from(point.start_time_unix_nano) <= running);
    assert!(running < point.time_unix_nano.into());
    let pairs = [("method", "PUT"), ("route", "/v1/stock/{sku}"), ("status", "201")];
    assert_eq!(words(&point.attributes), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(point.value, Some(Number::AsInt(3)));
    let [(_, shown)] = shown(text, "inventory_http_requests_total", "PUT")[..] else { panic!("{text}") };
    assert!((shown - 3.0).abs() < f64::EPSILON, "{text}");
}

fn assert_durations(metric: &Metric, text: &str) {
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
    assert_eq!(metric.unit, "s");
    assert_eq!(histogram.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let expected = [("http.request.method", "PUT"), ("http.route", "/v1/stock/{sku}")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let point = histogram.data_points.iter().find(|point| words(&point.attributes) == expected);
    let point = point.expect("it is there");
    let mut cumulative = 0;
    let pushed: Vec<f64> = point
        .bucket_counts
        .iter()
        .map(|count| {
            cumulative += count;
            cumulative as f64
        })
        .collect();
    let name = "http_server_request_duration_seconds";
    let (buckets, sums, counts) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
    let buckets = shown(text, &buckets, "\"PUT\"");
    assert_eq!(pushed, buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    let bounds: Vec<String> = point.explicit_bounds.iter().map(f64::to_string).collect();
    assert_eq!(bounds.len() + 1, buckets.len());
    assert!(bounds.iter().zip(&buckets).all(|(bound, (name, _))| name.contains(&format!("le=\"{bound}\""))));
    let only = |name: &str| shown(text, name, "\"PUT\"").first().map(|(_, value)| *value);
    assert_eq!((point.sum, Some(point.count as f64)), (only(&sums), only(&counts)));
    assert_eq!(point.count, 3);
    let [exemplar] = &point.exemplars[..] else { panic!("{point:?}") };
    assert_eq!(hex(&exemplar.trace_id), TRACE);
    assert!(matches!(exemplar.value, Some(Measured::AsDouble(seconds)) if Some(seconds) <= point.sum));
}

/// What it answers with 500 is lost, which is counted, and told once however often it happens; requests are answered as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_is_told_of_once() {
    const SPANS: usize = 5;
    let mut collector = Collector::start().await;
    collector.answer(vec![Reply::Status(500); SPANS]);
    let mut command = traced(&collector, &["--log", "info", "--log-format", "json", "--access-log", "false"]);
    let lines = logged(command.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"), |served| {
        for count in 1..=SPANS {
            assert_eq!(status(&ask_within(served, "GET /v1/stock/A", "01")), "404");
            wait_for_spans(served, "failed", count);
        }
        ask_within(served, "GET /v1/stock/A", "01");
        wait_for_spans(served, "sent", 1);
    });
    for _ in 0..=SPANS {
        assert_eq!(collector.spans().await.len(), 1);
    }
    collector.assert_quiet();
    let told: Vec<_> = lines.iter().filter(|line| line["fields"]["signal"] == "traces").collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    assert_eq!(told[0]["fields"]["error"], "it answered 500");
}

/// While it hangs so many wait, the rest is dropped and counted; and it does not hold up the end for longer than the grace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_costs_no_request() {
    let mut collector = Collector::start().await;
    collector.answer(vec![Reply::Hang; 100]);
    let mut command = traced(&collector, &["--shutdown-grace", "100ms"]);
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
    command.env("OTEL_BSP_MAX_QUEUE_SIZE", "4").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
    let served = Served::start(&mut command);
    ask_within(&served, "GET /v1/stock/A", "01");
    assert_eq!(collector.spans().await.len(), 1, "it has it, and says nothing");
    for _ in 0..10 {
        assert_eq!(status(&ask_within(&served, "GET /v1/stock/A", "01")), "404");
    }
    wait_for_spans(&served, "dropped", 6);
    assert!(served.get("/metrics").contains("inventory_trace_spans_queued 4\n"));
    end(served);
    collector.assert_quiet();
}

/// Nobody listens there: what waits is bounded all the same.
#[test]
fn a_collector_that_is_away_costs_no_request() {
    let nowhere = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let mut command = serve(&["--shutdown-grace", "100ms"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nowhere}"));
    command.env("OTEL_BSP_MAX_QUEUE_SIZE", "4").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2");
    let served = Served::start(command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off"));
    for _ in 0..20 {
        assert_eq!(status(&ask_within(&served, "GET /v1/stock/A", "01")), "404");
    }
    let metrics = served.get("/metrics");
    let name = "inventory_trace_spans_total{outcome=\"dropped\"} ";
    let dropped = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
    // Four wait, and two may be on their way.
    assert!((14..=16).contains(&dropped.parse::<usize>().expect("a number")), "{metrics}");
    end(served);
}

/// What may be sent again is, as it was; what the collector did not want of it is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_sent_again_is() {
    let mut collector = Collector::start().await;
    // A partial success, whose first field says that one span was rejected.
    let rejected = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\x0a\x02\x08\x01";
    collector.answer([Reply::Status(503), Reply::Raw(rejected.to_vec())]);
    let mut command = traced(&collector, &[]);
    let served = Served::start(command.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"));
    ask_within(&served, "GET /v1/stock/A", "01");
    ask_within(&served, "GET /v1/stock/B", "01");
    let (first, again) = (collector.next().await, collector.next().await);
    assert_eq!((spans(&first).len(), first.body == again.body), (2, true));
    wait_for_spans(&served, "failed", 1);
    wait_for_spans(&served, "sent", 1);
    end(served);
}

/// One that hangs is given up when its time is over, and sent it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_has_so_long_and_no_longer() {
    let mut collector = Collector::start().await;
    collector.answer([Reply::Hang]);
    let mut command = traced(&collector, &[]);
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "50").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
    let served = Served::start(&mut command);
    ask_within(&served, "GET /v1/stock/A", "01");
    let (first, again) = (collector.next().await, collector.next().await);
    assert_eq!(first.body, again.body);
    wait_for_spans(&served, "sent", 1);
    end(served);
}

/// The key of a collector goes there, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_headers_of_a_collector_are_printed_nowhere() {
    let mut collector = Collector::start().await;
    collector.answer([Reply::Status(400)]);
    let variable = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,x-tenant=shop");
    let mut command = traced(&collector, &["--log", "trace", "--log-format", "json"]);
    command.env(variable.0, variable.1).env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
    let lines = logged(&mut command, |served| {
        ask_within(served, "GET /v1/stock/A", "01");
        wait_for_spans(served, "failed", 1);
        assert!(!served.get("/metrics").contains("s3cret"));
    });
    let delivery = collector.next().await;
    assert_eq!((delivery.header("authorization"), delivery.header("x-tenant")), ("Bearer s3cret", "shop"));
    assert!(lines.len() > 1 && lines.iter().all(|line| !line.to_string().contains("s3cret")), "{lines:?}");
    let mut config = inventory(&["config"]);
    config.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env(variable.0, variable.1);
    let shown = end_of(&mut config);
    assert!(shown.status.success() && !String::from_utf8_lossy(&shown.stdout).contains("s3cret"));
}

/// Before anything is served; and only where something is to be sent.
#[test]
fn a_variable_that_is_wrong_is_told_by_its_name() {
    for args in [&["serve", "--ephemeral", "--listen", "127.0.0.1:0"][..], &["config"]] {
        let mut command = inventory(args);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let line = told(&end_of(command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")), 2);
        assert!(line.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL: "), "{line}");
    }
    let mut unsent = inventory(&["config"]);
    assert!(end_of(unsent.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")).status.success());
}
