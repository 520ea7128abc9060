//! Histories as files: what is saved is loaded, and what is broken is named by its line.

use std::path::Path;

use history::Log;
use history::file::{FileError, Loaded, load, load_log, save, save_log};
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
        assert_eq!(load(&path).unwrap(), Loaded { history: sampled(), is_whole: true });
    }
    let size = |name: &str| folder.path().join(name).metadata().unwrap().len();
    assert!(size("history.ndjson.gz") * 4 < size("history.ndjson"));
}

#[test]
fn a_log_is_saved_and_loaded_as_the_history_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["history.ndjson", "history.ndjson.gz"] {
        let (path, other) = (folder.path().join(name), folder.path().join(format!("other-{name}")));
        save(&sampled(), &path).unwrap();
        save_log(&Log::from(&sampled()), &other).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap());
        let loaded = load_log(&path, std::sync::Arc::default()).unwrap();
        assert_eq!((loaded.log.to_history().unwrap(), loaded.is_whole), (sampled(), true));
    }
}

fn load_text(text: &str) -> FileError {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history.ndjson");
    std::fs::write(&path, text).expect("a written file");
    load(&path).expect_err("a broken file")
}

const HEADER: &str = r#"{"format":"inventory-history","version":4,"meta":{"seed":null,"strategy":null,"command":null},"keys":["a"]}"#;
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
    assert_line(&load_text(&format!("{HEADER}\n{READ}\n")), 3, "no end mark");
    assert_line(
        &load_text(&format!("{HEADER}\n{READ}\n{{\"end\":2}}\n")),
        3,
        "2 records were written, 1 are here",
    );
    assert_line(&load_text(&format!("{HEADER}\n{{\"end\":0}}\n{READ}\n")), 3, "more after the end mark");
}

/// Wherever it is cut, a file is no history: the records that are missing would be laid at the server's door.
#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let mut few = sampled();
    few.records.truncate(40);
    save(&few, &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    // At the end of each line, which only the mark tells, and within some.
    for cut in ends.flat_map(|at| [at - 1, at, at + 1]).filter(|cut| *cut < whole.len()) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(load(&path), Err(FileError::Line { .. })), "cut at {cut}");
    }
}

/// Written before there were end marks.
#[test]
fn the_version_before_is_read_and_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let header = HEADER.replace(r#""version":4"#, r#""version":1"#);
    std::fs::write(&path, format!("{header}\n{READ}\n{READ}\n")).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!((loaded.history.records.len(), loaded.is_whole), (2, false));
}

#[test]
fn another_version_is_refused_by_name() {
    let error = load_text(&format!("{}\n", HEADER.replace(r#""version":4"#, r#""version":5"#)));
    assert!(matches!(error, FileError::Version { found: 5, .. }), "{error}");
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

#[test]
fn an_answer_without_a_version_is_null_and_comes_back() {
    use history::{Key, Outcome, Seen, Stock};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let mut history = sampled();
    history.records[3].outcome = Outcome::Read(Seen::unversioned(Key(2), Stock::Available(7)));
    save(&history, &path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains(r#""version":null"#));
    assert_eq!(load(&path).unwrap().history, history);
}

/// Written before there were attempts under one key and consistent reads: no record says anything of a key.
#[test]
fn the_version_without_keys_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let header = HEADER.replace(r#""version":4"#, r#""version":3"#);
    std::fs::write(&path, format!("{header}\n{READ}\n{{\"end\":1}}\n")).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!((loaded.history.records[0].once, loaded.is_whole), (None, true));
}

#[test]
fn attempts_and_consistent_reads_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let shape = Shape { repeated_percent: 20, snapshot_percent: 20, ..Shape::default() };
    let history = sample::history(&shape);
    save(&history, &path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""once":1}"#) && text.contains(r#""totals":{"on_hand":"#));
    // A record that has no key is written as it always was.
    assert!(!text.contains(r#""once":null"#));
    assert_eq!(load(&path).unwrap().history, history);
}

/// Written before versions could be left out.
#[test]
fn the_version_that_told_all_versions_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let header = HEADER.replace(r#""version":4"#, r#""version":2"#);
    std::fs::write(&path, format!("{header}\n{READ}\n{{\"end\":1}}\n")).unwrap();
    assert!(load(&path).unwrap().is_whole);
}
