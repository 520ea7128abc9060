//! The load generator's entry point: it only wires.

fn main() {}
