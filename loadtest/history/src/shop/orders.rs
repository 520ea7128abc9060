//! An order is not lost, takes its units once or never, and no more of it comes back than it took.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::deeds::{Fit, fit, taking};
use super::finding::{Fault, Findings};
use super::holds::units;
use super::ledger::{talks, when};
use super::looks::{Refused, Shown};
use super::{Answer, Ask, Books, Ledger, Line, MovementKind, Name, OrderSeen, OrderState, Told, Why};

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Where in what was told it was placed.
    pub placed: usize,
    /// What it wants.
    pub lines: Vec<Line>,
    /// How urgent it is.
    pub priority: u8,
    /// The movements with which it took its units.
    pub taken: Vec<usize>,
    /// The last that was said of it.
    pub last_seen: OrderState,
    /// When it was shown to wait for units first.
    pub seen_waiting_ns: Option<u64>,
    /// When it was asked first to cancel it, if it is cancelled.
    pub cancel_asked_ns: Option<u64>,
}

/// All orders whose placing is known.
pub type Fates = HashMap<Name, Fate>;

pub(super) fn judge(books: &Books, ledger: &Ledger<'_>, shown: &mut Shown, findings: &mut Findings) -> Fates {
    let mut talks = talks(books, ledger.orders(), |deed, told| about(ledger, deed, told));
    let waiters = waiters(books);
    let mut fates = Fates::new();
    for (name, talk) in &mut talks {
        talk.sort_by_key(|&deed| (books.told[deed].answered_ns, deed));
        let placed = talk.iter().copied().find(|&deed| matches!(books.told[deed].ask, Ask::Order { .. }));
        let Some(placed) = placed else {
            if let Some(&at) = ledger.of_order(*name).first() {
                let seq = ledger.at(at).seq;
                findings.add(Fault::Unexplained, || {
                    format!("movement {seq} is of order {name}, which nobody placed")
                });
            }
            continue;
        };
        let Ask::Order { lines, priority, .. } = &books.told[placed].ask else {
            unreachable!("it was found so")
        };
        let of_kind =
            |kind| ledger.of_order(*name).iter().copied().filter(move |&at| ledger.at(at).kind == kind);
        let one = One {
            books,
            ledger,
            name: *name,
            talk,
            placed: &books.told[placed],
            lines,
            taken: of_kind(MovementKind::Fulfilled).collect(),
            back: of_kind(MovementKind::Returned).collect(),
            waiters: &waiters,
        };
        one.judge_ledger(findings);
        let (last_seen, seen_waiting_ns) = one.answers(shown, findings);
        let cancels = one.told().filter(|(_, told)| matches!(told.ask, Ask::Cancel { .. }));
        let cancel_asked_ns = cancels.map(|(_, told)| told.asked_ns).min();
        let cancel_asked_ns = cancel_asked_ns.filter(|_| last_seen == OrderState::Cancelled);
        let (lines, priority, taken) = (lines.clone(), *priority, one.taken);
        fates.insert(
            *name,
            Fate { placed, lines, priority, taken, last_seen, seen_waiting_ns, cancel_asked_ns },
        );
    }
    fates
}

/// The order that a question is about.
fn about(ledger: &Ledger<'_>, deed: usize, told: &Told) -> Option<Name> {
    match (&told.ask, &told.answer) {
        (Ask::Order { .. }, Answer::Order(seen)) => Some(seen.id),
        (Ask::Order { .. }, _) => ledger.of_deed(deed).first().and_then(|&at| ledger.at(at).order),
        (Ask::Cancel { of } | Ask::Return { of, .. } | Ask::SeeOrder { of }, _) => Some(*of),
        _ => None,
    }
}

/// When the first order that may wait was asked for, of each level.
fn waiters(books: &Books) -> Vec<u64> {
    let mut first_ns = vec![u64::MAX; books.levels.len()];
    for told in &books.told {
        if let Ask::Order { lines, backorder: true, .. } = &told.ask {
            for line in lines {
                first_ns[line.level] = first_ns[line.level].min(told.asked_ns);
            }
        }
    }
    first_ns
}

