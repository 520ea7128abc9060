//! `POST /v1/adjustments`: many lines, together (P4) or each on its own.

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

async fn adjust(app: &TestApp, mode: &str, lines: &Value) -> Answer {
    app.post("/v1/adjustments", &json!({ "mode": mode, "lines": lines })).await
}

/// `[sku, on_hand, version]` of each level in a list.
fn levels(answer: &Answer, pointer: &str) -> Vec<Value> {
    let list = answer.assert_status(200).at(pointer);
    let short = |level: &Value| json!([level["sku"], level["on_hand"], level["version"]]);
    list.as_array().expect("a list").iter().map(short).collect()
}

for_each_strategy! {
    /// P4: all lines are applied, and the levels come once each, ascending; `atomic` is the mode where none is named.
    async fn atomic_lines_are_applied_together(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5), ("B", 5), ("B?location=shop", 5)]).await;
        let lines = json!([
            {"sku": "B", "location": "shop", "delta": 2}, {"sku": "B", "delta": -5}, {"sku": "A", "delta": 1},
        ]);
        let answer =
            app.post("/v1/adjustments", &json!({ "lines": lines, "reason": "r", "reference": "x" })).await;
        assert_eq!(levels(&answer, "/levels"), [json!(["A", 6, 2]), json!(["B", 0, 2]), json!(["B", 7, 2])]);
        assert_eq!(
            (answer.at("/levels/1/location"), answer.at("/levels/2/location")),
            (json!("main"), json!("shop"))
        );
        assert_eq!(app.level("B?location=shop").await, (7, 2));
    }

    /// P3, P4: one short line, and nothing is applied; every short line is named with what was asked and what was there, the
    /// others are not.
    async fn atomic_lines_are_refused_together(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5), ("B", 5), ("C", 0)]).await;
        let lines = json!([{"sku": "C", "delta": -1}, {"sku": "A", "delta": -5}, {"sku": "B", "delta": -6}]);
        let refused = adjust(&app, "atomic", &lines).await;
        refused.assert_problem(409, "insufficient-stock");
        assert_eq!(
            refused.at("/lines"),
            json!([
                {"pointer": "/lines/2", "sku": "B", "location": "main", "requested": 6, "available": 5, "version": 1},
                {"pointer": "/lines/0", "sku": "C", "location": "main", "requested": 1, "available": 0, "version": 1},
            ])
        );
        for (sku, on_hand) in [("A", 5), ("B", 5), ("C", 0)] {
            assert_eq!(app.level(sku).await, (on_hand, 1));
        }
    }

    /// A missing level is told before a short one.
    async fn existence_comes_before_stock(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let refused =
            adjust(&app, "atomic", &json!([{"sku": "A", "delta": -9}, {"sku": "Z", "delta": 1}])).await;
        refused.assert_problem(404, "stock-not-found");
        assert_eq!(
            refused.at("/lines"),
            json!([{"pointer": "/lines/1", "sku": "Z", "location": "main", "version": 0}])
        );
        assert_eq!(app.level("A").await, (5, 1));
    }

    /// Lines of one level are combined before they are judged: one change, one version, one refusal for their sum; lines that
    /// cancel out are a change all the same (P6).
    async fn duplicate_lines_are_one_change(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let enough = json!([{"sku": "A", "delta": -9}, {"sku": "A", "location": "main", "delta": 7}]);
        assert_eq!(levels(&adjust(&app, "atomic", &enough).await, "/levels"), [json!(["A", 3, 2])]);
        let refused =
            adjust(&app, "atomic", &json!([{"sku": "A", "delta": -2}, {"sku": "A", "delta": -2}])).await;
        refused.assert_problem(409, "insufficient-stock");
        assert_eq!((refused.count("/lines"), refused.number("/lines/0/requested")), (1, 4));
        let cancelling = json!([{"sku": "A", "delta": 4}, {"sku": "A", "delta": -4}]);
        assert_eq!(levels(&adjust(&app, "atomic", &cancelling).await, "/levels"), [json!(["A", 3, 3])]);
    }

    /// Each line alone: one answer per line, in their order, with the status it would have had by itself.
    async fn independent_lines_are_judged_alone(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5), ("M", 1_099_511_627_775)]).await;
        let lines = json!([
            {"sku": "A", "delta": -3}, {"sku": "A", "delta": -3}, {"sku": "Z", "delta": 1},
            {"sku": "M", "delta": 1}, {"sku": "A", "delta": -2},
        ]);
        let answer = adjust(&app, "independent", &lines).await;
        answer.assert_status(200);
        assert_eq!(
            (answer.number("/applied"), answer.number("/refused"), answer.count("/results")),
            (2, 3, 5)
        );
        let told = |index: usize| {
            let result = answer.at(&format!("/results/{index}"));
            let problem = &result["problem"];
            assert_eq!(problem.is_null(), !result["level"].is_null(), "{result}");
            (result["status"].clone(), problem["type"].clone(), problem["lines"][0]["pointer"].clone())
        };
        assert_eq!(told(1), (json!(409), json!("/problems/insufficient-stock"), json!("/lines/1")));
        assert_eq!(told(2), (json!(404), json!("/problems/stock-not-found"), json!("/lines/2")));
        assert_eq!(told(3), (json!(422), json!("/problems/quantity-overflow"), json!("/lines/3")));
        assert_eq!((told(0).0, told(4).0), (json!(200), json!(200)));
        assert_eq!(answer.at("/results/0/level/version"), 2);
        assert_eq!(
            (answer.at("/results/4/level/on_hand"), answer.at("/results/4/level/version")),
            (json!(0), json!(3))
        );
    }

    /// P10: a batch costs one idempotency key, however many lines it has, and wherever some of them are none.
    async fn a_batch_costs_one_key(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let lines = json!([
            {"sku": "", "delta": 1}, {"sku": "A", "delta": -1}, {"sku": "A\n", "delta": 1},
            {"sku": "Z", "delta": 1}, {"sku": "A", "delta": -1},
        ]);
        let body = json!({ "mode": "independent", "lines": lines });
        for sent in 1..=2 {
            let call = app.call(Method::POST, "/v1/adjustments").header("idempotency-key", "k").json(&body);
            let answer = call.send().await;
            let statuses: Vec<u64> =
                (0..5).map(|line| answer.number(&format!("/results/{line}/status"))).collect();
            assert_eq!(statuses, [422, 200, 422, 404, 200]);
            let metrics = app.get("/metrics").await;
            for wanted in ["\ninventory_idempotency_keys 1\n", "\ninventory_idempotency_lines 0\n"] {
                assert!(metrics.text().contains(wanted), "sent {sent}: {}", metrics.text());
            }
        }
        assert_eq!(app.level("A").await, (3, 3));
    }

    /// 10 000 lines are taken, in either mode (P10).
    async fn as_many_lines_as_allowed(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 20_000), ("B", 0)]).await;
        let pair = || [json!({"sku": "A", "delta": -1}), json!({"sku": "B", "delta": 1})];
        let lines: Value = (0..5_000).flat_map(|_| pair()).collect();
        let together = adjust(&app, "atomic", &lines).await;
        assert_eq!(levels(&together, "/levels"), [json!(["A", 15_000, 2]), json!(["B", 5_000, 2])]);
        let alone = adjust(&app, "independent", &lines).await;
        assert_eq!((alone.number("/applied"), alone.number("/refused")), (10_000, 0));
        assert_eq!(app.level("A").await, (10_000, 5_002));
    }
}

