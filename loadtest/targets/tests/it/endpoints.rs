//! What the shops answer to one request after another: both ways the same, which is why such tests find nothing.

use serde_json::{Value, json};
use targets::Way;

use crate::support::{Kind, Running, Served, ask, for_each_shop};

for_each_shop!(answers_as_documented);

async fn answers_as_documented(shop: &Served, _: Way) {
    let item = |sku: &str, quantity: i64| json!({"sku": sku, "quantity": quantity});
    let error = |name: &str| json!({"error": name});
    let units = |quantity: i64| json!({"quantity": quantity});
    let transfer = |from: &str, to: &str, n: i64| json!({"from": from, "to": to, "quantity": n});
    let moved = |left: i64, there: i64| json!({"from": item("tea", left), "to": item("a/b", there)});
    for (method, path, body, status, answer) in [
        ("GET", "/health", Value::Null, 200, json!("")),
        ("GET", "/items/tea", Value::Null, 404, error("no-such-item")),
        ("POST", "/items/tea/take", units(1), 404, error("no-such-item")),
        ("POST", "/items/tea/give", units(1), 404, error("no-such-item")),
        ("POST", "/items", item("tea", 5), 201, item("tea", 5)),
        ("POST", "/items", item("tea", 9), 409, error("exists")),
        ("GET", "/items/tea", Value::Null, 200, item("tea", 5)),
        ("POST", "/items/tea/take", units(3), 200, item("tea", 2)),
        ("POST", "/items/tea/take", units(3), 409, error("out-of-stock")),
        ("POST", "/items/tea/take", units(2), 200, item("tea", 0)),
        ("POST", "/items/tea/give", units(1_000_000_000), 200, item("tea", 1_000_000_000)),
        ("GET", "/items/tea", Value::Null, 200, item("tea", 1_000_000_000)),
        // Names with marks that a path and a query of a database could trip over.
        ("POST", "/items", item("a/b", 0), 201, item("a/b", 0)),
        ("POST", "/items", item("it's", 1), 201, item("it's", 1)),
        ("GET", "/items/it%27s", Value::Null, 200, item("it's", 1)),
        ("POST", "/moves", transfer("tea", "a/b", 7), 200, moved(999_999_993, 7)),
        ("POST", "/moves", transfer("a/b", "tea", 8), 409, error("out-of-stock")),
        ("POST", "/moves", transfer("tea", "none", 1), 404, error("no-such-item")),
        ("POST", "/moves", transfer("none", "tea", 1), 404, error("no-such-item")),
        ("POST", "/moves", transfer("tea", "tea", 1), 400, error("from-is-to")),
        // What was refused has left nothing.
        ("GET", "/items/tea", Value::Null, 200, item("tea", 999_999_993)),
        ("GET", "/items/a%2Fb", Value::Null, 200, item("a/b", 7)),
        ("POST", "/items/tea/take", units(0), 400, error("bad-quantity")),
        ("POST", "/items/tea/give", units(-1), 400, error("bad-quantity")),
        ("POST", "/items", item("coffee", -1), 400, error("bad-quantity")),
        ("POST", "/items", item("", 1), 400, error("bad-sku")),
    ] {
        let asked = format!("{method} {path} {body}");
        assert_eq!(shop.ask(method, path, body).await, (status, answer), "{asked}");
    }
    let (status, _) = shop.ask("POST", "/items/tea/take", json!({"quantity": "1"})).await;
    assert_eq!(status, 422);
}

/// Nobody knows what became of a request whose database is gone, so it is never told as a refusal.
async fn a_database_that_dies_leaves_500(kind: Kind) {
    let database = Running::alone(kind);
    let shop = Served::over(database, Way::Atomic);
    let made = shop.ask("POST", "/items", json!({"sku": "tea", "quantity": 5})).await;
    assert_eq!(made.0, 201, "{made:?}");
    let (_program, url, client) = shop.without_database();
    for (path, body) in [
        ("/items/tea/take", json!({"quantity": 1})),
        ("/items/tea/give", json!({"quantity": 1})),
        ("/moves", json!({"from": "tea", "to": "other", "quantity": 1})),
        ("/items", json!({"sku": "other", "quantity": 1})),
    ] {
        let (status, answer) = ask(&client, &url, "POST", path, body).await;
        assert_eq!(status, 500, "{path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.starts_with("database: ")), "{answer}");
    }
}

#[databases::needs(Postgres)]
#[tokio::test]
async fn a_postgresql_that_dies_leaves_500() {
    a_database_that_dies_leaves_500(Kind::Postgres).await;
}

#[databases::needs(Redis)]
#[tokio::test]
async fn a_redis_that_dies_leaves_500() {
    a_database_that_dies_leaves_500(Kind::Redis).await;
}
