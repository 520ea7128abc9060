//! Sound books are found sound, and each broken promise is found to be that.

use super::simulate::{Broken, Keeping, simulate};
use super::*;

mod partitions;

const ALL_TURNS: [Turns; 3] = [Turns::Fifo, Turns::Lifo, Turns::Priority { ageing_ms: 40 }];

const LOG_FIFO: (Keeping, Turns) = (Keeping::Log, Turns::Fifo);

/// Every way of keeping a ledger, by every discipline.
fn all_shops() -> impl Iterator<Item = (Keeping, Turns)> {
    Keeping::ALL.into_iter().flat_map(|keeping| ALL_TURNS.map(|turns| (keeping, turns)))
}

fn found(audit: &Audit) -> Vec<Fault> {
    audit.by_fault.keys().copied().collect()
}

#[test]
fn sound_books_are_found_sound() {
    let mut reached = Counts::default();
    for shop in all_shops() {
        for seed in 0..150 {
            let simulated = simulate(seed, 400, shop, None);
            let audit = audit(&simulated.books);
            assert!(audit.is_clean(), "seed {seed}, {shop:?}: {:#?}", audit.listed);
            for (state, count) in audit.counts.holds_by_state {
                *reached.holds_by_state.entry(state).or_default() += count;
            }
            for (state, count) in audit.counts.orders_by_state {
                *reached.orders_by_state.entry(state).or_default() += count;
            }
            reached.orders_fulfilled_late += audit.counts.orders_fulfilled_late;
            reached.holds_committed_in_part += audit.counts.holds_committed_in_part;
            reached.returns_refused += audit.counts.returns_refused;
        }
    }
    // It is no use if nothing ever happens.
    assert_eq!(reached.holds_by_state.keys().len(), 3, "{reached:?}");
    assert!(reached.orders_by_state.keys().len() >= 4, "{reached:?}");
    assert!(reached.orders_fulfilled_late > 1_000 && reached.holds_committed_in_part > 1_000, "{reached:?}");
    assert!(reached.returns_refused > 500, "{reached:?}");
}

/// What each broken promise has to be called.
fn verdict(broken: Broken) -> Fault {
    match broken {
        Broken::AdjustLost => Fault::Lost,
        Broken::AdjustTwice => Fault::Twice,
        Broken::ReservedInPart | Broken::SaidCommittedButReleased => Fault::Torn,
        Broken::RefusedAndDone | Broken::CancelledAndFulfilled => Fault::DoneAllTheSame,
        Broken::ReadOld => Fault::Stale,
        Broken::ReadWrong => Fault::WrongValue,
        Broken::RefusedFalsely | Broken::RefusedForMore => Fault::FalseRefusal,
        Broken::ExpiredEarly => Fault::ExpiredEarly,
        Broken::ExpiredLate => Fault::HeldTooLong,
        Broken::SettledTwice => Fault::SettledTwice,
        Broken::ReservationLost => Fault::LostReservation,
        Broken::OrderLost => Fault::LostOrder,
        Broken::OrderFulfilledTwice => Fault::FulfilledTwice,
        Broken::NewcomerServedFirst | Broken::WorstServedFirst => Fault::Overtaken,
        Broken::WakesNobody => Fault::SleptThrough,
        Broken::ReturnedTwice => Fault::ReturnedTwice,
    }
}

#[test]
fn each_broken_promise_is_found_and_called_by_its_name() {
    for (broken, keeping) in
        Broken::ALL.into_iter().flat_map(|broken| Keeping::ALL.map(|keeping| (broken, keeping)))
    {
        let (mut times, mut convicted) = (0, 0);
        for (seed, any_turns) in (0..60).zip(ALL_TURNS.into_iter().cycle()) {
            // Whoever serves the worst first is wrong by any discipline; a newcomer is only where the first is first.
            let turns = if broken == Broken::WorstServedFirst { any_turns } else { Turns::Fifo };
            let simulated = simulate(seed, 400, (keeping, turns), Some(broken));
            // These go on and on, and are seen where somebody looks: who is served in the wrong order, where several wait.
            let wanders =
                matches!(broken, Broken::WorstServedFirst | Broken::WakesNobody | Broken::ExpiredLate);
            if !simulated.broke && !wanders {
                continue;
            }
            let audit = audit(&simulated.books);
            times += 1;
            convicted += u32::from(found(&audit).contains(&verdict(broken)));
            if !wanders {
                let found = found(&audit);
                assert!(
                    found.contains(&verdict(broken)),
                    "seed {seed}, {keeping:?}: {broken:?} is {found:?}: {:#?}",
                    audit.listed
                );
            }
        }
        assert!(times >= 20 && convicted * 2 > times, "{broken:?}, {keeping:?}: {convicted} of {times}");
    }
}

