//! What a start refuses, and says why.

use inventory::store::{Database, Keeping, postgres};
use tokio_postgres::NoTls;

async fn opened(database: &Database) -> Result<(), String> {
    let opening =
        postgres::Opening::begin(database, &Keeping::default()).map_err(|error| error.to_string())?;
    opening.open().await.map(drop).map_err(|error| error.to_string())
}

async fn told(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a database");
    tokio::spawn(connection);
    client.batch_execute(statement).await.expect("it is done");
}

#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_told_in_words() {
    let server = databases::postgres();
    let made = server.database().expect("a database");
    let (url, usual) = (made.url(), Database { allows_async_commit: true, ..Database::at(made.url()) });
    let refused = async |database: &Database| opened(database).await.expect_err("it is refused");

    let nowhere = Database { ..Database::at("postgres://a:secret@[") };
    let said = refused(&nowhere).await;
    assert!(said.starts_with("--store postgres://a:***@[: it is no address"), "{said}");
    let file = Database { password_file: Some("/nowhere/password".into()), ..usual.clone() };
    assert!(refused(&file).await.starts_with("--store-password-file /nowhere/password: "));
    let authority = Database { ca_file: Some("/nowhere/ca.pem".into()), ..usual.clone() };
    assert!(refused(&authority).await.starts_with("--store-ca /nowhere/ca.pem: "));
    let other = url.replace("/test_", "/nobody_made_");
    let said = refused(&Database { allows_async_commit: true, ..Database::at(other) }).await;
    assert!(said.contains("does not exist (3D000)"), "{said}");

    // The servers of tests acknowledge what a crash takes back.
    let said = refused(&Database::at(url.clone())).await;
    assert!(
        said.contains("synchronous_commit = off") && said.contains("--store-allow-async-commit"),
        "{said}"
    );

    let four = Database { partitions: Some(4), ..usual.clone() };
    opened(&four).await.expect("it is made with four");
    opened(&usual).await.expect("as it was made");
    let said = refused(&Database { partitions: Some(8), ..usual.clone() }).await;
    assert_eq!(said, "--partitions 8: the store was made with 4, and keeps them; leave the flag out");

    told(&url, "UPDATE inventory.meta SET version = 99").await;
    let said = refused(&usual).await;
    assert!(said.contains("version 99") && said.contains("a newer one"), "{said}");
}

/// Whichever comes first makes the tables, and the others find them.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_start_at_once() {
    let server = databases::postgres();
    let made = server.database().expect("a database");
    let database = Database { allows_async_commit: true, connections: 2, ..Database::at(made.url()) };
    let starts = (0..8).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { opened(&database).await })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.expect("no panic").expect("it opens");
    }
}
