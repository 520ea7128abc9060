//! `Idempotency-Key` over the wire (P8): one effect, the same answer every time, before a crash and after it.

use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;
use crate::support::process::Server;

/// As many requests at once as the promise names.
const CLIENTS: usize = 64;

/// A request under a key.
struct Ask {
    path: &'static str,
    key: &'static str,
    body: Value,
    status: u16,
}

fn asks() -> Vec<Ask> {
    let ask = |path, key, body, status| Ask { path, key, body, status };
    let line = |sku: &str, delta: i64| json!({ "sku": sku, "delta": delta });
    let moves = |sku: &str, quantity| json!({ "lines": [{ "sku": sku, "from": "main", "to": "shop", "quantity": quantity }] });
    let independent = json!({ "mode": "independent", "lines": [line("wool", 1), line("wool", -9_999), line("none", 1), line("silk", 2)] });
    vec![
        ask("/v1/stock/wool/adjust", "adjust", json!({ "delta": -3, "reason": "sold" }), 200),
        ask("/v1/adjustments", "atomic", json!({ "lines": [line("wool", 5), line("silk", -1)] }), 200),
        ask("/v1/adjustments", "independent", independent, 200),
        ask("/v1/transfers", "transfer", moves("wool", 2), 200),
        ask("/v1/stock/wool/adjust", "short", json!({ "delta": -100_000 }), 409),
        ask("/v1/stock/none/adjust", "missing", json!({ "delta": 1 }), 404),
        ask(
            "/v1/adjustments",
            "short-batch",
            json!({ "lines": [line("wool", 1), line("silk", -9_999)] }),
            409,
        ),
        ask("/v1/transfers", "short-transfer", moves("silk", 9_999), 409),
    ]
}

async fn send(server: &Server, ask: &Ask) -> Answer {
    server.post_once(ask.path, ask.key, &ask.body).await.assert_status(ask.status).clone()
}

/// The answer of the first time, in every part that is about the request.
fn assert_replays(again: &Answer, first: &Answer) {
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text());
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    for header in ["etag", "content-type", "location"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
}

/// What the stock is: no repetition may change it.
async fn stock(server: &Server) -> (String, String) {
    let (levels, ledger) = (server.get("/v1/stock").await, server.get("/v1/movements").await);
    (levels.text().to_owned(), ledger.text().to_owned())
}

async fn stocked(kind: StrategyKind) -> Server {
    let server = Server::start(kind);
    server.put("/v1/stock/wool", &json!({ "on_hand": 100 })).await.assert_status(201);
    server.put("/v1/stock/silk", &json!({ "on_hand": 100 })).await.assert_status(201);
    server
}

for_each_strategy! {
    /// P8: each kind of request is answered again as it was the first time, with the stock as it is, and after a kill too.
    async fn a_repeated_request_is_answered_as_the_first_time(kind: StrategyKind) {
        let server = stocked(kind).await;
        let mut firsts = Vec::new();
        for ask in asks() {
            firsts.push(send(&server, &ask).await);
        }
        // Whatever happens to the stock later is not in the answers of before.
        server.call(Method::DELETE, "/v1/stock/silk").header("if-match", "*").send().await.assert_status(204);
        let as_it_is = stock(&server).await;
        let mut server = server;
        for _ in 0..3 {
            for (ask, first) in asks().iter().zip(&firsts) {
                assert_replays(&send(&server, ask).await, first);
            }
            assert_eq!(stock(&server).await, as_it_is, "a repetition changes nothing");
            server = server.kill_and_restart();
        }
    }

    /// P8: 64 clients send one request at once: one effect; each is answered with it, or that the request is under way.
    async fn of_many_clients_with_one_key_one_has_an_effect(kind: StrategyKind) {
        let server = Arc::new(stocked(kind).await);
        let start = Arc::new(tokio::sync::Barrier::new(CLIENTS));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (server, start) = (Arc::clone(&server), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    loop {
                        let body = json!({ "delta": 1 });
                        let answer = server.post_once("/v1/stock/wool/adjust", "one", &body).await;
                        match answer.status {
                            200 => return answer,
                            _ => answer.assert_problem(409, "idempotency-key-in-progress"),
                        };
                    }
                })
            })
            .collect();
        let mut fresh = 0;
        for client in clients {
            let answer = client.await.expect("a client");
            answer.assert_level(200, 101, 2);
            fresh += usize::from(answer.header("idempotent-replayed").is_empty());
        }
        assert_eq!(fresh, 1);
        let server = Arc::into_inner(server).expect("all clients are done").kill_and_restart();
        server.get("/v1/stock/wool").await.assert_level(200, 101, 2);
    }
}

