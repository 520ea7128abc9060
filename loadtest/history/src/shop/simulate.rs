//! Books of a shop that does one thing at a time: one that keeps its promises, and others that break one.
//!
//! Clients ask at random, each deed is done at one instant, and its question and answer lie a little before and after that, so that
//! those of others overlap it. A [`Broken`] promise is broken at some deed that it can be broken at; [`Simulated::broke`] says whether there
//! was one.

mod keeping;
mod orders;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Ask, Books, HoldSeen, HoldState, Line, Movement, MovementKind, Name, OrderState, Seen, Shortage,
    Told, Turns,
};

pub use keeping::Keeping;

/// How many levels a simulated shop has.
const LEVELS: usize = 4;

/// What each opens with.
const OPENING: u64 = 30;

/// A millisecond.
const MS: u64 = 1_000_000;

/// A promise to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says it")]
pub enum Broken {
    AdjustLost,
    AdjustTwice,
    ReservedInPart,
    RefusedAndDone,
    ReadOld,
    ReadWrong,
    RefusedFalsely,
    RefusedForMore,
    ExpiredEarly,
    ExpiredLate,
    SettledTwice,
    SaidCommittedButReleased,
    ReservationLost,
    OrderLost,
    OrderFulfilledTwice,
    CancelledAndFulfilled,
    NewcomerServedFirst,
    WorstServedFirst,
    WakesNobody,
    ReturnedTwice,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::AdjustLost,
        Self::AdjustTwice,
        Self::ReservedInPart,
        Self::RefusedAndDone,
        Self::ReadOld,
        Self::ReadWrong,
        Self::RefusedFalsely,
        Self::RefusedForMore,
        Self::ExpiredEarly,
        Self::ExpiredLate,
        Self::SettledTwice,
        Self::SaidCommittedButReleased,
        Self::ReservationLost,
        Self::OrderLost,
        Self::OrderFulfilledTwice,
        Self::CancelledAndFulfilled,
        Self::NewcomerServedFirst,
        Self::WorstServedFirst,
        Self::WakesNobody,
        Self::ReturnedTwice,
    ];
}

/// What a simulation brought.
#[derive(Debug)]
pub struct Simulated {
    /// The books.
    pub books: Books,
    /// Whether the promise was broken where a client could see it.
    pub broke: bool,
}

/// So many deeds of a shop.
pub fn simulate(
    seed: u64,
    deeds: usize,
    (keeping, turns): (Keeping, Turns),
    broken: Option<Broken>,
) -> Simulated {
    let mut shop = Shop::open(seed, (keeping, turns), broken);
    for _ in 0..deeds {
        shop.one_deed();
    }
    shop.close()
}

#[derive(Debug, Clone)]
struct Hold {
    lines: Vec<Line>,
    deadline_ns: u64,
    state: HoldState,
    committed: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Order {
    lines: Vec<Line>,
    priority: u8,
    number: u64,
    state: OrderState,
    returned: BTreeMap<usize, u64>,
}

struct Shop {
    random: u64,
    now_ns: u64,
    levels: [(u64, u64, u64); LEVELS],
    holds: BTreeMap<Name, Hold>,
    orders: BTreeMap<Name, Order>,
    books: Books,
    keeping: Keeping,
    /// Movements that count, and are written down when somebody comes to their level.
    ahead: Vec<Movement>,
    broken: Option<Broken>,
    broke: bool,
    names: u64,
}

impl Shop {
    fn open(seed: u64, (keeping, turns): (Keeping, Turns), broken: Option<Broken>) -> Self {
        let levels = (0..LEVELS).map(|level| format!("level {level}")).collect();
        let mut shop = Self {
            random: seed,
            now_ns: 1_000 * MS,
            levels: [(0, 0, 0); LEVELS],
            holds: BTreeMap::new(),
            orders: BTreeMap::new(),
            books: Books { levels, turns, numbered: keeping.numbered(), ..Books::default() },
            keeping,
            ahead: Vec::new(),
            broken,
            broke: false,
            names: 0,
        };
        for level in 0..LEVELS {
            shop.deed(Ask::Open { level, on_hand: OPENING }, |shop, number| {
                shop.change(level, (OPENING.cast_signed(), 0), MovementKind::Created, Some(number), None);
                shop.seen(level)
            });
        }
        shop
    }

