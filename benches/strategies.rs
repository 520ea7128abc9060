//! What one operation costs each strategy while nobody contends, in time (criterion). `benches/README.md` says how to
//! read it; `loadtest inproc` measures contention.

mod subject;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use subject::{Subject, Task, kinds};

/// The operations, by name.
const OPERATIONS: [(&str, Task); 5] = [
    ("read", Task::Read),
    ("adjust", Task::Adjust),
    ("refused adjust", Task::Refused),
    ("transaction of 2", Task::Transaction(2)),
    ("transaction of 16", Task::Transaction(16)),
];

fn strategies(criterion: &mut Criterion) {
    for (name, task) in OPERATIONS {
        let mut group = criterion.benchmark_group(name);
        for kind in kinds() {
            let subject = Subject::new(kind, task);
            assert_eq!(subject.perform(), task != Task::Refused, "the operation does what its name says");
            group.bench_function(kind.name(), |bencher| bencher.iter(|| black_box(subject.perform())));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    // Short: five operations of every strategy, and the machine is rarely quiet for long.
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = strategies
}
criterion_main!(benches);
