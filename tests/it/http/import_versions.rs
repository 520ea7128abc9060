//! Imports and those who change the stock meanwhile: a line with a version never overwrites what came after it (P1), all lines or none
//! (P4), and what has its units already has no movement of it (P6, P12).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

async fn import(app: &TestApp, file: &str) -> Answer {
    let call = app.call(Method::POST, "/v1/import").header("content-type", "text/csv");
    call.body(file).send().await
}

async fn on_hand(app: &TestApp, sku: &str) -> (u64, u64) {
    app.level(sku).await
}

for_each_strategy! {
    /// P1, P4: every line that has moved on is named, and none is applied; so it is if its units are right.
    async fn a_line_whose_level_has_moved_on_is_refused(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("B", 2), ("C", 3), ("D", 4)]).await;
        app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_status(200);
        app.remove("/v1/stock/D").await.assert_status(204);
        let file = "sku,on_hand,version\nA,2,1\nB,20,1\nC,30,\nD,4,1\nE,5,3\nB2,1,0\nC2,1,0\n";
        let refused = import(&app, file).await;
        refused.assert_problem(412, "version-mismatch");
        let lines = [0, 1, 2, 3].map(|n| refused.at(&format!("/errors/{n}/line")));
        assert_eq!(lines, [2.into(), 5.into(), 6.into(), serde_json::Value::Null], "{}", refused.text());
        let gone = "D@main is not there now, not at version 1: it has changed since the export";
        assert_eq!(refused.at("/errors/1/detail"), gone);
        let detail = "A@main is at version 2 now, not at version 1: it has changed since the export";
        assert_eq!(refused.at("/errors/0"), json!({ "line": 2, "pointer": "/version", "detail": detail }));
        assert_eq!((on_hand(&app, "B").await, on_hand(&app, "C").await), ((2, 1), (3, 1)), "all or none");
        app.get("/v1/stock/B2").await.assert_status(404);
        let absent = import(&app, "sku,on_hand,version\nB,7,0\n").await;
        absent.assert_problem(412, "version-mismatch");
        let done = import(&app, "sku,on_hand,version\nA,2,2\nB,20,1\nC,30,\nE,5,0\n").await;
        let expected = json!({ "levels": 4, "created": 1, "counted": 2, "unchanged": 1 });
        assert_eq!(done.assert_status(200).json(), expected);
        let levels = [on_hand(&app, "A").await, on_hand(&app, "B").await, on_hand(&app, "E").await];
        assert_eq!(levels, [(2, 2), (20, 2), (5, 1)]);
    }

    /// P1: whatever the others do, each of their changes is either before the import, which then is refused, or after it.
    async fn no_change_is_lost_between_an_export_and_its_import(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 100), ("B", 100)]).await;
        let adjusting = async {
            for _ in 0..30 {
                app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await.assert_status(200);
            }
        };
        let importing = async {
            let (mut added, mut refused) = (0, 0);
            for _ in 0..30 {
                let (units, version) = on_hand(&app, "A").await;
                let (same, same_version) = on_hand(&app, "B").await;
                let file =
                    format!("sku,on_hand,version\nA,{},{version}\nB,{same},{same_version}\n", units + 10);
                let answer = import(&app, &file).await;
                match answer.status {
                    200 => {
                        assert_eq!((answer.at("/counted"), answer.at("/unchanged")), (1.into(), 1.into()));
                        added += 10;
                    }
                    _ => {
                        answer.assert_problem(412, "version-mismatch");
                        refused += 1;
                    }
                }
            }
            (added, refused)
        };
        let ((), (added, refused)) = tokio::join!(adjusting, importing);
        let (units, version) = on_hand(&app, "A").await;
        assert_eq!(units, 100 - 30 + added);
        assert_eq!(version, 1 + 30 + (30 - refused), "each change is one");
        assert_eq!(on_hand(&app, "B").await, (100, 1), "what is unchanged has no movement");
    }

    /// P6, P12: among writers that make a level what the file says, and others, every version is a movement of something.
    async fn what_has_its_units_has_no_movement(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let flipping = async {
            for on_hand in (0..20).map(|n| 5 + n % 2) {
                let call = app.call(Method::PUT, "/v1/stock/A").header("if-match", "*");
                call.json(&json!({ "on_hand": on_hand })).send().await.assert_status(200);
            }
        };
        let importing = async {
            let mut counted = 0;
            for _ in 0..20 {
                let told = import(&app, "sku,on_hand\nA,5\n").await;
                let (changed, unchanged) = (told.assert_status(200).number("/counted"), told.at("/unchanged").as_u64().unwrap_or(0));
                assert_eq!((changed + unchanged, told.number("/created")), (1, 0));
                counted += changed;
            }
            counted
        };
        let ((), counted) = tokio::join!(flipping, importing);
        let movements = app.get("/v1/movements?limit=1000&kind=imported").await;
        assert_eq!(movements.count("/items") as u64, counted);
        for n in 0..movements.count("/items") {
            assert_eq!(movements.at(&format!("/items/{n}/before/on_hand")), 6, "{}", movements.text());
        }
        assert_eq!(on_hand(&app, "A").await.1, 21 + counted);
    }
}
