//! Keys as an operator has them: made on the command line, given to `serve`, replaced by SIGHUP under load, and in no log; and what `serve`
//! does where there are none.

use std::fs::File;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::log::logged;
use super::{Served, end_of, inventory, printed, refused, serve, told};
use crate::support::app::WATCHDOG;

/// A key and its line.
pub(super) fn made(name: &str, scope: &str) -> (String, String) {
    let both = printed(&["key", "new", name, "--scope", scope]);
    let (key, line) = both.trim_end().split_once('\n').expect("two lines");
    (key.to_owned(), line.to_owned())
}

/// The file is one or the other, and never half of one.
pub(super) fn write(path: &Path, lines: &[&str]) {
    let prepared = path.with_extension("new");
    std::fs::write(&prepared, lines.join("\n")).expect("a file");
    std::fs::rename(prepared, path).expect("the same folder");
}

fn with_keys(path: &Path, more: &[&str]) -> std::process::Command {
    let mut command = serve(more);
    command.arg("--auth-file").arg(path);
    command
}

/// The whole answer to a request with that key.
pub(super) fn ask(url: &str, request: &str, key: &str) -> String {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let shown = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n{shown}Connection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).expect("a status")
}

/// Requests, what is shown with each, its status, and the name that the access log is to have for it. The whole log of who answered them.
pub(super) fn logged_with_names(
    command: &mut std::process::Command,
    asked: &[(&str, &str, &str, Option<&str>)],
) -> Vec<serde_json::Value> {
    let lines = logged(command, |served| {
        for (request, shown, expected, _) in asked {
            assert_eq!(status(&ask(&served.url, request, shown)), *expected, "{request}");
        }
    });
    let of_requests = lines.iter().filter(|line| line["target"] == "inventory::access");
    let told: Vec<_> = of_requests.map(|line| line["fields"]["principal"].as_str()).collect();
    let named: Vec<_> = asked.iter().map(|(.., named)| *named).collect();
    assert_eq!(told, named);
    lines
}

/// Asks until it is answered so: what a signal brings about is there soon, and nobody is told when.
pub(super) fn until(url: &str, key: &str, expected: &str) {
    let began = Instant::now();
    while status(&ask(url, "GET /v1/stock", key)) != expected {
        assert!(began.elapsed() < WATCHDOG, "it is never {expected}");
        std::thread::yield_now();
    }
}

/// `key new` prints a key once, and its line or adds that to a file; the file is what `serve` takes, and a third key of a name is refused.
#[test]
fn a_key_is_made_and_works() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let file = path.to_str().expect("UTF-8");
    let (elsewhere, line) = made("reader", "read");
    assert!(line.starts_with("reader read sha256:") && !line.contains(&elsewhere[4..]), "{line}");
    let new = |name, scope| printed(&["key", "new", name, "--scope", scope, "--auth-file", file]);
    let (first, second) = (new("till", "write"), new("till", "write"));
    let (first, second) = (first.trim_end(), second.trim_end());
    assert!(first != second && first.starts_with("inv_") && first.len() == 47, "{first}");
    let kept = std::fs::read_to_string(&path).expect("a file");
    assert!(kept.lines().count() == 2 && !kept.contains(&first[4..]), "{kept}");
    let third = refused(&["key", "new", "till", "--scope", "write", "--auth-file", file], 2);
    assert!(third.contains("line 3") && third.contains("till"), "{third}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), kept);
    for wrong in [
        &["key", "new", "a/b", "--scope", "read"][..],
        &["key", "new", "a", "--scope", "all"],
        &["key", "new", "a"],
    ] {
        refused(wrong, 2);
    }
    refused(&["key", "new", "a", "--scope", "read", "--auth-file", "/no/such/folder/keys"], 1);
    let served = Served::start(&mut with_keys(&path, &[]));
    let get = |key| status(&ask(&served.url, "GET /v1/stock", key)).to_owned();
    assert_eq!([get(first), get(second), get(&elsewhere), get("")], ["200", "200", "401", "401"]);
    assert_eq!(status(&ask(&served.url, "GET /readyz", "")), "200");
}

