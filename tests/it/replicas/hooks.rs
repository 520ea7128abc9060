//! Webhooks that several replicas share: made, changed and ended at any of them, and told by one (P12).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use inventory::store::Keeping;
use inventory::strategy::StrategyKind;
use inventory::webhooks::WebhookConfig;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::app::receiver::{Delivery, Receiver, Reply};
use crate::support::app::{TestApp, WATCHDOG, in_database};

/// Services over one database, each with all that a process has.
pub(super) struct Services {
    pub(super) apps: Vec<Arc<TestApp>>,
    pub(super) database: databases::Database,
}

/// A configuration under which loopback may be told, and nothing takes long.
pub(super) fn config() -> WebhookConfig {
    WebhookConfig {
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        attempt_timeout: WATCHDOG,
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        positions_every: Duration::from_millis(50),
        lease: Duration::from_secs(2),
        look_every: Duration::from_millis(20),
        ..WebhookConfig::default()
    }
}

impl Services {
    /// So many.
    pub(super) async fn start(count: usize, webhooks: WebhookConfig) -> Self {
        let database = databases::postgres().database().expect("a database");
        let mut apps = Vec::new();
        for _ in 0..count {
            apps.push(Arc::new(started(&database.url(), webhooks.clone()).await));
        }
        Self { apps, database }
    }

    /// Makes a movement at that replica. Returns its number.
    pub(super) async fn moves(&self, replica: usize) -> u64 {
        moves(&self.apps[replica]).await
    }

    /// Makes a webhook at that replica. Returns its path and its secret.
    pub(super) async fn hook(&self, replica: usize, url: &str, more: &Value) -> (String, String) {
        let mut body = json!({ "url": url });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let made = self.apps[replica].post("/v1/webhooks", &body).await;
        let path = made.assert_status(201).header("location").to_owned();
        (path, made.at("/secret").as_str().expect("a secret").to_owned())
    }

    /// What a webhook says of itself at that replica, once it is in that state there.
    async fn once_it_is(&self, replica: usize, path: &str, state: &str) -> Value {
        let asked = async {
            loop {
                let answer = self.apps[replica].get(path).await;
                if answer.assert_status(200).at("/state") == state {
                    return answer.json();
                }
            }
        };
        tokio::time::timeout(WATCHDOG, asked).await.unwrap_or_else(|_| panic!("{path} is never {state}"))
    }
}

/// A service over that database.
pub(super) async fn started(url: &str, webhooks: WebhookConfig) -> TestApp {
    let storage = in_database(url, Keeping::default());
    TestApp::with(StrategyKind::Atomic).with_storage(storage).with_webhooks(webhooks).start().await
}

/// Makes a movement. Returns its number.
pub(super) async fn moves(app: &TestApp) -> u64 {
    let change = json!({ "delta": 1, "if_missing": "create" });
    let made = app.post("/v1/stock/A/adjust", &change).await;
    made.assert_status(if made.status == 201 { 201 } else { 200 });
    // The newest of the level first.
    app.get("/v1/movements?sku=A&limit=1").await.assert_status(200).number("/items/0/seq")
}

pub(super) fn seq(delivery: &Delivery) -> u64 {
    delivery.json()["data"]["seq"].as_u64().expect("a number")
}

/// P12: what one replica is asked for every other knows at once, and one of them tells what any has done, once and in order.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_known_and_told_wherever_it_was_made() {
    let services = Services::start(3, config()).await;
    for round in 0..12 {
        let [here, there, elsewhere] = [round % 3, (round + 1) % 3, (round + 2) % 3];
        let mut receiver = Receiver::start().await;
        let (path, secret) = services.hook(here, &receiver.url, &json!({})).await;
        for replica in [there, elsewhere, here] {
            let read = services.apps[replica].get(&path).await;
            assert_eq!(read.assert_status(200).at("/state"), "active");
            assert_eq!(services.apps[replica].get("/v1/webhooks").await.at("/items/0/url"), receiver.url);
        }
        let mut made = Vec::new();
        for replica in [there, elsewhere, here, there, there] {
            made.push(services.moves(replica).await);
        }
        let told = receiver.take(made.len()).await;
        assert_eq!(told.iter().map(seq).collect::<Vec<_>>(), made);
        for delivery in &told {
            delivery.verified(&secret);
        }
        let pinged = services.apps[elsewhere].call(Method::POST, &format!("{path}/ping")).send().await;
        assert_eq!(pinged.assert_status(200).at("/status"), 204);
        assert_eq!(receiver.next().await.verified(&secret)["type"], "ping");
        services.apps[there].delete(&path).await.assert_status(204);
        for replica in [elsewhere, here, there] {
            services.apps[replica].get(&path).await.assert_problem(404, "webhook-not-found");
            assert_eq!(services.apps[replica].get("/v1/webhooks").await.count("/items"), 0);
        }
        receiver.assert_quiet();
    }
}

