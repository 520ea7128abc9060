//! `/v1/stock/{sku}` and `/adjust`: one level, its entity tag and its preconditions (P3, P6).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

const A: &str = "/v1/stock/A";

async fn put_if(app: &TestApp, header: &str, value: &str, on_hand: u64) -> Answer {
    let call = app.call(Method::PUT, A).header(header, value);
    call.json(&json!({ "on_hand": on_hand })).send().await
}

async fn get_if_none_match(app: &TestApp, tags: &str) -> Answer {
    app.call(Method::GET, A).header("if-none-match", tags).send().await
}

async fn adjust(app: &TestApp, delta: i64) -> Answer {
    app.post("/v1/stock/A/adjust", &json!({ "delta": delta })).await
}

/// The only line of a problem.
fn line(answer: &Answer) -> Value {
    assert_eq!(answer.count("/lines"), 1, "{}", answer.text());
    answer.at("/lines/0")
}

for_each_strategy! {
    /// A PUT without precondition creates: 201, where the level is, its tag. It never overwrites: 428.
    async fn put_creates_and_does_not_overwrite(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let created = app.put(A, &json!({ "on_hand": 100, "reason": "opening", "reference": "r" })).await;
        created.assert_level(201, 100, 1);
        assert_eq!(created.header("location"), "/v1/stock/A?location=main");
        assert_eq!((created.at("/sku"), created.at("/location")), (json!("A"), json!("main")));
        app.get(created.header("location")).await.assert_level(200, 100, 1);

        let refused = app.put(A, &json!({ "on_hand": 5 })).await;
        refused.assert_problem(428, "precondition-required");
        let expected = json!({"pointer": "", "sku": "A", "location": "main", "available": 100, "version": 1});
        assert_eq!(line(&refused), expected);
        assert_eq!(app.level("A").await, (100, 1));
    }

    /// `If-Match` overwrites exactly the version it names, or any; a stale, weak or foreign tag is 412 and changes nothing (P6).
    async fn put_counts_the_version_it_names(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 100)]).await;
        let counted = put_if(&app, "if-match", "\"1\"", 90).await;
        counted.assert_level(200, 90, 2);
        assert_eq!(counted.header("location"), "", "nothing was created");
        for stale in ["\"1\"", "\"3\"", "W/\"2\"", "\"02\"", "\"x\""] {
            let refused = put_if(&app, "if-match", stale, 1).await;
            refused.assert_problem(412, "version-mismatch");
            assert_eq!(line(&refused)["version"], 2);
        }
        put_if(&app, "if-match", "*", 90).await.assert_level(200, 90, 3);
        put_if(&app, "if-match", "\"3\"", 0).await.assert_level(200, 0, 4);
    }

    /// `If-Match` on a level that is not there is 412, whatever it names; `If-None-Match: *` creates, and only that.
    async fn put_preconditions_of_a_missing_level(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        for tag in ["*", "\"0\"", "\"1\""] {
            let refused = put_if(&app, "if-match", tag, 1).await;
            refused.assert_problem(412, "version-mismatch");
            assert_eq!(line(&refused), json!({"pointer": "", "sku": "A", "location": "main", "version": 0}));
        }
        put_if(&app, "if-none-match", "*", 7).await.assert_level(201, 7, 1);
        put_if(&app, "if-none-match", "*", 8).await.assert_problem(412, "version-mismatch");
        assert_eq!(app.level("A").await, (7, 1));
    }

    /// A reader that has the version is told so, with the tag and no body; `*` and weak tags count.
    async fn get_is_304_for_a_tag_the_reader_has(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 3)]).await;
        adjust(&app, 1).await.assert_level(200, 4, 2);
        for known in ["\"2\"", "\"1\", \"2\"", "\"9\",\"2\" , \"4\"", "W/\"2\"", "*"] {
            let unchanged = get_if_none_match(&app, known).await;
            assert!(unchanged.assert_status(304).body.is_empty(), "{known}");
            assert_eq!(unchanged.header("etag"), "\"2\"");
        }
        for unknown in ["\"1\"", "\"1\", \"3\"", "W/\"1\"", "\"02\"", "\"abc\""] {
            get_if_none_match(&app, unknown).await.assert_level(200, 4, 2);
        }
        let two_headers =
            app.call(Method::GET, A).header("if-none-match", "\"1\"").header("if-none-match", "\"2\"");
        two_headers.send().await.assert_status(304);
    }

    /// 404 carries the version: 0 of a level that never was, the tombstone's of one that was deleted.
    async fn a_missing_level_has_a_version(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        for (path, version) in [(A, 0), ("/v1/stock/A?location=shop", 0)] {
            let missing = app.get(path).await;
            missing.assert_problem(404, "stock-not-found");
            assert_eq!(line(&missing)["version"], version);
        }
        get_if_none_match(&app, "*").await.assert_problem(404, "stock-not-found");
        app.create("A", 1).await;
        app.remove(A).await.assert_status(204);
        let deleted = get_if_none_match(&app, "\"2\"").await;
        assert_eq!(line(deleted.assert_problem(404, "stock-not-found"))["version"], 2);
    }

    /// DELETE answers 204 with the tag of the deletion, and versions go on after it: none is used twice (P6).
    async fn versions_survive_a_deletion(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 5)]).await;
        let delete_if = async |tag: &str| app.call(Method::DELETE, A).header("if-match", tag).send().await;
        delete_if("\"7\"").await.assert_problem(412, "version-mismatch");
        delete_if("W/\"1\"").await.assert_problem(412, "version-mismatch");
        let deleted = delete_if("\"1\"").await;
        assert!(deleted.assert_status(204).body.is_empty());
        assert_eq!(deleted.header("etag"), "\"2\"");
        let again = app.delete(A).await;
        assert_eq!(line(again.assert_problem(404, "stock-not-found"))["version"], 2);
        delete_if("*").await.assert_problem(412, "version-mismatch");
        delete_if("\"2\"").await.assert_problem(412, "version-mismatch");
        adjust(&app, 1).await.assert_problem(404, "stock-not-found");
        app.put(A, &json!({ "on_hand": 8 })).await.assert_level(201, 8, 3);
        delete_if("*").await.assert_status(204);
        put_if(&app, "if-none-match", "*", 1).await.assert_level(201, 1, 5);
    }

    /// Adjusting adds and takes, each change one version up; what is not there cannot be taken, and the refusal says what was
    /// asked, what was there, and at which version (P2, P3).
    async fn adjust_takes_what_is_there_and_no_more(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10)]).await;
        adjust(&app, -3).await.assert_level(200, 7, 2);
        adjust(&app, 5).await.assert_level(200, 12, 3);
        let refused = adjust(&app, -13).await;
        refused.assert_problem(409, "insufficient-stock");
        let expected = json!({"pointer": "/delta", "sku": "A", "location": "main", "requested": 13, "available": 12, "version": 3});
        assert_eq!(line(&refused), expected);
        adjust(&app, -12).await.assert_level(200, 0, 4);
        adjust(&app, -1).await.assert_problem(409, "insufficient-stock");
        assert_eq!(app.level("A").await, (0, 4));
    }

    /// Adjusting honours `If-Match`, and a level that is not there is 404 without it, 412 with it.
    async fn adjust_honours_if_match(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10)]).await;
        let adjust_if = async |path: &str, tag: &str| {
            app.call(Method::POST, path).header("if-match", tag).json(&json!({ "delta": 1 })).send().await
        };
        adjust_if("/v1/stock/A/adjust", "\"1\"").await.assert_level(200, 11, 2);
        let stale = adjust_if("/v1/stock/A/adjust", "\"1\"").await;
        assert_eq!(line(stale.assert_problem(412, "version-mismatch"))["version"], 2);
        adjust_if("/v1/stock/A/adjust", "*").await.assert_level(200, 12, 3);
        adjust_if("/v1/stock/B/adjust", "*").await.assert_problem(412, "version-mismatch");
        let missing = app.post("/v1/stock/B/adjust", &json!({ "delta": 1 })).await;
        assert_eq!(line(missing.assert_problem(404, "stock-not-found"))["version"], 0);
    }

    /// A level that would grow past 2^40 - 1 is refused and stays as it was.
    async fn a_level_cannot_overflow(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1_099_511_627_775)]).await;
        let refused = adjust(&app, 1).await;
        assert_eq!(line(refused.assert_problem(422, "quantity-overflow"))["requested"], 1);
        adjust(&app, 1_099_511_627_775).await.assert_problem(422, "quantity-overflow");
        let lines = json!([{"sku": "A", "delta": 1_099_511_627_775_u64}]);
        app.post("/v1/adjustments", &json!({ "lines": lines }))
            .await
            .assert_problem(422, "quantity-overflow");
        assert_eq!(app.level("A").await, (1_099_511_627_775, 1));
        adjust(&app, -1_099_511_627_775).await.assert_level(200, 0, 2);
    }

    /// Each location has a level of its own; one that is left out is `main`.
    async fn locations_are_apart(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("A?location=shop", 2)]).await;
        adjust_at(&app, "?location=shop", 5).await.assert_level(200, 7, 2);
        adjust_at(&app, "?location=main", 5).await.assert_level(200, 6, 2);
        app.remove("/v1/stock/A?location=shop").await.assert_status(204);
        app.get("/v1/stock/A?location=shop").await.assert_problem(404, "stock-not-found");
        assert_eq!(app.level("A").await, (6, 2));
    }

    /// `HEAD` is `GET` without the body, headers and all; the length is that of the body that `GET` would answer.
    async fn head_is_get_without_a_body(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1)]).await;
        let got = app.get(A).await;
        let mut connection = app.connect().await;
        connection.write(format!("HEAD {A} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let head = connection.answer_without_body().await;
        head.assert_status(200);
        for header in ["etag", "content-type", "content-length"] {
            assert_eq!(head.header(header), got.header(header), "{header}");
        }
        connection.write("HEAD /v1/stock/B HTTP/1.1\r\nHost: x\r\n\r\n").await;
        connection.answer_without_body().await.assert_status(404);
        app.call(Method::HEAD, A).header("if-none-match", "\"1\"").send().await.assert_status(304);
    }
}

