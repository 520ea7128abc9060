//! How often one client may ask (`--rate-limit`): at the edge of its bucket, whose bucket it is, and what it is told (P10). The rates are so slow that
//! nothing comes back while a test runs.

use std::net::IpAddr;

use axum::http::Method;
use inventory::access::{Key, Principal, Scope, file};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;

use crate::support::app::answer::Answer;
use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};

const ATOMIC: StrategyKind = StrategyKind::Atomic;
const LIST: &str = "GET /v1/stock HTTP/1.1\r\nHost: x\r\n\r\n";

/// How many are left, by an answer that was let in.
fn left(answer: &Answer) -> u64 {
    let told = answer.header("ratelimit").strip_prefix("\"default\";r=").expect("it is told");
    told.split(';').next().expect("a number").parse().expect("a number")
}

fn assert_limited(answer: &Answer) {
    answer.assert_problem(429, "rate-limited");
    assert_eq!(left(answer), 0);
}

/// At the edge of the bucket: so many are let in, and the next is told when there is one more; nothing of it is done.
#[tokio::test]
async fn who_asks_too_often_is_refused_and_told_when_to_come_back() {
    let app = TestApp::with(ATOMIC).with_rate_limit("3/h", None).start().await;
    app.put("/v1/stock/A", &json!({ "on_hand": 5 })).await.assert_status(201);
    for expected in [1, 0] {
        let read = app.get("/v1/stock/A").await;
        read.assert_level(200, 5, 1);
        assert_eq!((read.header("ratelimit-policy"), left(&read)), ("\"default\";q=3;w=3600", expected));
    }
    let refused = app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await;
    assert_limited(&refused);
    assert_eq!(refused.header("ratelimit-policy"), "\"default\";q=3;w=3600");
    let again_in = refused.header("retry-after");
    assert_eq!(refused.header("ratelimit"), format!("\"default\";r=0;t={again_in}"));
    let again_in: u64 = again_in.parse().expect("seconds");
    assert!((1_200 - WATCHDOG.as_secs()..=1_200).contains(&again_in), "{again_in}");
    // An answer that is none of the routes' is told as well, and counts.
    assert_limited(&app.get("/v1/nothing").await);
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/problems/rate-limited"] {
        let free = app.get(path).await;
        assert!(free.assert_status(200).header("ratelimit").is_empty(), "{path}");
    }
    let metrics = app.get("/metrics").await;
    assert!(metrics.text().contains("inventory_rate_limited_total 2\n"));
    assert!(metrics.text().contains("inventory_rate_limit_clients 1\n"));
    let app = TestApp::over(ATOMIC, app.end().await).start().await;
    let read = app.get("/v1/stock/A").await;
    read.assert_level(200, 5, 1);
    assert_eq!((read.header("ratelimit"), read.header("ratelimit-policy")), ("", ""), "without a limit");
}

/// What may be had at once is another matter than how often on average.
#[tokio::test]
async fn a_burst_is_more_than_the_rate() {
    let app = TestApp::with(ATOMIC).with_rate_limit("1/h", Some(4)).start().await;
    for expected in [3, 2, 1, 0] {
        assert_eq!(left(app.get("/v1/stock").await.assert_status(200)), expected);
    }
    let refused = app.get("/v1/stock").await;
    assert_limited(&refused);
    assert_eq!(refused.header("ratelimit-policy"), "\"default\";q=4;w=14400");
}

/// With keys, one client is who has a key of one name, wherever it comes from; who has none is nobody, and takes nothing from anybody.
#[tokio::test]
async fn each_principal_has_its_own() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let names = ["till", "till", "shop"];
    let keys = names.map(|_| Key::random().expect("randomness"));
    let line = |(name, key): (&&str, &Key)| {
        file::line_of(&Principal::new((*name).into(), Scope::Read), &key.digest()) + "\n"
    };
    std::fs::write(&path, names.iter().zip(&keys).map(line).collect::<String>()).expect("a file");
    let app = TestApp::with(ATOMIC).with_rate_limit("2/h", None).with_auth_file(path).start().await;
    let [till, second_till, shop] = keys.map(|key| format!("Bearer {}", key.reveal()));
    let list =
        async |key: &String| app.call(Method::GET, "/v1/stock").header("authorization", key).send().await;
    for _ in 0..5 {
        app.get("/v1/stock").await.assert_problem(401, "unauthenticated");
    }
    assert_eq!(left(list(&till).await.assert_status(200)), 1);
    assert_eq!(left(list(&second_till).await.assert_status(200)), 0);
    assert_limited(&list(&till).await);
    assert_limited(&list(&second_till).await);
    assert_eq!(left(list(&shop).await.assert_status(200)), 1);
    // One who may not is told so first, and it counts for nobody.
    let put = app.call(Method::PUT, "/v1/stock/A").json(&json!({ "on_hand": 1 }));
    put.header("authorization", &shop).send().await.assert_problem(403, "forbidden");
    assert_eq!(left(list(&shop).await.assert_status(200)), 0);
}

/// Without keys, one client is whoever comes from one address, over however many connections.
#[tokio::test]
async fn each_address_has_its_own() {
    let app = TestApp::with(ATOMIC).with_rate_limit("2/h", None).start().await;
    let list = async |from: &str| {
        let from = from.parse::<IpAddr>().expect("an address");
        let mut connection = Raw::connect_from(app.address, from).await;
        connection.write(LIST).await;
        connection.answer().await
    };
    assert_eq!(left(list("127.0.0.2").await.assert_status(200)), 1);
    assert_eq!(left(list("127.0.0.2").await.assert_status(200)), 0);
    assert_limited(&list("127.0.0.2").await);
    assert_eq!(left(list("127.0.0.3").await.assert_status(200)), 1);
}

/// P10: a client that is refused takes no place from others, and is refused where there is none.
#[tokio::test]
async fn who_is_refused_waits_in_no_line() {
    let app = TestApp::with(ATOMIC).with_rate_limit("1/h", None).with_admission(1, 1, WATCHDOG).start().await;
    app.get("/v1/stock").await.assert_status(200);
    let taken = app.state.admission.enter();
    assert_limited(&app.get("/v1/stock").await);
    let now = app.state.admission.now();
    assert_eq!((now.in_flight, now.waiting, now.shed), (1, 0, 0));
    drop(taken);
}
