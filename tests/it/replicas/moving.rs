//! `inventory migrate`: a shop that outgrows its machine goes on over a database, and back, as if nothing had been (P4, P6, P8, P9, P12).
//!
//! The real programs, over real servers: what clients were told before they are told after, to the letter; what was promised is kept.

mod going_on;
mod refused;
mod shop;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use databases::Database;
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use self::shop::{Service, Shop, after_the_ledger, until};

/// Runs `inventory` with these words to its end.
fn inventory(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    command.args(args).stdin(Stdio::null()).output().expect("the executable")
}

/// Moves all from one place to another. Returns what was printed.
pub(super) fn migrate(from: &str, to: &str) -> String {
    let Output { status, stdout, stderr } = inventory(&["migrate", "--store-allow-async-commit", from, to]);
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

/// Why it does not.
fn not_migrated(from: &str, to: &str) -> String {
    let Output { status, stdout, stderr } = inventory(&["migrate", "--store-allow-async-commit", from, to]);
    let said = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
    said
}

fn database() -> Database {
    databases::postgres().database().expect("a database")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What `verify` says of a data directory of which nothing is wrong.
pub(super) fn verified(data: &Path) -> String {
    let Output { status, stdout, .. } = inventory(&["verify", "--data-dir", text(data)]);
    let said = String::from_utf8(stdout).expect("UTF-8");
    assert_eq!(status.code(), Some(0), "{said}");
    said
}

/// What `verify` says of a store of which nothing is wrong.
pub(super) fn store_verified(url: &str) {
    let Output { status, stdout, stderr } =
        inventory(&["verify", "--store-allow-async-commit", "--store", url]);
    let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert_eq!(status.code(), Some(0), "{said:?}");
}

/// There and back: whatever was told is told again, every retry is known again, and what goes on goes on.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_moves_to_a_database_and_back() {
    let database = database();
    let folder = TempDir::new().expect("a folder");
    let (data, back) = (folder.path().join("data"), folder.path().join("back"));

    // A kill leaves what a crash leaves.
    let service = Service::over_folder(&data);
    let mut shop = Shop::opened(&service).await;
    let short = shop.holds_for_a_second(&service, "short a").await;
    service.kill();

    let said = migrate(text(&data), &database.url());
    assert!(said.contains(" (and 1 deleted), ") && said.ends_with(" documents\n"), "{said}");
    store_verified(&database.url());
    let replicas = [Service::over_store(&database.url()), Service::over_store(&database.url())];
    shop.is_as_it_was(&replicas[0]).await;
    shop.is_as_it_was(&replicas[1]).await;
    shop.knows_every_retry(&replicas[1]).await;
    until(async || replicas[0].get(&short).await.at("/state") == "expired").await;
    assert_eq!(replicas[1].get("/v1/stock/short%20a").await.assert_status(200).at("/reserved"), 0);
    shop.goes_on(&replicas).await;
    let short = shop.holds_for_a_second(&replicas[0], "short b").await;
    shop.is_seen(&replicas[1]).await;
    for replica in replicas {
        replica.stop();
    }
    store_verified(&database.url());

    migrate(&database.url(), text(&back));
    assert!(verified(&back).starts_with("nothing is wrong: "), "{}", verified(&back));
    let service = Service::over_folder(&back);
    shop.is_as_it_was(&service).await;
    shop.knows_every_retry(&service).await;
    until(async || service.get(&short).await.at("/state") == "expired").await;
    assert_eq!(service.get("/v1/stock/short%20b").await.assert_status(200).at("/reserved"), 0);
    shop.ends(&service).await;
    service.stop();
    assert!(verified(&back).starts_with("nothing is wrong: "), "{}", verified(&back));

    // What was written here is what a restart finds.
    let service = Service::over_folder(&back);
    shop.is_seen(&service).await;
    service.stop();
}

/// From one number of partitions to another, by way of the same pieces.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_one_of_other_partitions() {
    let (first, second) = (database(), database());
    let schema = ["schema", "--apply", "--store-allow-async-commit", "--partitions", "3", "--store"];
    let made = inventory(&[&schema[..], &[&first.url()]].concat());
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(said.ends_with(", 3 partitions\n"), "{said}{}", String::from_utf8_lossy(&made.stderr));
    let replica = Service::over_store(&first.url());
    let mut shop = Shop::opened(&replica).await;
    replica.stop();
    migrate(&first.url(), &second.url());
    store_verified(&second.url());
    let replica = Service::over_store(&second.url());
    shop.is_as_it_was(&replica).await;
    shop.knows_every_retry(&replica).await;
    shop.is_seen(&replica).await;
    let lines = json!([{"sku": "new", "delta": 2, "if_missing": "create"}]);
    replica.post("/v1/adjustments", &json!({ "lines": lines })).await.assert_status(200);
    assert_eq!(after_the_ledger(&replica, &shop).await.at("/items/0/seq"), shop.movements() + 1);
    replica.stop();
}

/// A script makes the tables that a replica makes, as it is.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_are_made_by_their_script() {
    let (by_script, by_program) = (database(), database());
    let script = inventory(&["schema", "--partitions", "4"]);
    assert_eq!(script.status.code(), Some(0));
    let (client, connection) = tokio_postgres::connect(&by_script.url(), NoTls).await.expect("a database");
    tokio::spawn(connection);
    client.batch_execute(&String::from_utf8(script.stdout).expect("UTF-8")).await.expect("it is done");
    for database in [&by_script, &by_program] {
        let url = database.url();
        let args = ["schema", "--apply", "--store-allow-async-commit", "--partitions", "4", "--store", &url];
        let Output { status, stdout, stderr } = inventory(&args);
        assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
        assert!(String::from_utf8_lossy(&stdout).ends_with(": tables of version 1, 4 partitions\n"));
        let replica = Service::over_store(&url);
        replica.put("/v1/stock/A", &json!({"on_hand": 1})).await.assert_status(201);
        replica.stop();
    }
    let citus = String::from_utf8(inventory(&["schema", "--citus"]).stdout).expect("UTF-8");
    assert!(
        citus.contains("SELECT create_distributed_table('inventory.level', 'p', colocate_with"),
        "{citus}"
    );
    assert!(citus.contains("never run on one"), "{citus}");
}
