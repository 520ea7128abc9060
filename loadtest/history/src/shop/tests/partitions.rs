//! Where numbers are in order within a level only, nothing is made of the others, and what is certain all the same is held against the service.

use super::*;
use crate::shop::simulate::Simulated;

const MS: u64 = 1_000_000;

fn told(number: u64, (asked_ms, answered_ms): (u64, u64), ask: Ask, answer: Answer) -> Told {
    Told { number, asked_ns: asked_ms * MS, answered_ns: answered_ms * MS, ask, answer }
}

fn shows(level: usize, on_hand: u64, reserved: u64, version: u64) -> Answer {
    Answer::Level(Seen { level, on_hand, reserved, version })
}

/// A shop of three levels, each in a partition of its own, that opens with five of each.
struct Story(Books);

impl Story {
    fn new() -> Self {
        let levels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let books = Books { levels, numbered: Numbered::EachLevel, turns: Turns::Fifo, ..Books::default() };
        (0..3).fold(Self(books), |story, level| {
            let number = level as u64 + 1;
            story.told(number, (0, 1), Ask::Open { level, on_hand: 5 }, shows(level, 5, 0, 1)).made(
                level,
                (5, 0),
                MovementKind::Created,
                Some(number),
                None,
            )
        })
    }

    fn told(mut self, number: u64, ms: (u64, u64), ask: Ask, answer: Answer) -> Self {
        self.0.told.push(told(number, ms, ask, answer));
        self
    }

    /// The next movement of the ledger.
    fn made(
        mut self,
        level: usize,
        (on_hand, reserved): (i64, i64),
        kind: MovementKind,
        number: Option<u64>,
        of: Option<Name>,
    ) -> Self {
        let last = self.0.movements.iter().rfind(|movement| movement.level == level);
        let (before, version) = last.map_or(((0, 0), 0), |last| (last.after, last.version));
        let after = (before.0.wrapping_add_signed(on_hand), before.1.wrapping_add_signed(reserved));
        let is_of_order = kind == MovementKind::Fulfilled;
        self.0.movements.push(Movement {
            seq: self.0.movements.len() as u64 + 1,
            kind,
            level,
            before,
            after,
            version: version + 1,
            number,
            hold: of.filter(|_| !is_of_order),
            order: of.filter(|_| is_of_order),
        });
        self
    }

    fn read(
        self,
        number: u64,
        ms: (u64, u64),
        (level, on_hand, reserved, version): (usize, u64, u64, u64),
    ) -> Self {
        self.told(number, ms, Ask::Read { level }, shows(level, on_hand, reserved, version))
    }

    /// A unit of two levels is held by one question, as its answer says.
    fn reserved(self, number: u64, ms: (u64, u64), levels: [usize; 2], ttl_ms: u64) -> Self {
        let lines = levels.map(|level| Line { level, units: 1 }).to_vec();
        let seen = HoldSeen { id: Name(number.into()), state: HoldState::Pending, committed: vec![] };
        self.told(number, ms, Ask::Reserve { lines, ttl_ns: ttl_ms * MS }, Answer::Hold(seen))
    }

    fn held(self, level: usize, number: u64) -> Self {
        self.made(level, (0, 1), MovementKind::Reserved, Some(number), Some(Name(number.into())))
    }

    fn expired(self, level: usize, hold: u64) -> Self {
        self.made(level, (0, -1), MovementKind::Expired, None, Some(Name(hold.into())))
    }

    fn faults(&self) -> Vec<Fault> {
        found(&audit(&self.0))
    }
}

/// Splitmix64, for the order in which partitions come.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % below as u64).expect("below a usize")
}

/// The same books with other numbers: of each level in the same order, between levels in any.
fn numbered_anew(books: &Books, mut seed: u64) -> Books {
    let mut of_level = vec![std::collections::VecDeque::new(); books.levels.len()];
    for movement in &books.movements {
        of_level[movement.level].push_back(movement.clone());
    }
    let mut movements: Vec<Movement> = Vec::new();
    while movements.len() < books.movements.len() {
        let level = draw(&mut seed, of_level.len());
        let run = draw(&mut seed, of_level[level].len() + 1);
        movements.extend(of_level[level].drain(..run));
    }
    for (movement, seq) in movements.iter_mut().zip(1..) {
        movement.seq = seq;
    }
    Books { movements, ..books.clone() }
}

