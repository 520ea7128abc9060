# Recipes for https://just.systems. Each is a plain command, or one step of .ci/run, so nothing here is needed.

set positional-arguments
set shell := ["bash", "-euc"]

# List the recipes.
default:
    @just --list

# Serve on 127.0.0.1:8080; flags follow, such as `just serve --strategy mutex`.
serve *flags:
    cargo run --release --locked --package inventory -- serve "$@"

# Run the tests; arguments are cargo's, such as `just test --test it http`.
test *arguments:
    cargo test --workspace --locked "$@"

# Check formatting and lints.
lint:
    bash .ci/run fmt clippy

# Build the documentation, with warnings denied.
doc:
    bash .ci/run doc

# Run everything that CI runs, in its order.
ci:
    bash .ci/run

# Check bans, licences, sources and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny --workspace --all-features --locked check

# Drive a running server and verify every answer.
load url="http://127.0.0.1:8080" *flags:
    cargo run --release --locked --package loadtest -- run "$@"

# Measure and verify every correct strategy, each on a server of its own.
compare *flags:
    cargo build --release --locked --workspace
    target/release/loadtest compare --strategies all "$@"

# Try the checks on strategies that are wrong on purpose, and print the kill matrix.
selftest *flags:
    cargo build --release --locked --workspace
    cargo build --release --locked --package loadtest --example mutant_inventory
    target/release/loadtest selftest "$@"

# Kill a server of its own again and again under load, and verify what it kept.
crash *flags:
    cargo build --release --locked --workspace
    target/release/loadtest crash "$@"

# Replay a shop's orders from a file against a running server.
replay file url="http://127.0.0.1:8080" *flags:
    cargo run --release --locked --package loadtest -- replay "$2" "$1" "${@:3}"
