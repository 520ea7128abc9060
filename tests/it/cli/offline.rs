//! `verify`, `export`, `import` and `backup` as processes, and an import that a crash interrupts (P4, P7, P8).

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use nix::sys::signal::Signal;
#[cfg(feature = "sqlite")]
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

/// A data directory in which nothing was written yet.
fn created(data: &Path) {
    let server = served(data);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().0, Some(0));
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
    let (data, copy) = (path("data"), path("copies/one"));
    let file = levels(&folder, 12_345);
    let file = file.to_str().unwrap();
    created(&data);
    let done = |created, counted, unchanged| {
        let unchanged = if unchanged > 0 { format!(",\"unchanged\":{unchanged}") } else { String::new() };
        format!("{{\"levels\":12345,\"created\":{created},\"counted\":{counted}{unchanged}}}\n")
    };
    assert_eq!(printed(&data, &["import", more_of(file).to_str().unwrap()]), done(12_345, 0, 0));
    assert_eq!(printed(&data, &["import", file]), done(0, 12_345, 0));
    assert_eq!(printed(&data, &["import", file]), done(0, 0, 12_345));
    let csv = path("stock.csv");
    let csv = csv.to_str().unwrap();
    printed(&data, &["export", "--csv", csv]);
    assert_eq!(printed(&data, &["export", "--csv"]), fs::read_to_string(csv).unwrap());
    assert_eq!(printed(&data, &["import", csv]), done(0, 0, 12_345));
    assert_eq!(printed(&data, &["import", "--format", "csv", csv]), done(0, 0, 12_345));
    assert!(
        told(&over(&data, &["import", "--format", "ndjson", csv]), 1)
            .contains("line 1: must be a JSON object")
    );
    let lines = printed(&data, &["export", "--ndjson"]);
    assert_eq!(lines.lines().count(), 12_345);
    let first = r#"{"sku":"s000000","location":"main","on_hand":0,"reserved":0,"version":2}"#;
    assert_eq!(lines.lines().next(), Some(first));
    printed(&data, &["backup", "--to", copy.to_str().unwrap()]);
    let to_file = path("out.ndjson");
    printed(&copy, &["export", "--ndjson", to_file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(to_file).unwrap(), lines);
    #[cfg(feature = "sqlite")]
    a_database_says_the_same(&data, &path("stock.db"));
    for data in [&data, &copy] {
        let report: Value = serde_json::from_str(&printed(data, &["verify", "--json"])).unwrap();
        assert_eq!((&report["clean"], &report["movements"]), (&Value::from(true), &Value::from(24_690)));
    }
    assert!(told(&over(&data, &["backup", "--to", copy.to_str().unwrap()]), 1).contains("exists"));
}

/// The same levels with a unit more.
fn more_of(file: &str) -> PathBuf {
    let lines = fs::read_to_string(file).expect("UTF-8");
    let more = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line["on_hand"] = (line["on_hand"].as_u64().expect("units") + 1).into();
        line.to_string() + "\n"
    });
    let path = Path::new(file).with_extension("more");
    fs::write(&path, more.collect::<String>()).expect("room");
    path
}

/// What was imported twice above, as a database: every level once, and a movement for each time.
#[cfg(feature = "sqlite")]
fn a_database_says_the_same(data: &Path, database: &Path) {
    printed(data, &["export", "--sqlite", database.to_str().expect("UTF-8")]);
    let database = Connection::open(database).expect("a database");
    let ask = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(ask("SELECT count(*) FROM levels"), 12_345);
    assert_eq!(ask("SELECT count(*) FROM movements"), 24_690);
    assert_eq!(ask("SELECT max(seq) FROM movements"), 24_690);
    let sums = "SELECT sku, sum(delta) AS units FROM movements GROUP BY sku";
    let equal =
        format!("SELECT count(*) FROM levels JOIN ({sums}) AS sums USING (sku) WHERE on_hand = units");
    assert_eq!(ask(&equal), 12_345);
    assert_eq!(ask("SELECT count(*) FROM movements WHERE kind = 'imported' AND reason = 'import'"), 24_690);
}

/// Whatever is in a name, it is told as it is in a line and in a column, and two spellings of one are one.
#[test]
fn names_are_told_as_they_are() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let data = path("data");
    created(&data);
    let names = [
        "BANK",
        "BANK CHARGES",
        "BANK!",
        "Robert'); DROP TABLE levels;--",
        "\\\"",
        "\u{e4}",
        "\u{feff}",
        "\u{1F4E6}",
    ];
    let line = |(n, name): (usize, &&str)| {
        let spelt = name.replace('\u{e4}', "a\u{308}");
        serde_json::json!({ "sku": spelt, "location": spelt, "on_hand": n }).to_string() + "\n"
    };
    fs::write(path("names"), names.iter().enumerate().rev().map(line).collect::<String>()).unwrap();
    printed(&data, &["import", path("names").to_str().unwrap()]);
    let exported = printed(&data, &["export", "--ndjson"]);
    let told = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<String> = told.map(|line| line["sku"].as_str().unwrap().to_owned()).collect();
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
    printed(&data, &["verify"]);
    #[cfg(feature = "sqlite")]
    {
        printed(&data, &["export", "--sqlite", path("stock.db").to_str().unwrap()]);
        let database = Connection::open(path("stock.db")).unwrap();
        let sql =
            "SELECT sku FROM levels JOIN movements USING (sku, location) WHERE location = sku ORDER BY sku";
        let mut rows = database.prepare(sql).unwrap();
        let told: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(told, expected);
    }
}

