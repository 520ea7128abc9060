//! Who made a movement: the name of the key with which it was asked for, wherever movements are told, and after a restart too (P7, P12).

use axum::http::Method;
use inventory::access::Scope;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::access::{AuthFile, Shows as _};
use super::webhooks;
use crate::support::app::answer::Answer;
use crate::support::app::receiver::Receiver;
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;

/// A name that stands in no word of a few bytes.
const LONG: &str = "the-import-of-every-night-from-the-old-shop@warehouse.example-01";

/// Who asks in these tests.
struct People {
    file: AuthFile,
}

impl People {
    fn new() -> Self {
        let scopes =
            [("till", Scope::Write), ("office", Scope::Write), (LONG, Scope::Write), ("boss", Scope::Admin)];
        Self { file: AuthFile::of(&scopes) }
    }

    async fn ask(&self, app: &TestApp, who: &str, method: Method, path: &str, body: &Value) -> Answer {
        let call = app.call(method, path).shows(&self.file.key(who));
        if body.is_null() { call.send().await } else { call.json(body).send().await }
    }

    async fn post(&self, app: &TestApp, who: &str, path: &str, body: &Value) -> Answer {
        let answer = self.ask(app, who, Method::POST, path, body).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
        answer
    }

    async fn get(&self, app: &TestApp, path: &str) -> Answer {
        self.ask(app, "boss", Method::GET, path, &Value::Null).await.assert_status(200).clone()
    }

    /// Of each movement what it was, of which sku, and who made it: all of them, in order.
    async fn ledger(&self, app: &TestApp, filter: &str) -> Vec<[String; 3]> {
        let page = self.get(app, &format!("/v1/movements?after=0&limit=1000{filter}")).await;
        page.at("/items").as_array().expect("a list").iter().map(named).collect()
    }
}

fn named(movement: &Value) -> [String; 3] {
    ["kind", "sku", "actor"].map(|field| movement[field].as_str().unwrap_or("nobody").to_owned())
}