async fn adjust_at(app: &TestApp, query: &str, delta: i64) -> Answer {
    app.post(&format!("{A}/adjust{query}"), &json!({ "delta": delta })).await
}

/// Conditions that say nothing this service can act upon are 400, and change nothing.
#[tokio::test]
async fn conditions_that_make_no_sense_are_refused() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    for malformed in ["1", "\"1", "w/\"1\"", "\"1\", 2"] {
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            let header = if method == Method::GET { "if-none-match" } else { "if-match" };
            let mut call = app.call(method.clone(), A).header(header, malformed);
            if method == Method::PUT {
                call = call.json(&json!({ "on_hand": 9 }));
            }
            call.send().await.assert_problem(400, "invalid-request");
        }
    }
    put_if(&app, "if-match", "\"1\", \"2\"", 9).await.assert_problem(400, "invalid-request");
    put_if(&app, "if-none-match", "\"1\"", 9).await.assert_problem(400, "invalid-request");
    let both = app.call(Method::PUT, A).header("if-match", "*").header("if-none-match", "*");
    both.json(&json!({ "on_hand": 9 })).send().await.assert_problem(400, "invalid-request");
    let delete = app.call(Method::DELETE, A).header("if-none-match", "*");
    delete.send().await.assert_problem(400, "invalid-request");
    let adjust = app.call(Method::POST, "/v1/stock/A/adjust").header("if-none-match", "*");
    adjust.json(&json!({ "delta": 1 })).send().await.assert_problem(400, "invalid-request");
    assert_eq!(app.level("A").await, (1, 1));
}

/// A validation error is told before a malformed condition is acted upon, and a condition before the state of the stock.
#[tokio::test]
async fn the_first_error_in_order_is_told() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let stale = app.call(Method::POST, "/v1/stock/A/adjust").header("if-match", "\"9\"");
    stale.json(&json!({ "delta": 0 })).send().await.assert_fields(&["/delta"]);
    let stale_and_short = app.call(Method::POST, "/v1/stock/A/adjust").header("if-match", "\"9\"");
    stale_and_short.json(&json!({ "delta": -5 })).send().await.assert_problem(412, "version-mismatch");
}
