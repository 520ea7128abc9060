//! Files of stock into a database that replicas share: an import at one is seen at all, all of it or nothing (P4), once under its key whichever replica is
//! asked (P8), and none of what was not exported is overwritten (P1); by HTTP, and by the commands beside those who serve.

use std::fmt::Write as _;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::process::{Command, Output, Stdio};

use axum::http::Method;
use databases::Database;
use inventory::store::{Keeping, Seq, Store as _};
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kills::{Replica, durable};
use crate::support::app::answer::Answer;
use crate::support::app::{TestApp, WATCHDOG, in_database};
use crate::support::store::open_replica;

/// Two services over one database.
async fn two() -> ([TestApp; 2], Database) {
    let database = databases::postgres().database().expect("a database");
    let start = async || {
        let storage = in_database(&database.url(), Keeping::default());
        TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await
    };
    ([start().await, start().await], database)
}

async fn import(app: &TestApp, key: Option<&str>, file: impl Into<Vec<u8>>) -> Answer {
    let mut call = app.call(Method::POST, "/v1/import").header("content-type", "text/csv");
    if let Some(key) = key {
        call = call.header("idempotency-key", key);
    }
    call.body(file).send().await
}

async fn exported(app: &TestApp) -> String {
    app.get("/v1/export?format=csv").await.assert_status(200).text().to_owned()
}

/// So many levels that are not to be there yet, each with its number of units.
fn new_levels(count: usize) -> String {
    let mut file = "sku,on_hand,version\n".to_owned();
    for n in 0..count {
        writeln!(file, "s{n:06},{n},0").expect("memory");
    }
    file
}

async fn verified(app: &TestApp) {
    let report = app.call(Method::POST, "/v1/verify").send().await;
    assert_eq!(report.assert_status(200).at("/clean"), true, "{}", report.text());
}

/// What one imports, all have; and what one exports can be imported at another as it is.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_at_one_is_at_all() {
    let ([one, other], _database) = two().await;
    other.create("b", 7).await;
    let done =
        import(&one, None, "sku,location,on_hand\na,main,1\nb,main,2\n\"1/2\"\"\",back room,3\n").await;
    assert_eq!(done.assert_status(200).json(), json!({ "levels": 3, "created": 2, "counted": 1 }));
    assert_eq!(other.level("b").await, (2, 2));
    let file = exported(&other).await;
    assert_eq!(
        file,
        "sku,location,on_hand,version\r\n\"1/2\"\"\",back room,3,1\r\na,main,1,1\r\nb,main,2,2\r\n"
    );
    let again = import(&one, None, file.clone()).await;
    let unchanged = json!({ "levels": 3, "created": 0, "counted": 0, "unchanged": 3 });
    assert_eq!(again.assert_status(200).json(), unchanged);
    assert_eq!(exported(&one).await, file, "no version has changed");
    let movements = other.get("/v1/movements").await;
    let of = |field: &str, value: &str| {
        let all = movements.at("/items");
        all.as_array().expect("a list").iter().filter(|it| it[field] == value).count()
    };
    assert_eq!((movements.count("/items"), of("kind", "imported"), of("reason", "import")), (4, 3, 3));
    verified(&other).await;
    one.post("/v1/backup", &json!({ "name": "x" })).await.assert_problem(501, "not-supported");
    one.get("/v1/backups").await.assert_problem(501, "not-supported");
}

