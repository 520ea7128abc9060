//! Histories as files: what is saved is loaded, and what is broken is named by its line.

use std::path::Path;

use history::file::{FileError, load, save};
use history::sample::{self, Shape};

fn sampled() -> history::History {
    let mut history = sample::history(&Shape { unknown_percent: 5, ..Shape::default() });
    history.meta.seed = Some(7);
    history.meta.strategy = Some("mutex".to_owned());
    history
}

#[test]
fn a_history_comes_back_as_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["history.ndjson", "history.ndjson.gz"] {
        let path = folder.path().join(name);
        save(&sampled(), &path).unwrap();
        assert_eq!(load(&path).unwrap(), sampled());
    }
    let size = |name: &str| folder.path().join(name).metadata().unwrap().len();
    assert!(size("history.ndjson.gz") * 4 < size("history.ndjson"));
}

fn load_text(text: &str) -> FileError {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history.ndjson");
    std::fs::write(&path, text).expect("a written file");
    load(&path).expect_err("a broken file")
}

const HEADER: &str = r#"{"format":"inventory-history","version":1,"meta":{"seed":null,"strategy":null,"command":null},"keys":["a"]}"#;
const READ: &str =
    r#"{"client":0,"invoked_ns":1,"returned_ns":2,"request":{"read":0},"outcome":"not_applied"}"#;

fn assert_line(error: &FileError, expected: u64, part: &str) {
    let FileError::Line { line, problem, .. } = error else { panic!("{error}") };
    assert_eq!(*line, expected, "{error}");
    assert!(problem.contains(part), "{error}");
}

#[test]
fn errors_name_the_line() {
    let stranger = READ.replace(r#""read":0"#, r#""read":1"#);
    assert_line(&load_text(""), 1, "empty");
    assert_line(&load_text("{}\n"), 1, "not a header");
    assert_line(&load_text(&format!("{}\n", HEADER.replace("inventory-history", "diary"))), 1, "diary");
    assert_line(&load_text(&format!("{HEADER}\n{READ}\nnonsense\n")), 3, "not a record");
    assert_line(&load_text(&format!("{HEADER}\n{READ}\n{READ}")), 3, "cut off");
    assert_line(&load_text(&format!("{HEADER}\n{stranger}\n")), 2, "key 1 is not among the 1");
}

#[test]
fn another_version_is_refused_by_name() {
    let error = load_text(&format!("{}\n", HEADER.replace(r#""version":1"#, r#""version":2"#)));
    assert!(matches!(error, FileError::Version { found: 2, .. }), "{error}");
}

#[test]
fn a_damaged_gzip_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson.gz");
    save(&sampled(), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(load(&path), Err(FileError::Line { .. })));
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/no/such/file")).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/file: "), "{error}");
}
