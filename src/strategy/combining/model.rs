//! Slots and shards under the model checker (shuttle); how it is run, and its bounds, are in [`crate::strategy::owner`]'s model.
//!
//! What runs is the code of this folder itself; its locks and atomics are shuttle's ([`super::sync`]). Shuttle's memory is sequentially
//! consistent: that release and acquire are enough is argued in [`super::slot`], not modelled.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shuttle::future::block_on;
use shuttle::thread;

use super::Combining;
use super::shard::{Desk, Shard, Tuning};
use crate::stock::StockKey;
use crate::strategy::kept_out::{assert_changes_are_kept_out, impatient};
use crate::strategy::owner::model::{Bench, Told, key, outcomes};
use crate::strategy::{Contention, Strategy};

/// A desk that writes down who was served; number [`FATAL`] it cannot serve.
#[derive(Debug, Default)]
struct Book {
    served: Vec<u32>,
    /// How many, for those who are not inside.
    count: Arc<AtomicUsize>,
}

const FATAL: u32 = 99;

impl Desk for Book {
    type Question = u32;
    type Answer = usize;

    fn serve(&mut self, number: u32) -> usize {
        // A point at which others may run, as in the middle of real work.
        thread::yield_now();
        assert_ne!(number, FATAL, "on purpose, at the desk");
        self.served.push(number);
        // The model's threads take turns: nobody sees the one without the other.
        self.count.fetch_add(1, Ordering::SeqCst)
    }
}

fn shard(slots: usize) -> Arc<Shard<Book>> {
    Arc::new(Shard::new(Book::default(), Tuning { slots, looks: 1, passes: 1 }))
}

/// Long after the model has ended, or before it began.
fn patience(is_patient: bool) -> Instant {
    if is_patient { Instant::now() + Duration::from_hours(1) } else { Instant::now() }
}

/// A call as the strategy makes it: in, if nobody is; else by a slot. The place in the book.
fn ask(shard: &Shard<Book>, number: u32, is_patient: bool) -> Option<usize> {
    if let Some(mut inside) = shard.try_enter() {
        return Some(inside.serve(number));
    }
    shard.ask_until(number, patience(is_patient))
}

fn asking(shard: &Arc<Shard<Book>>, number: u32, is_patient: bool) -> thread::JoinHandle<Option<usize>> {
    let shard = Arc::clone(shard);
    thread::spawn(move || ask(&shard, number, is_patient))
}

/// The book, when nobody asks any more.
fn book(shard: &Shard<Book>) -> Vec<u32> {
    shard.try_enter().expect("nobody is inside").served.clone()
}

fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
    assert_eq!(*occurred, expected);
}

/// P1, P10: everybody is served once and told its own answer, with fewer slots than callers too.
#[test]
fn everybody_is_served_once() {
    for slots in [1, 2, 3] {
        let occurred = outcomes(move || {
            let shard = shard(slots);
            let asking: Vec<_> = (0..4).map(|number| asking(&shard, number, true)).collect();
            let places = asking.into_iter().map(|asking| asking.join().unwrap().expect("it is patient"));
            let places: Vec<_> = places.collect();
            let book = book(&shard);
            assert_eq!(book.len(), 4);
            assert!((0..4).zip(&places).all(|(number, &place)| book[place] == number), "{book:?} {places:?}");
            book.len().to_string()
        });
        assert_occurred(&occurred, &["4"]);
    }
}

/// P3, P10: asker and combiner race for the question: what was given up is never served, what was not is, once.
#[test]
fn what_is_withdrawn_is_never_served() {
    let occurred = outcomes(|| {
        let shard = shard(2);
        let asking: Vec<_> = (0..3).map(|number| asking(&shard, number, number == 0)).collect();
        let told: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert!(told[0].is_some(), "it is patient");
        // Slots that were given up are as good as new.
        assert!((3..6).all(|number| ask(&shard, number, true).is_some()));
        let book = book(&shard);
        for (number, told) in (0..).zip(&told) {
            let places: Vec<usize> = (0..book.len()).filter(|&place| book[place] == number).collect();
            assert_eq!(places, told.iter().copied().collect::<Vec<_>>(), "{book:?} {told:?}");
        }
        (book.len() - 3).to_string()
    });
    assert_occurred(&occurred, &["1", "2", "3"]);
}

/// P10: a question that panics at the desk panics in its asker, whoever serves it; all others are answered.
#[test]
fn a_panic_is_its_askers() {
    let occurred = outcomes(|| {
        let shard = shard(3);
        let fatal = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || catch_unwind(AssertUnwindSafe(|| ask(&shard, FATAL, true))).is_err())
        };
        let asking: Vec<_> = (0..3).map(|number| asking(&shard, number, true)).collect();
        assert!(asking.into_iter().all(|asking| asking.join().unwrap().is_some()));
        assert!(fatal.join().unwrap(), "it panics where it was asked");
        let mut book = book(&shard);
        book.sort_unstable();
        format!("{book:?}")
    });
    assert_occurred(&occurred, &["[0, 1, 2]"]);
}

/// P10: who unwinds inside serves nobody, and holds nobody up: one of those who wait takes over.
#[test]
fn who_waits_takes_over_from_who_unwinds() {
    let occurred = outcomes(|| {
        let shard = shard(2);
        let unwinding = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || {
                let inside = AssertUnwindSafe(|| {
                    let _inside = shard.enter_until(patience(true));
                    thread::yield_now();
                    panic!("on purpose, inside");
                });
                assert!(catch_unwind(inside).is_err());
            })
        };
        let asking: Vec<_> = (0..2).map(|number| asking(&shard, number, true)).collect();
        assert!(asking.into_iter().all(|asking| asking.join().unwrap().is_some()));
        unwinding.join().unwrap();
        book(&shard).len().to_string()
    });
    assert_occurred(&occurred, &["2"]);
}

