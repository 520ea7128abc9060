//! What has grown too old is removed, however much of it there is at once (P10).

use std::time::Duration;

use inventory::store::{Keeping, Store as _};
use tokio_postgres::NoTls;

use crate::support::app::WATCHDOG;
use crate::support::store::open_replica;

const OLD: [&str; 3] = [
    "INSERT INTO inventory.once (k, key, fingerprint, outcome, until_ms) \
     SELECT 0, gen_random_uuid(), 'f', '{}', n FROM generate_series(1, 20000) n",
    "INSERT INTO inventory.reservation (p, id, state, expires_ms, ended_ms, body) \
     SELECT 0, gen_random_uuid(), 'released', 1, n, '{}' FROM generate_series(1, 20000) n",
    "INSERT INTO inventory.orders (p, id, state, priority, created_ms, ended_ms, body) \
     SELECT 0, gen_random_uuid(), 'cancelled', 0, 1, n, '{}' FROM generate_series(1, 20000) n",
];
const LEFT: &str = "SELECT (SELECT count(*) FROM inventory.once), (SELECT count(*) FROM inventory.reservation), \
    (SELECT count(*) FROM inventory.orders)";

/// What ran out within a moment is gone within a few: nothing that is over is in the way of what is new.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_out_all_at_once_is_removed_all_at_once() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    // The tables, and nobody who tidies up.
    open_replica(&database.url(), Keeping::default()).await.shut_down().await;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    for old in OLD {
        assert_eq!(client.execute(old, &[]).await.expect("rows"), 20_000);
    }
    let store = open_replica(&database.url(), Keeping::default()).await;
    let removed = async {
        loop {
            let row = client.query_one(LEFT, &[]).await.expect("a row");
            let left: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
            if left == [0; 3] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WATCHDOG, removed).await.expect("all of it is removed");
    store.shut_down().await;
}