    /// Splitmix64 (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014).
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    /// Of a list.
    fn place(&mut self, of: usize) -> usize {
        usize::try_from(self.draw(of as u64)).expect("below a usize")
    }

    /// Whether that promise is to be broken now: once, and from then on where it has to go on.
    fn breaks(&mut self, promise: Broken) -> bool {
        let breaks = self.broken == Some(promise) && !self.broke;
        self.broke |= breaks;
        breaks
    }

    fn name(&mut self) -> Name {
        self.names += 1;
        Name(u128::from(self.now_ns / MS) << 80 | u128::from(self.names))
    }

    fn change(
        &mut self,
        level: usize,
        (on_hand, reserved): (i64, i64),
        kind: MovementKind,
        number: Option<u64>,
        of: Option<Name>,
    ) {
        self.write_down(level);
        let movement = self.moved(level, (on_hand, reserved), kind, (number, of));
        self.number(movement);
    }

    /// The level is another from now on.
    fn moved(
        &mut self,
        level: usize,
        (on_hand, reserved): (i64, i64),
        kind: MovementKind,
        (number, of): (Option<u64>, Option<Name>),
    ) -> Movement {
        let before = (self.levels[level].0, self.levels[level].1);
        let after = (before.0.wrapping_add_signed(on_hand), before.1.wrapping_add_signed(reserved));
        self.levels[level] = (after.0, after.1, self.levels[level].2 + 1);
        let is_of_order = matches!(kind, MovementKind::Fulfilled | MovementKind::Returned);
        Movement {
            seq: 0,
            kind,
            level,
            before,
            after,
            version: self.levels[level].2,
            number,
            hold: of.filter(|_| !is_of_order),
            order: of.filter(|_| is_of_order),
        }
    }

    fn seen(&self, level: usize) -> Answer {
        let (on_hand, reserved, version) = self.levels[level];
        Answer::Level(Seen { level, on_hand, reserved, version })
    }

    fn available(&self, level: usize) -> u64 {
        // A shop that breaks its promises may have promised more than it has.
        self.levels[level].0.saturating_sub(self.levels[level].1)
    }

    /// Does one thing, and writes down what was asked and answered.
    fn deed(&mut self, ask: Ask, does: impl FnOnce(&mut Self, u64) -> Answer) -> Answer {
        self.now_ns += 20_000 + self.draw(600_000);
        self.expire();
        self.come_to(&ask);
        let number = self.books.told.len() as u64 + 1;
        let asked_ns = self.now_ns - self.draw(900_000);
        let answer = does(self, number);
        self.serve_waiting();
        let answered_ns = self.now_ns + self.draw(900_000);
        self.books.told.push(Told { number, asked_ns, answered_ns, ask, answer: answer.clone() });
        answer
    }

    fn some_lines(&mut self) -> Vec<Line> {
        let count = 1 + self.draw(2);
        let levels: BTreeSet<usize> = (0..count).map(|_| self.place(LEVELS)).collect();
        levels.into_iter().map(|level| Line { level, units: 1 + self.draw(5) }).collect()
    }

    fn one_deed(&mut self) {
        match self.draw(16) {
            0..=2 => self.adjust(),
            3..=4 => self.read(),
            5..=6 => self.reserve(),
            7..=8 => self.commit_or_release(),
            9 => self.extend_or_see(),
            10..=12 => self.order(),
            13 => self.cancel(),
            14 => self.give_back(),
            _ => self.see_order(),
        }
    }

