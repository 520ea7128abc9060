//! `"if_missing":"create"`: a receipt of something new. The level begins with no units, and who brings the first of them need not know whether somebody did before.

use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::for_each_strategy;

for_each_strategy! {
    /// Of a level that is not there, or not any more, nothing can be taken; what is brought makes it. Its versions go on where they ended.
    async fn a_receipt_makes_the_level(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let receive = async |sku: &str, delta: i64| {
            app.post(&format!("/v1/stock/{sku}/adjust"), &json!({ "delta": delta, "if_missing": "create" })).await
        };
        app.post("/v1/stock/A/adjust", &json!({ "delta": 5 })).await.assert_problem(404, "stock-not-found");
        let refuse = json!({ "delta": 5, "if_missing": "refuse" });
        app.post("/v1/stock/A/adjust", &refuse).await.assert_problem(404, "stock-not-found");
        receive("A", -1).await.assert_problem(409, "insufficient-stock");
        app.get("/v1/stock/A").await.assert_problem(404, "stock-not-found");
        receive("A", 5).await.assert_level(200, 5, 1);
        receive("A", 2).await.assert_level(200, 7, 2);
        receive("A", -7).await.assert_level(200, 0, 3);
        app.remove("/v1/stock/A").await.assert_status(204);
        receive("A", 3).await.assert_level(200, 3, 5);
        assert_eq!(app.get("/v1/stock").await.assert_status(200).count("/items"), 1);
        let movements = app.get("/v1/movements?sku=A").await;
        assert_eq!(movements.assert_status(200).count("/items"), 5);
        let wrong = app.post("/v1/stock/A/adjust", &json!({ "delta": 5, "if_missing": "make" })).await;
        assert_eq!(wrong.assert_problem(422, "validation-failed").at("/errors/0/pointer"), "/if_missing");
        // A tag is of a level that is there.
        let guarded = app.call(axum::http::Method::POST, "/v1/stock/B/adjust").header("if-match", "*");
        let guarded = guarded.json(&json!({ "delta": 1, "if_missing": "create" })).send().await;
        guarded.assert_problem(412, "version-mismatch");
    }

    /// Many bring units of what nobody had before: one of them makes the level, all are counted, each once, whatever they repeat.
    async fn all_of_many_first_receipts_are_counted(kind: StrategyKind) {
        const CLIENTS: u64 = 12;
        let app = TestApp::start(kind).await;
        for round in 0..8 {
            let receive = |client: u64| {
                let call = app.call(axum::http::Method::POST, &format!("/v1/stock/N{round}/adjust"));
                let body = json!({ "delta": 1, "if_missing": "create" });
                call.header("idempotency-key", format!("{round}-{}", client / 2)).json(&body).send()
            };
            let calls: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(receive(client))).collect();
            for call in calls {
                let answer = call.await.expect("an answer");
                // The other one of a pair that was sent twice at once may be told that the first is being carried out.
                if answer.status == 409 {
                    answer.assert_problem(409, "idempotency-key-in-progress");
                } else {
                    answer.assert_status(200);
                }
            }
            assert_eq!(app.level(&format!("N{round}")).await, (CLIENTS / 2, CLIENTS / 2));
        }
        assert_eq!(app.get("/v1/stock").await.assert_status(200).count("/items"), 8);
    }

    /// In a batch each line says it for itself; of several lines of one level one that makes it is enough, and they are one change.
    async fn lines_make_levels(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let lines = json!([{"sku": "A", "delta": -1}, {"sku": "B", "delta": 4}]);
        app.post("/v1/adjustments", &json!({ "lines": lines })).await.assert_problem(404, "stock-not-found");
        let lines = json!([
            {"sku": "A", "delta": -1}, {"sku": "B", "delta": 4, "if_missing": "create"}, {"sku": "B", "delta": -1},
        ]);
        app.post("/v1/adjustments", &json!({ "lines": lines })).await.assert_status(200);
        assert_eq!((app.level("A").await, app.level("B").await), ((4, 2), (3, 1)));
        let lines = json!([{"sku": "C", "delta": 1}, {"sku": "D", "delta": 1, "if_missing": "create"}]);
        let each = app.post("/v1/adjustments", &json!({ "mode": "independent", "lines": lines })).await;
        let statuses = ["/results/0/status", "/results/1/status"].map(|at| each.assert_status(200).at(at));
        assert_eq!(statuses, [json!(404), json!(200)]);
        assert_eq!(app.level("D").await, (1, 1));
        app.get("/v1/stock/C").await.assert_problem(404, "stock-not-found");
    }
}
