//! The load generator's entry point: it only wires.

use std::process::ExitCode;

/// Answers of thousands of levels are parsed while others are written: the allocator is what the clients share most.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(loadtest::commands::main().code())
}
