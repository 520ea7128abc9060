//! A page of another site changes nothing here and starts nothing: what its browser says of it is believed.

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::app::contract::DOCUMENT;

/// What a browser sends for a form or a plain `fetch` of a page, without asking first.
async fn plain_post(app: &TestApp, path: &str, said: &[(&str, &str)]) -> Answer {
    let call = app.call(Method::POST, path).header("content-type", "text/plain");
    said.iter().fold(call, |call, (name, value)| call.header(name, value)).body("x").send().await
}

/// Of every POST, PUT and DELETE there is, whatever its body.
#[tokio::test]
async fn no_page_of_another_site_changes_anything() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    let before = app.get("/v1/movements").await.json();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let mut asked = 0;
    for (template, operations) in paths {
        let path = template.replace("{sku}", "A").replace("{id}", "00000000-0000-7000-8000-000000000000");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            if operations[method.as_str().to_lowercase()].is_null() {
                continue;
            }
            for said in [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
                ("origin", "http://other.example"),
                ("origin", "null"),
            ] {
                let call = app.call(method.clone(), &path).header(said.0, said.1);
                let refused =
                    call.header("if-match", "*").json(&json!({"on_hand": 1, "delta": 1})).send().await;
                let detail = refused.assert_problem(403, "cross-origin-request").at("/detail");
                assert!(detail.as_str().unwrap().contains(said.0), "{detail}");
                asked += 1;
            }
        }
    }
    assert!(asked > 60, "{asked}");
    assert_eq!(app.get("/v1/movements").await.json(), before);
}

/// A verification takes no body, so nothing but this stands between it and a page.
#[tokio::test]
async fn a_verification_is_not_started_by_a_page() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    for said in [("origin", "http://other.example"), ("sec-fetch-site", "cross-site")] {
        plain_post(&app, "/v1/verify", &[said]).await.assert_problem(403, "cross-origin-request");
    }
    let own = format!("http://{}", app.address);
    for said in [
        &[][..],
        &[("origin", own.as_str())],
        &[("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        &[("sec-fetch-site", "none")],
    ] {
        let call = said
            .iter()
            .fold(app.call(Method::POST, "/v1/verify"), |call, (name, value)| call.header(name, value));
        call.send().await.assert_status(200);
    }
}

/// What a page reads it cannot see, as nothing here allows it to; so it may.
#[tokio::test]
async fn a_page_of_another_site_may_ask_and_sees_nothing() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let answer = app
            .call(method, "/v1/stock/A")
            .header("origin", "http://other.example")
            .header("sec-fetch-site", "cross-site")
            .send()
            .await;
        assert!(answer.status < 300);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}
