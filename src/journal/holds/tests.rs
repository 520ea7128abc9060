//! Reservations by themselves: exact deadlines, settled once, and what is kept of them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::journal::register::SHARDS;
use crate::stock::{Location, Quantity, Sku};

impl Holds {
    /// How many there are, finished ones too.
    pub(super) fn len(&self) -> usize {
        self.register.len()
    }
}

fn key(name: &str) -> StockKey {
    StockKey::new(&Sku::parse(name).unwrap(), &Location::DEFAULT)
}

fn id(number: u128) -> ReservationId {
    ReservationId::new(u64::try_from(number).unwrap(), number)
}

fn term(number: u128, expires_ms: u64) -> Term {
    Term { id: id(number), expires_date_ms: expires_ms + 7, expires_ms }
}

fn lines(names: &[&str]) -> Box<[HeldLine]> {
    names.iter().map(|name| HeldLine { key: key(name), quantity: Quantity::new(2).unwrap() }).collect()
}

fn made(holds: &Arc<Holds>, number: u128, expires_ms: u64, names: &[&str]) -> Arc<Hold> {
    let opening = holds.open(term(number, expires_ms), lines(names), usize::MAX).unwrap();
    let hold = Arc::clone(opening.hold());
    opening.made(|| ());
    hold
}

fn mine(begun: Begun) -> Settlement {
    match begun {
        Begun::Mine(settlement) => settlement,
        other => panic!("{other:?}"),
    }
}

/// P9: due from the deadline on, and not a millisecond before; of its own levels alone.
#[test]
fn a_reservation_is_due_from_its_deadline_on() {
    let holds = Arc::new(Holds::new(10));
    assert!(!holds.is_due(|| panic!("nobody asks the time where nothing is held")));
    let hold = made(&holds, 1, 100, &["a", "b"]);
    assert_eq!(holds.earliest_ms(), Some(100));
    assert!(!holds.is_due(|| 99) && holds.is_due(|| 100));
    assert!(holds.due_of(&key("a"), 99).is_none());
    assert_eq!(holds.due_of(&key("b"), 100).unwrap().id(), id(1));
    assert!(holds.due_of(&key("c"), 1_000).is_none());
    assert!(matches!(hold.begin(&holds, 99, true), Begun::NotDue));
    assert!(matches!(hold.begin(&holds, 100, false), Begun::Due));
    mine(hold.begin(&holds, 100, true)).settled(Way::Expire, 5, || ());
    assert_eq!((holds.earliest_ms(), hold.state()), (None, Some(ReservationState::Expired)));
    assert!(holds.due_of(&key("a"), 1_000).is_none() && holds.due(1_000, 9).is_empty());
}

/// P9: settled once; who comes meanwhile waits, and who comes later finds it finished.
#[test]
fn a_reservation_is_settled_once() {
    let holds = Arc::new(Holds::new(10));
    let hold = made(&holds, 1, 100, &["a"]);
    let settlement = mine(hold.begin(&holds, 50, false));
    assert!(hold.is_under_way());
    // A commit that began before the deadline is not expired.
    for expires in [true, false] {
        assert!(matches!(hold.begin(&holds, 200, expires), Begun::UnderWay));
    }
    assert_eq!(hold.state(), Some(ReservationState::Pending), "as it was before, until it is known");
    settlement.settled(Way::Commit(Box::new([Quantity::new(1).unwrap()])), 5, || ());
    for expires in [true, false] {
        assert!(matches!(hold.begin(&holds, 200, expires), Begun::Finished));
    }
    let reservation = hold.reservation().unwrap();
    assert_eq!(
        (reservation.state, reservation.committed[0].quantity.units()),
        (ReservationState::Committed, 1)
    );
}

/// P11: who goes away leaves it as it was.
#[test]
fn what_is_given_up_is_as_it_was() {
    let holds = Arc::new(Holds::new(10));
    let hold = made(&holds, 1, 100, &["a"]);
    drop(mine(hold.begin(&holds, 50, false)));
    assert!(!hold.is_under_way() && holds.earliest_ms() == Some(100));
    mine(hold.begin(&holds, 50, false)).settled(Way::Release, 5, || ());
    drop(holds.open(term(2, 70), lines(&["a"]), usize::MAX).unwrap());
    assert_eq!((holds.get(id(2)).is_none(), holds.earliest_ms(), holds.open_count()), (true, None, 0));
}

