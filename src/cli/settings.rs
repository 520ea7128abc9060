//! What a server is started with, flag by flag, and who said it: for people and for the log. And what they perhaps meant to say.
//!
//! It is read from what the parser has parsed, so no flag can be forgotten. None holds a secret, but perhaps the address of a database: its
//! password is left out.

use std::collections::BTreeSet;
use std::fmt;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::store::config::without_passwords;

/// One flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    flag: String,
    /// `None` where nothing was said and nothing stands for it.
    value: Option<String>,
    said_by: String,
}

/// Every flag of a command, in the order of its help.
pub(super) fn of(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let flags = command.get_arguments().filter_map(|argument| Some((argument, argument.get_long()?)));
    // Help, and whatever else says nothing.
    let flags = flags.filter(|(argument, _)| argument.get_env().is_some());
    let setting = |(argument, long): (&clap::Arg, &str)| {
        let id = argument.get_id().as_str();
        let values = matches.get_raw(id).map(|values| {
            // A database may have its password in its address.
            let values = values.map(|value| without_passwords(&value.to_string_lossy()));
            values.collect::<Vec<_>>().join(",")
        });
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let said_by = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "the command line".to_owned(),
            Some(ValueSource::EnvVariable) => variable,
            _ => "default".to_owned(),
        };
        Setting { flag: format!("--{long}"), value: values, said_by }
    };
    flags.map(setting).collect()
}

/// A line for each, as it may be said again, and who said it.
pub(super) fn as_lines(settings: &[Setting]) -> Vec<String> {
    let said: Vec<String> = settings.iter().map(Setting::said).collect();
    let width = said.iter().map(String::len).filter(|len| *len <= COLUMN_MAX).max().unwrap_or_default();
    said.iter()
        .zip(settings)
        .map(|(said, setting)| format!("{said:width$}  # {}\n", setting.said_by))
        .collect()
}

/// All that were said or have a default, on one line.
pub(super) fn as_line(settings: &[Setting]) -> String {
    let said = settings.iter().filter(|setting| setting.value.is_some()).map(Setting::said);
    said.collect::<Vec<_>>().join(" ")
}

/// Longer lines stand out.
const COLUMN_MAX: usize = 48;

impl Setting {
    fn said(&self) -> String {
        match &self.value {
            Some(value) if is_plain(value) => format!("{} {value}", self.flag),
            // As a shell takes it.
            Some(value) => format!("{} '{}'", self.flag, value.replace('\'', r"'\''")),
            None => format!("# {}", self.flag),
        }
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,=+%@[]".contains(c))
}

/// A variable of the environment that looks as if it were ours and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) variable: String,
    /// The one whose name is nearest, if one is near.
    pub(super) nearest: Option<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no variable of this program, and ignored", self.variable)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; {nearest} is one"))
    }
}

/// What all our variables begin with.
const PREFIX: &str = "INVENTORY_";

/// Those of the environment, by name. Their values are not looked at.
pub(super) fn unknown_variables(
    command: &Command,
    environment: impl Iterator<Item = String>,
) -> Vec<Unknown> {
    let known: BTreeSet<String> = every_command(command)
        .flat_map(Command::get_arguments)
        .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
        .collect();
    let unknown: BTreeSet<String> = environment
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !is_of_others(name))
        .collect();
    let nearest = |name: &str| {
        let near = known.iter().map(|known| (distance(name, known), known));
        // Half of what is its own may be wrong; beyond that it is another word.
        near.min().filter(|(wrong, _)| wrong * 2 <= name.len() - PREFIX.len()).map(|(_, known)| known.clone())
    };
    unknown.into_iter().map(|variable| Unknown { nearest: nearest(&variable), variable }).collect()
}

fn every_command(command: &Command) -> impl Iterator<Item = &Command> {
    std::iter::once(command).chain(command.get_subcommands())
}

/// Kubernetes tells every container of a service called `inventory` so, and container engines of a container that it is linked with; and the
/// tests of this program what must be there for them.
fn is_of_others(name: &str) -> bool {
    let own = name.trim_start_matches(PREFIX);
    own == "PORT"
        || own == "NAME"
        || ["PORT_", "SERVICE_HOST", "SERVICE_PORT", "ENV_", "TEST_"].iter().any(|of| own.starts_with(of))
}

/// How many letters have to be put in, left out or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, wanted) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("STRATGY", "STRATEGY", 1),
            ("abc", "cba", 2),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn values_are_said_as_a_shell_takes_them() {
        let said = |value: &str| {
            Setting { flag: "--x".to_owned(), value: Some(value.to_owned()), said_by: String::new() }.said()
        };
        assert_eq!(said("127.0.0.1:0,unix:/a"), "--x 127.0.0.1:0,unix:/a");
        assert_eq!((said("a b").as_str(), said("").as_str()), ("--x 'a b'", "--x ''"));
        assert_eq!(said("it's"), r"--x 'it'\''s'");
    }
}