/// P8: a key names one request: with another body it is refused, before and after a kill, and nothing is changed.
#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let mut server = stocked(StrategyKind::Atomic).await;
    for ask in asks() {
        send(&server, &ask).await;
    }
    for _ in 0..2 {
        let before = stock(&server).await;
        for ask in asks() {
            let mut body = ask.body.clone();
            body["reference"] = json!("another");
            let answer = server.post_once(ask.path, ask.key, &body).await;
            answer.assert_problem(422, "idempotency-key-reused");
        }
        // As a batch of the other mode, too.
        let line = json!([{ "sku": "wool", "delta": 1 }]);
        for (key, mode) in [("atomic", "independent"), ("independent", "atomic")] {
            let body = json!({ "mode": mode, "lines": line });
            server
                .post_once("/v1/adjustments", key, &body)
                .await
                .assert_problem(422, "idempotency-key-reused");
        }
        assert_eq!(stock(&server).await, before);
        server = server.kill_and_restart();
    }
}

/// P8: what was not judged is not kept: a request that was invalid may be put right and sent with its key.
#[tokio::test]
async fn a_validation_error_leaves_the_key_free() {
    let server = stocked(StrategyKind::Atomic).await;
    for body in [json!({ "delta": 0 }), json!({ "delta": "1" }), json!({ "delta": 1, "typo": 1 })] {
        let refused = server.post_once("/v1/stock/wool/adjust", "k", &body).await;
        assert!([400, 422].contains(&refused.status), "{}", refused.text());
        assert_eq!(refused.header("idempotent-replayed"), "");
    }
    let server = server.kill_and_restart();
    server.post_once("/v1/stock/wool/adjust", "k", &json!({ "delta": 1 })).await.assert_level(200, 101, 2);
}

/// P8: a key is one request's, wherever it is sent: at another path, with another tag it is told to be used. However the one
/// request is spelt, it is the one.
#[tokio::test]
async fn a_key_is_one_requests_however_it_is_spelt() {
    let mut server = stocked(StrategyKind::Atomic).await;
    let body = json!({ "delta": 1 });
    server.post_once("/v1/stock/wool/adjust", "k", &body).await.assert_level(200, 101, 2);
    for _ in 0..2 {
        for path in ["/v1/stock/silk/adjust", "/v1/stock/wool/adjust?location=shop", "/v1/adjustments"] {
            let body = if path == "/v1/adjustments" {
                json!({ "lines": [{ "sku": "silk", "delta": 1 }] })
            } else {
                body.clone()
            };
            server.post_once(path, "k", &body).await.assert_problem(422, "idempotency-key-reused");
        }
        let tagged = server.call(Method::POST, "/v1/stock/wool/adjust").header("idempotency-key", "k");
        let tagged = tagged.header("if-match", "\"1\"").json(&body).send().await;
        tagged.assert_problem(422, "idempotency-key-reused");
        for (path, key) in [
            ("/v1/stock/wool/adjust", "\"k\""),
            ("/v1/stock/w%6Fol/adjust", "k"),
            ("/v1/stock/wool/adjust?location=main", "k"),
            ("/v1/stock/%77ool/adjust?location=m%61in", "\"k\""),
        ] {
            let again = server.post_once(path, key, &body).await;
            again.assert_level(200, 101, 2);
            assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        }
        server = server.kill_and_restart();
    }
    server.get("/v1/stock/silk").await.assert_level(200, 100, 1);
}