/// P9: nobody finds it due between the old deadline and the new one, nor gives back what somebody else has begun since.
#[test]
fn an_extended_reservation_is_due_later() {
    let holds = Arc::new(Holds::new(10));
    let hold = made(&holds, 1, 100, &["a", "b"]);
    mine(hold.begin(&holds, 50, false)).extended(term(1, 300), || ());
    assert_eq!((holds.earliest_ms(), hold.term().expires_date_ms), (Some(300), 307));
    assert!(holds.due_of(&key("a"), 299).is_none() && holds.due_of(&key("a"), 300).is_some());
    assert!(matches!(hold.begin(&holds, 299, true), Begun::NotDue));
}

/// What a walk finds that begins when the record of a deed has been handed over and the deed is not over: called by that deed.
fn walked_during<T>(holds: &Arc<Holds>, deed: impl FnOnce(&mut dyn FnMut()) -> T) -> Vec<Found> {
    let (tell, told) = std::sync::mpsc::channel();
    let walk = || {
        let (holds, tell) = (Arc::clone(holds), tell.clone());
        std::thread::spawn(move || {
            let mut found = Vec::new();
            holds.walk(|one| found.push(one));
            let _ = tell.send(found);
        });
    };
    let mut first = None;
    deed(&mut || {
        walk();
        // Long enough for one that is not kept waiting to be over; one that is kept waiting is over after the deed.
        first = told.recv_timeout(std::time::Duration::from_millis(50)).ok();
    });
    first.unwrap_or_else(|| told.recv().expect("the walk ends"))
}

/// P7, P9: the log may have the record of a deed on disk before the deed is over; a snapshot that starts after that record has what it did.
#[test]
fn a_walk_finds_what_was_handed_over_before_it() {
    let holds = Arc::new(Holds::new(SHARDS * 3));
    let opening = holds.open(term(1, 100), lines(&["a"]), usize::MAX).unwrap();
    let hold = Arc::clone(opening.hold());
    let found = walked_during(&holds, |handed_over| opening.made(handed_over));
    assert_eq!(found.iter().map(|found| found.state).collect::<Vec<_>>(), [ReservationState::Pending]);
    let extending = mine(hold.begin(&holds, 50, false));
    let found = walked_during(&holds, |handed_over| extending.extended(term(1, 300), handed_over));
    assert_eq!(found[0].term, term(1, 300));
    let committing = mine(hold.begin(&holds, 50, false));
    let way = Way::Commit(Box::new([Quantity::new(1).unwrap()]));
    let found = walked_during(&holds, |handed_over| committing.settled(way, 5, handed_over));
    assert_eq!((found[0].state, found[0].committed.len()), (ReservationState::Committed, 1));
    assert_eq!(found[0].finished_ms, 5, "it is kept for as long as any other");
}

/// P9: who tidies up finds all that is due, so many at a time, each of them once and none that is not.
#[test]
fn what_is_due_is_found_so_many_at_a_time() {
    let holds = Arc::new(Holds::new(1_000));
    for number in 0..300 {
        let names = [format!("s{}", number % 7), format!("s{}", 7 + number % 11), format!("t{number}")];
        made(&holds, number, 100 + u64::try_from(number).unwrap(), &names.each_ref().map(String::as_str));
    }
    let mut found = 0;
    loop {
        let due = holds.due(299, 9);
        let ids: std::collections::HashSet<_> = due.iter().map(|hold| hold.id()).collect();
        assert!(ids.len() == due.len() && due.len() <= 9);
        if due.is_empty() {
            break;
        }
        found += ids.len();
        for hold in due {
            mine(hold.begin(&holds, 299, true)).settled(Way::Expire, 1, || ());
        }
    }
    assert_eq!((found, holds.open_count(), holds.earliest_ms()), (200, 100, Some(300)));
}

#[test]
fn there_are_no_more_than_there_may_be() {
    let holds = Arc::new(Holds::new(10));
    let first = holds.open(term(1, 100), lines(&["a"]), 1).unwrap();
    assert!(holds.open(term(2, 100), lines(&["a"]), 1).is_none());
    drop(first);
    assert!(holds.open(term(3, 100), lines(&["a"]), 1).is_some());
}

