//! `verify`, `export`, `import` and `backup` as processes, and an import that a crash interrupts (P4, P7, P8).

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::{Served, inventory, output, told};

/// Runs a command over that data directory.
fn over(data: &Path, args: &[&str]) -> Output {
    let data = data.to_str().expect("UTF-8");
    output(&[args, &["--data-dir", data]].concat())
}

/// What a command that succeeds prints.
fn printed(data: &Path, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = over(data, args);
    assert_eq!(status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

fn served(data: &Path) -> Served {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data-dir"]);
    Served::start(command.arg(data))
}

/// A file of that many levels, the last first.
fn levels(folder: &TempDir, count: usize) -> PathBuf {
    let path = folder.path().join("levels.ndjson");
    let lines: Vec<String> =
        (0..count).rev().map(|n| format!("{{\"sku\":\"s{n:06}\",\"on_hand\":{n}}}\n")).collect();
    fs::write(&path, lines.concat()).expect("a file");
    path
}

/// In, out in both forms, copied, verified: the same levels everywhere.
#[test]
fn what_is_imported_is_exported_backed_up_and_verified() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (data, copy, database) = (path("data"), path("copies/one"), path("stock.db"));
    let file = levels(&folder, 12_345);
    let file = file.to_str().unwrap();
    assert_eq!(printed(&data, &["import", file]), "{\"levels\":12345,\"created\":12345,\"counted\":0}\n");
    assert_eq!(printed(&data, &["import", file]), "{\"levels\":12345,\"created\":0,\"counted\":12345}\n");
    let lines = printed(&data, &["export", "--ndjson"]);
    assert_eq!(lines.lines().count(), 12_345);
    let first = r#"{"sku":"s000000","location":"main","on_hand":0,"reserved":0,"version":2}"#;
    assert_eq!(lines.lines().next(), Some(first));
    printed(&data, &["backup", "--to", copy.to_str().unwrap()]);
    let to_file = path("out.ndjson");
    printed(&copy, &["export", "--ndjson", to_file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(to_file).unwrap(), lines);
    printed(&data, &["export", "--sqlite", database.to_str().unwrap()]);
    let database = Connection::open(database).unwrap();
    let ask = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(ask("SELECT count(*) FROM levels"), 12_345);
    assert_eq!(ask("SELECT count(*) FROM movements"), 24_690);
    assert_eq!(ask("SELECT max(seq) FROM movements"), 24_690);
    let sums = "SELECT sku, sum(delta) AS units FROM movements GROUP BY sku";
    let equal =
        format!("SELECT count(*) FROM levels JOIN ({sums}) AS sums USING (sku) WHERE on_hand = units");
    assert_eq!(ask(&equal), 12_345);
    assert_eq!(ask("SELECT count(*) FROM movements WHERE kind = 'imported' AND reason = 'import'"), 24_690);
    for data in [&data, &copy] {
        let report: Value = serde_json::from_str(&printed(data, &["verify", "--json"])).unwrap();
        assert_eq!((&report["clean"], &report["movements"]), (&Value::from(true), &Value::from(24_690)));
    }
    assert!(told(&over(&data, &["backup", "--to", copy.to_str().unwrap()]), 1).contains("exists"));
}

/// What is wrong with a file is one line that names its lines; nothing is applied.
#[test]
fn a_wrong_file_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("wrong.ndjson"));
    fs::write(&file, "{\"sku\":\"A\",\"on_hand\":1}\n{\"sku\":\"A\",\"location\":\"main\",\"on_hand\":2}\n")
        .unwrap();
    let line = told(&over(&data, &["import", file.to_str().unwrap()]), 1);
    assert!(line.contains("line 2: sku: names the same stock level as line 1"), "{line}");
    assert_eq!(printed(&data, &["export", "--ndjson"]), "");
}

/// A directory that a server holds is not touched: one line says so, and the exit code that nothing could be done.
#[test]
fn a_served_directory_is_refused() {
    let folder = TempDir::new().unwrap();
    let _served = served(folder.path());
    let to = folder.path().join("copy");
    for args in [&["verify"][..], &["export", "--ndjson"], &["backup", "--to", to.to_str().unwrap()]] {
        assert!(told(&over(folder.path(), args), 1).contains("is in use by another process"), "{args:?}");
    }
    assert!(told(&over(&folder.path().join("nothing"), &["verify"]), 1).contains("cannot be used"));
    assert!(told(&output(&["export"]), 2).contains("--sqlite"));
}

/// Damage is found, named, and exit code 4.
#[test]
fn damage_is_exit_code_4() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let file = levels(&folder, 10);
    printed(&data, &["import", file.to_str().unwrap()]);
    printed(&data, &["import", file.to_str().unwrap()]);
    let segment = data.join("00000000000000000000.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[700] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let Output { status, stdout, .. } = over(&data, &["verify"]);
    assert_eq!(status.code(), Some(4));
    assert!(String::from_utf8_lossy(&stdout).contains("is damaged at offset 512"));
    let Output { status, stdout, .. } = over(&data, &["verify", "--json"]);
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((status.code(), &report["clean"]), (Some(4), &Value::from(false)));
}

/// A server killed between the moment at which an import happens and its last chunk: the next start completes it before it
/// serves, every level once.
#[test]
fn an_import_that_a_crash_interrupts_is_completed() {
    const LEVELS: usize = 150_000;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let body = fs::read(levels(&folder, LEVELS)).unwrap();
    let pending = || {
        let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "import"))
    };
    let server = served(&data);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST /v1/import HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nIdempotency-Key: k\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let began = Instant::now();
    while pending().is_none() {
        assert!(began.elapsed() < Duration::from_mins(1), "the import happens");
        std::thread::yield_now();
    }
    server.signal(Signal::SIGKILL);
    server.end();
    assert!(pending().is_some(), "it was killed before the last chunk was applied");
    // The answer is recorded as well: a retry is told what the first request was not.
    let server = served(&data);
    // The address may be announced before a long recovery is over.
    while server.get("/readyz") != "ready\n" {
        std::thread::yield_now();
    }
    assert!(pending().is_none(), "it is completed before the service opens");
    let status: Value = serde_json::from_str(&server.get("/v1/status")).unwrap();
    assert_eq!(status["levels"], LEVELS);
    let mut again = TcpStream::connect(server.address()).unwrap();
    again.write_all(head.replace("Host: x", "Host: x\r\nConnection: close").as_bytes()).unwrap();
    again.write_all(&body).unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).unwrap();
    assert!(answer.to_lowercase().contains("idempotent-replayed: true"), "{answer}");
    assert!(
        answer.ends_with(&format!("{{\"levels\":{LEVELS},\"created\":{LEVELS},\"counted\":0}}")),
        "{answer}"
    );
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().0, Some(0));
    let lines = printed(&data, &["export", "--ndjson"]);
    assert_eq!(lines.lines().count(), LEVELS);
    assert!(lines.lines().all(|line| line.ends_with(r#""version":1}"#)), "each level was imported once");
    let report: Value = serde_json::from_str(&printed(&data, &["verify", "--json"])).unwrap();
    assert_eq!((&report["clean"], &report["levels"]), (&Value::from(true), &Value::from(LEVELS)));
}
