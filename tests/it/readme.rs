//! README.md is true: every `curl` line of it is run, in order, against a fresh server, and every answer compared.

use std::process::Command;

use inventory::strategy::StrategyKind;

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
    let server = Server::start(StrategyKind::Atomic);
    let sessions = sessions(readme);
    assert!(sessions.len() >= 10, "the README has its examples in console blocks");
    for (command, printed) in sessions {
        let command = command.replace("http://127.0.0.1:8080", &server.url);
        let output = Command::new("sh").args(["-c", &format!("{command} --silent")]).output().unwrap();
        assert!(output.status.success(), "{command}: is curl 7.82 or later installed?");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), printed, "{command}");
    }
}

#[test]
fn the_table_of_strategies_is_the_catalogue() {
    let readme = include_str!("../../README.md");
    for kind in StrategyKind::ALL {
        let row = format!("| `{}`", kind.name());
        assert!(readme.lines().any(|line| line.starts_with(&row)), "the README's table lacks {kind}");
    }
}