/// Every kind of change, each asked for by somebody; what the ledger is to say of them; and the path of an order that waits.
async fn a_day(people: &People, app: &TestApp) -> (Vec<[String; 3]>, String) {
    for (who, sku) in [("till", "A"), ("office", "B"), ("till", "G")] {
        let path = format!("/v1/stock/{sku}");
        people.ask(app, who, Method::PUT, &path, &json!({ "on_hand": 100 })).await.assert_status(201);
    }
    people.post(app, "office", "/v1/stock/A/adjust", &json!({ "delta": -1, "reason": "sold" })).await;
    let count = app.call(Method::PUT, "/v1/stock/A").header("if-match", "*").json(&json!({ "on_hand": 90 }));
    count.shows(&people.file.key("till")).send().await.assert_status(200);
    let delete = app.call(Method::DELETE, "/v1/stock/G").header("if-match", "*");
    delete.shows(&people.file.key("office")).send().await.assert_status(204);
    let lines = json!([{ "sku": "A", "delta": 1 }, { "sku": "B", "delta": 1 }]);
    people.post(app, "till", "/v1/adjustments", &json!({ "lines": lines })).await;
    // Of one level, since changes of several are recorded in any order.
    let lines = json!([{ "sku": "A", "delta": 1 }, { "sku": "A", "delta": 2 }]);
    people.post(app, "office", "/v1/adjustments", &json!({ "lines": lines, "mode": "independent" })).await;
    let keyed = app.call(Method::POST, "/v1/adjustments").header("idempotency-key", "k");
    let keyed = keyed.json(&json!({ "lines": lines, "mode": "independent" })).shows(&people.file.key(LONG));
    keyed.send().await.assert_status(200);
    let lines = json!([{ "sku": "A", "from": "main", "to": "shop", "quantity": 5 }]);
    people.post(app, "office", "/v1/transfers", &json!({ "lines": lines })).await;
    let mut expected = vec![
        ["created", "A", "till"],
        ["created", "B", "office"],
        ["created", "G", "till"],
        ["adjusted", "A", "office"],
        ["counted", "A", "till"],
        ["deleted", "G", "office"],
        ["adjusted", "A", "till"],
        ["adjusted", "B", "till"],
        ["adjusted", "A", "office"],
        ["adjusted", "A", "office"],
        ["adjusted", "A", LONG],
        ["adjusted", "A", LONG],
        ["transferred", "A", "office"],
        ["transferred", "A", "office"],
    ];
    for (end, kind) in [("commit", "shipped"), ("release", "released")] {
        let lines = json!([{ "sku": "A", "quantity": 2 }]);
        let held = people.post(app, "till", "/v1/reservations", &json!({ "lines": lines })).await;
        let path = held.header("location").to_owned();
        people.post(app, "till", &format!("{path}/extend"), &json!({ "ttl_seconds": 2_000 })).await;
        people.post(app, "office", &format!("{path}/{end}"), &json!({})).await;
        expected.extend([["reserved", "A", "till"], [kind, "A", "office"]]);
    }
    let order = json!({ "lines": [{ "sku": "A", "quantity": 3 }], "reference": "web 1" });
    let placed = app.call(Method::POST, "/v1/orders").header("prefer", "wait=25").json(&order);
    let placed = placed.shows(&people.file.key("till")).send().await;
    let path = placed.assert_status(200).header("location").to_owned();
    people.post(app, "office", &format!("{path}/returns"), &json!({})).await;
    expected.extend([["fulfilled", "A", "till"], ["returned", "A", "office"]]);
    let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    let import = import.body("{\"sku\":\"I\",\"on_hand\":7}\n").shows(&people.file.key(LONG));
    import.send().await.assert_status(200);
    expected.push(["imported", "I", LONG]);
    let order = json!({ "lines": [{ "sku": "I", "quantity": 9 }], "backorder": true });
    let waits = people.post(app, LONG, "/v1/orders", &order).await.header("location").to_owned();
    (expected.iter().map(|row| row.map(str::to_owned)).collect(), waits)
}

