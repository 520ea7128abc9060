//! What was under way when stock was moved goes on where it is then: whoever is told of movements, and who waits for units.

use serde_json::json;
use tempfile::TempDir;

use super::shop::{Service, until};
use super::{database, inventory, migrate, text};
use crate::replicas::hooks::seq;
use crate::support::app::receiver::Receiver;

/// Makes movements of those numbers, and sees each told: nothing before them but, once more, the one that was told last (P12).
async fn are_told(service: &Service, receiver: &mut Receiver, numbers: std::ops::RangeInclusive<u64>) {
    service.get("/v1/status").await.assert_status(200);
    let first = *numbers.start();
    for number in numbers {
        let change = json!({ "delta": 1, "if_missing": "create" });
        let made = service.post("/v1/stock/A/adjust", &change).await;
        assert!([200, 201].contains(&made.status), "{}", made.text());
        loop {
            let told = seq(&receiver.next().await);
            if told == number {
                break;
            }
            assert!(number == first && told + 1 == number, "told of {told}, where {number} is next");
        }
    }
}

/// A webhook has its place in the ledger in a document of a data directory, and in a lease of a store: there, back, and in between.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_movements_is_told_of_what_comes_next() {
    let database = database();
    let folder = TempDir::new().expect("a folder");
    let (data, back) = (folder.path().join("data"), folder.path().join("back"));
    let mut receiver = Receiver::start().await;
    let service = Service::over_folder(&data);
    service.get("/v1/status").await.assert_status(200);
    service.post("/v1/webhooks", &json!({ "url": receiver.url })).await.assert_status(201);
    are_told(&service, &mut receiver, 1..=4).await;
    service.stop();

    migrate(text(&data), &database.url());
    let replica = Service::over_store(&database.url());
    are_told(&replica, &mut receiver, 5..=8).await;
    replica.stop();

    migrate(&database.url(), text(&back));
    let service = Service::over_folder(&back);
    are_told(&service, &mut receiver, 9..=12).await;
    service.stop();
}

/// Units came while nobody was there to give them; and then the stock was moved.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_units_that_are_there_by_now_has_them() {
    let (first, second) = (database(), database());
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("stock.csv");
    std::fs::write(&file, "sku,on_hand\nA,5\n").expect("room");
    let replica = Service::over_store(&first.url());
    replica.put("/v1/stock/A", &json!({ "on_hand": 0 })).await.assert_status(201);
    let body = json!({ "lines": [{ "sku": "A", "quantity": 3 }], "backorder": true });
    let placed = replica.post("/v1/orders", &body).await;
    let order = placed.assert_status(202).header("location").to_owned();
    until(async || replica.get(&order).await.at("/state") == "backordered").await;
    replica.stop();

    let imported = inventory(&["import", "--store-allow-async-commit", "--store", &first.url(), text(&file)]);
    assert_eq!(imported.status.code(), Some(0), "{}", String::from_utf8_lossy(&imported.stderr));
    migrate(&first.url(), &second.url());
    let replica = Service::over_store(&second.url());
    until(async || replica.get(&order).await.at("/state") == "fulfilled").await;
    assert_eq!(replica.get("/v1/stock/A").await.at("/on_hand"), 2);
    replica.stop();
}