/// P10: finished ones are bounded in number and in age, the oldest go first.
#[test]
fn finished_ones_go() {
    let holds = Arc::new(Holds::new(SHARDS * 3));
    for number in 0..1_000 {
        let hold = made(&holds, number, 100, &["a"]);
        mine(hold.begin(&holds, 50, false)).settled(Way::Release, u64::try_from(number).unwrap(), || ());
    }
    assert!(holds.len() <= SHARDS * 3, "{}", holds.len());
    assert!(holds.get(id(999)).is_some() && holds.get(id(0)).is_none());
    let pending = made(&holds, 5_000, 100, &["a"]);
    holds.forget_before(2_000);
    assert_eq!((holds.len(), holds.get(pending.id()).is_some()), (1, true));
}

#[test]
fn pages_are_in_the_order_of_making_and_complete() {
    let holds = Arc::new(Holds::new(100_000));
    for number in 0..500 {
        let hold = made(&holds, number, 100, &["a"]);
        if number % 5 == 0 {
            mine(hold.begin(&holds, 50, false)).settled(Way::Release, 1, || ());
        }
    }
    for (state, expected) in
        [(None, 500), (Some(ReservationState::Pending), 400), (Some(ReservationState::Released), 100)]
    {
        for limit in [1, 7, 499, 500, 1_000] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = holds.page(state, 50, after, limit);
                assert!(page.kept.len() <= limit);
                seen.extend(page.kept.iter().map(|hold| hold.id()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen.len(), expected, "{state:?} {limit}");
            assert!(seen.is_sorted());
        }
    }
}

/// What is asked of the deadlines, and what is done to them.
#[derive(Debug, Clone)]
enum Step {
    Make(u128, u64),
    Settle(u128),
    Extend(u128, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..40_u128, 0..100_u64).prop_map(|(number, ms)| Step::Make(number, ms)),
        (0..40_u128).prop_map(Step::Settle),
        (0..40_u128, 0..200_u64).prop_map(|(number, ms)| Step::Extend(number, ms)),
    ]
}

proptest! {
    /// P9: the earliest deadline is that of all there are, at every instant: against a plain list.
    #[test]
    fn the_earliest_deadline_is_exact(steps in prop::collection::vec(step(), 0..80)) {
        let holds = Arc::new(Holds::new(100));
        let mut model: HashMap<u128, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Make(number, ms) if holds.get(id(number)).is_none() => {
                    made(&holds, number, ms, &["a", "b"]);
                    model.insert(number, ms);
                }
                Step::Settle(number) if model.contains_key(&number) => {
                    let hold = holds.get(id(number)).unwrap();
                    mine(hold.begin(&holds, u64::MAX, true)).settled(Way::Expire, 1, || ());
                    model.remove(&number);
                }
                Step::Extend(number, ms) if model.get(&number).is_some_and(|before| ms > *before) => {
                    let hold = holds.get(id(number)).unwrap();
                    // One that is due at 0 already is not extended.
                    if let Begun::Mine(settlement) = hold.begin(&holds, 0, false) {
                        settlement.extended(term(number, ms), || ());
                        model.insert(number, ms);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(holds.earliest_ms(), model.values().copied().min());
            for now_ms in [0, 50, 99, 150] {
                let due = model.values().filter(|ms| **ms <= now_ms).count();
                prop_assert_eq!(holds.due(now_ms, 1_000).len(), due);
                prop_assert_eq!(holds.due_of(&key("b"), now_ms).is_some(), due > 0);
            }
            prop_assert_eq!(holds.open_count(), model.len());
        }
    }

    /// What a snapshot keeps is read back, and nothing shorter is taken for it.
    #[test]
    fn what_is_kept_is_read_back(number: u64, state in 0..4_u8, units in prop::collection::vec((1..9_u64, 0..9_u64), 1..9)) {
        let state = [ReservationState::Pending, ReservationState::Committed, ReservationState::Released, ReservationState::Expired][usize::from(state)];
        let line = |(index, (units, _)): (usize, &(u64, u64))| HeldLine { key: key(&format!("s{index}")), quantity: Quantity::new(*units).unwrap() };
        let committed = units.iter().map(|(units, shipped)| Quantity::new(*units.min(shipped)).unwrap());
        let found = Found {
            term: term(u128::from(number >> 17), number),
            state,
            lines: units.iter().enumerate().map(line).collect(),
            committed: if state == ReservationState::Committed { committed.collect() } else { Box::default() },
            finished_ms: if state == ReservationState::Pending { 0 } else { number / 3 },
        };
        let mut bytes = Vec::new();
        found.write(&mut bytes);
        let mut rest = &bytes[..];
        prop_assert_eq!(Found::take(&mut rest), Some(found));
        prop_assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            prop_assert_eq!(Found::take(&mut &bytes[..cut]), None);
        }
    }
}