/// What is found does not depend on which numbers the movements of two levels have: of sound books, and of others.
#[test]
fn numbers_of_two_levels_say_nothing() {
    let broken = Broken::ALL.into_iter().map(Some).chain([None]);
    for (seed, broken) in (0..3).flat_map(|seed| broken.clone().map(move |broken| (seed, broken))) {
        for turns in ALL_TURNS {
            let Simulated { books, .. } = simulate(seed, 300, (Keeping::Log, turns), broken);
            let books = Books { numbered: Numbered::EachLevel, ..books };
            let verdict = audit(&books).by_fault;
            for again in 0..3 {
                let anew = numbered_anew(&books, seed * 31 + again);
                assert_eq!(audit(&anew).by_fault, verdict, "seed {seed}, {broken:?}, {turns:?}");
            }
        }
    }
}

/// Whoever says that the numbers are the order of all is taken at its word: partitions that are numbered later break it.
#[test]
fn partitions_are_no_order_of_all() {
    let blamed = (0..20).filter(|&seed| {
        let Simulated { books, .. } = simulate(seed, 400, (Keeping::Partitions, Turns::Fifo), None);
        let books = Books { numbered: Numbered::Throughout, ..books };
        let found = found(&audit(&books));
        found.contains(&Fault::BeforeItsTime) || found.contains(&Fault::ExpiredEarly)
    });
    assert_eq!(blamed.count(), 20);
}

/// A question of two levels was done at one instant: what came before it on one level came before what came after it on the other.
#[test]
fn what_was_made_at_one_instant_ties_two_levels() {
    // Question 6 was asked after question 5 had been answered. On `b` it came before question 4, which on `a` came before question 5.
    let story = |asked_ms| {
        Story::new()
            .reserved(4, (10, 90), [0, 1], 9_000)
            .told(5, (20, 30), Ask::Adjust { level: 0, delta: -1 }, shows(0, 4, 1, 3))
            .told(6, (asked_ms, 60), Ask::Adjust { level: 1, delta: -1 }, shows(1, 4, 0, 2))
            .made(1, (-1, 0), MovementKind::Adjusted, Some(6), None)
            .held(1, 4)
            .held(0, 4)
            .made(0, (-1, 0), MovementKind::Adjusted, Some(5), None)
    };
    assert_eq!(story(25).faults(), []);
    // Seen from either end.
    assert_eq!(story(40).faults(), [Fault::Stale, Fault::BeforeItsTime]);
}

/// Two questions of the same two levels, one before the other on either: no order has both.
#[test]
fn two_that_were_before_each_other_are_found() {
    let story = |first_of_b, second_of_b| {
        Story::new()
            .reserved(4, (10, 90), [0, 1], 9_000)
            .reserved(5, (10, 90), [0, 1], 9_000)
            .held(0, 4)
            .held(0, 5)
            .held(1, first_of_b)
            .held(1, second_of_b)
    };
    assert_eq!(story(4, 5).faults(), []);
    assert_eq!(story(5, 4).faults(), [Fault::BrokenLedger]);
}

/// One half of what was done at one instant is seen, and then the other half is not.
#[test]
fn who_has_seen_one_half_sees_the_other() {
    let story = |asked_ms| {
        Story::new()
            .reserved(4, (10, 90), [0, 1], 9_000)
            .read(5, (20, 30), (0, 5, 1, 2))
            .read(6, (asked_ms, 60), (1, 5, 0, 1))
            .held(1, 4)
            .held(0, 4)
    };
    assert_eq!(story(25).faults(), []);
    assert_eq!(story(40).faults(), [Fault::Stale]);
}

/// Nobody looked at the level of a hold that was released, but at another level, at what came after.
#[test]
fn what_came_after_says_that_a_hold_is_over() {
    let story = |asked_ms| {
        let seen = |id, state| Answer::Hold(HoldSeen { id: Name(id), state, committed: vec![] });
        let lines = vec![Line { level: 0, units: 1 }];
        Story::new()
            .told(4, (10, 11), Ask::Reserve { lines, ttl_ns: 9_000 * MS }, seen(4, HoldState::Pending))
            .told(5, (20, 90), Ask::Release { of: Name(4) }, seen(4, HoldState::Released))
            .reserved(6, (20, 90), [0, 1], 9_000)
            .read(7, (30, 40), (1, 5, 1, 2))
            .told(8, (asked_ms, 60), Ask::SeeHold { of: Name(4) }, seen(4, HoldState::Pending))
            .held(1, 6)
            .held(0, 4)
            .made(0, (0, -1), MovementKind::Released, Some(5), Some(Name(4)))
            .held(0, 6)
    };
    assert_eq!(story(35).faults(), []);
    assert_eq!(story(50).faults(), [Fault::Stale]);
}

