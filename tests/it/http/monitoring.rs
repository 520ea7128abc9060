//! What is measured can be used: Prometheus' own checker has nothing to say against `/metrics`, the rules of `deploy/` pass their tests,
//! and whatever a rule or the dashboard names is there.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use inventory::http::metrics::ROUTES;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::webhooks::{config, hook};
use crate::support::app::receiver::Receiver;
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::checker::PROMTOOL;

const RULES: &str = include_str!("../../../deploy/rules.yml");
const RULES_TEST: &str = include_str!("../../../deploy/rules_test.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboards/inventory.json");

/// What a service shows that has done some of everything.
async fn exposition() -> String {
    let mut receiver = Receiver::start().await;
    let app =
        TestApp::with(StrategyKind::Sharded).with_webhooks(config()).with_snapshot_bytes(1).start().await;
    hook(&app, &receiver.url, &json!({})).await;
    let watcher = app.watch("/v1/events", "").await;
    app.create("A", 10).await;
    receiver.next().await;
    app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await.assert_status(200);
    app.post("/v1/stock/A/adjust", &json!({ "delta": -100 })).await.assert_status(409);
    let keyed = app.call(Method::POST, "/v1/stock/A/adjust").header("idempotency-key", "k");
    keyed.json(&json!({ "delta": 1 })).send().await.assert_status(200);
    let lines = json!([{ "sku": "A", "quantity": 1 }]);
    app.post("/v1/reservations", &json!({ "lines": lines, "ttl_seconds": 60 })).await.assert_status(201);
    let order = app.call(Method::POST, "/v1/orders").header("prefer", "wait=25");
    order.json(&json!({ "lines": lines })).send().await.assert_status(200);
    app.get("/v1/export").await.assert_status(200);
    app.get("/nothing").await.assert_status(404);
    app.post("/v1/backup", &json!({ "name": "b" })).await.assert_status(201);
    // Snapshots are taken in the background, and nobody is told of it: it is asked for again and again.
    let with_a_snapshot = async {
        loop {
            let metrics = app.get("/metrics").await;
            if metrics.assert_status(200).text().contains("inventory_snapshot_bytes ") {
                return metrics.text().to_owned();
            }
        }
    };
    let text = tokio::time::timeout(WATCHDOG, with_a_snapshot).await.expect("a snapshot is taken");
    drop(watcher);
    text
}

/// Name, type, help and labels as Prometheus wants them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_has_nothing_to_say_against_the_metrics() {
    let text = exposition().await;
    let Some(said) = PROMTOOL.complaints(&["check", "metrics"], &text) else { return };
    assert_eq!(said, "");
    let bad = PROMTOOL.complaints(&["check", "metrics"], "# TYPE a counter\na 1\n").expect("it was here");
    assert!(bad.contains("_total"), "it does look: {bad}");
}

#[test]
fn the_rules_pass_their_tests() {
    for args in
        [&["check", "config", "deploy/prometheus.yml"][..], &["test", "rules", "deploy/rules_test.yml"]]
    {
        let Some(said) = PROMTOOL.complaints(args, "") else { return };
        assert_eq!(said, "", "{args:?}");
    }
}

/// Every alert is seen to fire, and to keep silent.
#[test]
fn every_alert_has_its_tests() {
    let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        let is_silent = format!("alertname: {alert}}}");
        assert!(RULES_TEST.contains(&fires) && RULES_TEST.contains(&is_silent), "{alert}");
    }
}

/// The words of a text that may be names of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !is_part(c)).map(|word| word.trim_end_matches(':')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_dashboard_and_the_rules_name_is_there() {
    let text = exposition().await;
    let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let declared: BTreeMap<&str, &str> = declared.collect();
    let is_there = |name: &str| match declared.get(name) {
        Some(kind) => *kind != "histogram",
        None => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|base| declared.get(base) == Some(&"histogram"))),
    };
    let recorded: BTreeSet<&str> =
        RULES.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    for (file, text) in [("rules.yml", RULES), ("rules_test.yml", RULES_TEST), ("the dashboard", DASHBOARD)] {
        let names = names(text);
        let metrics: Vec<&&str> = names
            .iter()
            .filter(|name| name.starts_with("inventory_") || name.starts_with("process_"))
            .collect();
        assert!(metrics.len() > 10, "{file} names metrics");
        let missing: Vec<_> = metrics.into_iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{file} names what is not there: {missing:?}");
        let unknown: Vec<_> =
            names.iter().filter(|name| name.contains(":inventory_") && !recorded.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names what no rule records: {unknown:?}");
        for routes in text.split("/v1/(").skip(1) {
            let routes =
                routes.split(')').next().expect("an end").split('|').map(|name| format!("/v1/{name}"));
            routes.for_each(|route| assert!(ROUTES.contains(&route.as_str()), "{file}: {route} is no route"));
        }
    }
}

/// The dashboard is JSON, with panels that ask something.
#[test]
fn the_dashboard_can_be_read() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels =
        dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row");
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(targets.iter().any(|target| target["expr"].is_string()), "{panel}");
    }
}
