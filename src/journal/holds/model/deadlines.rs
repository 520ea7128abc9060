//! The earliest of all deadlines, while several come, go and are put off.

use shuttle::thread;

use super::super::deadlines::Deadlines;
use super::*;
use crate::sync::schedules::outcomes;

/// Each reservation certainly has a deadline at or before this; none, where it is [`u64::MAX`].
type Promised = Arc<[AtomicU64]>;

/// Of which levels each reservation holds something, by their numbers.
type OfLevels = &'static [&'static [usize]];

/// Two levels of one part, and one of another.
fn levels(deadlines: &Deadlines) -> [StockKey; 3] {
    let named = |number| StockKey::new(&Sku::parse(&format!("s{number}")).unwrap(), &Location::DEFAULT);
    let part = |key: &StockKey| deadlines.shard_of(key);
    let first = named(0);
    let beside = (1..9_999).map(named).find(|key| part(key) == part(&first)).unwrap();
    let apart = (1..9_999).map(named).find(|key| part(key) != part(&first)).unwrap();
    [first, beside, apart]
}

/// A reservation of those levels.
fn hold(number: u64, keys: &[StockKey]) -> Arc<Hold> {
    let line = |key: &StockKey| HeldLine { key: key.clone(), quantity: Quantity::new(1).unwrap() };
    Arc::new(Hold::opening(term(number, 1), keys.iter().map(line).collect()))
}

/// Enters a deadline, puts it off and takes it out; each time the word is at once what it has to be, and what is due is found.
fn come_and_go(deadlines: &Deadlines, promised: &AtomicU64, hold: &Arc<Hold>, first_ms: u64) {
    let each = |change: &dyn Fn(&StockKey)| hold.lines().iter().for_each(|line| change(&line.key));
    each(&|key| {
        deadlines.insert(key, first_ms, hold);
        assert!(deadlines.earliest() <= first_ms, "entered, and passed over");
        assert!(deadlines.due_of(key, first_ms).is_some(), "entered, and not found");
    });
    promised.store(first_ms, SeqCst);
    let then_ms = first_ms + 10;
    promised.store(then_ms, SeqCst);
    each(&|key| {
        deadlines.insert(key, then_ms, hold);
        deadlines.remove(key, first_ms, hold);
        assert!(deadlines.earliest() <= then_ms, "put off, and passed over");
    });
    assert_ne!(deadlines.earliest(), first_ms, "put off, and still there");
    promised.store(u64::MAX, SeqCst);
    each(&|key| deadlines.remove(key, then_ms, hold));
    assert_ne!(deadlines.earliest(), then_ms, "taken out, and still there");
}

/// The word is no later than what was entered before it was read, and is still there after, put off or not.
fn look(deadlines: &Deadlines, promised: &Promised) {
    let before: Vec<u64> = promised.iter().map(|deadline_ms| deadline_ms.load(SeqCst)).collect();
    let earliest = deadlines.earliest();
    for (before, after) in before.iter().zip(promised.iter()) {
        let after = after.load(SeqCst);
        assert!(*before == u64::MAX || earliest <= after, "{earliest} passes over {after}");
    }
}

/// Reservations of these levels, each with a thread.
fn coming_and_going(of_levels: OfLevels) {
    let occurred = outcomes(move || {
        let deadlines = Arc::new(Deadlines::default());
        let levels = levels(&deadlines);
        let promised: Promised = of_levels.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
        let threads: Vec<_> = of_levels
            .iter()
            .enumerate()
            .map(|(at, &numbers)| {
                let (deadlines, promised) = (Arc::clone(&deadlines), Arc::clone(&promised));
                let keys: Vec<StockKey> = numbers.iter().map(|&level| levels[level].clone()).collect();
                let (number, first_ms) = (at as u64 + 1, 100 * (at as u64 + 1));
                let hold = hold(number, &keys);
                thread::spawn(move || come_and_go(&deadlines, &promised[at], &hold, first_ms))
            })
            .collect();
        for _ in 0..3 {
            look(&deadlines, &promised);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(deadlines.earliest(), u64::MAX, "nothing is held any more");
        assert!(deadlines.due(u64::MAX, 9).is_empty());
        "gone".to_owned()
    });
    assert_occurred(&occurred, &["gone"]);
}

/// P9: the word is exact at every instant, whoever shares a level or a part with whom.
#[test]
fn the_earliest_is_exact_across_parts() {
    coming_and_going(&[&[0], &[2], &[0]]);
    coming_and_going(&[&[0], &[1], &[2]]);
}

/// The same, where all are of one level.
#[test]
fn the_earliest_is_exact_within_a_level() {
    coming_and_going(&[&[0], &[0], &[0]]);
}

/// The same, where reservations have several levels, some of them in common.
#[test]
fn the_earliest_is_exact_over_several_levels() {
    coming_and_going(&[&[0, 2], &[2], &[0, 1]]);
}
