//! How many instructions the hot path of each strategy takes (gungraun, which runs it in Valgrind): the same on a busy
//! machine as on a quiet one, so that a regression shows. `benches/README.md` says how to run it.
//!
//! Each figure is of [`CALLS`] calls, after some to warm up. Of a strategy that passes messages it is the caller's thread
//! and whatever its owner did meanwhile, and not exact.

#![expect(missing_docs, reason = "what the macros of gungraun make")]

mod subject;

use std::hint::black_box;

use gungraun::prelude::*;
use inventory::strategy::StrategyKind;

use subject::{Subject, Task, kinds};

/// As many calls as there are between two timed holds of a lock (`contention::HOLD_SAMPLE`): each run has exactly one.
const CALLS: usize = 64;

/// A subject that has been used: every lazily made thing is made.
fn warm(name: &str, task: Task) -> Subject {
    assert!(
        kinds().map(StrategyKind::name).eq(LISTED.iter().copied()),
        "a strategy of the catalogue is not listed here"
    );
    let kind = name.parse().expect("a name of the catalogue");
    let subject = Subject::new(kind, task);
    perform(subject)
}

fn perform(subject: Subject) -> Subject {
    for _ in 0..CALLS {
        black_box(subject.perform());
    }
    subject
}

/// The correct strategies of the catalogue, in its order: see [`benchmark`].
const LISTED: [&str; 7] = ["mutex", "reentrant", "rwlock", "sharded", "atomic", "actor", "partitioned"];

/// A benchmark of one operation for each strategy, by its name: a name made by counting would stand for another
/// strategy, and be compared with that, as soon as the catalogue grew.
macro_rules! benchmark {
    ($operation:ident, $task:expr) => {
        #[library_benchmark]
        #[bench::mutex(warm("mutex", $task))]
        #[bench::reentrant(warm("reentrant", $task))]
        #[bench::rwlock(warm("rwlock", $task))]
        #[bench::sharded(warm("sharded", $task))]
        #[bench::atomic(warm("atomic", $task))]
        #[bench::actor(warm("actor", $task))]
        #[bench::partitioned(warm("partitioned", $task))]
        fn $operation(subject: Subject) -> Subject {
            perform(subject)
        }
    };
}

benchmark!(read, Task::Read);
benchmark!(adjust, Task::Adjust);
benchmark!(refused, Task::Refused);
benchmark!(transaction_of_2, Task::Transaction(2));
benchmark!(transaction_of_16, Task::Transaction(16));

library_benchmark_group!(
    name = strategies,
    benchmarks = [read, adjust, refused, transaction_of_2, transaction_of_16]
);

main!(library_benchmark_groups = strategies);