    fn adjust(&mut self) {
        let level = self.place(LEVELS);
        let delta = self.draw(15).cast_signed() - 6;
        if delta == 0 {
            return;
        }
        self.deed(Ask::Adjust { level, delta }, |shop, number| {
            let requested = delta.min(0).unsigned_abs();
            let falsely =
                requested > 0 && shop.available(level) >= requested && shop.breaks(Broken::RefusedFalsely);
            if requested > 0 && shop.available(level) >= requested && shop.breaks(Broken::RefusedForMore) {
                let (available, version) = (shop.available(level), shop.levels[level].2);
                return Answer::Short(vec![Shortage { level, requested: available + 1, available, version }]);
            }
            if shop.available(level) < requested || falsely {
                let (_, _, version) = shop.levels[level];
                let available = shop.available(level).min(requested - 1);
                if !falsely && shop.levels[level].0 >= requested && shop.breaks(Broken::RefusedAndDone) {
                    shop.change(level, (delta, 0), MovementKind::Adjusted, Some(number), None);
                }
                return Answer::Short(vec![Shortage { level, requested, available, version }]);
            }
            if shop.breaks(Broken::AdjustLost) {
                return shop.seen(level);
            }
            let twice = shop.available(level) >= 2 * requested && shop.breaks(Broken::AdjustTwice);
            for _ in 0..=usize::from(twice) {
                shop.change(level, (delta, 0), MovementKind::Adjusted, Some(number), None);
            }
            shop.seen(level)
        });
    }

    fn read(&mut self) {
        let level = self.place(LEVELS);
        self.deed(Ask::Read { level }, |shop, _| {
            let (on_hand, reserved, version) = shop.levels[level];
            if shop.breaks(Broken::ReadWrong) {
                return Answer::Level(Seen { level, on_hand: on_hand + 1, reserved, version });
            }
            let known = shop.books.told.iter().any(|told| {
                told.answered_ns + MS < shop.now_ns
                    && matches!(told.answer, Answer::Level(seen) if seen.level == level && seen.version == version)
            });
            if version > 1 && known && shop.breaks(Broken::ReadOld) {
                let old = shop.books.movements.iter().find(|movement| movement.level == level);
                let (on_hand, reserved) = old.map_or((0, 0), |old| old.after);
                return Answer::Level(Seen { level, on_hand, reserved, version: 1 });
            }
            shop.seen(level)
        });
    }

    fn reserve(&mut self) {
        let lines = self.some_lines();
        let ttl_ns = (1 + self.draw(30)) * MS * 10;
        self.deed(Ask::Reserve { lines: lines.clone(), ttl_ns }, |shop, number| {
            if let Some(short) = shop.short(&lines) {
                return Answer::Short(short);
            }
            let id = shop.name();
            let in_part = lines.len() > 1 && shop.breaks(Broken::ReservedInPart);
            for line in lines.iter().skip(usize::from(in_part)) {
                let units = line.units.cast_signed();
                shop.change(line.level, (0, units), MovementKind::Reserved, Some(number), Some(id));
            }
            let deadline_ns = shop.now_ns + ttl_ns;
            let hold = Hold { lines, deadline_ns, state: HoldState::Pending, committed: Vec::new() };
            shop.holds.insert(id, hold);
            shop.shown(id)
        });
    }

    fn short(&self, lines: &[Line]) -> Option<Vec<Shortage>> {
        let short = lines.iter().filter(|line| self.available(line.level) < line.units);
        let short: Vec<Shortage> = short
            .map(|line| Shortage {
                level: line.level,
                requested: line.units,
                available: self.available(line.level),
                version: self.levels[line.level].2,
            })
            .collect();
        (!short.is_empty()).then_some(short)
    }

    fn shown(&self, id: Name) -> Answer {
        let hold = &self.holds[&id];
        Answer::Hold(HoldSeen { id, state: hold.state, committed: hold.committed.clone() })
    }

    fn some_hold(&mut self) -> Option<Name> {
        let count = self.holds.len().min(6);
        let back = (count > 0).then(|| self.place(count))?;
        self.holds.keys().rev().nth(back).copied()
    }

