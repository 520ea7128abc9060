//! What is not moved, and what is left of a move that was cut short: nothing that anybody takes for stock.

use std::process::{Child, Command, Stdio};

use inventory::stock::Once;
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::shop::{Service, until};
use super::{database, inventory, migrate, not_migrated, text};

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a database");
    tokio::spawn(connection);
    client
}

/// A move under way, in a process of its own.
fn migrating(from: &str, to: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    command.args(["migrate", "--store-allow-async-commit", from, to]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the executable")
}

/// Completes once somebody waits for a lock.
async fn somebody_waits(client: &Client) {
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid() \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    until(async || client.query_one(waits, &[]).await.expect("an answer").get(0)).await;
}

fn killed(mut migrating: Child) {
    migrating.kill().expect("it runs");
    migrating.wait().expect("it ends");
}

#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_or_not_empty_is_neither_left_nor_entered() {
    let database = database();
    let (folder, url) = (TempDir::new().expect("a folder"), database.url());
    let (data, full) = (folder.path().join("data"), folder.path().join("full"));
    let service = Service::over_folder(&data);
    service.put("/v1/stock/A", &json!({"on_hand": 1})).await.assert_status(201);
    assert!(not_migrated(text(&data), &url).contains("is in use by another process"));
    service.stop();
    let said = not_migrated(&url, text(&full));
    assert!(said.contains("there is no stock in postgresql://"), "{said}");

    let replica = Service::over_store(&url);
    replica.get("/v1/status").await.assert_status(200);
    let said = not_migrated(text(&data), &url);
    assert!(said.contains("connections of replicas are open to postgresql://"), "{said}");
    replica.stop();
    migrate(text(&data), &url);
    let said = not_migrated(text(&data), &url);
    assert!(said.contains("is not empty: stock is moved to one that is"), "{said}");
    let replica = Service::over_store(&url);
    replica.get("/v1/stock/A").await.assert_level(200, 1, 1);
    let said = not_migrated(&url, text(&full));
    assert!(said.contains("connections of replicas are open to postgresql://"), "{said}");
    replica.stop();
    std::fs::create_dir(&full).expect("room");
    std::fs::write(full.join("letter"), "kept").expect("room");
    assert!(not_migrated(&url, text(&full)).contains("full is not empty"));
    assert!(full.join("letter").exists() && !folder.path().join("full.partial").exists());

    let folders = inventory(&["migrate", text(&data), text(&full)]);
    assert_eq!(folders.status.code(), Some(2), "{}", String::from_utf8_lossy(&folders.stderr));
}

/// P8: an import that was cut short is gone on with where its parts are known, and nowhere else; so it does not move away from them.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_imported_in_part_stays_until_it_is_whole() {
    let database = database();
    let (folder, url) = (TempDir::new().expect("a folder"), database.url());
    let back = folder.path().join("back");
    Service::over_store(&url).stop();
    let client = connected(&url).await;
    let whole = Once { key: 7, fingerprint: [1; 32] };
    let keep = "INSERT INTO inventory.once (k, key, fingerprint, outcome, until_ms) VALUES (0, $1, $2, $3, 9000000000000000)";
    let rows = [(whole, None), (whole.line(0), Some(r#"{"imported":[2000,2000,0,0]}"#))];
    for (Once { key, fingerprint }, outcome) in rows {
        let fingerprint = fingerprint.to_vec();
        client.execute(keep, &[&Uuid::from_u128(key), &fingerprint, &outcome]).await.expect("a row");
    }
    let said = not_migrated(&url, text(&back));
    assert!(said.contains("an import was cut short, and a part of it is applied"), "{said}");
    assert!(!back.exists() && !folder.path().join("back.partial").exists());
    // Whole, it moves.
    let over = r#"{"imported":[9000,9000,0,0]}"#;
    client
        .execute("UPDATE inventory.once SET outcome = $1 WHERE outcome IS NULL", &[&over])
        .await
        .expect("a row");
    migrate(&url, text(&back));
}

/// P7: killed in its midst, with levels copied in already: the store is empty, and takes the next.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_database_that_is_killed_has_moved_nothing() {
    let database = database();
    let (folder, url) = (TempDir::new().expect("a folder"), database.url());
    let data = folder.path().join("data");
    let service = Service::over_folder(&data);
    service.put("/v1/stock/A", &json!({"on_hand": 1})).await.assert_status(201);
    let body = json!({"lines": [{"sku": "A", "quantity": 1}], "ttl_seconds": 900});
    service.post("/v1/reservations", &body).await.assert_status(201);
    service.stop();
    inventory(&["schema", "--apply", "--store-allow-async-commit", "--store", &url]);

    let client = connected(&url).await;
    client.batch_execute("BEGIN; LOCK TABLE inventory.held IN SHARE MODE").await.expect("a lock");
    let migrating = migrating(text(&data), &url);
    somebody_waits(&connected(&url).await).await;
    killed(migrating);
    client.batch_execute("ROLLBACK").await.expect("it is let go");
    let count = "SELECT count(*) FROM inventory.level";
    let alone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() \
        AND application_name = 'inventory'";
    until(async || client.query_one(alone, &[]).await.expect("an answer").get(0)).await;
    assert_eq!(client.query_one(count, &[]).await.expect("a count").get::<_, i64>(0), 0);
    let replica = Service::over_store(&url);
    replica.get("/v1/stock/A").await.assert_status(404);
    replica.stop();
    migrate(text(&data), &url);
    let replica = Service::over_store(&url);
    assert_eq!(replica.get("/v1/stock/A").await.assert_status(200).at("/reserved"), 1);
    replica.stop();
}

/// The same of a data directory: it is not there, and what was begun of it is no stock.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_data_directory_that_is_killed_has_moved_nothing() {
    let database = database();
    let (folder, url) = (TempDir::new().expect("a folder"), database.url());
    let (data, partial) = (folder.path().join("data"), folder.path().join("data.partial"));
    let replica = Service::over_store(&url);
    replica.put("/v1/stock/A", &json!({"on_hand": 1})).await.assert_status(201);
    replica.stop();
    let client = connected(&url).await;
    client
        .batch_execute("BEGIN; LOCK TABLE inventory.orders IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("a lock");
    let migrating = migrating(&url, text(&data));
    somebody_waits(&connected(&url).await).await;
    until(async || partial.join("control").exists()).await;
    killed(migrating);
    client.batch_execute("ROLLBACK").await.expect("it is let go");
    assert!(!data.exists());
    let serve = inventory(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&partial)]);
    assert_ne!(serve.status.code(), Some(0), "what was begun is no stock");
    let alone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() \
        AND application_name = 'inventory'";
    until(async || client.query_one(alone, &[]).await.expect("an answer").get(0)).await;
    let said = not_migrated(&url, text(&data));
    assert!(said.contains("data.partial is there, of a move that was cut short"), "{said}");
    std::fs::remove_dir_all(&partial).expect("it goes");
    migrate(&url, text(&data));
    let service = Service::over_folder(&data);
    service.get("/v1/stock/A").await.assert_level(200, 1, 1);
    service.stop();
}
