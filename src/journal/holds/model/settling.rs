//! One reservation that several want to settle, extend or expire, while its deadline comes.

use shuttle::thread::{self, JoinHandle};

use super::*;
use crate::sync::schedules::outcomes;

/// Callers with a thread each, one that looks at the level, and time that passes the deadline. After them, what became of the reservation,
/// and what was done: of one that is left, that it expires once its last deadline has come.
fn settling(deeds: &'static [Deed]) -> BTreeSet<String> {
    outcomes(move || {
        let table = Table::new();
        let hold = table.make(table.open(1));
        let callers: Vec<JoinHandle<bool>> = deeds
            .iter()
            .map(|&deed| {
                let (table, hold) = (Arc::clone(&table), Arc::clone(&hold));
                thread::spawn(move || table.does(&hold, deed))
            })
            .collect();
        let looker = {
            let (table, hold) = (Arc::clone(&table), Arc::clone(&hold));
            thread::spawn(move || {
                for _ in 0..2 {
                    look(&table, &hold);
                }
            })
        };
        table.now_ms.store(DEADLINE, SeqCst);
        let did: Vec<bool> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        looker.join().unwrap();
        table.assert_whole(&hold);
        let told = told(deeds, &did, &hold);
        table.sweep(LATE);
        table.assert_whole(&hold);
        assert_ne!(hold.state(), Some(ReservationState::Pending));
        told
    })
}

/// Expires what is due, and looks: what is finished is nobody's to expire any more, and holds nothing.
fn look(table: &Table, hold: &Hold) {
    table.expire_due_of_level(table.now_ms());
    if hold.state() != Some(ReservationState::Pending) {
        assert!(
            table.holds.due_of(&key(), LATE).is_none(),
            "finished, and still among the deadlines of its level"
        );
        assert_eq!(table.holds.earliest_ms(), None, "finished, and still among the deadlines of all");
        assert_eq!(table.held.load(SeqCst), 0);
    }
}

/// What became of it; and, if it was extended, that.
fn told(deeds: &[Deed], did: &[bool], hold: &Hold) -> String {
    let did = |wanted| deeds.iter().zip(did).any(|(deed, did)| *deed == wanted && *did);
    let state = hold.state().unwrap();
    // Who was told that it was done is right, and nobody else was told so.
    assert_eq!(did(Deed::Commit), state == ReservationState::Committed);
    assert_eq!(did(Deed::Release), state == ReservationState::Released);
    let extended = did(Deed::Extend);
    // The time is never later than the deadline that it was made with.
    assert!(
        !(extended && state == ReservationState::Expired),
        "expired before the deadline that it was given"
    );
    assert_eq!(extended, hold.term().expires_ms > DEADLINE);
    format!("{state:?}{}", if extended { " later" } else { "" })
}

/// P9: three want to settle it, and who is due to expire it is among them: one does.
#[test]
fn it_is_settled_once() {
    let occurred = settling(&[Deed::Commit, Deed::Release]);
    assert_occurred(&occurred, &["Committed", "Released", "Expired"]);
}

/// P9: extended, it is not expired at its old deadline, whoever found that before.
#[test]
fn what_is_extended_is_not_expired() {
    let occurred = settling(&[Deed::Commit, Deed::Extend]);
    assert_occurred(&occurred, &["Committed", "Committed later", "Expired"]);
}

/// P9: released while it is extended: the new deadline goes with it.
#[test]
fn what_is_released_has_no_deadline() {
    let occurred = settling(&[Deed::Release, Deed::Extend]);
    assert_occurred(&occurred, &["Released", "Released later", "Expired"]);
}

/// P11: who goes away in the middle leaves it as it was, and those who waited go on.
#[test]
fn what_is_given_up_is_settled_by_the_next() {
    let occurred = settling(&[Deed::GiveUp, Deed::Commit]);
    assert_occurred(&occurred, &["Committed", "Expired"]);
    let occurred = settling(&[Deed::GiveUp, Deed::Extend]);
    assert_occurred(&occurred, &["Pending later", "Expired"]);
}

/// P9: two extensions and one that goes away: it never leaves the deadlines, and has the one that was given last.
#[test]
fn while_it_is_extended_it_has_a_deadline() {
    let occurred = outcomes(|| {
        let table = Table::new();
        let hold = table.make(table.open(1));
        let callers = [Deed::Extend, Deed::Extend, Deed::GiveUp].map(|deed| {
            let (table, hold) = (Arc::clone(&table), Arc::clone(&hold));
            thread::spawn(move || {
                table.now_ms.fetch_add(1, SeqCst);
                assert!(table.does(&hold, deed));
            })
        });
        for _ in 0..3 {
            assert!(table.holds.due_of(&key(), LATE).is_some(), "none of its level while it is extended");
            assert!(table.holds.earliest_ms().is_some(), "none at all while it is extended");
        }
        for caller in callers {
            caller.join().unwrap();
        }
        table.assert_whole(&hold);
        "extended".to_owned()
    });
    assert_occurred(&occurred, &["extended"]);
}