/// One line more than 10 000 is `too-many-lines`, none at all is a field error, in both modes and for transfers.
#[tokio::test]
async fn the_number_of_lines_is_bounded() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let lines: Value = (0..10_001).map(|_| json!({"sku": "A", "delta": 1})).collect();
    for mode in ["atomic", "independent"] {
        adjust(&app, mode, &lines).await.assert_problem(422, "too-many-lines");
        adjust(&app, mode, &json!([])).await.assert_fields(&["/lines"]);
    }
    let moves: Value =
        (0..10_001).map(|_| json!({"sku": "A", "from": "a", "to": "b", "quantity": 1})).collect();
    app.post("/v1/transfers", &json!({ "lines": moves })).await.assert_problem(422, "too-many-lines");
    app.post("/v1/transfers", &json!({ "lines": [] })).await.assert_fields(&["/lines"]);
    assert_eq!(app.level("A").await, (1, 1));
}

/// Every line with a bad name is named, up to 100 of them, and nothing is applied even of an independent batch.
#[tokio::test]
async fn every_bad_name_is_named() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let long = "x".repeat(65);
    let lines = json!([
        {"sku": "A", "delta": 1}, {"sku": "a ", "delta": 1}, {"sku": long, "location": " ä", "delta": 1},
        {"sku": "", "delta": 1}, {"sku": "..", "location": "", "delta": 1},
    ]);
    let pointers = [
        "/lines/1/sku",
        "/lines/2/sku",
        "/lines/2/location",
        "/lines/3/sku",
        "/lines/4/sku",
        "/lines/4/location",
    ];
    adjust(&app, "atomic", &lines).await.assert_fields(&pointers);
    assert_eq!(app.level("A").await, (1, 1));
    let many: Value = (0..150).map(|_| json!({"sku": "?\t", "delta": 1})).collect();
    let refused = adjust(&app, "atomic", &many).await;
    assert_eq!(refused.assert_problem(422, "validation-failed").count("/errors"), 100);
    assert!(refused.at("/detail").as_str().unwrap().contains("and 149 more"), "{}", refused.text());
    // Each alone, each is told in its place, and the first is carried out.
    let told = adjust(&app, "independent", &lines).await;
    assert_eq!((told.assert_status(200).at("/applied"), told.at("/refused")), (json!(1), json!(4)));
    for (line, errors) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
        let result = told.at(&format!("/results/{line}"));
        assert_eq!(
            (result["status"].clone(), result["sku"].clone()),
            (json!(422), lines[line]["sku"].clone())
        );
        let problem = &result["problem"];
        assert_eq!(problem["type"], "/problems/validation-failed", "{problem}");
        assert_eq!(problem["errors"].as_array().unwrap().len(), errors, "{problem}");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with(&format!("/lines/{line}/")));
    }
    assert_eq!(app.level("A").await, (2, 2));
}

