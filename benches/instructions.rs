//! How many instructions the hot path of each strategy takes (gungraun, which runs it in Valgrind): the same on a busy
//! machine as on a quiet one, so that a regression shows. `benches/README.md` says how to run it.
//!
//! Each figure is of [`CALLS`] calls, after some to warm up. Of a strategy that passes messages it is the caller's thread
//! and whatever its owner did meanwhile, and not exact.

#![expect(missing_docs, reason = "what the macros of gungraun make")]

mod subject;

use std::hint::black_box;

use gungraun::prelude::*;
use inventory::strategy::Kind;

use subject::{Subject, Task, kinds};

/// As many calls as there are between two timed holds of a lock (`contention::HOLD_SAMPLE`): each run has exactly one.
const CALLS: usize = 64;

/// Names, since they become the names of the benchmarks.
fn names() -> Vec<&'static str> {
    kinds().map(Kind::name).collect()
}

/// A subject that has been used: every lazily made thing is made.
fn warm(name: &str, task: Task) -> Subject {
    let kind = name.parse().expect("a name of the catalogue");
    let subject = Subject::new(kind, task);
    (0..CALLS).for_each(|_| {
        black_box(subject.perform());
    });
    subject
}

fn read(name: &str) -> Subject {
    warm(name, Task::Read)
}

fn adjust(name: &str) -> Subject {
    warm(name, Task::Adjust)
}

fn refused(name: &str) -> Subject {
    warm(name, Task::Refused)
}

fn transaction_of_2(name: &str) -> Subject {
    warm(name, Task::Transaction(2))
}

fn transaction_of_16(name: &str) -> Subject {
    warm(name, Task::Transaction(16))
}

#[library_benchmark]
#[benches::read(iter = names(), setup = read)]
#[benches::adjust(iter = names(), setup = adjust)]
#[benches::refused(iter = names(), setup = refused)]
#[benches::transaction_of_2(iter = names(), setup = transaction_of_2)]
#[benches::transaction_of_16(iter = names(), setup = transaction_of_16)]
fn hot_path(subject: Subject) -> Subject {
    for _ in 0..CALLS {
        black_box(subject.perform());
    }
    subject
}

library_benchmark_group!(name = strategies, benchmarks = [hot_path]);

main!(library_benchmark_groups = strategies);
