//! `loadtest`, as an example: so that `cargo test -p targets` builds it along with the shops that it is to judge.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(loadtest::commands::main().code())
}