/// One order.
struct One<'a> {
    books: &'a Books,
    ledger: &'a Ledger<'a>,
    name: Name,
    /// In the order of the answers.
    talk: &'a [usize],
    placed: &'a Told,
    lines: &'a [Line],
    taken: Vec<usize>,
    back: Vec<usize>,
    waiters: &'a [u64],
}

impl One<'_> {
    fn told(&self) -> impl Iterator<Item = (usize, &Told)> {
        self.talk.iter().map(|&deed| (deed, &self.books.told[deed]))
    }

    fn judge_ledger(&self, findings: &mut Findings) {
        let (name, ledger) = (self.name, self.ledger);
        match fit(self.taken.iter().map(|&at| ledger.at(at)), &taking(self.lines)) {
            Fit::Twice => {
                findings.add(Fault::FulfilledTwice, || format!("order {name} took its units more than once"));
            }
            Fit::Torn => {
                findings.add(Fault::Torn, || format!("order {name} took a part of its units, or others"));
            }
            Fit::None | Fit::Exact => {}
        }
        let wanted = units(self.lines);
        let mut back: BTreeMap<usize, u64> = BTreeMap::new();
        for &at in &self.back {
            let movement = ledger.at(at);
            let sum = back.entry(movement.level).or_default();
            *sum += movement.change().0.unsigned_abs();
            let taken_before =
                self.taken.iter().any(|&taken| taken < at && ledger.at(taken).level == movement.level);
            let most = if taken_before { wanted.get(&movement.level).copied().unwrap_or(0) } else { 0 };
            if *sum > most {
                let (level, sum) = (&self.books.levels[movement.level], *sum);
                findings.add(Fault::ReturnedTwice, || {
                    format!("of order {name} {sum} of {level} came back, and {most} had been taken")
                });
            }
        }
    }

    /// What is said of it is so. Answers the last that was said, and when it was shown to wait first.
    fn answers(&self, shown: &mut Shown, findings: &mut Findings) -> (OrderState, Option<u64>) {
        let (mut last, mut waiting_ns, mut finals) = (OrderState::Queued, None, BTreeSet::new());
        for (deed, told) in self.told() {
            let state = match &told.answer {
                Answer::Order(seen) => {
                    self.is_shown((deed, told), seen, shown, findings);
                    Some(seen.state)
                }
                Answer::Cancelled => Some(OrderState::Cancelled),
                Answer::OrderIs(state) => state.is_final().then_some(*state),
                Answer::Left(left) => {
                    self.is_left((deed, told), left, shown, findings);
                    Some(OrderState::Fulfilled)
                }
                Answer::Missing => {
                    findings.add(Fault::LostOrder, || {
                        format!("{} is answered as if there was no order {}", when(told), self.name)
                    });
                    None
                }
                _ => None,
            };
            let Some(state) = state else { continue };
            self.is_said((deed, told), state, shown, findings);
            if state == OrderState::Backordered && waiting_ns.is_none() {
                waiting_ns = Some(told.answered_ns);
            }
            if state.is_final() {
                finals.insert(state);
            }
            if !last.is_final() {
                last = state;
            }
        }
        if finals.len() > 1 {
            findings.add(Fault::WrongState, || format!("order {} is said to be {finals:?}", self.name));
        }
        (last, waiting_ns)
    }

    fn is_said(
        &self,
        (deed, told): (usize, &Told),
        state: OrderState,
        shown: &mut Shown,
        findings: &mut Findings,
    ) {
        let name = self.name;
        match state {
            OrderState::Fulfilled if self.taken.is_empty() => findings.add(Fault::Lost, || {
                format!(
                    "{} says that order {name} is fulfilled, and the ledger has nothing of it",
                    when(told)
                )
            }),
            OrderState::Fulfilled => {
                for &at in &self.taken {
                    shown.look_back(deed, at);
                }
            }
            OrderState::Rejected | OrderState::Cancelled if !self.taken.is_empty() => {
                findings.add(Fault::DoneAllTheSame, || {
                    format!(
                        "{} says that order {name} is {}, and it took its units",
                        when(told),
                        state.name()
                    )
                });
            }
            OrderState::Rejected | OrderState::Cancelled => {}
            // Of the answer to its placing nobody could know what comes after.
            OrderState::Queued | OrderState::Backordered => {
                if !matches!(told.ask, Ask::Order { .. }) {
                    for &at in &self.taken {
                        shown.past(deed, at);
                    }
                }
            }
        }
    }

    fn is_shown(
        &self,
        (deed, told): (usize, &Told),
        seen: &OrderSeen,
        shown: &mut Shown,
        findings: &mut Findings,
    ) {
        match &seen.why {
            Some(Why::Short(short)) => {
                let refused = Refused { since_ns: self.placed.asked_ns, wanted: self.lines, short };
                shown.short(self.books, self.ledger, (deed, told), refused, findings);
            }
            Some(Why::Promised(level)) if self.waiters[*level] > told.answered_ns => {
                let level = &self.books.levels[*level];
                findings.add(Fault::FalseRefusal, || {
                    format!(
                        "{} says that {level} is promised to an order that waits, and there is none",
                        when(told)
                    )
                });
            }
            Some(Why::Promised(_)) | None => {}
        }
        for (level, units) in self.returned(seen) {
            self.is_back((deed, told), level, units, shown, findings);
        }
    }

    /// What is back of each level of the order, as an answer says.
    fn returned(&self, seen: &OrderSeen) -> Vec<(usize, u64)> {
        let returned = units(&seen.returned);
        self.lines.iter().map(|line| (line.level, returned.get(&line.level).copied().unwrap_or(0))).collect()
    }

    fn is_left(
        &self,
        (deed, told): (usize, &Told),
        left: &[Line],
        shown: &mut Shown,
        findings: &mut Findings,
    ) {
        let taken = units(self.lines);
        let asked: BTreeMap<usize, u64> = match &told.ask {
            Ask::Return { lines: Some(lines), .. } => units(lines),
            _ => BTreeMap::new(),
        };
        for line in left {
            let taken = taken.get(&line.level).copied().unwrap_or(0);
            if asked.get(&line.level).is_some_and(|asked| *asked <= line.units) || line.units > taken {
                findings.add(Fault::FalseRefusal, || {
                    format!(
                        "{} was refused although {} units were left by its own words",
                        when(told),
                        line.units
                    )
                });
                continue;
            }
            self.is_back((deed, told), line.level, taken - line.units, shown, findings);
        }
    }

    /// There is a place in the ledger at which just as many units of a level had come back.
    fn is_back(
        &self,
        (deed, told): (usize, &Told),
        level: usize,
        units: u64,
        shown: &mut Shown,
        findings: &mut Findings,
    ) {
        let of_level: Vec<usize> =
            self.back.iter().copied().filter(|&at| self.ledger.at(at).level == level).collect();
        let mut sum = 0;
        let sums = of_level.iter().map(|&at| {
            sum += self.ledger.at(at).change().0.unsigned_abs();
            sum
        });
        let sums: Vec<u64> = [0].into_iter().chain(sums).collect();
        let Some(place) = sums.iter().position(|sum| *sum == units) else {
            let level = &self.books.levels[level];
            findings.add(Fault::WrongState, || {
                let name = self.name;
                format!(
                    "{} says that {units} of {level} are back of order {name}, which never was so",
                    when(told)
                )
            });
            return;
        };
        if let Some(before) = place.checked_sub(1) {
            shown.look_back(deed, of_level[before]);
        }
        if let Some(&after) = of_level.get(place) {
            shown.past(deed, after);
        }
    }
}
