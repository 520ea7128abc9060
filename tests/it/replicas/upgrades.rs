//! Tables of other versions: those that an earlier program made are brought up to date, and those that a newer one changes under a replica that runs
//! are no trouble to it. What a start refuses is told in `refused`.

use std::path::Path;
use std::time::Duration;

use inventory::store::ledger::From;
use inventory::store::{
    Command, Database, Deed, Keeping, MovementFilter, MovementQuery, Outcome, Store as _, postgres,
};
use tokio_postgres::{Client, NoTls};

use super::commits::asked;
use crate::support::stock::{adjust, create, key};
use crate::support::store::{changed, each, open_replica};

/// What a program of each version does before the first step: as it was in that version. **A new version is a line here**: a test fails while one is
/// missing.
const MADE_BY: [fn(partitions: i32) -> String; 1] = [|partitions| {
    format!(
        "CREATE SCHEMA inventory; \
         CREATE TABLE inventory.meta (z int4 PRIMARY KEY, version int4 NOT NULL, partitions int4 NOT NULL); \
         INSERT INTO inventory.meta (z, version, partitions) VALUES (0, 1, {partitions}); {} \
         INSERT INTO inventory.part (p) SELECT generate_series(0, {partitions} - 1); \
         UPDATE inventory.feed SET heads = array_fill(0::int8, ARRAY[{partitions}]) WHERE z = 0",
        include_str!("../../../src/store/postgres/migrations/0001.sql")
    )
}];

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a database");
    tokio::spawn(connection);
    client
}

/// Every version that there was is in the list.
#[databases::needs(Postgres)]
#[test]
fn every_version_of_the_tables_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/migrations");
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), MADE_BY.len());
}

/// A replica starts on the tables of each version that there was, and has from then on those of its own.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_every_version_are_brought_up_to_date() {
    let server = databases::postgres();
    for (version, made) in (1..).zip(MADE_BY) {
        let database = server.database().expect("a database");
        let client = connected(&database.url()).await;
        client.batch_execute(&made(4)).await.expect("tables of that version");
        let store = open_replica(&database.url(), Keeping::default()).await;
        let is: i32 =
            client.query_one("SELECT version FROM inventory.meta", &[]).await.expect("a row").get(0);
        assert_eq!(usize::try_from(is).expect("few"), MADE_BY.len(), "from version {version}");
        changed(store.execute(Command::change(key("a"), create(5))).await.expect("it is judged"))
            .expect("a level");
        assert_eq!(store.read(&key("a")).await.expect("a level").on_hand(), 5, "from version {version}");
        store.shut_down().await;
    }
}

/// A newer program takes its step while a replica of this one runs, as it does in an upgrade, one replica after the other: whatever a step adds, that one
/// goes on, on connections that it has as on new ones. It does not start again.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_on_while_a_newer_one_migrates() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let store = open_replica(&database.url(), Keeping::default()).await;
    changed(store.execute(Command::change(key("a"), create(100))).await.expect("it is judged"))
        .expect("a level");
    // Of each kind, so that each statement is prepared before the tables change.
    let used = async || {
        let unit = || Deed::Change { key: key("a"), change: adjust(-1) };
        changed(asked(&store, unit(), None).await.expect("it is judged")).expect("a unit");
        let lines = asked(&store, each(&[(&key("a"), adjust(-1))]), None).await.expect("it is judged");
        assert!(matches!(lines.outcome, Outcome::Each(_)), "{lines:?}");
        let query =
            MovementQuery::After { from: From::Oldest, filter: MovementFilter::default(), limit: 500 };
        let ledger = store.movements(query).await.expect("a page").movements;
        let level = store.read(&key("a")).await.expect("a level");
        assert_eq!(ledger.len() as u64, level.version(), "each change is there");
        level.on_hand()
    };
    assert_eq!(used().await, 98);
    let client = connected(&database.url()).await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'inventory'";
    for row in client.query(tables, &[]).await.expect("tables") {
        let table: &str = row.get(0);
        let add = format!("ALTER TABLE inventory.{table} ADD COLUMN newer int4 NOT NULL DEFAULT 0");
        // The replica is at them, too.
        while client.batch_execute(&add).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    client.batch_execute("UPDATE inventory.meta SET version = version + 1").await.expect("a row");
    assert_eq!(used().await, 96, "on the connections that it has");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'inventory'";
    client.batch_execute(end).await.expect("they end");
    let again = async {
        while store.read(&key("a")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(crate::support::app::WATCHDOG, again).await.expect("it connects again");
    // A connection of the other pool may have been lost, and is found to be when it is used.
    let _lost = asked(&store, Deed::Change { key: key("nothing"), change: adjust(1) }, None).await;
    assert_eq!(used().await, 94, "on new ones");

    let database = Database { allows_async_commit: true, ..Database::at(database.url()) };
    let opening = postgres::Opening::begin(&database, &Keeping::default()).expect("an address");
    let refused = opening.open().await.expect_err("it is of an earlier version");
    assert!(refused.to_string().contains("a newer one"), "{refused}");
}