/// A movement in a database names the order that made it.
#[cfg(feature = "sqlite")]
#[test]
fn a_database_names_the_orders() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let server = served(&path("data"));
    server.send("PUT", "/v1/stock/A", "{\"on_hand\":5}");
    let placed = server.send("POST", "/v1/orders", "{\"lines\":[{\"sku\":\"A\",\"quantity\":2}]}");
    let placed: Value = serde_json::from_str(placed.split_once("\r\n\r\n").expect("a head").1).unwrap();
    server.signal(Signal::SIGTERM);
    // It has its turn before that.
    assert_eq!(server.end().0, Some(0));
    printed(&path("data"), &["export", "--sqlite", path("stock.db").to_str().expect("UTF-8")]);
    let database = Connection::open(path("stock.db")).expect("a database");
    let sql = "SELECT order_id FROM movements WHERE kind = 'fulfilled' AND delta = -2";
    let named: String = database.query_row(sql, [], |row| row.get(0)).expect("one movement");
    assert_eq!(placed["id"], named);
}

/// What is wrong with a file is one line that names its lines; nothing is applied.
#[test]
fn a_wrong_file_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("wrong.ndjson"));
    fs::write(&file, "{\"sku\":\"A\",\"on_hand\":1}\n{\"sku\":\"A\",\"location\":\"main\",\"on_hand\":2}\n")
        .unwrap();
    created(&data);
    let line = told(&over(&data, &["import", file.to_str().unwrap()]), 1);
    assert!(line.contains("line 2, sku: names the same stock level as line 1"), "{line}");
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
    let forms = told(&output(&["export"]), 2);
    assert!(forms.contains("--ndjson"), "{forms}");
    // Built without the feature, the option is unknown rather than ignored.
    assert_eq!(forms.contains("--sqlite"), cfg!(feature = "sqlite"), "{forms}");
}

/// Damage is found, named, and exit code 4.
#[test]
fn damage_is_exit_code_4() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let file = levels(&folder, 10);
    created(&data);
    printed(&data, &["import", file.to_str().unwrap()]);
    printed(&data, &["import", more_of(file.to_str().unwrap()).to_str().unwrap()]);
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

/// The journal's file of an import that has happened, and is not applied to its last level yet.
fn pending(data: &Path) -> Option<PathBuf> {
    let mut names = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry").path());
    names.find(|path| path.extension().is_some_and(|extension| extension == "import"))
}

/// Kills a server between the moment at which an import happens and its last chunk. Whether that was done: a machine may be too
/// busy to let the test look before the import is over.
fn killed_in_the_middle(data: &Path, request: &[u8]) -> bool {
    let server = served(data);
    let mut stream = TcpStream::connect(server.address()).expect("the server serves");
    stream.write_all(request).expect("the server serves");
    stream.set_nonblocking(true).expect("the server serves");
    let is_over = || !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    while pending(data).is_none() && !is_over() {
        std::thread::yield_now();
    }
    server.signal(Signal::SIGKILL);
    server.end();
    pending(data).is_some()
}

/// A request to import a file's levels under a key, on a connection that is closed behind it.
fn import_request(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /v1/import HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\
         Idempotency-Key: k\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A server killed between the moment at which an import happens and its last chunk: the next start completes it before it
/// serves, every level once.
#[test]
fn an_import_that_a_crash_interrupts_is_completed() {
    let folder = TempDir::new().unwrap();
    // Longer and longer, until the moment is met: how long the shortest would have to be is up to the machine.
    let mut sizes = [150_000, 300_000, 600_000, 1_200_000].into_iter();
    let (count, data, request) = loop {
        let count = sizes.next().expect("an import of a million levels is met in the middle");
        let data = folder.path().join(count.to_string());
        let request = import_request(&fs::read(levels(&folder, count)).unwrap());
        if killed_in_the_middle(&data, &request) {
            break (count, data, request);
        }
    };
    // The answer is recorded as well: a retry is told what the first request was not.
    let server = served(&data);
    // The address may be announced before a long recovery is over.
    while server.get("/readyz") != "ready\n" {
        std::thread::yield_now();
    }
    assert!(pending(&data).is_none(), "it is completed before the service opens");
    let status: Value = serde_json::from_str(&server.get("/v1/status")).unwrap();
    assert_eq!(status["levels"], count);
    let mut again = TcpStream::connect(server.address()).unwrap();
    again.write_all(&request).unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).unwrap();
    assert!(answer.to_lowercase().contains("idempotent-replayed: true"), "{answer}");
    let told = format!("{{\"levels\":{count},\"created\":{count},\"counted\":0}}");
    assert!(answer.ends_with(&told), "{answer}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().0, Some(0));
    let lines = printed(&data, &["export", "--ndjson"]);
    assert_eq!(lines.lines().count(), count);
    assert!(lines.lines().all(|line| line.ends_with(r#""version":1}"#)), "each level was imported once");
    let report: Value = serde_json::from_str(&printed(&data, &["verify", "--json"])).unwrap();
    assert_eq!((&report["clean"], &report["levels"]), (&Value::from(true), &Value::from(count)));
}