/// Two replicas that are asked for different hooks at the same moment lose none, and together make no more than there may be.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_moment_lose_none() {
    const MOST: usize = 20;
    let config = WebhookConfig { hooks_max: MOST, ..config() };
    let services = Services::start(3, config).await;
    let receiver = Receiver::start().await;
    let mut making = JoinSet::new();
    for number in 0..30 {
        let (app, url) = (Arc::clone(&services.apps[number % 3]), receiver.url.clone());
        making.spawn(async move {
            let made = app.post("/v1/webhooks", &json!({ "url": url })).await;
            (made.status == 201).then(|| made.header("location").to_owned())
        });
    }
    let made: BTreeSet<String> = making.join_all().await.into_iter().flatten().collect();
    assert_eq!(made.len(), MOST, "as many as may be, and no more");
    let all = async |replica: usize| -> BTreeSet<String> {
        let listed = services.apps[replica].get("/v1/webhooks").await;
        let items = listed.at("/items").as_array().expect("items").clone();
        items.iter().map(|item| format!("/v1/webhooks/{}", item["id"].as_str().expect("an id"))).collect()
    };
    for replica in 0..3 {
        assert_eq!(all(replica).await, made);
    }
    // Half of them are ended, each by two at once, while secrets of the others are changed: one of the two has ended it.
    let mut changing = JoinSet::new();
    for (number, path) in made.iter().enumerate() {
        for replica in [number % 3, (number + 1) % 3] {
            let (app, path) = (Arc::clone(&services.apps[replica]), path.clone());
            changing.spawn(async move {
                if number % 2 == 0 {
                    return app.delete(&path).await.status;
                }
                app.call(Method::POST, &format!("{path}/secret")).send().await.status
            });
        }
    }
    let statuses = changing.join_all().await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(204), count(404), count(200)), (MOST / 2, MOST / 2, MOST));
    let left: BTreeSet<String> =
        made.iter().enumerate().filter(|(number, _)| number % 2 == 1).map(|(_, path)| path.clone()).collect();
    for replica in 0..3 {
        assert_eq!(all(replica).await, left);
    }
}

/// After the answer of a DELETE nothing more is sent, whoever told the hook and whatever he was at: a movement that is made afterwards is never told, nor an
/// attempt gone on with.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_delete_elsewhere_nothing_more_is_sent() {
    let services = Services::start(3, config()).await;
    let mut witness = Receiver::start().await;
    services.hook(0, &witness.url, &json!({})).await;
    let mut ended = Vec::new();
    for round in 0..15 {
        let mut receiver = Receiver::start().await;
        if round % 3 == 0 {
            // Its sender waits for an answer that does not come.
            receiver.answer([Reply::Hang]);
        }
        let (path, _) = services.hook(round % 3, &receiver.url, &json!({})).await;
        let first = services.moves(round % 2).await;
        assert_eq!(seq(&receiver.next().await), first);
        services.apps[(round + 1) % 3].delete(&path).await.assert_status(204);
        let last = services.moves(round % 3).await;
        while seq(&witness.next().await) < last {}
        ended.push(receiver);
    }
    for receiver in &mut ended {
        receiver.assert_quiet();
    }
    // Nothing is left of them but what the witness has.
    let (client, connection) =
        tokio_postgres::connect(&services.database.url(), tokio_postgres::NoTls).await.expect("a database");
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM inventory.lease WHERE z = 0";
    assert_eq!(client.query_one(count, &[]).await.expect("a count").get::<_, i64>(0), 1);
}

/// What is sent after another secret was answered is signed with it, whichever replica was asked for it and whichever sends.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_changed_elsewhere_signs_what_comes_next() {
    let services = Services::start(2, config()).await;
    let mut receiver = Receiver::start().await;
    let (path, mut old) = services.hook(0, &receiver.url, &json!({})).await;
    for round in 0..20 {
        let changed = services.apps[round % 2].call(Method::POST, &format!("{path}/secret")).send().await;
        let new = changed.assert_status(200).at("/secret").as_str().expect("a secret").to_owned();
        services.moves((round + 1) % 2).await;
        let delivery = receiver.next().await;
        assert_eq!(delivery.verified(&new), delivery.verified(&old), "both sign for a while");
        let read = services.apps[(round + 1) % 2].get(&path).await;
        assert!(read.at("/old_secret_until").is_string(), "{}", read.text());
        old = new;
    }
}

/// How a hook does is told by every replica, and whichever is asked to go on with it, it goes on.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_hook_does_is_told_everywhere() {
    let config = WebhookConfig { backoff_max: Duration::from_hours(1), ..config() };
    let services = Services::start(3, config).await;
    let mut receiver = Receiver::start().await;
    let later = b"HTTP/1.1 503 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n".to_vec();
    receiver.answer([Reply::Raw(later)]);
    let (path, _) = services.hook(0, &receiver.url, &json!({})).await;
    let first = services.moves(1).await;
    services.moves(2).await;
    receiver.next().await;
    for replica in 0..3 {
        let failing = services.once_it_is(replica, &path, "failing").await;
        assert_eq!((&failing["last_error"], &failing["behind"]), (&json!("it answered 503"), &json!(2)));
    }
    let enable = async |replica: usize| {
        let enabled = services.apps[replica].call(Method::POST, &format!("{path}/enable")).send().await;
        assert_eq!(enabled.assert_status(200).at("/state"), "active");
    };
    // It would be an hour until the next attempt.
    receiver.answer([Reply::Status(410)]);
    enable(2).await;
    assert_eq!(seq(&receiver.next().await), first);
    for replica in 0..3 {
        let disabled = services.once_it_is(replica, &path, "disabled").await;
        assert!(disabled["disabled_reason"].as_str().expect("a reason").contains("410"), "{disabled}");
    }
    services.moves(0).await;
    receiver.assert_quiet();
    enable(1).await;
    let told: Vec<u64> = receiver.take(3).await.iter().map(seq).collect();
    assert_eq!(told, [first, first + 1, first + 2]);
    for replica in 0..3 {
        while services.once_it_is(replica, &path, "active").await["behind"] != 0 {}
    }
}
