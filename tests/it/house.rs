//! The rules of the house that a compiler does not know (`ARCHITECTURE.md`): docs at the top of each file, short files, and
//! imports that run one way. A rule that nothing checks is not one.

use std::fs;
use std::path::Path;

use inventory::strategy::Kind;

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
    ["src", "tests", "loadtest", "benches"].into_iter().flat_map(sources).collect()
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

/// `main -> cli -> app -> http -> inventory -> (journal, strategy) -> stock`, and telemetry, which imports none of them. Journal
/// and strategy stand side by side, and neither knows the other: what one hands to the other is the domain's.
#[test]
fn imports_run_one_way() {
    let above = ["main", "cli", "app", "http", "inventory", "journal", "strategy", "stock"];
    let layers = [
        ("src/http", 3),
        ("src/inventory", 4),
        ("src/journal", 7),
        ("src/strategy", 7),
        ("src/stock", 7),
        ("src/telemetry", 8),
    ];
    // proptest has a trait of the name; the crates `http` and `inventory` go by theirs.
    let is_ours = |line: &str, layer: &str| {
        let path = [format!("crate::{layer}"), format!("super::{layer}::"), format!("crate::{{{layer}")];
        path.iter().any(|path| line.contains(path.as_str()))
    };
    let broken = layers.into_iter().flat_map(|(folder, level)| {
        let sources = sources(folder);
        let broken = |source: &Source| {
            above[..level]
                .iter()
                .filter(|layer| !folder.ends_with(*layer))
                .flat_map(|layer| source.mentions(layer, |line| !is_ours(line, layer)))
                .collect()
        };
        sources.iter().flat_map(|source| -> Vec<String> { broken(source) }).collect::<Vec<_>>()
    });
    assert_none("Imports run one way:", broken);
}

#[test]
fn the_domain_is_pure() {
    let effects = ["tokio", "axum", "serde", "parking_lot", "fs", "net", "time", "sync", "thread", "atomic"];
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
    for kind in Kind::ALL {
        let own = |name: &str| [format!("src/strategy/{name}.rs"), format!("src/strategy/{name}")];
        let sources: Vec<Source> = own(kind.name()).iter().flat_map(|path| sources(path)).collect();
        assert!(!sources.is_empty(), "{kind} has a file or a folder of its name");
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
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
    // Its part that measures the strategies without HTTP has to name them.
    let is_wired = |source: &Source| !source.path.starts_with("loadtest/src/inproc/");
    let wired: Vec<Source> = sources("loadtest").into_iter().filter(is_wired).collect();
    assert!(wired.len() > 50 && wired.len() < sources("loadtest").len(), "the files are found");
    let broken = wired.iter().flat_map(linked);
    assert_none("loadtest uses the service's own types in src/inproc only:", broken);
}