/// P4 for what stands alone: whatever is wrong with a line, a wrong type, an unknown field, no object at all, it is told in its
/// place, with a pointer, and its neighbours are carried out; under a key the same again.
#[tokio::test]
async fn a_line_that_is_none_refuses_nobody_else() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 10)]).await;
    let wrong = json!([
        {"sku": "A", "delta": 0}, {"sku": "A", "delta": 1.5}, {"sku": "A", "delta": "1"}, {"sku": "A"}, {"delta": 1},
        {"sku": 7, "delta": 1}, {"sku": "A", "delta": 1, "colour": "red"}, ["A", 1], 7, null, {"sku": "a\u{1}\"", "delta": 1},
    ]);
    let mut lines = wrong.as_array().unwrap().clone();
    lines.insert(3, json!({"sku": "A", "delta": -1}));
    lines.push(json!({"sku": "A", "delta": -1}));
    let body = json!({ "mode": "independent", "lines": lines });
    for replayed in ["", "true"] {
        let call = app.call(Method::POST, "/v1/adjustments").header("idempotency-key", "k").json(&body);
        let told = call.send().await;
        assert_eq!(told.assert_status(200).header("idempotent-replayed"), replayed);
        assert_eq!((told.at("/applied"), told.at("/refused")), (json!(2), json!(11)));
        for (index, line) in lines.iter().enumerate() {
            let result = told.at(&format!("/results/{index}"));
            if line["delta"] == -1 {
                assert_eq!(result["status"], 200, "{result}");
                continue;
            }
            assert_eq!(result["status"], 422, "{line}: {result}");
            let pointer = result["problem"]["errors"][0]["pointer"].as_str().unwrap();
            assert!(
                pointer == format!("/lines/{index}") || pointer.starts_with(&format!("/lines/{index}/")),
                "{pointer}"
            );
        }
        assert_eq!(app.level("A").await, (8, 3));
    }
    // What is wrong with the body itself refuses it whole.
    for body in
        [r#"{"mode":"independent","lines":[{"sku":"A","delta":1},]}"#, r#"{"mode":"independent","lines":{}}"#]
    {
        assert!([400, 422].contains(&app.post_bytes("/v1/adjustments", body).await.status));
    }
    assert_eq!(app.level("A").await, (8, 3));
}

