//! `/v1/status`, the probes, `/metrics`, and request ids: what those see who run the service.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use inventory::alerts::Alerts;
use inventory::config::Config;
use inventory::http::metrics::ROUTES;
use inventory::http::routes::Face;
use inventory::http::server::{self, Entrance};
use inventory::http::{self, HttpState};
use inventory::store::local::{Intent, Opening};
use inventory::store::{AnyStore, Keeping, Storage};
use inventory::strategy::StrategyKind;
use inventory::webhooks::Webhooks;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::app::TestApp;
use crate::support::app::contract::DOCUMENT;
use crate::support::app::raw::Raw;
use crate::support::for_each_strategy;

/// Values by name and labels.
struct Samples(BTreeMap<String, String>);

impl Samples {
    /// A count; 0 where nothing was counted yet.
    fn count(&self, series: &str) -> u64 {
        self.0.get(series).map_or(0, |value| value.parse().unwrap_or_else(|_| panic!("{series} is {value}")))
    }
}

/// The samples of the text format, by name and labels. Fails on whatever is not of the format.
fn samples(text: &str) -> Samples {
    let mut declared: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) =
                (words.next(), words.next().expect("a name"), words.next().expect("a text"));
            match what {
                Some("TYPE") => assert!(declared.insert(name, rest).is_none(), "{name} is declared once"),
                other => assert_eq!(other, Some("HELP"), "{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let name = series.split('{').next().expect("a name");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = family.filter(|family| declared.get(family) == Some(&"histogram")).unwrap_or(name);
        let kind = declared.get(family).unwrap_or_else(|| panic!("{family} is declared first"));
        assert!(["counter", "gauge", "histogram"].contains(kind), "{kind}");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        assert!(series == name || series.ends_with("\"}"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{series} comes once");
    }
    Samples(samples)
}

async fn scrape(app: &TestApp) -> Samples {
    let answer = app.get("/metrics").await;
    assert_eq!(answer.assert_status(200).header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    samples(answer.text())
}

for_each_strategy! {
    /// The status names the strategy, counts the levels, and counts what sharing cost.
    async fn status_says_what_runs(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("B", 1)]).await;
        app.remove("/v1/stock/B").await.assert_status(204);
        let status = app.get("/v1/status").await;
        assert_eq!(status.assert_status(200).at("/strategy"), kind.name());
        assert_eq!((status.at("/durability"), status.number("/levels")), (json!("durable"), 1));
        assert_eq!((status.at("/version"), status.at("/ledger_order")), (json!(env!("CARGO_PKG_VERSION")), json!("all")));
        assert!(status.number("/contention/acquisitions") >= 3, "{}", status.text());
    }

    /// The text parses, and the counters of requests, refusals, levels and acquisitions move by what was done.
    async fn metrics_count_what_was_done(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1)]).await;
        let before = scrape(&app).await;
        for _ in 0..3 {
            app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_status(200);
        }
        app.post("/v1/stock/A/adjust", &json!({ "delta": -99 })).await.assert_status(409);
        app.get("/v1/stock/Z").await.assert_status(404);
        app.get("/nothing").await.assert_status(404);
        app.call(Method::PATCH, "/v1/stock").send().await.assert_status(405);
        app.create("B", 1).await;
        let after = scrape(&app).await;
        let moved = |series: &str| after.count(series) - before.count(series);
        let requests = |route: &str, method: &str, status: u16| {
            moved(&format!(
                r#"inventory_http_requests_total{{route="{route}",method="{method}",status="{status}"}}"#
            ))
        };
        assert_eq!(requests("/v1/stock/{sku}/adjust", "POST", 200), 3);
        assert_eq!(requests("/v1/stock/{sku}/adjust", "POST", 409), 1);
        assert_eq!(requests("/v1/stock/{sku}", "GET", 404), 1);
        assert_eq!(requests("none", "GET", 404), 1);
        assert_eq!(requests("/v1/stock", "other", 405), 1);
        assert_eq!(
            moved(r#"http_server_request_duration_seconds_count{http_route="/v1/stock/{sku}/adjust",http_request_method="POST"}"#),
            4
        );
        assert_eq!(moved(r#"inventory_refusals_total{reason="insufficient"}"#), 1);
        assert_eq!(moved("inventory_stock_levels"), 1);
        assert!(moved(&format!(r#"inventory_contention_acquisitions_total{{strategy="{kind}"}}"#)) >= 4);
        assert_eq!(after.count("http_server_active_requests"), 1, "the one that asks");
    }
}

/// Every route that is documented is told apart by the metrics, and every one told apart is documented.
#[test]
fn the_routes_of_the_metrics_are_those_of_the_document() {
    let documented: BTreeSet<&str> =
        DOCUMENT["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let counted: BTreeSet<&str> = ROUTES.into_iter().filter(|route| *route != "none").collect();
    assert_eq!(counted, documented);
}

/// Histograms are cumulative, end with `+Inf`, and that is their count.
#[tokio::test]
async fn histograms_add_up() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    let samples = scrape(&app).await;
    let name = "http_server_request_duration_seconds";
    let route = r#"http_route="/v1/stock/{sku}",http_request_method="PUT""#;
    let text = app.get("/metrics").await;
    let buckets: Vec<u64> = text
        .text()
        .lines()
        .filter(|line| line.starts_with(&format!("{name}_bucket{{{route}")))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(buckets.len() > 5 && buckets.is_sorted(), "{buckets:?}");
    let infinite = samples.count(&format!("{name}_bucket{{{route},le=\"+Inf\"}}"));
    assert_eq!(
        (infinite, buckets.last()),
        (samples.count(&format!("{name}_count{{{route}}}")), Some(&infinite))
    );
    assert_eq!(infinite, 1, "one level was put");
    assert!(samples.0.contains_key(&format!("{name}_sum{{{route}}}")));
}

/// In the format that has them, a request that is a part of a recorded trace is shown in the bucket that counts it; of one that nobody recorded
/// nothing is. Who does not ask for that format gets the one that everybody reads.
#[tokio::test]
async fn exemplars_lead_to_traces() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    let [recorded, other] = ["0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319d"];
    for (trace, flags) in [(recorded, "01"), (other, "00")] {
        let parent = format!("00-{trace}-b7ad6b7169203331-{flags}");
        app.call(Method::GET, "/v1/stock/A").header("traceparent", parent).send().await.assert_status(200);
    }
    let metrics =
        async |accept: &str| app.call(Method::GET, "/metrics").header("accept", accept).send().await;
    // What Prometheus 3 sends.
    let open = metrics("application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2").await;
    assert_eq!(open.media_type(), "application/openmetrics-text");
    assert!(open.text().ends_with("# EOF\n") && !open.text().contains(other));
    let shown: Vec<&str> = open.text().lines().filter(|line| line.contains(recorded)).collect();
    let [line] = shown[..] else { panic!("{shown:?}") };
    assert!(
        line.starts_with("http_server_request_duration_seconds_bucket{http_route=\"/v1/stock/{sku}\""),
        "{line}"
    );
    for accept in
        ["*/*", "text/plain", "application/json", "text/*;q=0.5, application/openmetrics-text;q=0.4"]
    {
        let plain = metrics(accept).await;
        assert_eq!((plain.media_type(), plain.text().contains(recorded)), ("text/plain", false), "{accept}");
    }
}

/// The probes: alive as long as the process is, ready while requests are taken.
#[tokio::test]
async fn a_service_that_runs_is_alive_and_ready() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    assert_eq!(app.get("/livez").await.assert_status(200).text(), "alive\n");
    assert_eq!(app.get("/readyz").await.assert_status(200).text(), "ready\n");
}

/// Before the service says that it is ready, it is alive, and `/readyz` is 503 `not-ready`, which was not applied.
#[tokio::test]
async fn a_service_that_starts_is_alive_and_not_ready() {
    let config = Config::new(StrategyKind::Mutex);
    let state: &'static HttpState = Box::leak(Box::new(HttpState::new(config.kind, &config.http)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = http::router(state, &config.http, Face::All, false);
    let listeners = vec![listener.into()];
    let entrance = Entrance { listeners, router, tls: None, connections_max: 10, is_public: true };
    let pending = std::future::pending();
    let server =
        tokio::spawn(server::serve(vec![entrance], config.server, &state.connections, pending, |_| ()));
    let mut connection = Raw::connect(address).await;
    let mut ask = async |path: &str| {
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        connection.answer().await
    };
    let not_ready = ask("/readyz").await;
    not_ready.assert_problem(503, "not-ready");
    assert_eq!((not_ready.at("/applied"), not_ready.header("retry-after")), (json!("no"), "1"));
    ask("/livez").await.assert_status(200);
    ask("/v1/stock/A").await.assert_problem(503, "not-ready");
    let storage = Storage::Memory(Keeping::default());
    let opening = Opening::begin(config.kind, config.strategy, &storage, Intent::Change).unwrap();
    let store: &'static AnyStore = Box::leak(Box::new(AnyStore::Local(opening.open().await.unwrap())));
    let alerts: &'static Alerts = Box::leak(Box::default());
    state.open(store, alerts, Webhooks::open(store, alerts, config.webhooks).await.unwrap());
    ask("/readyz").await.assert_status(200);
    ask("/v1/stock/A").await.assert_problem(404, "stock-not-found");
    server.abort();
}

/// A sane request id comes back; any other is replaced by a fresh one, and every answer has one, errors included.
#[tokio::test]
async fn request_ids_come_back() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    let ask =
        async |path: &str, id: &str| app.call(Method::GET, path).header("x-request-id", id).send().await;
    for path in ["/v1/stock/A", "/v1/stock/Z", "/nothing", "/livez"] {
        assert_eq!(ask(path, "client-7/x").await.header("x-request-id"), "client-7/x");
        let (first, second) = (app.get(path).await, app.get(path).await);
        assert_eq!(first.header("x-request-id").len(), 16);
        assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    }
    for insane in ["", "a b", &"x".repeat(129)] {
        let fresh = ask("/livez", insane).await;
        assert!(fresh.header("x-request-id").bytes().all(|byte| byte.is_ascii_hexdigit()), "{insane:?}");
        assert_eq!(fresh.header("x-request-id").len(), 16);
    }
    assert_eq!(ask("/livez", &"x".repeat(128)).await.header("x-request-id").len(), 128);
}