/// Completes once an order is in that state.
async fn comes_to(people: &People, app: &TestApp, path: &str, state: &str) {
    let comes = async {
        while people.get(app, path).await.at("/state") != state {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, comes).await.unwrap_or_else(|_| panic!("{path} is never {state}"));
}

for_each_strategy! {
    /// P7, P12: each kind of change names who asked for it, before and after a restart; an order that waited over one is fulfilled in the
    /// name of who placed it, whoever brought its units; whoever watches is told the same.
    async fn each_movement_names_who_made_it(kind: StrategyKind) {
        let people = People::new();
        let app = TestApp::with(kind).with_auth_file(people.file.path()).start().await;
        let (mut expected, waits) = a_day(&people, &app).await;
        comes_to(&people, &app, &waits, "backordered").await;
        assert_eq!(people.ledger(&app, "").await, expected);
        let app = TestApp::over(kind, app.end().await).with_auth_file(people.file.path()).start().await;
        assert_eq!(people.ledger(&app, "").await, expected);
        people.post(&app, "office", "/v1/stock/I/adjust", &json!({ "delta": 5 })).await;
        comes_to(&people, &app, &waits, "fulfilled").await;
        expected.extend([["adjusted", "I", "office"], ["fulfilled", "I", LONG]].map(|row| row.map(str::to_owned)));
        assert_eq!(people.ledger(&app, "").await, expected);
        for name in ["till", LONG] {
            let of_name: Vec<_> = expected.iter().filter(|row| row[2] == name).cloned().collect();
            assert_eq!(people.ledger(&app, &format!("&actor={name}")).await, of_name);
        }
        let watch = app.call(Method::GET, "/v1/events?after=0").shows(&people.file.key("boss")).watch().await;
        let mut watcher = watch.unwrap_or_else(|answer| panic!("{}", answer.text()));
        for row in &expected {
            assert_eq!(named(&watcher.next().await.expect("an event").data), *row);
        }
        let verified = people.post(&app, "boss", "/v1/verify", &Value::Null).await;
        assert_eq!(verified.at("/clean"), true, "{}", verified.text());
    }

    /// P9: what the service does by itself is done by nobody: a reservation that runs out names who made it, and not who looked.
    async fn an_expiry_is_made_by_nobody(kind: StrategyKind) {
        let people = People::new();
        let app = TestApp::with(kind).ephemeral().with_auth_file(people.file.path()).start().await;
        people.ask(&app, "till", Method::PUT, "/v1/stock/A", &json!({ "on_hand": 1 })).await.assert_status(201);
        let lines = json!([{ "sku": "A", "quantity": 1 }]);
        people.post(&app, "till", "/v1/reservations", &json!({ "lines": lines, "ttl_seconds": 1 })).await;
        while people.get(&app, "/v1/stock/A").await.at("/reserved") != 0 {
            tokio::task::yield_now().await;
        }
        let expected = [["created", "A", "till"], ["reserved", "A", "till"], ["expired", "A", "nobody"]];
        assert_eq!(people.ledger(&app, "").await, expected);
    }
}

/// P12: a webhook's message says it, and so does the export for analysts. What was done before there were keys, and what is done offline,
/// nobody made.
#[tokio::test]
async fn whoever_is_told_is_told_who_made_it() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    let people = People::new();
    let app = TestApp::over(StrategyKind::Mutex, app.end().await)
        .with_auth_file(people.file.path())
        .with_webhooks(webhooks::config())
        .start()
        .await;
    let mut receiver = Receiver::start().await;
    people.post(&app, "boss", "/v1/webhooks", &json!({ "url": receiver.url })).await;
    people.post(&app, "till", "/v1/stock/A/adjust", &json!({ "delta": -1 })).await;
    let told = receiver.next().await.json();
    assert_eq!(named(&told["data"]), ["adjusted", "A", "till"].map(str::to_owned));
    let wrong = people.ask(&app, "boss", Method::GET, "/v1/movements?actor=a/b", &Value::Null).await;
    wrong.assert_parameter("actor");
    let watch =
        app.call(Method::GET, "/v1/events?after=0&actor=till").shows(&people.file.key("boss")).watch();
    let mut watcher = watch.await.unwrap_or_else(|answer| panic!("{}", answer.text()));
    assert_eq!(watcher.next().await.expect("an event").data["seq"], 2);

    let data = app.end().await;
    let file = data.path().join("night.ndjson");
    std::fs::write(&file, "{\"sku\":\"N\",\"on_hand\":1}\n").expect("a file");
    offline(&["import", file.to_str().expect("UTF-8")], data.path());
    let app = TestApp::over(StrategyKind::Mutex, data).with_auth_file(people.file.path()).start().await;
    let expected = [["created", "A", "nobody"], ["adjusted", "A", "till"], ["imported", "N", "nobody"]];
    assert_eq!(people.ledger(&app, "").await, expected);
    #[cfg(feature = "sqlite")]
    {
        let data = app.end().await;
        let database = data.path().join("stock.db");
        offline(&["export", "--sqlite", database.to_str().expect("UTF-8")], data.path());
        let database = rusqlite::Connection::open(database).expect("a database");
        let actors = "SELECT group_concat(actor, ',') FROM (SELECT actor FROM movements ORDER BY seq)";
        let actors: String = database.query_row(actors, [], |row| row.get(0)).expect("a row");
        assert_eq!(actors, ",till,");
    }
}

/// The program, over a data directory that no server holds.
fn offline(args: &[&str], data: &std::path::Path) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_inventory"));
    let ended = program.args(args).arg("--data-dir").arg(data).output().expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