/// P8: the condition is a part of what a key stands for. Under another one it is told to be used, and neither carried out nor answered as the first
/// was; the same list of tags is the same condition, however it is spelt.
#[tokio::test]
async fn a_key_stands_for_its_condition_as_well() {
    let mut server = stocked(StrategyKind::Atomic).await;
    let body = json!({ "delta": 1 });
    for restarted in [false, true] {
        if restarted {
            server = server.kill_and_restart();
        }
        let under = async |key: &str, tags: &str| {
            let call = server.call(Method::POST, "/v1/stock/wool/adjust").header("idempotency-key", key);
            let call = if tags.is_empty() { call } else { call.header("if-match", tags) };
            call.json(&body).send().await
        };
        let stale = under("stale", "\"77\"").await;
        assert_eq!(
            stale.assert_problem(412, "version-mismatch").header("idempotent-replayed") == "true",
            restarted
        );
        for other in ["\"1\"", "*", "W/\"77\"", ""] {
            under("stale", other).await.assert_problem(422, "idempotency-key-reused");
        }
        let first = under("right", "\"1\"").await;
        first.assert_level(200, 101, 2);
        assert_eq!(first.header("idempotent-replayed") == "true", restarted);
        let again = under("right", ", \"1\",").await;
        assert_eq!((again.header("idempotent-replayed"), again.text()), ("true", first.text()));
        for other in ["\"2\"", "*", ""] {
            under("right", other).await.assert_problem(422, "idempotency-key-reused");
        }
        // Where a condition has no meaning it is refused, not passed over, so there it can be no part of a key.
        for path in ["/v1/adjustments", "/v1/transfers", "/v1/reservations", "/v1/orders", "/v1/import"] {
            let call =
                server.call(Method::POST, path).header("idempotency-key", path).header("if-match", "\"1\"");
            call.json(&body).send().await.assert_problem(400, "invalid-request");
        }
    }
    server.get("/v1/stock/wool").await.assert_level(200, 101, 2);
}

/// P8, P12: a service without a data directory has a ledger and honours keys for as long as it runs; what needs files it refuses.
#[tokio::test]
async fn an_ephemeral_service_has_a_ledger_and_honours_keys() {
    let server = Server::ephemeral(StrategyKind::Atomic);
    server.put("/v1/stock/wool", &json!({ "on_hand": 100 })).await.assert_status(201);
    server.put("/v1/stock/silk", &json!({ "on_hand": 100 })).await.assert_status(201);
    for path in ["/v1/movements", "/v1/movements?sku=wool", "/v1/movements?after=0"] {
        let movements = server.get(path).await;
        assert_eq!(movements.assert_status(200).at("/items/0/kind"), "created", "{path}");
    }
    server.call(Method::POST, "/v1/verify").send().await.assert_problem(404, "ledger-not-kept");
    let mut firsts = Vec::new();
    for ask in asks() {
        firsts.push(send(&server, &ask).await);
    }
    let levels = server.get("/v1/stock").await.at("/items");
    for (ask, first) in asks().iter().zip(&firsts) {
        assert_replays(&send(&server, ask).await, first);
        let mut other = ask.body.clone();
        other["reference"] = json!("another");
        server.post_once(ask.path, ask.key, &other).await.assert_problem(422, "idempotency-key-reused");
    }
    assert_eq!(server.get("/v1/stock").await.at("/items"), levels);
    // Every change is told at once, in order, with what was said about it.
    let movements = server.get("/v1/movements?after=0").await.json();
    let items = movements["items"].as_array().expect("a list").clone();
    assert!(items.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()), "{movements}");
    let sold = items.iter().find(|movement| movement["reason"] == "sold").expect("the adjustment's reason");
    assert_eq!((sold["sku"].clone(), sold["delta"].clone()), (json!("wool"), json!(-3)));
}
