//! The real servers over a real database, killed at whatever they are at: what was acknowledged is there, once.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use databases::Postgres;
use inventory::stock::Once;
use inventory::store::{Command as Asked, Deed, Idempotency, Keeping, Seq, Store as _, WasApplied};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::support::app::WATCHDOG;
use crate::support::stock::{adjust, create, key};
use crate::support::store::{changed, open_replica};

/// A replica in a process of its own. Killed, by its pid, when dropped.
pub(super) struct Replica {
    process: Child,
    pub(super) url: String,
}

impl Replica {
    pub(super) fn start(store: &str) -> Self {
        Self::start_with(store, &[])
    }

    /// With more arguments.
    pub(super) fn start_with(store: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--store", store]).args(more);
        command.args(["--store-connections", "8"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the server starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("the server says where it listens");
        Self { process, url: url.trim().to_owned() }
    }

    pub(super) async fn is_ready(&self) -> bool {
        let answer = reqwest::get(format!("{}/readyz", self.url)).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(super) async fn until_ready(&self, wanted: bool) {
        let ready = async {
            while self.is_ready().await != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WATCHDOG, ready).await.expect("it comes to that");
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

pub(super) fn durable() -> Postgres {
    databases::started(Postgres::start_durable())
}

/// `loadtest`, which stands beside the server that is tested.
fn loadtest() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_inventory")).with_file_name("loadtest");
    assert!(program.exists(), "{} is made by `cargo test --workspace`", program.display());
    program
}

/// `loadtest`, in whose midst something was killed, comes to its end, and finds nothing wrong with the history. So many may have failed that there is no headline (5).
pub(super) async fn assert_consistent(running: Child) {
    let output =
        tokio::task::spawn_blocking(|| running.wait_with_output()).await.expect("no panic").expect("its end");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_clean =
        said.contains("CONSISTENT: no update was lost") && matches!(output.status.code(), Some(0 | 5));
    assert!(is_clean, "{:?}: {said}", output.status.code());
}

/// `loadtest run` over all of these.
pub(super) fn run_over(replicas: &[Replica], more: &[&str]) -> Child {
    let urls = replicas.iter().map(|replica| replica.url.clone()).collect::<Vec<_>>().join(",");
    let mut command = Command::new(loadtest());
    command.args([
        "run",
        &urls,
        "--skus",
        "40",
        "--concurrency",
        "24",
        "--warmup",
        "0s",
        "--ceiling",
        "none",
    ]);
    command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("loadtest runs")
}

/// The whole of it: three replicas, a load over all of them, and in its midst one replica is killed, and the database; one history, and nothing that
/// was acknowledged is missing.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_over_three_replicas_is_clean_though_one_and_the_database_are_killed() {
    let mut database = durable();
    let mut replicas: Vec<Replica> = (0..3).map(|_| Replica::start(&database.url())).collect();
    for replica in &replicas {
        replica.until_ready(true).await;
    }
    let output =
        run_over(&replicas, &["--requests", "6000", "--seed", "1"]).wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let running = run_over(&replicas, &["--requests", "12000", "--rate", "1000", "--seed", "2"]);
    // In its midst: when some thousand movements are there.
    let store = open_replica(&database.url(), Keeping::default()).await;
    let midst = async {
        let began = store.feed_end_at_opening().seq().map_or(0, Seq::number);
        while store.feed_caught_up().await.is_err()
            || store.feed_end().seq().map_or(0, Seq::number) < began + 3_000
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, midst).await.expect("it is under way");
    replicas[1].kill();
    database.kill().expect("it runs");
    database.restart().expect("it starts again");
    assert_consistent(running).await;
    store.shut_down().await;
}

/// The database is away, and comes back: replicas say so, are ready again by themselves, and answer whoever asks in between that nothing was changed.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_waited_for() {
    let mut database = durable();
    let url = database.url();
    database.kill().expect("it runs");
    let replica = Replica::start(&url);
    assert!(!replica.is_ready().await, "there is no database yet");
    database.restart().expect("it starts again");
    replica.until_ready(true).await;
    let client = reqwest::Client::new();
    let put = async || {
        client
            .put(format!("{}/v1/stock/a", replica.url))
            .json(&serde_json::json!({"on_hand": 5}))
            .send()
            .await
    };
    assert_eq!(put().await.expect("an answer").status(), 201);
    database.kill().expect("it runs");
    let adjust = async || {
        let request = client.post(format!("{}/v1/stock/a/adjust", replica.url));
        let answer = request.json(&serde_json::json!({"delta": -1})).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    let (status, problem) = adjust().await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/problems/store-unavailable")), "{problem}");
    assert_eq!(problem["applied"], "no", "{problem}");
    replica.until_ready(false).await;
    database.restart().expect("it starts again");
    replica.until_ready(true).await;
    let (status, level) = adjust().await;
    assert_eq!((status, level["on_hand"].as_u64()), (200, Some(4)), "{level}");
}

/// Connections are killed at whatever statement they are at, again and again, while two replicas write: every change that was acknowledged is there,
/// every one that was not applied is not, and one of which nobody knew is settled by its key, once.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_lose_nothing() {
    const CLIENTS: u64 = 16;
    const CHANGES: u64 = 60;
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let stores = [(); 2].map(|()| ());
    let mut opened = Vec::new();
    for () in stores {
        opened.push(Arc::new(open_replica(&database.url(), Keeping::default()).await));
    }
    let skus = ["a", "b", "c", "d"];
    for sku in skus {
        changed(opened[0].execute(Asked::change(key(sku), create(0))).await.expect("it is judged"))
            .expect("a level");
    }
    let (is_over, killed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let saboteur = tokio::spawn({
        let (url, is_over, killed) = (database.url(), Arc::clone(&is_over), Arc::clone(&killed));
        async move {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a database");
            tokio::spawn(connection);
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'inventory' AND state <> 'idle' \
                ORDER BY random() LIMIT 1) one";
            while !is_over.load(Ordering::SeqCst) {
                let count: i64 = client.query_one(kill, &[]).await.expect("a count").get(0);
                killed.fetch_add(count.unsigned_abs(), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let opened = opened.clone();
        clients.spawn(async move {
            let mut unknown = 0;
            for change in 0..CHANGES {
                let mut once =
                    Once { key: u128::from(number * CHANGES + change + 1) << 40, fingerprint: [1; 32] };
                let sku = skus[usize::try_from((number + change) % 4).expect("few")];
                // The same, at one replica after the other, until it is known.
                for attempt in 0.. {
                    let idempotency = Some(Box::new(Idempotency { once, version_1: None }));
                    let deed = Deed::Change { key: key(sku), change: adjust(1) };
                    let command = Asked { idempotency, ..Asked::new(deed) };
                    match opened[attempt % 2].execute(command).await {
                        Ok(answered) => {
                            changed(answered).expect("a unit");
                            break;
                        }
                        Err(not_done) if not_done.applied == WasApplied::Unknown => unknown += 1,
                        // Nothing was done under it, nor by an earlier try: so it is asked for as another, and is there twice if that is not so.
                        Err(_) => once.key += 1,
                    }
                }
            }
            unknown
        });
    }
    let unknown: u64 = clients.join_all().await.iter().sum();
    is_over.store(true, Ordering::SeqCst);
    saboteur.await.expect("no panic");
    let mut sum = 0;
    for sku in skus {
        sum += loop {
            if let Ok(level) = opened[0].read(&key(sku)).await {
                break level.on_hand();
            }
        };
    }
    assert_eq!(sum, CLIENTS * CHANGES, "{unknown} were unknown once");
    assert!(killed.load(Ordering::SeqCst) > 20, "some were killed");
}
