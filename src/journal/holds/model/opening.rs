//! A reservation that is made, or given up, while its deadline comes and others look.

use shuttle::thread;

use super::*;
use crate::sync::schedules::outcomes;

/// P9: from the deadline on nobody sees a unit held, even if it comes while the reservation is being made: who looks waits, and expires it.
#[test]
fn its_deadline_comes_while_it_is_made() {
    let occurred = outcomes(|| {
        let table = Table::new();
        let maker = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let opening = table.open(1);
                table.now_ms.store(DEADLINE, SeqCst);
                table.make(opening)
            })
        };
        let sweeper = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.sweep(table.now_ms()))
        };
        let seen = look(&table);
        let hold = maker.join().unwrap();
        sweeper.join().unwrap();
        table.assert_whole(&hold);
        format!("{seen} {:?}", hold.state().unwrap())
    });
    assert_occurred(&occurred, &["early Pending", "early Expired", "late Expired"]);
}

/// P11: given up, it never was: nobody hangs on it, nobody expires it, and nothing of it is left.
#[test]
fn its_deadline_comes_while_it_is_given_up() {
    let occurred = outcomes(|| {
        let table = Table::new();
        let giver_up = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let opening = table.open(1);
                table.now_ms.store(DEADLINE, SeqCst);
                let hold = Arc::clone(opening.hold());
                drop(opening);
                hold
            })
        };
        let sweeper = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.sweep(table.now_ms()))
        };
        let seen = look(&table);
        if let Some(hold) = table.holds.get(id(1)) {
            block_on(table.holds.until_known(&hold));
            // Else whoever touches the level would be sent to it again and again.
            assert!(table.holds.due_of(&key(), LATE).is_none(), "given up, and still among the deadlines");
        }
        let hold = giver_up.join().unwrap();
        sweeper.join().unwrap();
        table.assert_whole(&hold);
        assert_eq!((hold.state(), table.holds.len()), (None, 0));
        seen.to_owned()
    });
    assert_occurred(&occurred, &["early", "late"]);
}

/// What whoever looks at the level sees: after the deadline, nothing that is held.
fn look(table: &Table) -> &'static str {
    let now_ms = table.now_ms();
    table.expire_due_of_level(now_ms);
    if now_ms < DEADLINE {
        return "early";
    }
    assert_eq!(table.held.load(SeqCst), 0, "held after its deadline");
    "late"
}

/// P9: whoever sees that something is due finds it, of the level and of all.
#[test]
fn what_is_seen_to_be_due_is_found() {
    let occurred = outcomes(|| {
        let table = Table::new();
        let maker = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.make(table.open(1)))
        };
        let seen = table.holds.is_due(|| LATE);
        if seen {
            let hold = table.holds.due_of(&key(), LATE).expect("one of the level");
            assert_eq!(table.holds.due(LATE, 9).len(), 1, "one of all");
            block_on(table.holds.until_known(&hold));
            assert_eq!(hold.state(), Some(ReservationState::Pending));
        }
        table.assert_whole(&maker.join().unwrap());
        seen.to_string()
    });
    assert_occurred(&occurred, &["false", "true"]);
}

/// Who sleeps until the earliest deadline is woken when there is an earlier one.
#[test]
fn an_earlier_deadline_wakes() {
    let occurred = outcomes(|| {
        let table = Table::new();
        let makers = [1, 2].map(|number| {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let lines = Box::new([HeldLine { key: key(), quantity: Quantity::new(1).unwrap() }]);
                let term = term(number, DEADLINE * number);
                table.holds.open(term, lines, usize::MAX).unwrap().made(|| ());
            })
        });
        let mut slept = 0;
        loop {
            let earlier = table.holds.earlier();
            if table.holds.earliest_ms() == Some(DEADLINE) {
                break;
            }
            block_on(earlier);
            slept += 1;
        }
        for maker in makers {
            maker.join().unwrap();
        }
        slept.to_string()
    });
    assert_occurred(&occurred, &["0", "1", "2"]);
}
