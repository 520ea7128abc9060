//! The real server on a real disk that fills up (P7, P10): a file system of 8 MiB in memory, made for the test. Where none can be
//! made - that takes the rights of an administrator - the tests say on standard error that they were skipped; what they would show
//! is held by those of the library over a disk that fails on demand.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::answer::Answer;
use crate::support::process::Server;
use crate::support::small_disk::SmallDisk;

const MIB: usize = 1024 * 1024;
const DISK_BYTES: usize = 8 * MIB;

/// The small file system, and the folder on it.
struct Disk {
    mounted: SmallDisk,
    data: Arc<TempDir>,
}

impl Disk {
    /// `None`, said aloud, where it cannot be made.
    fn mount(test: &str) -> Option<Self> {
        let mounted = SmallDisk::mount(test, DISK_BYTES)?;
        let data = Arc::new(TempDir::new_in(mounted.path()).expect("a folder on it"));
        Some(Self { mounted, data })
    }

    fn server(&self) -> Server {
        Server::over(StrategyKind::Atomic, Arc::clone(&self.data))
    }

    /// Leaves that much room.
    fn fill_up_to(&self, room: usize) {
        self.mounted.take(DISK_BYTES - used(self.data.path()) - room);
    }

    fn make_room(&self) {
        self.mounted.make_room();
    }
}

/// Bytes of the files in a folder.
fn used(folder: &Path) -> usize {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file"));
    let bytes = files.map(|file| file.metadata().expect("it is there").len());
    usize::try_from(bytes.sum::<u64>()).expect("a small disk")
}

async fn adjust(server: &Server) -> Answer {
    server.call(Method::POST, "/v1/stock/wool/adjust").json(&json!({ "delta": 1 })).send().await
}

fn assert_full(answer: &Answer, applied: &str) {
    answer.assert_problem(503, "overloaded");
    assert_eq!(answer.at("/applied"), applied);
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
}

/// Changes until one is refused; returns how many were not.
async fn until_full(server: &Server) -> u64 {
    for applied in 0.. {
        let answer = adjust(server).await;
        if answer.status != 200 {
            assert_full(&answer, "no");
            return applied;
        }
    }
    unreachable!("a small disk");
}

/// All that reads show, and they are answered: the level, a page, the export, the ledger.
async fn assert_shown(server: &Server, on_hand: u64) {
    assert_eq!(server.get("/v1/stock/wool").await.number("/on_hand"), on_hand);
    assert_eq!(server.get("/v1/stock").await.number("/items/0/on_hand"), on_hand);
    let export = server.get("/v1/export").await;
    assert!(export.assert_status(200).text().contains(&format!("\"on_hand\":{on_hand}")));
    assert_eq!(server.get("/v1/movements?sku=wool").await.number("/items/0/after/on_hand"), on_hand);
}

/// Asks until changes are taken again; a change that was taken is the last.
async fn until_room(server: &Server) {
    loop {
        let answer = adjust(server).await;
        if answer.status == 200 {
            return;
        }
        assert_full(&answer, "no");
        tokio::task::yield_now().await;
    }
}

/// P7, P10: a disk that is full refuses changes at once and shows what there is, to those who start on it as well; it ends soon and
/// with 0, as nothing is lost; and goes on when there is room, without a restart.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_waited_out() {
    let Some(disk) = Disk::mount("a full disk") else { return };
    let server = disk.server();
    server.put("/v1/stock/wool", &json!({ "on_hand": 0 })).await.assert_status(201);
    disk.fill_up_to(MIB / 2);
    let mut on_hand = until_full(&server).await;
    assert!(on_hand > 500, "most of the first segment was used: {on_hand}");
    for (path, status) in [("/livez", 200), ("/readyz", 503)] {
        server.get(path).await.assert_status(status);
    }
    assert_shown(&server, on_hand).await;
    // What room there is was left alone.
    assert!(!disk.data.path().join("next.segment").exists());
    drop(server.kill());
    let server = disk.server();
    assert_shown(&server, on_hand).await;
    // A start may let in what still fits, until it has found that there is no room for more.
    on_hand += until_full(&server).await;
    let (code, said) = server.terminate();
    assert_eq!(code, Some(0), "{said}");
    let server = disk.server();
    on_hand += until_full(&server).await;
    disk.make_room();
    until_room(&server).await;
    assert_shown(&server, on_hand + 1).await;
    drop(server.kill());
    assert_shown(&disk.server(), on_hand + 1).await;
}

/// One change that is longer than the first segment: units of a level that is there go to as many places as may be.
fn long(sku: &str) -> Value {
    let line =
        |place: usize| json!({ "sku": sku, "from": "main", "to": format!("{place:0>32}"), "quantity": 1 });
    json!({ "lines": (0..10_000).map(line).collect::<Vec<_>>() })
}

/// P7, P8: a change that was let in and finds no room is told to be unknown, at once, and so are reads of it. Whoever stops the service
/// then is told that it is lost, with exit code 1; if it is killed, nothing that was acknowledged is; and with room it is kept.
#[tokio::test]
async fn what_was_let_in_and_finds_no_room_is_unknown_until_there_is_room() {
    let Some(disk) = Disk::mount("a change that finds no room") else { return };
    let mut server = disk.server();
    let (path, sku) = ("/v1/transfers", "x".repeat(64));
    let (from, to) = (format!("/v1/stock/{sku}"), format!("/v1/stock/{sku}?location={:0>32}", 1));
    let body = long(&sku);
    server.put("/v1/stock/wool", &json!({ "on_hand": 0 })).await.assert_status(201);
    server.put(&from, &json!({ "on_hand": 10_000 })).await.assert_status(201);
    // Once the first segment is ended, what was left of it makes room for one of the usual length, but not for one that takes this.
    disk.fill_up_to(MIB / 8);
    for kills in [true, false] {
        assert_full(&server.post_once(path, "long", &body).await, "unknown");
        for unwritten in [&from, &to] {
            assert_full(&server.get(unwritten).await, "no");
        }
        assert_full(&server.post_once(path, "long", &body).await, "unknown");
        assert_full(&adjust(&server).await, "no");
        server.get("/v1/stock/wool").await.assert_level(200, 0, 1);
        if kills {
            drop(server.kill());
        } else {
            let (code, said) = server.terminate();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("the disk was full: 1 records"), "{said}");
        }
        server = disk.server();
        server.get("/v1/stock/wool").await.assert_level(200, 0, 1);
        server.get(&from).await.assert_level(200, 10_000, 1);
        server.get(&to).await.assert_problem(404, "stock-not-found");
    }
    assert_full(&server.post_once(path, "long", &body).await, "unknown");
    disk.make_room();
    until_room(&server).await;
    server.get(&to).await.assert_level(200, 1, 1);
    let replay = server.post_once(path, "long", &body).await;
    assert_eq!(replay.assert_status(200).header("idempotent-replayed"), "true");
    let server = server.kill_and_restart();
    server.get(&to).await.assert_level(200, 1, 1);
    server.get(&from).await.assert_level(200, 0, 2);
}