/// A hold of two levels is over on one of them before its deadline: it is seen there, or where somebody came after it.
#[test]
fn who_expires_early_is_found_in_its_partition_and_beyond() {
    let story = |asked_ms| {
        let seen = HoldSeen { id: Name(6), state: HoldState::Pending, committed: vec![] };
        let lines = [1, 2].map(|level| Line { level, units: 1 }).to_vec();
        Story::new()
            .reserved(4, (10, 11), [0, 1], 1_000)
            .told(6, (asked_ms, 3_000), Ask::Reserve { lines, ttl_ns: 90_000 * MS }, Answer::Hold(seen))
            .read(7, (asked_ms + 1, asked_ms + 10), (2, 5, 1, 2))
            .held(2, 6)
            .held(0, 4)
            .expired(0, 4)
            .held(1, 4)
            .expired(1, 4)
            .held(1, 6)
    };
    assert_eq!(story(1_020).faults(), []);
    // Nobody looked at `a` or `b`. But on `b` question 6 came after the end, and was seen on `c`.
    assert_eq!(story(800).faults(), [Fault::ExpiredEarly]);
}

/// Served out of turn at a level of another partition than that of the line in which both waited first.
#[test]
fn who_is_overtaken_is_said_by_the_level_that_both_wait_for() {
    let placed = |number: u64, levels: [usize; 2]| {
        let lines = levels.map(|level| Line { level, units: 4 }).to_vec();
        (Name(number.into()), Ask::Order { lines, priority: 0, backorder: true })
    };
    let is = |id, state| Answer::Order(OrderSeen { id, state, returned: vec![], why: None });
    let story = |is_fair: bool| {
        let (one, ask_one) = placed(4, [0, 1]);
        let (other, ask_other) = placed(5, [1, 2]);
        let story = Story::new()
            .told(3_000, (2, 3), Ask::Adjust { level: 1, delta: -4 }, shows(1, 1, 0, 2))
            .made(1, (-4, 0), MovementKind::Adjusted, Some(3_000), None)
            .told(4, (10, 20), ask_one, is(one, OrderState::Backordered))
            .told(5, (30, 40), ask_other, is(other, OrderState::Backordered))
            .told(6, (50, 60), Ask::Adjust { level: 1, delta: 8 }, shows(1, 9, 0, 3))
            .made(1, (8, 0), MovementKind::Adjusted, Some(6), None)
            .told(7, (900, 901), Ask::SeeOrder { of: one }, is(one, OrderState::Fulfilled))
            .told(8, (900, 901), Ask::SeeOrder { of: other }, is(other, OrderState::Fulfilled));
        let took = |story: Story, level, number: u64| {
            story.made(level, (-4, 0), MovementKind::Fulfilled, Some(number), Some(Name(number.into())))
        };
        // By the numbers of `c` and `a` the other is always first.
        let (first, second) = if is_fair { (4, 5) } else { (5, 4) };
        let story = took(took(took(story, 2, 5), 1, first), 1, second);
        took(story, 0, 4)
    };
    assert_eq!(story(true).faults(), []);
    assert_eq!(story(false).faults(), [Fault::Overtaken]);
}

/// A reservation is over with its first line, whatever is done on other levels before somebody comes to the other: so it is in one partition, too.
#[test]
fn a_line_that_is_let_go_late_was_over_in_time() {
    for numbered in [Numbered::Throughout, Numbered::EachLevel] {
        let story = |seen_ms| {
            let mut story = Story::new()
                .reserved(4, (10, 11), [0, 1], 1_000)
                .read(5, (seen_ms, seen_ms + 1), (0, 5, 0, 3))
                .told(6, (1_100, 1_110), Ask::SeeHold { of: Name(4) }, {
                    Answer::Hold(HoldSeen { id: Name(4), state: HoldState::Expired, committed: vec![] })
                })
                .told(7, (1_200, 1_210), Ask::Adjust { level: 2, delta: -1 }, shows(2, 4, 0, 2))
                .read(8, (1_300, 1_310), (1, 5, 0, 3))
                .held(0, 4)
                .held(1, 4)
                .expired(0, 4)
                .made(2, (-1, 0), MovementKind::Adjusted, Some(7), None)
                .expired(1, 4);
            story.0.numbered = numbered;
            story
        };
        assert_eq!(story(1_050).faults(), []);
        assert_eq!(story(500).faults(), [Fault::ExpiredEarly]);
    }
}

/// What is done in one partition and not in another, or twice in one of them.
#[test]
fn what_is_done_in_one_partition_alone_is_torn() {
    let story = || Story::new().reserved(4, (10, 90), [0, 1], 9_000);
    assert_eq!(story().held(1, 4).held(0, 4).faults(), []);
    assert_eq!(story().held(1, 4).faults(), [Fault::Torn]);
    assert_eq!(story().faults(), [Fault::Lost]);
    assert_eq!(story().held(1, 4).held(0, 4).held(1, 4).held(0, 4).faults(), [Fault::Twice]);
}
