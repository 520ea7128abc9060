//! P11 over the wire: a client that goes away at any byte of its request leaves the whole effect of it, or none.

use inventory::strategy::StrategyKind;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::for_each_strategy;

const SKUS: usize = 40;
const CLIENTS: usize = 4;
const REQUESTS: usize = 75;

fn sku(number: usize) -> String {
    format!("S{number:02}")
}

/// One unit into each level, all or none.
fn request() -> Vec<u8> {
    let lines: Value = (0..SKUS).map(|number| json!({"sku": sku(number), "delta": 1})).collect();
    let body = json!({ "lines": lines }).to_string();
    let head = format!(
        "POST /v1/adjustments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Sends request after request, and goes away from each: after a random part of it, after all of it without waiting, or
/// after the answer. Returns how many were sent whole, and how many of those were answered.
async fn come_and_go(app: &TestApp, seed: u64) -> (u64, u64) {
    let (request, mut dice) = (request(), Xoshiro256PlusPlus::seed_from_u64(seed));
    let (mut whole, mut answered) = (0, 0);
    for _ in 0..REQUESTS {
        let mut connection = app.connect().await;
        let cut =
            if dice.random_range(0..3) == 0 { dice.random_range(0..request.len()) } else { request.len() };
        if dice.random_range(0..2) == 0 {
            let middle = dice.random_range(0..=cut);
            connection.write(&request[..middle]).await;
            connection.write(&request[middle..cut]).await;
        } else {
            connection.write(&request[..cut]).await;
        }
        let is_whole = cut == request.len();
        whole += u64::from(is_whole);
        match dice.random_range(0..3) {
            0 if is_whole => {
                connection.answer().await.assert_status(200);
                answered += 1;
            }
            1 => connection.reset(),
            _ => drop(connection),
        }
    }
    (whole, answered)
}

for_each_strategy! {
    /// P11, P4: however the clients went, all levels have seen the same changes: at least those that were answered, at most
    /// those that were sent whole.
    async fn a_request_happens_wholly_or_not_at_all(kind: StrategyKind) {
        let mut app = TestApp::with(kind).with_connections_max(8).start().await;
        for number in 0..SKUS {
            app.create(&sku(number), 0).await;
        }
        let clients = tokio::join!(
            come_and_go(&app, 0),
            come_and_go(&app, 1),
            come_and_go(&app, 2),
            come_and_go(&app, 3),
        );
        let clients = <[_; CLIENTS]>::from(clients);
        app.quiesce().await;
        let (on_hand, version) = app.level(&sku(0)).await;
        for number in 0..SKUS {
            assert_eq!(app.level(&sku(number)).await, (on_hand, version), "{}", sku(number));
        }
        assert_eq!(version, on_hand + 1, "each change is a version");
        let whole: u64 = clients.iter().map(|client| client.0).sum();
        let answered: u64 = clients.iter().map(|client| client.1).sum();
        assert!(
            (answered..=whole).contains(&on_hand),
            "{on_hand} changes of {whole} whole requests, {answered} answered"
        );
        assert!(
            answered > 0 && answered < whole && whole < (CLIENTS * REQUESTS) as u64,
            "all ways to go were gone"
        );
    }
}
