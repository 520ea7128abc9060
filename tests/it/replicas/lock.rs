//! The negative control of the batch: a statement that locks and reads at once reads as of before it waited for the lock. Whoever decides by that
//! loses what was committed meanwhile, and nothing says so.

use tokio_postgres::{Client, NoTls};

const TABLES: &str = "CREATE TABLE part (p int4 PRIMARY KEY); CREATE TABLE level (p int4, on_hand int8); \
    INSERT INTO part VALUES (1); INSERT INTO level VALUES (1, 0)";
const LOCK: &str = "SELECT p FROM part WHERE p = 1 FOR UPDATE";
const READ: &str = "SELECT on_hand FROM level WHERE p = 1";
const LOCK_AND_READ: &str =
    "SELECT level.on_hand FROM part JOIN level USING (p) WHERE part.p = 1 FOR UPDATE OF part";

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a database");
    tokio::spawn(connection);
    client
}

/// What somebody sees who asks while another has the lock, adds a unit, and commits.
async fn seen_after_waiting(url: &str, asks: impl AsyncFnOnce(&Client) -> i64) -> i64 {
    let (first, second, watcher) = (connected(url).await, connected(url).await, connected(url).await);
    first.batch_execute("BEGIN").await.expect("a transaction");
    first.query_one(LOCK, &[]).await.expect("the lock");
    first.execute("UPDATE level SET on_hand = on_hand + 1", &[]).await.expect("a unit");
    second.batch_execute("BEGIN").await.expect("a transaction");
    let commits = async {
        // Until the other waits for the lock, which the database knows.
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while watcher.query_one(waits, &[]).await.expect("a count").get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        first.batch_execute("COMMIT").await.expect("a commit");
    };
    let (seen, ()) = tokio::join!(asks(&second), commits);
    second.batch_execute("ROLLBACK").await.expect("an end");
    seen
}

#[databases::needs(Postgres)]
#[tokio::test]
async fn a_lock_and_a_read_in_one_statement_lose_updates() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let url = database.url();
    connected(&url).await.batch_execute(TABLES).await.expect("tables");
    let one = seen_after_waiting(&url, async |client: &Client| {
        client.query_one(LOCK_AND_READ, &[]).await.expect("a row").get(0)
    });
    assert_eq!(one.await, 0, "one unit was there when the lock was had, and was not seen");
    let two = seen_after_waiting(&url, async |client: &Client| {
        client.query_one(LOCK, &[]).await.expect("the lock");
        client.query_one(READ, &[]).await.expect("a row").get(0)
    });
    assert_eq!(two.await, 2, "the lock first, and then what is there");
}
