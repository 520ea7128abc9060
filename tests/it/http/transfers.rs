//! `POST /v1/transfers`: units change their place, all or none (P4), and are never lost (P1).

use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

/// Lines of `(from, to, quantity)`, all of sku A.
async fn transfer(app: &TestApp, moves: &[(&str, &str, i64)]) -> Answer {
    let line = |(from, to, quantity): &(&str, &str, i64)| json!({"sku": "A", "from": from, "to": to, "quantity": quantity});
    let lines: Value = moves.iter().map(line).collect();
    app.post("/v1/transfers", &json!({ "lines": lines, "reason": "r", "reference": "x" })).await
}

/// `[location, on_hand, version]` of each level in the answer.
fn levels(answer: &Answer) -> Value {
    let list = answer.assert_status(200).at("/levels");
    let short = |level: &Value| json!([level["location"], level["on_hand"], level["version"]]);
    list.as_array().expect("a list").iter().map(short).collect()
}

for_each_strategy! {
    /// Units leave one place and arrive at the other; a missing destination is created.
    async fn units_move_and_a_missing_destination_is_created(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10)]).await;
        assert_eq!(
            levels(&transfer(&app, &[("main", "shop", 4)]).await),
            json!([["main", 6, 2], ["shop", 4, 1]])
        );
        assert_eq!(
            levels(&transfer(&app, &[("shop", "main", 4)]).await),
            json!([["main", 10, 3], ["shop", 0, 2]])
        );
        assert_eq!(app.level("A?location=shop").await, (0, 2));
        app.remove("/v1/stock/A?location=shop").await.assert_status(204);
        assert_eq!(
            levels(&transfer(&app, &[("main", "shop", 1)]).await),
            json!([["main", 9, 4], ["shop", 1, 4]])
        );
    }

    /// A chain in one request: what arrives may leave again, and the lines of one place are one change of it.
    async fn a_chain_is_one_transaction(kind: StrategyKind) {
        let app =
            TestApp::stocked(kind, &[("A?location=a", 5), ("A?location=b", 0), ("A?location=c", 0)]).await;
        let answer = transfer(&app, &[("a", "b", 5), ("b", "c", 5)]).await;
        assert_eq!(levels(&answer), json!([["a", 0, 2], ["b", 0, 2], ["c", 5, 2]]));
        let round = transfer(&app, &[("c", "a", 5), ("a", "c", 5)]).await;
        assert_eq!(levels(&round), json!([["a", 0, 3], ["c", 5, 3]]));
    }

    /// P3, P4: one short line, and nothing moves, nothing is created; every short line is named.
    async fn a_short_line_stops_all(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10), ("A?location=b", 1)]).await;
        let refused = transfer(&app, &[("main", "new", 4), ("b", "new", 2), ("main", "b", 7)]).await;
        refused.assert_problem(409, "insufficient-stock");
        assert_eq!(
            refused.at("/lines"),
            json!([
                {"pointer": "/lines/0", "sku": "A", "location": "main", "requested": 11, "available": 10, "version": 1},
            ])
        );
        assert_eq!((app.level("A").await, app.level("A?location=b").await), ((10, 1), (1, 1)));
        let missing = app.get("/v1/stock/A?location=new").await;
        assert_eq!(missing.assert_problem(404, "stock-not-found").number("/lines/0/version"), 0);
    }

    /// There must be something to take from; and an arrival may not overflow.
    async fn a_missing_source_and_a_full_destination(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10), ("A?location=full", 1_099_511_627_775)]).await;
        let missing = transfer(&app, &[("main", "shop", 1), ("nowhere", "main", 1)]).await;
        missing.assert_problem(404, "stock-not-found");
        assert_eq!((missing.at("/lines/0/pointer"), missing.count("/lines")), (json!("/lines/1"), 1));
        transfer(&app, &[("main", "full", 1)]).await.assert_problem(422, "quantity-overflow");
        assert_eq!(app.level("A").await, (10, 1));
    }
}

/// What cannot be a move is refused by field: nowhere to nowhere, nothing, less than nothing, bad names.
#[tokio::test]
async fn what_cannot_be_a_move_is_named() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 10)]).await;
    transfer(&app, &[("main", "main", 1)]).await.assert_fields(&["/lines/0/to"]);
    transfer(&app, &[("main", "b", 1), ("main", "b", 0)]).await.assert_fields(&["/lines/1/quantity"]);
    transfer(&app, &[("main", "b", -1)]).await.assert_fields(&["/lines/0/quantity"]);
    transfer(&app, &[("main", "b", 1 << 40)]).await.assert_fields(&["/lines/0/quantity"]);
    transfer(&app, &[(" ab", "", 0)]).await.assert_fields(&[
        "/lines/0/from",
        "/lines/0/to",
        "/lines/0/quantity",
    ]);
    let without = json!({"lines": [{"sku": "A", "from": "main", "quantity": 1}]});
    app.post("/v1/transfers", &without).await.assert_fields(&["/lines/0/to"]);
    assert_eq!(app.level("A").await, (10, 1));
}
