//! What is taken for a data directory, and what is not; and that to verify one changes nothing in it (P7, DESIGN section 7).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Served, end_of, inventory, output, told};

/// Every file and folder: when it changed, and what is in it.
fn tree(path: &Path) -> BTreeMap<String, (SystemTime, Option<Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let changed =
            |path: &Path| fs::metadata(path).and_then(|about| about.modified()).expect("it is there");
        found.insert(folder.display().to_string(), (changed(&folder), None));
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), (changed(&path), fs::read(&path).ok()));
            }
        }
    }
    found
}

fn commands<'a>(file: &'a str, to: &'a str) -> [Vec<&'a str>; 4] {
    [vec!["verify"], vec!["export", "--ndjson"], vec!["backup", "--to", to], vec!["import", file]]
}

fn serve(data: &Path) -> std::process::Command {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--log-format", "text", "--data-dir"]);
    command.arg(data);
    command
}

/// What it says at the start, of a server that stops again at once.
fn said_by_a_start(data: &Path) -> String {
    let mut command = serve(data);
    let mut server = Served::logging_to(Stdio::piped(), &mut command);
    let mut log = server.child.stderr.take().expect("a pipe");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().0, Some(0));
    let mut said = String::new();
    log.read_to_string(&mut said).expect("UTF-8");
    said
}

/// A server that made a level and was killed.
fn killed(data: &Path) {
    let server = Served::start(&mut serve(data));
    assert!(server.send("PUT", "/v1/stock/A", "{\"on_hand\":10}").contains("201"));
    assert!(server.send("POST", "/v1/stock/A/adjust", "{\"delta\":-1}").contains("200"));
    server.signal(Signal::SIGKILL);
    server.end();
}

/// A folder that holds something else, or nothing, or is not there: each command says so in one line, and leaves it as it was.
#[test]
fn what_is_no_data_directory_is_refused_by_all_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let lines = folder.path().join("lines.ndjson");
    fs::write(&lines, "{\"sku\":\"A\",\"on_hand\":1}\n").unwrap();
    let (lines, to) = (lines.to_str().unwrap(), folder.path().join("copy"));
    let place = |name: &str| folder.path().join(name);
    for (name, file) in [("pictures", Some("sea.jpg")), ("leftovers", Some("a.log")), ("empty", None)] {
        fs::create_dir(place(name)).unwrap();
        if let Some(file) = file {
            fs::write(place(name).join(file), "of somebody else").unwrap();
            // As versions left it that locked whatever they were pointed at.
            fs::write(place(name).join("lock"), "").unwrap();
        }
    }
    for (name, says) in [
        ("pictures", "is no data directory: it holds \"sea.jpg\", and no stock"),
        ("leftovers", "is no data directory: it holds \"a.log\", and no stock"),
        ("empty", "is no data directory: there is nothing in it"),
        ("missing", "there is no data directory"),
    ] {
        let (data, before) = (place(name), tree(folder.path()));
        for args in commands(lines, to.to_str().unwrap()) {
            let told = told(&output(&[&args[..], &["--data-dir", data.to_str().unwrap()]].concat()), 1);
            assert!(told.contains(says), "{args:?}: {told}");
        }
        assert_eq!(tree(folder.path()), before, "{name}");
    }
    for name in ["pictures", "leftovers"] {
        let before = tree(folder.path());
        let output = end_of(serve(&place(name)).args(["--log", "off"]));
        assert!(told(&output, 2).contains("is no data directory"));
        assert_eq!(tree(folder.path()), before, "{name}");
    }
}

/// A start says which of the two it did.
#[test]
fn a_start_creates_or_recovers_and_says_which() {
    let folder = TempDir::new().unwrap();
    let mounted = folder.path().join("mounted");
    fs::create_dir_all(mounted.join("lost+found")).unwrap();
    for data in [folder.path().join("a/b"), mounted] {
        let first = said_by_a_start(&data);
        assert!(first.contains("created") && !first.contains("recovered"), "{first}");
        let second = said_by_a_start(&data);
        assert!(second.contains("recovered") && !second.contains("created"), "{second}");
        // Nothing was written, and yet it is a data directory.
        assert_eq!(output(&["verify", "--data-dir", data.to_str().unwrap()]).status.code(), Some(0));
    }
}