/// P10: the bound: a published question is passed over by fewer than twice as many as there are slots, however often others come
/// in meanwhile. Counted from a moment after it was published.
#[test]
fn nobody_is_passed_over_too_often() {
    const BUSY: u32 = 8;
    let occurred = outcomes(|| {
        let shard = shard(2);
        // What the bound rests on: whoever goes out has served all that was published.
        let inside = shard.try_enter().unwrap();
        let served = Arc::clone(&inside.count);
        let posted = [51, 52].map(|number| shard.post(number).unwrap());
        drop(inside);
        assert_eq!(served.load(Ordering::SeqCst), 2, "the published are served");
        assert!(posted.into_iter().all(|posted| posted.wait(patience(false)).is_some()));
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let shard = Arc::clone(&shard);
                thread::spawn(move || {
                    assert!((0..BUSY).all(|number| ask(&shard, number, true).is_some()));
                })
            })
            .collect();
        // The busy two may have taken both slots: then this schedule says nothing.
        let passed_over = shard.post(50).map(|posted| {
            let published = served.load(Ordering::SeqCst);
            posted.wait(patience(true)).expect("it is patient").saturating_sub(published)
        });
        busy.into_iter().for_each(|busy| busy.join().unwrap());
        let passed_over = passed_over.unwrap_or(0);
        passed_over.to_string()
    });
    // Fewer than twice two; and it is not for want of others that it is never more.
    assert!(occurred.contains("2"), "{occurred:?}");
}

mod strategy {
    use super::*;

    fn bench() -> Arc<Bench<Combining>> {
        Bench::new(Combining::new, 1, 1)
    }

    /// Two levels of different shards, and another of the first's.
    fn keys(strategy: &Combining) -> Arc<[StockKey]> {
        let shard = |key: &StockKey| strategy.place(key).shard;
        let mut keys = (0..).map(|number: u32| key(&number.to_string()));
        let first = keys.next().unwrap();
        let other = keys.clone().find(|key| shard(key) != shard(&first)).unwrap();
        let neighbour = keys.find(|key| shard(key) == shard(&first)).unwrap();
        [first, other, neighbour].into()
    }

    fn calling(
        bench: &Arc<Bench<Combining>>,
        keys: &Arc<[StockKey]>,
        of: &'static [usize],
    ) -> thread::JoinHandle<Told> {
        let (bench, keys) = (Arc::clone(bench), Arc::clone(keys));
        thread::spawn(move || match *of {
            [one] => block_on(bench.change(&keys[one])),
            _ => {
                let keys: Vec<StockKey> = of.iter().map(|&number| keys[number].clone()).collect();
                block_on(bench.change_all(&keys))
            }
        })
    }

    /// P1, P10: changes and transactions over the same shards: all happen and are handed over, once; nobody hangs.
    #[test]
    fn changes_and_transactions() {
        const OF: [&[usize]; 4] = [&[0, 1], &[1, 2], &[0], &[0]];
        let occurred = outcomes(|| {
            let bench = bench();
            let keys = keys(&bench.strategy);
            let told = OF.map(|of| calling(&bench, &keys, of)).map(|caller| caller.join().unwrap());
            let told: Vec<_> = told.into_iter().zip(OF).collect();
            format!("{:?}", bench.settle(&keys, &told))
        });
        assert_occurred(&occurred, &["[3, 2, 1]"]);
    }

    /// P4, P5: who reads one level after the other sees both before the transaction or both after it, or it came in between.
    #[test]
    fn nobody_sees_a_part() {
        for order in [[0, 1, 0], [1, 0, 1]] {
            let occurred = outcomes(move || {
                let bench = bench();
                let keys = keys(&bench.strategy);
                let writing = calling(&bench, &keys, &[0, 1]);
                let read = order.map(|number| block_on(bench.units(&keys[number])).expect("it is patient"));
                writing.join().unwrap();
                format!("{read:?}")
            });
            assert_occurred(&occurred, &["[0, 0, 0]", "[0, 0, 1]", "[0, 1, 1]", "[1, 1, 1]"]);
        }
    }

    /// P3, P4, P10: who cannot get in changes nothing, and never will.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let occurred = outcomes(|| {
            let strategy = Arc::new(impatient(Combining::new));
            let keys = keys(&strategy);
            let held = strategy.shards[strategy.place(&keys[0]).shard].try_enter().unwrap();
            let calling = {
                let (strategy, keys) = (Arc::clone(&strategy), Arc::clone(&keys));
                thread::spawn(move || {
                    assert_changes_are_kept_out(&*strategy, &keys[1], &keys[0]);
                    assert_eq!(block_on(Strategy::<()>::read(&*strategy, &keys[0])), Err(Contention));
                })
            };
            // Two that can run, or it is no model.
            thread::yield_now();
            calling.join().unwrap();
            drop(held);
            let level = |key| block_on(Strategy::<()>::read(&*strategy, key)).unwrap().version();
            format!("{} {}", level(&keys[0]), level(&keys[1]))
        });
        assert_occurred(&occurred, &["0 0"]);
    }
}
