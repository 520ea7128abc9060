//! The rules of the house that a compiler does not know (`ARCHITECTURE.md`): docs at the top of each file, short files, and
//! imports that run one way. A rule that nothing checks is not one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use inventory::strategy::StrategyKind;

const LINES_MAX: usize = 500;

/// A source file of this repository.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Every line that is not a comment, with its number. Comments at the end of a line, and the insides of strings, stay.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Where a module or crate is named: in a `use`, or before or after `::`. Lines that are `allowed` do not count.
    fn mentions(&self, name: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
        let mut in_use = false;
        let mut mentions = Vec::new();
        for (number, line) in self.code() {
            let start = line.trim_start();
            in_use |= start.starts_with("use ") || (start.starts_with("pub") && start.contains(" use "));
            let is_path =
                [format!("{name}::"), format!("::{name}")].iter().any(|path| line.contains(path.as_str()));
            if (in_use || is_path) && names(line, name) && !allowed(line) {
                mentions.push(format!("{}:{number}: {}", self.path, line.trim()));
            }
            in_use &= !line.contains(';');
        }
        mentions
    }
}

/// Whether a line holds a word, not as part of a longer one.
fn names(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files under a folder or, if it is one, the file itself; none where there is no such path.
fn sources(under: &str) -> Vec<Source> {
    let (mut pending, mut found) = (vec![root().join(under)], Vec::new());
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable folder");
            pending.extend(entries.map(|entry| entry.expect("a readable entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.is_file() {
            found.push(Source { text: fs::read_to_string(&path).expect("UTF-8"), path: relative(&path) });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("within the repository");
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn all_sources() -> Vec<Source> {
    ["src", "tests", "loadtest", "benches", "examples", "fuzz/decoders", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

fn assert_none(rule: &str, broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}\n{}", broken.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let sources = all_sources();
    assert!(sources.len() > 50, "the files are found");
    let silent = sources.into_iter().filter(|source| !source.text.starts_with("//! "));
    assert_none("Every file opens with //!:", silent.map(|source| source.path));
}

#[test]
fn no_file_is_long_without_a_reason() {
    let is_excused = |source: &Source| {
        source.text.lines().take_while(|line| line.starts_with("//!")).any(|line| names(line, "length"))
    };
    let long = all_sources().into_iter().filter(|source| source.text.lines().count() > LINES_MAX);
    let rule = format!("A file of more than {LINES_MAX} lines gives a reason for its length in its //!:");
    assert_none(&rule, long.filter(|source| !is_excused(source)).map(|source| source.path));
}

/// Where PostgreSQL is not installed a test that needs it is ignored, and says why; without the mark it would fail.
#[test]
fn every_test_over_a_database_says_that_it_needs_one() {
    let is_unmarked = |source: &Source| {
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        let is_test = |line: &str| line.starts_with("#[tokio::test") || line == "#[test]";
        lines.windows(2).any(|two| is_test(two[1]) && two[0] != "#[databases::needs(Postgres)]")
    };
    let sources = sources("tests/it/replicas");
    assert!(sources.len() > 10, "the files are found");
    let unmarked = sources.into_iter().filter(is_unmarked).map(|source| source.path);
    assert_none("A test over a database is marked #[databases::needs(Postgres)]:", unmarked);
}

/// The order of imports, as the map in `src/lib.rs` says it: each module, and how far down it stands.
fn order() -> BTreeMap<String, usize> {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("UTF-8");
    let line =
        map.lines().find(|line| line.contains("`main -> ")).expect("the map says which way imports run");
    let line = line.split('`').nth(1).expect("the order stands in backticks");
    let groups = line.split(" -> ").enumerate();
    groups.flat_map(|(rank, group)| group.split(", ").map(move |name| (name.to_owned(), rank))).collect()
}

/// The module of a file, as the order names it; and the path of the module that the file is.
fn module_of(path: &str) -> (String, Vec<&str>) {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let segments: Vec<&str> = path.split('/').collect();
    (named(&segments), segments)
}

/// A path from the root of the crate, as the order names it: a store is a module of its own.
fn named(segments: &[&str]) -> String {
    match segments {
        ["store", store, ..] if root().join("src/store").join(store).is_dir() => format!("store/{store}"),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

/// Every module of this crate that a source names in a path from the root or from a module above, with the line.
fn imported(source: &Source) -> Vec<(usize, String)> {
    let (_, own) = module_of(&source.path);
    let mut found = Vec::new();
    let code: Vec<(usize, &str)> = source.code().collect();
    for (at, (number, line)) in code.iter().enumerate() {
        for start in ["crate::", "super::"] {
            for (offset, _) in line.match_indices(start) {
                let before = line[..offset].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                    continue;
                }
                // Up to the end of the statement: a group may go on over several lines.
                let rest: Vec<&str> = code[at + 1..].iter().take(40).map(|(_, line)| *line).collect();
                let text = format!("{} {}", &line[offset..], rest.join(" "));
                found.extend(paths(&text, &own).into_iter().map(|path| (*number, path)));
            }
        }
    }
    found
}

/// The modules that a path names, which may end in a group: `crate::{a, b::c}`, `super::super::d`.
fn paths(text: &str, own: &[&str]) -> Vec<String> {
    let (mut base, mut text) = match text.strip_prefix("crate::") {
        Some(rest) => (Vec::new(), rest),
        None => (own.to_vec(), text),
    };
    while let Some(rest) = text.strip_prefix("super::") {
        base.pop();
        text = rest;
    }
    leaves(text, &base)
        .iter()
        .map(|path| named(&path.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect()
}

/// The first two segments of each path that begins here.
fn leaves(text: &str, base: &[&str]) -> Vec<Vec<String>> {
    let owned = |base: &[&str]| base.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let mut path = owned(base);
        path.push(text[..end].to_owned());
        return match text[end..].strip_prefix("::") {
            Some(rest) if path.len() < 2 => {
                leaves(rest, &path.iter().map(String::as_str).collect::<Vec<_>>())
            }
            _ => vec![path],
        };
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    found.extend(leaves(item, base));
                }
                if c == '}' {
                    break;
                }
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// Every module of `src` has its place in the order, and imports only what stands further down. A store imports the gate it is
/// behind; from above, nobody but the composition root knows what is behind it.
#[test]
fn imports_run_one_way() {
    let order = order();
    let behind_the_gate = ["journal", "store/import", "store/local", "store/postgres"];
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources("src").iter().filter(|source| source.path != "src/lib.rs") {
        let (from, _) = module_of(&source.path);
        let rank =
            *order.get(&from).unwrap_or_else(|| panic!("{from} has no place in the order of src/lib.rs"));
        seen.insert(from.clone());
        for (number, to) in imported(source) {
            // What is no module of the order is an item of the module's own, or of the one above.
            let Some(below) = order.get(&to) else { continue };
            let own_gate = from.starts_with("store/") && to == "store";
            let knows = *below > rank || to == from || own_gate;
            let over_the_gate = behind_the_gate.contains(&to.as_str())
                && rank < order["store"]
                && !(from == "app" && to.starts_with("store/"));
            let around_it = from == "store"
                && behind_the_gate.contains(&to.as_str())
                && source.path != "src/store/any.rs";
            if !knows || over_the_gate || around_it {
                broken.push(format!("{}:{number}: {from} imports {to}", source.path));
            }
        }
    }
    assert_none("Imports run one way, and nobody goes around the gate:", broken);
    assert_eq!(seen, order.keys().cloned().collect(), "the order of src/lib.rs names what there is");
}

/// The test above finds imports however they are written.
#[test]
fn imports_are_found_however_they_are_written() {
    let found = |path: &str, text: &str| {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        imported(&source).into_iter().map(|(_, to)| to).collect::<Vec<_>>()
    };
    assert_eq!(found("src/http/a.rs", "use crate::journal::keys::Keys;"), ["journal"]);
    assert_eq!(found("src/http/a.rs", "let x = crate::journal::now_ms();"), ["journal"]);
    assert_eq!(
        found("src/http/a.rs", "use crate::{stock::Level,\n    store::{local::Local, Store}};"),
        ["stock", "store/local", "store"]
    );
    assert_eq!(found("src/http/routes/a.rs", "use super::super::super::journal::Log;"), ["journal"]);
    assert_eq!(found("src/store/any.rs", "use super::local::Local;"), ["store/local"]);
    assert_eq!(found("src/store/local/a.rs", "// crate::http\nuse super::books::Books;"), ["store/local"]);
    assert_eq!(found("src/http/a.rs", "use mycrate::journal; use x::crate_journal;"), Vec::<String>::new());
}

#[test]
fn the_domain_is_pure() {
    let effects = [
        "tokio",
        "axum",
        "serde",
        "parking_lot",
        "fs",
        "net",
        "time",
        "sync",
        "thread",
        "atomic",
        "telemetry",
    ];
    let broken = sources("src/stock")
        .into_iter()
        .flat_map(|source| effects.map(|name| source.mentions(name, |_| false)).concat());
    assert_none("src/stock knows no runtime, no clock, no lock and no I/O:", broken);
}

#[test]
fn strategies_do_no_io() {
    let broken = sources("src/strategy").into_iter().flat_map(|source| {
        ["axum", "hyper", "serde", "fs", "net", "journal"]
            .map(|name| source.mentions(name, |_| false))
            .concat()
    });
    assert_none("src/strategy knows nothing of HTTP and of files:", broken);
}

#[test]
fn no_strategy_imports_another() {
    let mut broken = Vec::new();
    for kind in StrategyKind::ALL {
        let own = |name: &str| [format!("src/strategy/{name}.rs"), format!("src/strategy/{name}")];
        let sources: Vec<Source> = own(kind.name()).iter().flat_map(|path| sources(path)).collect();
        assert!(!sources.is_empty(), "{kind} has a file or a folder of its name");
        for other in StrategyKind::ALL.into_iter().filter(|other| *other != kind) {
            let std_atomics = |line: &str| line.contains("sync::atomic::") || line.contains("sync::atomic;");
            broken.extend(sources.iter().flat_map(|source| source.mentions(other.name(), std_atomics)));
        }
    }
    assert_none("No strategy imports another:", broken);
}

#[test]
fn axum_stays_at_the_edge() {
    let is_edge = |source: &Source| source.path.starts_with("src/http/") || source.path == "src/app.rs";
    let inside = sources("src").into_iter().filter(|source| !is_edge(source));
    let broken = inside.flat_map(|source| source.mentions("axum", |_| false));
    assert_none("axum appears in src/http and src/app.rs only:", broken);
}

#[test]
fn the_load_tester_speaks_over_the_wire() {
    let linked = |source: &Source| {
        let lines = source.code().filter(|(_, line)| line.contains("inventory::"));
        lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())).collect::<Vec<_>>()
    };
    // Its part that measures the strategies without HTTP has to name them; and one example is the service itself.
    let is_wired = |source: &Source| {
        !source.path.starts_with("loadtest/src/inproc/")
            && source.path != "loadtest/examples/mutant_inventory.rs"
    };
    let wired: Vec<Source> = sources("loadtest").into_iter().filter(is_wired).collect();
    assert!(wired.len() > 50 && wired.len() < sources("loadtest").len(), "the files are found");
    let broken = wired.iter().flat_map(linked);
    assert_none("loadtest uses the service's own types in src/inproc only:", broken);
}

#[test]
fn the_doors_for_fuzzing_are_opened_by_the_fuzz_targets_alone() {
    let manifests = ["loadtest", "loadtest/history", "loadtest/targets", "tests/databases", "fuzz"];
    let read = |folder: &str| fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let opens = |manifest: &str| manifest.lines().filter(|line| names(line, "fuzzing")).count();
    assert_eq!(opens(&read("fuzz/decoders")), 1, "it is found where it is");
    let own = read("");
    assert_eq!(own.lines().filter(|line| line.starts_with("fuzzing")).count(), 1);
    assert!(own.contains("\nfuzzing = []\n") && own.contains("\ndefault = [\"progress\", \"sqlite\"]\n"));
    assert_none(
        "Only fuzz/decoders turns the feature `fuzzing` on:",
        manifests.into_iter().filter(|folder| opens(&read(folder)) > 0).map(str::to_owned),
    );
}