/// A file of keys that is not as it must be: exit 2, and one line that names file and line, and repeats nothing of it.
#[test]
fn a_spoilt_file_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let (key, line) = made("a", "read");
    for (text, named) in [(format!("{line}\nb write {key}"), "line 2"), (String::new(), "inventory key new")]
    {
        std::fs::write(&path, text).expect("a file");
        let said = told(&end_of(&mut with_keys(&path, &[])), 2);
        assert!(said.contains(named) && said.contains(path.to_str().expect("UTF-8")), "{said}");
        assert!(!said.contains(&key[4..]), "{said}");
    }
    let said = refused(&["serve", "--ephemeral", "--auth-file", "/no/such/keys"], 2);
    assert!(said.contains("--auth-file") && said.contains("/no/such/keys"), "{said}");
}

/// Without keys only this machine is served, unless somebody says that this is meant.
#[test]
fn without_keys_it_is_not_for_everybody() {
    let everywhere = "0.0.0.0:0";
    for args in [
        &["serve", "--ephemeral", "--listen", everywhere][..],
        &["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--listen", everywhere],
        &["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--metrics-listen", everywhere],
        &["serve", "--ephemeral", "--insecure-no-auth=false", "--listen", "[::]:0"],
    ] {
        let said = refused(args, 2);
        assert!(said.contains("--auth-file") && said.contains("--insecure-no-auth"), "{said}");
    }
    let open = &["serve", "--log", "off", "--ephemeral", "--listen", everywhere][..];
    let mut by_flag = inventory(open);
    by_flag.arg("--insecure-no-auth");
    let mut by_variable = inventory(open);
    by_variable.env("INVENTORY_INSECURE_NO_AUTH", "true");
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let (key, line) = made("a", "read");
    write(&path, &[&line]);
    let mut by_keys = inventory(open);
    by_keys.arg("--auth-file").arg(&path);
    // Keys count, whatever else is said.
    let mut by_both = inventory(open);
    by_both.arg("--insecure-no-auth").arg("--auth-file").arg(&path);
    for (mut command, without) in [(by_flag, "200"), (by_variable, "200"), (by_keys, "401"), (by_both, "401")]
    {
        let served = Served::start(&mut command);
        let url = served.url.replace("0.0.0.0", "127.0.0.1");
        assert_eq!(status(&ask(&url, "GET /v1/stock", "")), without, "{command:?}");
        assert_eq!(status(&ask(&url, "GET /v1/stock", &key)), "200", "{command:?}");
    }
}

/// The address for those who run the service has the same rules.
#[test]
fn the_way_in_of_operators_needs_a_key_too() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let (reader, admin) = (made("reader", "read"), made("admin", "admin"));
    write(&path, &[&reader.1, &admin.1]);
    let mut served = Served::start(&mut with_keys(&path, &["--metrics-listen", "127.0.0.1:0"]));
    let mut private = String::new();
    served.out.read_line(&mut private).expect("a line");
    let private = private.trim_end();
    for (path, expected) in
        [("/metrics", ["401", "403", "200"]), ("/v1/status", ["401", "200", "200"]), ("/livez", ["200"; 3])]
    {
        let found = ["", &reader.0, &admin.0].map(|key| ask(private, &format!("GET {path}"), key));
        assert_eq!(found.each_ref().map(|answer| status(answer)), expected, "{path}");
    }
    assert_eq!(status(&ask(private, "POST /v1/verify", &reader.0)), "403");
}

