//! What whoever runs the service may ask of each change (`--require-idempotency-key`, `--require-precondition`), and of no read.

use axum::http::Method;
use inventory::access::Scope;
use inventory::http::policy::Policy;
use inventory::http::scopes::{Needed, TABLE};
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::answer::Answer;
use crate::support::app::{Call, TestApp};

async fn service(policy: Policy) -> TestApp {
    TestApp::with(StrategyKind::Mutex).with_policy(policy).start().await
}

/// A request to that route with a body that is JSON; to none of the routes is it what is asked for.
fn ask(app: &TestApp, method: &str, route: &str) -> Call {
    let path = route.replace("{sku}", "A").replace("{id}", "x").replace("{name}", "forbidden");
    let path = path.replace("{event}", "adjusted.json").replace("{file}", "start.js");
    let path = if path == "/v1/events" { path + "?nothing=1" } else { path };
    app.call(Method::from_bytes(method.as_bytes()).expect("a method"), &path).json(&json!({}))
}

fn is(answer: &Answer, name: &str) -> bool {
    (400..500).contains(&answer.status) && answer.text().contains(&format!("\"/problems/{name}\""))
}

/// Every route there is: who changes stock by POST needs a key, before anything else about the request is looked at; nobody else does.
#[tokio::test]
async fn each_change_by_post_needs_a_key_if_that_is_asked() {
    let app = service(Policy { idempotency_key: true, precondition: false }).await;
    let mut asked = Vec::new();
    for (route, methods) in TABLE {
        for (method, needed) in methods {
            let without = ask(&app, method, route).send().await;
            if (*method, *needed) != ("POST", Needed::Key(Scope::Write)) {
                assert!(!is(&without, "idempotency-key-required"), "{method} {route}");
                continue;
            }
            asked.push(route);
            let problem = without.assert_problem(400, "idempotency-key-required");
            let detail = problem.at("/detail").to_string();
            assert!(detail.contains("idempotency-key") && detail.contains("nothing was changed"), "{detail}");
            let with = ask(&app, method, route).header("idempotency-key", route).send().await;
            assert!(!is(&with, "idempotency-key-required"), "{method} {route}: {}", with.text());
        }
    }
    let mut expected = [
        "/v1/stock/{sku}/adjust",
        "/v1/adjustments",
        "/v1/transfers",
        "/v1/reservations",
        "/v1/reservations/{id}/commit",
        "/v1/reservations/{id}/release",
        "/v1/reservations/{id}/extend",
        "/v1/orders",
        "/v1/orders/{id}/returns",
        "/v1/import",
    ];
    asked.sort_unstable();
    expected.sort_unstable();
    assert_eq!(asked, expected);
    app.create("B", 5).await;
    let sell = || app.call(Method::POST, "/v1/stock/B/adjust").json(&json!({ "delta": -1 }));
    sell().send().await.assert_problem(400, "idempotency-key-required");
    sell().header("idempotency-key", "").send().await.assert_problem(400, "invalid-request");
    app.get("/v1/stock/B").await.assert_level(200, 5, 1);
    sell().header("idempotency-key", "k").send().await.assert_level(200, 4, 2);
}

/// A PUT and a DELETE of a level need a precondition, even where it would not matter; nothing else does, and what is wrong with a body is told first.
#[tokio::test]
async fn each_put_and_delete_of_a_level_needs_a_precondition_if_that_is_asked() {
    let app = service(Policy { idempotency_key: false, precondition: true }).await;
    let put = |body: Value| app.call(Method::PUT, "/v1/stock/A").json(&body);
    let remove = || app.call(Method::DELETE, "/v1/stock/A");
    put(json!({ "on_hand": "x" })).send().await.assert_problem(422, "validation-failed");
    let refused = put(json!({ "on_hand": 0 })).send().await;
    let detail = refused.assert_problem(428, "precondition-required").at("/detail").to_string();
    assert!(detail.contains("If-None-Match: *") && detail.contains("nothing was changed"), "{detail}");
    put(json!({ "on_hand": 0 })).header("if-match", "*").send().await.assert_problem(412, "version-mismatch");
    put(json!({ "on_hand": 0 })).header("if-none-match", "*").send().await.assert_level(201, 0, 1);
    put(json!({ "on_hand": 0 })).send().await.assert_problem(428, "precondition-required");
    put(json!({ "on_hand": 0 })).header("if-match", "\"1\"").send().await.assert_level(200, 0, 2);
    // It has no units: otherwise that is what is asked about.
    let refused = remove().send().await;
    let detail = refused.assert_problem(428, "precondition-required").at("/detail").to_string();
    assert!(detail.contains("If-Match") && !detail.contains("If-None-Match"), "{detail}");
    app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_level(200, 1, 3);
    remove().header("if-match", "\"3\"").send().await.assert_status(204);
    for (route, methods) in TABLE {
        for (method, _) in methods.iter().filter(|_| !route.starts_with("/v1/stock")) {
            let answer = ask(&app, method, route).send().await;
            assert_ne!(answer.status, 428, "{method} {route}");
        }
    }
    app.get("/v1/stock/A").await.assert_problem(404, "stock-not-found");
}

/// Nobody asks for either unless it is said.
#[tokio::test]
async fn neither_is_asked_unless_it_is_said() {
    let app = service(Policy::default()).await;
    app.put("/v1/stock/A", &json!({ "on_hand": 2 })).await.assert_level(201, 2, 1);
    app.post("/v1/stock/A/adjust", &json!({ "delta": -2 })).await.assert_level(200, 0, 2);
    app.delete("/v1/stock/A").await.assert_status(204);
}

/// What is asked of changes can be looked up, before one is refused.
#[tokio::test]
async fn the_status_says_what_is_asked() {
    for (idempotency_key, precondition) in [(false, false), (true, false), (false, true)] {
        let app = service(Policy { idempotency_key, precondition }).await;
        let status = app.get("/v1/status").await;
        status.assert_status(200);
        let asked = ["/policy/require_idempotency_key", "/policy/require_precondition"]
            .map(|at| status.at(at).clone());
        assert_eq!(asked, [json!(idempotency_key), json!(precondition)]);
    }
}