/// P4: whatever stands in the way of one line stands in the way of all, however many partitions they are of: a line that is wrong, a level that has
/// moved on, units that are held. Of a large import as of a small one.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_in_the_way_is_in_the_way_of_all() {
    let ([one, other], _database) = two().await;
    let wrong = import(&one, None, "sku,on_hand\na,1\nb,ten\nc,\n").await;
    wrong.assert_problem(422, "validation-failed");
    assert_eq!((wrong.at("/errors/0/line"), wrong.at("/errors/1/line")), (json!(3), json!(4)));
    let twice = import(&one, None, "sku,on_hand\na,1\nb,1\na,2\n").await;
    assert_eq!(twice.assert_status(422).at("/errors/0/line"), 4, "{}", twice.text());
    other.create("s000007", 7).await;
    other.create("held", 5).await;
    let held = json!({ "lines": [{ "sku": "held", "quantity": 4 }], "ttl_seconds": 600 });
    other.post("/v1/reservations", &held).await.assert_status(201);
    for count in [100, 12_000] {
        let moved_on = import(&one, Some("the-same"), new_levels(count)).await;
        moved_on.assert_problem(412, "version-mismatch");
        assert_eq!((moved_on.count("/errors"), moved_on.at("/errors/0/line")), (1, json!(9)));
        let detail = "s000007@main is there, at version 1; version 0 says that it is not";
        assert_eq!(moved_on.at("/errors/0/detail"), detail);
        let file = new_levels(count).replace("s000007,7,0\n", "held,3,\n");
        let below = import(&one, None, file).await;
        below.assert_problem(409, "below-reserved");
        assert_eq!(below.at("/errors/0/detail"), "4 units of held@main are reserved");
        assert_eq!(exported(&other).await.lines().count(), 3, "nothing was done");
    }
    // What was refused leaves its key free.
    other.remove("/v1/stock/s000007").await.assert_status(204);
    let file = new_levels(12_000).replace("s000007,7,0\n", "s000007,7,2\n");
    import(&one, Some("the-same"), file.clone()).await.assert_problem(412, "version-mismatch");
    let file = file.replace("s000007,7,2\n", "s000007,7,\n");
    let done = import(&one, Some("the-same"), file).await;
    assert_eq!(done.assert_status(200).json(), json!({ "levels": 12_000, "created": 12_000, "counted": 0 }));
    verified(&one).await;
}

/// P8: an import is once under its key, at whichever replica it is asked for again, of one transaction or of many; and the key stands for nothing else.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_once_under_its_key() {
    let ([one, other], _database) = two().await;
    let mut made = 0;
    for count in [10, 12_345] {
        let (file, key) = (new_levels(count).replace("\ns", &format!("\n{count}-")), format!("of-{count}"));
        let first = import(&one, Some(&key), file.clone()).await;
        assert_eq!(
            first.assert_status(200).json(),
            json!({ "levels": count, "created": count, "counted": 0 })
        );
        made += count;
        for app in [&one, &other] {
            let again = import(app, Some(&key), file.clone()).await;
            assert_eq!((again.status, again.text()), (200, first.text()));
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
        import(&other, Some(&key), new_levels(3)).await.assert_problem(422, "idempotency-key-reused");
        let adjust = other.call(Method::POST, "/v1/stock/x/adjust").header("idempotency-key", &key);
        let adjust = adjust.json(&json!({ "delta": 1 })).send().await;
        adjust.assert_problem(422, "idempotency-key-reused");
        assert_eq!(exported(&other).await.lines().count(), made + 1);
    }
    // Without one it is another, which finds its levels there.
    let refused = import(&one, None, new_levels(1).replace("s000000", "10-000000")).await;
    refused.assert_problem(412, "version-mismatch");
    verified(&one).await;
}

/// P8: the same at two replicas at the same time, as where one does not answer and another is asked: each chunk is applied once.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_import_at_two_replicas_at_once_is_once() {
    let ([one, other], database) = two().await;
    let (file, key) = (new_levels(15_000), Some("both"));
    let (first, second) = tokio::join!(import(&one, key, file.clone()), import(&other, key, file.clone()));
    let all = json!({ "levels": 15_000, "created": 15_000, "counted": 0 });
    for answer in [first, second] {
        assert_eq!(answer.assert_status(200).json(), all);
    }
    let store = open_replica(&database.url(), Keeping::default()).await;
    store.feed_caught_up().await.expect("the database is there");
    assert_eq!(store.feed_end().seq(), Some(Seq::new(15_000)), "no movement is there twice");
    verified(&other).await;
}

/// P8: a replica is killed in the midst of an import. What is applied stays, and whoever repeats the import under its key, at another replica, has
/// the rest applied: each level once. One that somebody has changed in between stays as it is, and is counted.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_whose_replica_was_killed_is_gone_on_with_at_another() {
    const LEVELS: usize = 40_000;
    let database = durable();
    let mut replicas = [Replica::start(&database.url()), Replica::start(&database.url())];
    for replica in &replicas {
        replica.until_ready(true).await;
    }
    let client = reqwest::Client::new();
    let send = |url: &str| {
        let call = client.post(format!("{url}/v1/import")).header("content-type", "text/csv");
        call.header("idempotency-key", "killed").body(new_levels(LEVELS)).send()
    };
    let store = open_replica(&database.url(), Keeping::default()).await;
    let made = async || {
        store.feed_caught_up().await.expect("the database is there");
        store.feed_end().seq().map_or(0, Seq::number)
    };
    let importing = tokio::spawn(send(&replicas[0].url));
    let midst = async {
        while made().await < 4_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, midst).await.expect("it is under way");
    replicas[0].kill();
    importing.await.expect("no panic").expect_err("nobody answers");
    let begun = made().await;
    assert!(begun < LEVELS as u64, "it was killed in the midst: {begun}");
    let last = format!("{}/v1/stock/s{:06}", replicas[1].url, LEVELS - 1);
    let put = client.put(last).json(&json!({ "on_hand": 7 })).send().await.expect("an answer");
    assert_eq!(put.status(), 201);
    let answer = send(&replicas[1].url).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.expect("JSON");
    let all = json!({ "levels": LEVELS, "created": LEVELS - 1, "counted": 0, "left_out": 1 });
    assert_eq!(told, all);
    assert_eq!(made().await, LEVELS as u64, "no level has two movements");
    let again = send(&replicas[1].url).await.expect("an answer");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.expect("JSON"), all);
    let report = inventory(&["verify", "--store", &database.url()]);
    assert_eq!(report.status.code(), Some(0), "{}", String::from_utf8_lossy(&report.stdout));
    store.shut_down().await;
}

