//! The binary: it only wires.

use std::process::ExitCode;

/// Requests are many small allocations from many threads, which is what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    inventory::cli::run()
}