    fn commit_or_release(&mut self) {
        let Some(of) = self.some_hold() else { return };
        let first = self.holds[&of].lines[0];
        let lines = (self.draw(2) == 0).then(|| vec![Line { units: 1 + self.draw(first.units), ..first }]);
        let commits = self.draw(3) > 0;
        let ask = if commits { Ask::Commit { of, lines: lines.clone() } } else { Ask::Release { of } };
        self.deed(ask, |shop, number| {
            if shop.breaks(Broken::ReservationLost) {
                return Answer::Missing;
            }
            let hold = shop.holds[&of].clone();
            let again = hold.state != HoldState::Pending
                && hold.lines.iter().all(|line| shop.levels[line.level].1 >= line.units)
                && shop.breaks(Broken::SettledTwice);
            if hold.state != HoldState::Pending && !again {
                return Answer::HoldIs(hold.state);
            }
            let said_only = commits && shop.breaks(Broken::SaidCommittedButReleased);
            let shipped = if commits { lines.unwrap_or_else(|| hold.lines.clone()) } else { Vec::new() };
            for line in &hold.lines {
                let ships = shipped.iter().find(|ships| ships.level == line.level && !said_only);
                let (units, kind) = match ships {
                    Some(ships) => (-ships.units.cast_signed(), MovementKind::Shipped),
                    None => (0, MovementKind::Released),
                };
                shop.change(line.level, (units, -line.units.cast_signed()), kind, Some(number), Some(of));
            }
            let state = if commits { HoldState::Committed } else { HoldState::Released };
            let hold = shop.holds.get_mut(&of).expect("it is there");
            (hold.state, hold.committed) = (state, shipped);
            shop.shown(of)
        });
    }

    fn extend_or_see(&mut self) {
        let Some(of) = self.some_hold() else { return };
        let ttl_ns = (1 + self.draw(20)) * MS * 10;
        if self.draw(2) == 0 {
            self.deed(Ask::SeeHold { of }, |shop, _| shop.shown(of));
            return;
        }
        self.deed(Ask::Extend { of, ttl_ns }, |shop, _| {
            let until_ns = shop.now_ns + ttl_ns;
            let hold = shop.holds.get_mut(&of).expect("it is there");
            if hold.state != HoldState::Pending {
                return Answer::HoldIs(hold.state);
            }
            hold.deadline_ns = hold.deadline_ns.max(until_ns);
            shop.shown(of)
        });
    }

    /// What is due by now is over; late, by a shop that is late.
    fn expire(&mut self) {
        loop {
            let pending = self.holds.iter().filter(|(_, hold)| hold.state == HoldState::Pending);
            let next = pending.map(|(&id, hold)| (hold.deadline_ns, id)).min();
            let Some((deadline_ns, id)) = next else { return };
            let early = self.now_ns + 40 * MS < deadline_ns && self.breaks(Broken::ExpiredEarly);
            let late = self.broken == Some(Broken::ExpiredLate) && self.now_ns < deadline_ns + 60 * MS;
            if !early && (deadline_ns > self.now_ns || late) {
                return;
            }
            self.broke |= self.broken == Some(Broken::ExpiredLate);
            let lines = self.holds[&id].lines.clone();
            for line in lines {
                let units = (0, -line.units.cast_signed());
                let movement = self.moved(line.level, units, MovementKind::Expired, (None, Some(id)));
                self.ahead.push(movement);
                if !self.keeping.lets_go_late() {
                    self.write_down(line.level);
                }
            }
            self.holds.get_mut(&id).expect("it is there").state = HoldState::Expired;
            self.serve_waiting();
            if early {
                // Somebody sees it.
                let level = self.holds[&id].lines[0].level;
                self.write_down(level);
                let (number, answer) = (self.books.told.len() as u64 + 1, self.seen(level));
                let (asked_ns, answered_ns) = (self.now_ns, self.now_ns + 1_000);
                self.books.told.push(Told {
                    number,
                    asked_ns,
                    answered_ns,
                    ask: Ask::Read { level },
                    answer,
                });
            }
        }
    }

    /// Everything is looked at once more.
    fn close(mut self) -> Simulated {
        self.now_ns += 5_000 * MS;
        for level in 0..LEVELS {
            self.deed(Ask::Read { level }, |shop, _| shop.seen(level));
        }
        for of in self.holds.keys().copied().collect::<Vec<_>>() {
            self.deed(Ask::SeeHold { of }, |shop, _| shop.shown(of));
        }
        for of in self.orders.keys().copied().collect::<Vec<_>>() {
            self.deed(Ask::SeeOrder { of }, |shop, _| shop.told_of(of, None));
        }
        self.in_parts();
        Simulated { books: self.books, broke: self.broke }
    }
}
