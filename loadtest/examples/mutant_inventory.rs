//! The service itself, with the strategies that are wrong on purpose: what `loadtest selftest` is tried on.
//!
//! An example of this crate, because examples are built with the features that its tests ask for, and with them alone: the
//! feature `mutants` reaches no build of the service proper. `cargo test` builds it along.

use std::process::ExitCode;

fn main() -> ExitCode {
    inventory::cli::run()
}