/// Whatever a data directory was left as, no command that reads it changes a byte, a name or a time in it.
#[test]
fn to_verify_or_export_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let place = data.to_str().unwrap();
    killed(&data);
    let segment = data.join("00000000000000000000.log");
    let mut file = OpenOptions::new().write(true).open(&segment).unwrap();
    for left in ["by a kill", "with a commit torn", "without a lock", "with what was being prepared"] {
        match left {
            "with a commit torn" => {
                file.seek(SeekFrom::Start(1536)).unwrap();
                file.write_all(&[7; 100]).unwrap();
            }
            "without a lock" => fs::remove_file(data.join("lock")).unwrap(),
            "with what was being prepared" => fs::write(data.join("next.segment"), "zeros").unwrap(),
            _ => {}
        }
        fs::set_permissions(&data, Permissions::from_mode(0o555)).unwrap();
        let before = tree(&data);
        let verified = output(&["verify", "--data-dir", place]);
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert_eq!(verified.status.code(), Some(0), "{left}: {said}");
        assert!(said.contains("nothing is wrong"), "{left}: {said}");
        assert_eq!(said.contains("the last 100 bytes of segment"), left != "by a kill", "{left}: {said}");
        let exported = output(&["export", "--ndjson", "--data-dir", place]);
        assert!(String::from_utf8_lossy(&exported.stdout).contains("\"on_hand\":9"), "{left}");
        let told = String::from_utf8_lossy(&exported.stderr).into_owned();
        assert_eq!(told.contains("passed over: the last 100 bytes"), left != "by a kill", "{left}: {told}");
        let copy = folder.path().join(left);
        let backed_up = output(&["backup", "--to", copy.to_str().unwrap(), "--data-dir", place]);
        assert_eq!(backed_up.status.code(), Some(0), "{left}");
        assert_eq!(tree(&data), before, "{left}");
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    }
    // It is `serve` that cuts, and says what, and what is kept.
    let said = said_by_a_start(&data);
    assert!(said.contains("bytes=100") && said.contains("last_movement_kept=2"), "{said}");
    assert!(!said_by_a_start(&data).contains("cut"));
}

/// Changes a bit of the last byte that was written of the newest segment.
fn flip_in_the_last_group(data: &Path) {
    let segment = data.join("00000000000000000000.log");
    let mut bytes = fs::read(&segment).expect("a segment");
    let last = bytes.iter().rposition(|&byte| byte != 0).expect("something was written");
    bytes[last - 8] ^= 1;
    fs::write(&segment, bytes).expect("room");
}

/// P7: a clean stop, and a backup, say where the log ends: what is broken or missing before it is no unfinished commit, and is refused
/// by `verify` and by a start, each of which leaves the files as they were.
#[test]
fn damage_in_the_last_group_of_a_closed_log_or_of_a_backup_is_refused() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name);
    killed(&place("data"));
    said_by_a_start(&place("data"));
    for name in ["copy", "older"] {
        let (to, data) = (place(name), place("data"));
        let args = ["backup", "--to", to.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        assert_eq!(output(&args).status.code(), Some(0));
        // Of an older moment, and so shorter: the second.
        let server = Served::start(&mut serve(&data));
        assert!(server.send("POST", "/v1/stock/A/adjust", "{\"delta\":-1}").contains("200"));
        server.signal(Signal::SIGTERM);
        assert_eq!(server.end().0, Some(0));
    }
    flip_in_the_last_group(&place("data"));
    flip_in_the_last_group(&place("copy"));
    fs::remove_file(place("older").join("00000000000000000000.log")).unwrap();
    for name in ["data", "copy", "older"] {
        let (data, before) = (place(name), tree(&place(name)));
        let verified = output(&["verify", "--data-dir", data.to_str().unwrap()]);
        let found = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert_eq!(verified.status.code(), Some(4), "{name}: {found}");
        assert!(found.contains("00000000000000000000.log") && found.contains("backup"), "{name}: {found}");
        assert_eq!(tree(&data), before, "{name}");
        let refused = told(&end_of(serve(&data).args(["--log", "off"])), 1);
        assert!(refused.contains("00000000000000000000.log"), "{name}: {refused}");
        let names = |tree: BTreeMap<String, (SystemTime, Option<Vec<u8>>)>| {
            tree.into_iter()
                .filter(|(name, _)| !name.ends_with("lock"))
                .map(|(name, (_, bytes))| (name, bytes))
        };
        assert!(names(tree(&data)).eq(names(before)), "{name}: a start that refuses changes nothing");
    }
}
