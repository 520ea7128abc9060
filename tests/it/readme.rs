//! README.md is true: every `curl` line of it is run, in order, against a fresh server, and every answer compared.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use inventory::strategy::StrategyKind;
use tempfile::TempDir;

use crate::support::process::Server;

/// The commands of the README's `console` blocks, each with the output printed below it.
fn sessions(readme: &str) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match line.strip_prefix("$ ") {
                Some(command) => sessions.push((command.to_owned(), String::new())),
                None => sessions.last_mut().expect("a command comes first").1 += line,
            },
        }
    }
    sessions
}

#[test]
fn every_curl_line_answers_as_printed() {
    let readme = include_str!("../../README.md");
    let data = Arc::new(TempDir::new().unwrap());
    let server = Server::with_arguments(StrategyKind::Atomic, data, &["--webhook-allow", "127.0.0.0/8"]);
    let sessions = sessions(readme);
    assert!(sessions.len() >= 10, "the README has its examples in console blocks");
    // What is told of as at port 9000 takes a free one.
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut names = Names(vec![("127.0.0.1:9000".to_owned(), receiver)]);
    for (command, printed) in sessions {
        let command = names.here(&command.replace("http://127.0.0.1:8080", &server.url));
        let command = command.replace(EXAMPLE, &example());
        let silent = if command.starts_with("curl ") { " --silent" } else { "" };
        let output = Command::new("sh").args(["-c", &format!("{command}{silent}")]).output().unwrap();
        assert!(output.status.success(), "{command}: is curl 7.82 or later installed?");
        // Lines are joined as those that are printed are.
        let answered: String = String::from_utf8(output.stdout).unwrap().lines().collect();
        names.learn(&printed, &answered);
        assert_eq!(timeless(&answered), timeless(&names.here(&printed)), "{command}");
    }
}

/// How the README runs the example. It was built with the tests.
const EXAMPLE: &str = "cargo run --quiet --example webhook_receiver";

fn example() -> String {
    let program =
        Path::new(env!("CARGO_BIN_EXE_inventory")).with_file_name("examples").join("webhook_receiver");
    assert!(program.is_file(), "{} is missing: `cargo build --examples` makes it", program.display());
    format!("exec '{}'", program.display())
}

/// What things are called in the README that have another name each time: reservations.
struct Names(Vec<(String, String)>);

impl Names {
    /// The text, with the names that things have here.
    fn here(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    /// Takes in the names that are new, in the order in which both texts have them.
    fn learn(&mut self, printed: &str, answered: &str) {
        for (there, here) in found(printed, uuid_at).zip(found(answered, uuid_at)) {
            if self.0.iter().all(|(known, _)| known != there) {
                self.0.push((there.to_owned(), here.to_owned()));
            }
        }
    }
}

/// The text without times.
fn timeless(text: &str) -> String {
    found(text, time_at).fold(text.to_owned(), |text, time| text.replace(time, "TIME"))
}

/// The parts of a text of which `at` says how long they are, where they begin.
fn found(text: &str, at: impl Fn(&str) -> Option<usize>) -> impl Iterator<Item = &str> {
    text.char_indices().filter_map(move |(from, _)| at(&text[from..]).map(|len| &text[from..from + len]))
}

fn uuid_at(text: &str) -> Option<usize> {
    shaped(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

fn time_at(text: &str) -> Option<usize> {
    shaped(text, "dddd-dd-ddTdd:dd:dd.dddZ")
}

/// The length of the shape, if the text begins so: `x` is a hexadecimal digit, `d` a digit, all else itself.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let fits = |(there, wanted): (char, char)| match wanted {
        'x' => there.is_ascii_hexdigit(),
        'd' => there.is_ascii_digit(),
        other => there == other,
    };
    let is_long_enough = text.len() >= shape.len() && text.is_char_boundary(shape.len());
    (is_long_enough && text.chars().zip(shape.chars()).all(fits)).then_some(shape.len())
}

#[test]
fn the_table_of_strategies_is_the_catalogue() {
    let readme = include_str!("../../README.md");
    for kind in StrategyKind::ALL {
        let row = format!("| `{}`", kind.name());
        assert!(readme.lines().any(|line| line.starts_with(&row)), "the README's table lacks {kind}");
    }
}
