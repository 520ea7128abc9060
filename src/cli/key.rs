//! `inventory key`: makes the keys by which clients are known. It shows a key once, and keeps nothing but its digest.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{EXIT_USAGE, fail, print};
use crate::access::{AuthFileError, Key, Principal, Scope, file};

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print it, once: a client sends it as `Authorization: Bearer KEY`. A name may have two, while one replaces the other
    New {
        /// Whose it is: 1 to 64 letters, digits, or any of - _ . @
        #[arg(value_parser = name)]
        name: String,
        /// How much it may do: look, change stock as well, or run the service as well
        #[arg(long, value_name = "SCOPE", value_parser = scope())]
        scope: Scope,
        /// The file to add its line to, made where it is missing; without, the line is printed below the key
        #[arg(long, env = "INVENTORY_AUTH_FILE", value_name = "FILE")]
        auth_file: Option<PathBuf>,
    },
}

/// Does what is asked of keys.
pub(super) fn key(args: KeyArgs) -> ExitCode {
    let KeyCommand::New { name, scope, auth_file } = args.command;
    let Some(key) = Key::random() else {
        return fail(ExitCode::FAILURE, "the system has no randomness to give");
    };
    let line = file::line_of(&Principal::new(name.into(), scope), &key.digest());
    let Some(path) = auth_file else {
        return print(&format!("{}\n{line}\n", key.reveal()));
    };
    match file::add(&path, &line) {
        Ok(()) => print(&format!("{}\n", key.reveal())),
        Err(error @ AuthFileError::Wrong { .. }) => fail(ExitCode::from(EXIT_USAGE), &error.to_string()),
        Err(error) => fail(ExitCode::FAILURE, &error.to_string()),
    }
}

fn name(text: &str) -> Result<String, String> {
    file::is_name(text).then(|| text.to_owned()).ok_or_else(|| format!("it must be {}", file::NAME_IS))
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::name))
        .map(|name| Scope::named(&name).expect("it is one of them"))
}
