//! The earliest of all deadlines, while several come, go and are put off.

use shuttle::thread;

use super::super::deadlines::Deadlines;
use super::*;
use crate::sync::schedules::outcomes;

/// The deadline that each reservation certainly has, or [`u64::MAX`].
type Promised = Arc<[AtomicU64]>;

/// Enters a deadline, puts it off and takes it out; each time the word is at once what it has to be.
fn come_and_go(deadlines: &Deadlines, promised: &AtomicU64, number: u64, first_ms: u64) {
    let id = ReservationId::from_bits(u128::from(number));
    deadlines.insert(first_ms, id);
    assert!(deadlines.earliest() <= first_ms, "entered, and passed over");
    promised.store(first_ms, SeqCst);
    let then_ms = first_ms + 10;
    deadlines.insert(then_ms, id);
    promised.store(then_ms, SeqCst);
    deadlines.remove(first_ms, id);
    let earliest = deadlines.earliest();
    assert!(earliest <= then_ms && earliest != first_ms, "put off, and at {earliest}");
    promised.store(u64::MAX, SeqCst);
    deadlines.remove(then_ms, id);
    assert_ne!(deadlines.earliest(), then_ms, "taken out, and still there");
}

/// The word is no later than what was entered before it was read, if that is still there after.
fn look(deadlines: &Deadlines, promised: &Promised) {
    let before: Vec<u64> = promised.iter().map(|deadline_ms| deadline_ms.load(SeqCst)).collect();
    let earliest = deadlines.earliest();
    for (before, after) in before.iter().zip(promised.iter()) {
        assert!(after.load(SeqCst) != *before || earliest <= *before, "{earliest} passes over {before}");
    }
}

/// Reservations with these names, each with a thread; they share a part of the deadlines where the names are equal in their low bits.
fn coming_and_going(names: &'static [u64]) {
    let occurred = outcomes(move || {
        let deadlines = Arc::new(Deadlines::default());
        let promised: Promised = names.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
        let threads: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(at, &name)| {
                let (deadlines, promised) = (Arc::clone(&deadlines), Arc::clone(&promised));
                let first_ms = 100 * (at as u64 + 1);
                thread::spawn(move || come_and_go(&deadlines, &promised[at], name, first_ms))
            })
            .collect();
        for _ in 0..3 {
            look(&deadlines, &promised);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(deadlines.earliest(), u64::MAX, "nothing is held any more");
        "gone".to_owned()
    });
    assert_occurred(&occurred, &["gone"]);
}

/// P9: the word is exact at every instant, whoever shares a part with whom.
#[test]
fn the_earliest_is_exact_across_parts() {
    coming_and_going(&[1, 2, 3]);
}

/// The same, where all are in one part, and two of three.
#[test]
fn the_earliest_is_exact_within_a_part() {
    coming_and_going(&[1, 17, 33]);
    coming_and_going(&[1, 17, 2]);
}
