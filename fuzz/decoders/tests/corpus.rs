//! Every input of `fuzz/corpus`, through what must hold of it: a test a target, so that what the fuzzer once found stays found.

use std::fs;
use std::path::Path;

use decoders::{TARGETS, Target};

/// Runs all inputs of a target; says which one it was that something did not hold of.
fn replay(name: &str) {
    let (name, hold): Target = *TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let inputs = fs::read_dir(&folder).expect("each target has a corpus");
    let mut inputs: Vec<_> = inputs.map(|input| input.expect("a readable entry").path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 15, "{name} has {} inputs", inputs.len());
    for input in inputs {
        let bytes = fs::read(&input).expect("a readable input");
        let outcome = std::panic::catch_unwind(|| hold(&bytes));
        assert!(outcome.is_ok(), "it does not hold of {}", input.display());
    }
}

#[test]
fn corpus_of_bodies() {
    replay("bodies");
}

#[test]
fn corpus_of_histories() {
    replay("histories");
}

#[test]
fn corpus_of_imports() {
    replay("imports");
}

#[test]
fn corpus_of_key_files() {
    replay("key_files");
}

#[test]
fn corpus_of_logs() {
    replay("logs");
}

#[test]
fn corpus_of_parts() {
    replay("parts");
}

#[test]
fn corpus_of_records() {
    replay("records");
}

#[test]
fn corpus_of_requests() {
    replay("requests");
}

#[test]
fn corpus_of_snapshots() {
    replay("snapshots");
}

/// None is left out: each target has a test here, and libFuzzer can run it.
#[test]
fn every_target_has_a_test_and_can_be_fuzzed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(fuzz.join(path)).expect("it is there");
    let (tests, manifest) = (include_str!("corpus.rs"), read("Cargo.toml"));
    for (name, _) in TARGETS {
        assert!(tests.contains(&format!("\nfn corpus_of_{name}() {{\n    replay(\"{name}\");\n")), "{name}");
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n")),
            "{name}"
        );
        assert!(
            read(&format!("fuzz_targets/{name}.rs")).contains(&format!("decoders::{name}::hold(bytes)")),
            "{name}"
        );
    }
}
