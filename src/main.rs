//! The binary: it only wires.

fn main() {}