/// The answer to a line that is none names the level that the line names, whatever else is in it; it never names one that it does not.
#[tokio::test]
async fn a_line_that_is_none_is_named_as_it_names_itself() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 10)]).await;
    let deep = "[".repeat(200) + &"]".repeat(200);
    let lines = [
        (r#"{"sku":"A","location":"shop","delta":1e400}"#, json!("A"), json!("shop")),
        (r#"{"sku":"A","location":"shop","delta":1,"x":"\ud800"}"#, json!("A"), json!("shop")),
        (&format!(r#"{{"sku":"A","location":"shop","delta":{deep}}}"#), json!("A"), json!("shop")),
        (r#"{"sku":"A","location":null,"delta":"x"}"#, json!("A"), json!("main")),
        (r#"{"sku":"A","delta":"x"}"#, json!("A"), json!("main")),
        (r#"{"sku":"A","location":7,"delta":1}"#, json!("A"), Value::Null),
        (r#"{"sku":"\ud800","location":"shop","delta":1}"#, Value::Null, json!("shop")),
        (r#"{"sku":"A","sku":"B","location":"shop","delta":1}"#, Value::Null, Value::Null),
        (r#"["A","shop",1]"#, Value::Null, Value::Null),
        ("null", Value::Null, Value::Null),
    ];
    let texts: Vec<&str> = lines.iter().map(|(line, ..)| *line).collect();
    let body = format!(r#"{{"mode":"independent","lines":[{}]}}"#, texts.join(","));
    let told = app.post_bytes("/v1/adjustments", body).await;
    assert_eq!(told.assert_status(200).at("/refused"), lines.len());
    for (index, (line, sku, location)) in lines.iter().enumerate() {
        let result = told.at(&format!("/results/{index}"));
        assert_eq!((&result["sku"], &result["location"]), (sku, location), "{line}: {result}");
    }
    assert_eq!(app.level("A").await, (10, 1));
}

/// P10: however much is wrong with however many lines, the answer is not many times the request; each line is told what is wrong with it
/// first, and how much more there is.
#[tokio::test]
async fn what_is_told_of_wrong_lines_is_bounded() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let line = format!("{{{}}}", [r#""":0"#; 75].join(","));
    let body = format!(r#"{{"mode":"independent","lines":[{}]}}"#, vec![line; 9_990].join(","));
    let length = body.len();
    let told = app.post_bytes("/v1/adjustments", body).await;
    assert_eq!(told.assert_status(200).at("/refused"), 9_990);
    assert!(told.text().len() < 2 * length, "{} for {length}", told.text().len());
    for (index, errors) in [(0, 77), (9_989, 1)] {
        let problem = &told.at(&format!("/results/{index}"))["problem"];
        assert_eq!(problem["errors"].as_array().unwrap().len(), errors, "{problem}");
        assert!(problem["detail"].as_str().unwrap().ends_with("(and 76 more)"), "{problem}");
    }
    let long = format!(r#"{{"sku":"{}","delta":1}}"#, "x".repeat(1_000_000));
    let told =
        app.post_bytes("/v1/adjustments", format!(r#"{{"mode":"independent","lines":[{long}]}}"#)).await;
    assert!(told.assert_status(200).text().len() < 4_000, "{}", told.text().len());
}

/// Lines whose sum cannot be a change are refused, not wrapped.
#[tokio::test]
async fn sums_are_checked() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let lines: Value = (0..10_000).map(|_| json!({"sku": "A", "delta": 1_099_511_627_775_u64})).collect();
    adjust(&app, "atomic", &lines).await.assert_problem(422, "quantity-overflow");
    let lines: Value = (0..10_000).map(|_| json!({"sku": "A", "delta": -1_099_511_627_775_i64})).collect();
    let refused = adjust(&app, "atomic", &lines).await;
    let asked = refused.assert_problem(409, "insufficient-stock").number("/lines/0/requested");
    assert_eq!(asked, 10_000 * 1_099_511_627_775);
}