/// The executable, to its end.
fn inventory(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INVENTORY_"))
    {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).output().expect("the executable")
}

/// What a command that succeeds prints.
fn printed(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = inventory(args);
    assert_eq!(status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

fn refused(args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = inventory(args);
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!((status.code(), stdout.is_empty()), (Some(code), true), "{args:?}: {said}");
    said
}

/// In, out in each form, and verified, beside a replica that serves; the same outputs as for a data directory, and its file into one.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_work_on_a_store_that_is_served() {
    let database = durable();
    let url = database.url();
    let said = refused(&["export", "--ndjson", "--store", &url], 1);
    assert!(said.contains("there is no store in this database"), "{said}");
    let replica = Replica::start(&url);
    replica.until_ready(true).await;
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(path("new.csv"), new_levels(12_345)).expect("room");
    let import = |file: &str| printed(&["import", file, "--store", &url]);
    let done = "{\"levels\":12345,\"created\":12345,\"counted\":0}\n";
    assert_eq!(import(&path("new.csv")), done);
    let level = reqwest::get(format!("{}/v1/stock/s000042", replica.url)).await.expect("an answer");
    assert_eq!(level.json::<Value>().await.expect("JSON")["on_hand"], 42);
    printed(&["export", "--csv", &path("out.csv"), "--store", &url]);
    assert_eq!(
        import(&path("out.csv")),
        "{\"levels\":12345,\"created\":0,\"counted\":0,\"unchanged\":12345}\n"
    );
    let lines = printed(&["export", "--ndjson", "--store", &url]);
    assert_eq!(lines.lines().count(), 12_345);
    let first = r#"{"sku":"s000000","location":"main","on_hand":0,"reserved":0,"version":1}"#;
    assert_eq!(lines.lines().next(), Some(first));
    let said = refused(&["import", &path("new.csv"), "--store", &url], 1);
    assert!(said.contains("line 2, version: s000000@main is there, at version 1"), "{said}");
    let report: Value = serde_json::from_str(&printed(&["verify", "--json", "--store", &url])).expect("JSON");
    let found = (&report["clean"], &report["movements"], &report["levels"]);
    assert_eq!(found, (&json!(true), &json!(12_345), &json!(12_345)));
    let words = printed(&["verify", "--store", &url]);
    assert_eq!(words, "nothing is wrong: 12345 movements; 12345 levels recomputed and compared\n");
    #[cfg(feature = "sqlite")]
    a_file_of_a_database_says_the_same(&url, &folder.path().join("stock.db"));
    let both = refused(&["verify", "--store", &url, "--data-dir", &path("data")], 2);
    assert!(both.contains("--store") && both.contains("--data-dir"), "{both}");
    let away = refused(&["verify", "--store", "postgres://nobody@127.0.0.1:1/none"], 1);
    assert!(away.contains("127.0.0.1") || away.contains("refused"), "{away}");
}

#[cfg(feature = "sqlite")]
fn a_file_of_a_database_says_the_same(url: &str, path: &Path) {
    printed(&["export", "--sqlite", path.to_str().expect("UTF-8"), "--store", url]);
    let database = rusqlite::Connection::open(path).expect("a database");
    let ask = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(ask("SELECT count(*) FROM levels"), 12_345);
    assert_eq!(ask("SELECT count(*) FROM movements WHERE kind = 'imported' AND reason = 'import'"), 12_345);
    assert_eq!(ask("SELECT max(seq) FROM movements"), 12_345);
}