/// Without a discipline that is known nobody can be said to be overtaken.
#[test]
fn who_is_next_is_judged_only_where_it_is_known() {
    for seed in 0..20 {
        let mut books = simulate(seed, 400, LOG_FIFO, Some(Broken::WorstServedFirst)).books;
        books.turns = Turns::Untold;
        assert!(audit(&books).is_clean());
    }
}

/// An answer that never came leaves open whether it was done, and nothing else.
#[test]
fn what_was_never_answered_may_be_done_or_not() {
    for (seed, keeping) in (0..60).zip(Keeping::ALL.into_iter().cycle()) {
        let mut books = simulate(seed, 300, (keeping, Turns::Fifo), None).books;
        let mut forgotten = 0;
        for told in &mut books.told {
            if told.number % 7 == 0
                && !matches!(told.ask, Ask::Read { .. } | Ask::SeeHold { .. } | Ask::SeeOrder { .. })
            {
                (told.answer, told.answered_ns) = (Answer::Unknown, u64::MAX);
                forgotten += 1;
            }
        }
        let audit = audit(&books);
        assert!(forgotten > 10 && audit.is_clean(), "seed {seed}: {:#?}", audit.listed);
    }
}

/// Movements that went missing, or that nobody asked for, are found whatever the answers are.
#[test]
fn a_ledger_that_was_tampered_with_is_found() {
    for (seed, keeping) in (0..60).zip(Keeping::ALL.into_iter().cycle()) {
        let books = simulate(seed, 200, (keeping, Turns::Fifo), None).books;
        let at = books.movements.len() / 2;
        let mut gap = books.clone();
        gap.movements.remove(at);
        assert!(found(&audit(&gap)).contains(&Fault::BrokenLedger));
        let mut strange = books.clone();
        strange.movements[at].number = Some(u64::MAX);
        strange.movements[at].kind = MovementKind::Adjusted;
        assert!(found(&audit(&strange)).contains(&Fault::Unexplained));
    }
}

/// A change is seen, and only then another of another level is asked for, which has the lower number: where numbers are the order of all it
/// cannot have been so. Of one level it can be so nowhere.
#[test]
fn only_where_it_is_said_is_the_ledger_in_the_order_of_time() {
    let told =
        |number, asked_ns, answered_ns, ask, answer| Told { number, asked_ns, answered_ns, ask, answer };
    let level = |level, on_hand, version| Answer::Level(Seen { level, on_hand, reserved: 0, version });
    let made = |seq, kind, level, before, after, version, number| {
        let number = Some(number);
        Movement {
            seq,
            kind,
            level,
            before: (before, 0),
            after: (after, 0),
            version,
            number,
            hold: None,
            order: None,
        }
    };
    let books = |second: usize, numbered| {
        let (units, version) = if second == 1 { (4, 2) } else { (3, 3) };
        // Number 5 was asked for after number 4 had shown what number 3 did.
        let told = vec![
            told(1, 0, 10, Ask::Open { level: 0, on_hand: 5 }, level(0, 5, 1)),
            told(2, 0, 10, Ask::Open { level: 1, on_hand: 5 }, level(1, 5, 1)),
            told(
                3,
                20,
                90,
                Ask::Adjust { level: 0, delta: -1 },
                level(0, if second == 1 { 4 } else { 3 }, if second == 1 { 2 } else { 3 }),
            ),
            told(
                4,
                30,
                40,
                Ask::Read { level: 0 },
                level(0, if second == 1 { 4 } else { 3 }, if second == 1 { 2 } else { 3 }),
            ),
            told(5, 50, 90, Ask::Adjust { level: second, delta: -1 }, level(second, 4, 2)),
            told(6, 100, 110, Ask::Read { level: 0 }, level(0, units, version)),
            told(
                7,
                100,
                110,
                Ask::Read { level: 1 },
                level(1, if second == 1 { 4 } else { 5 }, if second == 1 { 2 } else { 1 }),
            ),
        ];
        let movements = vec![
            made(1, MovementKind::Created, 0, 0, 5, 1, 1),
            made(2, MovementKind::Created, 1, 0, 5, 1, 2),
            made(3, MovementKind::Adjusted, second, 5, 4, 2, 5),
            made(4, MovementKind::Adjusted, 0, if second == 1 { 5 } else { 4 }, units, version, 3),
        ];
        let levels = vec!["a".to_owned(), "b".to_owned()];
        Books { levels, told, movements, numbered, ..Books::default() }
    };
    assert_eq!(found(&audit(&books(1, Numbered::Throughout))), [Fault::BeforeItsTime]);
    assert_eq!(found(&audit(&books(1, Numbered::EachLevel))), []);
    for numbered in [Numbered::Throughout, Numbered::EachLevel] {
        assert!(found(&audit(&books(0, numbered))).contains(&Fault::BeforeItsTime));
    }
}
