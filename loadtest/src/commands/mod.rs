//! What each command does, from its arguments to its exit code. Errors end here, as one line on stderr.

mod calibrate;
mod check;
mod compare;
mod crash;
mod inproc;
mod lineup;
mod replay;
mod report;
mod run;
mod selftest;
mod shop;
mod sweep;

use clap::Parser;
use tokio::task::JoinError;

use crate::calibrate::noop;
use crate::cli::{Cli, Command};
use crate::client::credential::{self, CredentialError};
use crate::exit::Exit;
use crate::{interrupt, output, view};

/// Runs the command line of this process.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way, too, and are no failures.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    cli.color.decide();
    cli.progress.decide();
    if cli.command.asks_a_server() {
        match credential::decide(cli.auth_key_file.as_deref()) {
            Ok(()) => {}
            Err(error @ CredentialError::Unreadable { .. }) => return fail(error),
            Err(error @ CredentialError::NoKey { .. }) => return misused(error),
        }
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = exit(runtime.block_on(runtime.spawn(dispatch(cli.command))));
            // Whoever did not wait left the view where it was.
            view::close();
            // A check that was given up goes on in its thread: the process does not wait for it.
            runtime.shutdown_background();
            exit
        }
        Err(error) => fail(format!("the runtime could not start: {error}")),
    }
}

/// How the program ends: when it panicked, with the code that says that nothing was proved.
fn exit(done: Result<Exit, JoinError>) -> Exit {
    done.unwrap_or_else(|_| {
        fail("the panic above is a fault of loadtest itself; nothing was proved of the server")
    })
}

async fn dispatch(command: Command) -> Exit {
    let (stop, insisted) = match interrupt::listen() {
        Ok(listening) => listening,
        Err(error) => return fail(format!("signals cannot be listened to: {error}")),
    };
    tokio::select! {
        exit = execute(command, stop) => exit,
        Ok(()) = insisted => Exit::Interrupted,
    }
}

async fn execute(command: Command, stop: interrupt::Stop) -> Exit {
    match command {
        Command::Run(args) => run::run(args, &stop).await,
        Command::Calibrate(args) => calibrate::calibrate(args, &stop).await,
        Command::Noop => match noop::serve().await {
            Ok(()) => Exit::Ok,
            Err(error) => fail(error),
        },
        Command::Check(args) => check::check(args).await,
        Command::Replay(args) => replay::replay(args, &stop).await,
        Command::Compare(args) => compare::compare(args, &stop).await,
        Command::Inproc(args) => inproc::inproc(args, &stop).await,
        Command::Sweep(args) => sweep::sweep(args, &stop).await,
        Command::Selftest(args) => selftest::selftest_command(args, &stop).await,
        Command::Crash(args) => crash::crash(args, &stop).await,
        Command::Report(args) => report::report(&args),
        Command::Diff(args) => report::diff(&args),
    }
}

/// One clear line, and the exit code for "could not run".
fn fail(message: impl std::fmt::Display) -> Exit {
    output::remark(&message.to_string());
    Exit::CouldNotRun
}

/// One clear line, and the exit code for what makes no sense.
fn misused(message: impl std::fmt::Display) -> Exit {
    output::remark(&message.to_string());
    Exit::Usage
}

/// The command line as it was typed, for reports.
fn command_line() -> String {
    let quote = |argument: String| if argument.contains(' ') { format!("'{argument}'") } else { argument };
    std::iter::once("loadtest".to_owned())
        .chain(std::env::args().skip(1).map(quote))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Saves a history where that was asked for. It is saved before it is checked: whatever the check does, it is there.
fn save(history: &history::Log, path: Option<&std::path::Path>) -> Option<Exit> {
    let error = history::file::save_log(history, path?).err()?;
    Some(fail(format!("the history could not be saved: {error}; choose another file with --history")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the shell would be told the 101 of a panic, which is no code of ours.
    #[tokio::test]
    async fn a_fault_of_our_own_is_no_verdict() {
        let failing = tokio::task::spawn_blocking(|| panic!("on purpose"));
        assert_eq!(exit(failing.await), Exit::CouldNotRun);
    }
}