/// Keys are replaced again and again, two in force in between, while four clients ask all the time with the newest they know of: no request
/// fails, and whoever has only an old key is shut out each time.
#[test]
fn keys_are_replaced_under_load() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let (mut old, mut old_line) = made("till", "write");
    write(&path, &[&old_line]);
    let served = Served::start(&mut with_keys(&path, &[]));
    let (current, is_over) = (Arc::new(RwLock::new((0, old.clone()))), Arc::new(AtomicBool::new(false)));
    // How far each client is: the number of the key of its last answer.
    let seen: Arc<[AtomicUsize; 4]> = Arc::default();
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..seen.len())
        .map(|client| {
            let (url, current, is_over) = (served.url.clone(), Arc::clone(&current), Arc::clone(&is_over));
            let (seen, answered) = (Arc::clone(&seen), Arc::clone(&answered));
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let (number, key) = current.read().expect("a lock").clone();
                    let answer = ask(&url, "GET /v1/stock", &key);
                    assert_eq!(status(&answer), "200", "{answer}");
                    seen[client].store(number, Ordering::SeqCst);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..=10 {
        let (new, new_line) = made("till", "write");
        write(&path, &[&old_line, &new_line]);
        served.signal(Signal::SIGHUP);
        until(&served.url, &new, "200");
        *current.write().expect("a lock") = (number, new.clone());
        let began = Instant::now();
        while seen.iter().any(|seen| seen.load(Ordering::SeqCst) < number) {
            assert!(
                began.elapsed() < WATCHDOG && clients.iter().all(|client| !client.is_finished()),
                "all go on"
            );
            std::thread::yield_now();
        }
        write(&path, &[&new_line]);
        served.signal(Signal::SIGHUP);
        until(&served.url, &old, "401");
        (old, old_line) = (new, new_line);
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no request fails");
    }
    assert!(answered.load(Ordering::SeqCst) >= 40);
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
}

/// No key that was shown, right or wrong, nor one that somebody put into the file, is in a line of the log, however much is logged, in an
/// answer, or in a metric. A file that is spoilt is told in the log, and the keys stay as they were.
#[test]
fn keys_are_nowhere_to_be_read() {
    let folder = TempDir::new().expect("a temporary folder");
    let (path, log) = (folder.path().join("keys"), folder.path().join("log"));
    let (admin, gone, stranger, misplaced) =
        (made("admin", "admin"), made("gone", "read"), made("stranger", "read"), made("misplaced", "read"));
    write(&path, &[&admin.1, &gone.1]);
    let mut command =
        inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log", "trace", "--auth-file"]);
    let served = Served::logging_to(Stdio::from(File::create(&log).expect("a file")), command.arg(&path));
    let logged = || std::fs::read_to_string(&log).expect("a log");
    let until_logged = |text: &str| {
        let began = Instant::now();
        while !logged().contains(text) {
            assert!(began.elapsed() < WATCHDOG, "it never says {text}: {}", logged());
            std::thread::yield_now();
        }
    };
    write(&path, &[&admin.1]);
    served.signal(Signal::SIGHUP);
    until_logged("the keys were read again");
    write(&path, &[&format!("admin admin {}", misplaced.0), &misplaced.0]);
    served.signal(Signal::SIGHUP);
    until_logged("the keys stay as they were");
    assert!(logged().contains("line 1"), "{}", logged());
    let mut answers = String::new();
    for request in [
        "GET /v1/stock",
        "GET /nothing",
        "GET /v1/status",
        "POST /v1/verify",
        "PUT /v1/stock/A",
        "POST /v1/backup",
        "PATCH /v1/stock",
        "GET /metrics",
    ] {
        let by_admin = ask(&served.url, request, &admin.0);
        assert!(!["401", "403"].contains(&status(&by_admin)), "{request}: {by_admin}");
        answers += &by_admin;
        for key in [&gone.0, &stranger.0, &format!("{}=", admin.0), &format!("{} x", admin.0)] {
            let answer = ask(&served.url, request, key);
            assert_eq!(status(&answer), "401", "{request}: {answer}");
            answers += &answer;
        }
    }
    answers += &ask(&served.url, "GET /metrics", &admin.0);
    assert!(answers.contains("status=\"401\""), "they are counted");
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
    let log = logged();
    assert!(log.contains("serving"), "{log}");
    for (key, line) in [admin, gone, stranger, misplaced] {
        let digest = line.rsplit_once(':').expect("a digest").1;
        for (where_, text) in [("the log", &log), ("an answer", &answers)] {
            assert!(!text.contains(&key[4..]) && !text.contains(digest), "{where_}: {text}");
        }
    }
}

/// A line of the access log names whose key was shown, also where it was good for less; and nothing of the log is the key.
#[test]
fn the_access_log_names_who_asked() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let long = "a-name-that-stands-in-no-word-of-a-few-bytes@shop";
    let ((reader, first), (writer, second)) = (made("reader", "read"), made(long, "write"));
    let (stranger, _) = made("stranger", "admin");
    write(&path, &[&first, &second]);
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log", "trace"]);
    command.args(["--log-format", "json", "--access-log-rate", "1000", "--auth-file"]).arg(&path);
    let asked = [
        ("GET /v1/stock", &*reader, "200", Some("reader")),
        ("POST /v1/stock/A/adjust", &reader, "403", Some("reader")),
        ("GET /v1/stock/A", &writer, "404", Some(long)),
        ("GET /v1/stock", "", "401", None),
        ("GET /v1/stock", &stranger, "401", None),
        // Nobody's key is looked at where none is needed.
        ("GET /readyz", &reader, "200", None),
    ];
    let lines = logged_with_names(&mut command, &asked);
    for line in &lines {
        let line = line.to_string();
        assert!([&reader, &writer, &stranger].iter().all(|key| !line.contains(&key[4..])), "{line}");
    }
}
