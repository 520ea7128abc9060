//! A reservation ends once, on all its levels, as it is said to have ended, and when it has to.

use std::collections::{BTreeMap, HashMap};

use super::finding::{Fault, Findings};
use super::ledger::{talks, when};
use super::looks::Shown;
use super::{
    Answer, Ask, Books, Bound, HoldSeen, HoldState, Ledger, Line, MovementKind, Name, Numbered, Told,
};

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// How it ended, by the ledger.
    pub state: HoldState,
    /// Whether it was committed, and not all of it shipped.
    pub is_in_part: bool,
    /// The movements that ended it.
    pub ended: Vec<usize>,
    /// Its deadline is no earlier.
    pub earliest_ns: u64,
    /// Its deadline is no later.
    pub latest_ns: u64,
}

/// All reservations.
pub type Lives = HashMap<Name, Life>;

/// Units of each level, by its number.
type Units = BTreeMap<usize, u64>;

pub(super) fn judge(books: &Books, ledger: &Ledger<'_>, shown: &mut Shown, findings: &mut Findings) -> Lives {
    let talks = talks(books, ledger.holds(), |deed, told| about(ledger, deed, told));
    let last_asked_ns = books.told.iter().map(|told| told.asked_ns).max().unwrap_or(0);
    let mut lives = Lives::new();
    for (name, talk) in &talks {
        let one = One { books, ledger, name: *name, talk };
        let life = one.life(last_asked_ns, findings);
        one.answers(&life, shown, findings);
        lives.insert(*name, life);
    }
    lives
}

/// The reservation that a question is about.
fn about(ledger: &Ledger<'_>, deed: usize, told: &Told) -> Option<Name> {
    match (&told.ask, &told.answer) {
        (Ask::Reserve { .. }, Answer::Hold(seen)) => Some(seen.id),
        (Ask::Reserve { .. }, _) => ledger.of_deed(deed).first().and_then(|&at| ledger.at(at).hold),
        (Ask::Commit { of, .. } | Ask::Release { of } | Ask::Extend { of, .. } | Ask::SeeHold { of }, _) => {
            Some(*of)
        }
        _ => None,
    }
}

/// One reservation.
struct One<'a> {
    books: &'a Books,
    ledger: &'a Ledger<'a>,
    name: Name,
    talk: &'a [usize],
}

impl One<'_> {
    fn told(&self) -> impl Iterator<Item = (usize, &Told)> {
        self.talk.iter().map(|&deed| (deed, &self.books.told[deed]))
    }

    /// What the ledger says of it.
    fn life(&self, last_asked_ns: u64, findings: &mut Findings) -> Life {
        let (mut held, mut let_go, mut shipped) = (Units::new(), Units::new(), Units::new());
        // By who did it: nobody did what expired.
        let (mut acts, mut ended) = (BTreeMap::<Option<u64>, HoldState>::new(), Vec::new());
        for &at in self.ledger.of_hold(self.name) {
            let movement = self.ledger.at(at);
            let (on_hand, reserved) = movement.change();
            if movement.kind == MovementKind::Reserved {
                *held.entry(movement.level).or_default() += reserved.unsigned_abs();
            } else {
                *let_go.entry(movement.level).or_default() += reserved.unsigned_abs();
                *shipped.entry(movement.level).or_default() += on_hand.unsigned_abs();
                // A commit ships what it is told to, and lets the rest go.
                let state = match movement.kind {
                    MovementKind::Shipped => HoldState::Committed,
                    MovementKind::Expired => HoldState::Expired,
                    _ => HoldState::Released,
                };
                let act = acts.entry(movement.number).or_insert(state);
                *act = state.min(*act);
                ended.push(at);
            }
        }
        shipped.retain(|_, units| *units > 0);
        let name = self.name;
        if acts.len() > 1 {
            findings.add(Fault::SettledTwice, || {
                let acts: Vec<_> = acts.iter().map(|(number, state)| words(*number, *state)).collect();
                format!("reservation {name} was ended more than once: {}", acts.join("; "))
            });
        } else if !ended.is_empty() && let_go != held {
            let more = let_go.iter().any(|(level, units)| held.get(level).is_none_or(|held| units > held));
            let fault = if more { Fault::SettledTwice } else { Fault::Torn };
            findings.add(fault, || {
                format!("of reservation {name} {let_go:?} were let go by level, and {held:?} were held")
            });
        }
        let state = acts.values().next().copied().unwrap_or(HoldState::Pending);
        let (earliest_ns, latest_ns) = self.deadline(|_| true);
        let life = Life {
            state,
            is_in_part: state == HoldState::Committed && shipped != held,
            ended,
            earliest_ns,
            latest_ns,
        };
        if let Some((Some(number), _)) = acts.first_key_value() {
            self.judge_end(&life, *number, &held, &shipped, findings);
        }
        if state == HoldState::Pending && !held.is_empty() && last_asked_ns > latest_ns {
            findings.add(Fault::HeldTooLong, || {
                format!("reservation {name} is past its deadline, and has not expired")
            });
        }
        life
    }

    /// Between which instants its deadline is, by the questions that are counted.
    fn deadline(&self, counts: impl Fn(&Told) -> bool) -> (u64, u64) {
        let (mut earliest_ns, mut latest_ns) = (0, 0);
        for (deed, told) in self.told().filter(|(_, told)| counts(told)) {
            let (ttl_ns, is_done) = match told.ask {
                Ask::Reserve { ttl_ns, .. } => (ttl_ns, !self.ledger.of_deed(deed).is_empty()),
                Ask::Extend { ttl_ns, .. } => (ttl_ns, matches!(told.answer, Answer::Hold(_))),
                _ => continue,
            };
            let slack_ns = self.books.bound.of(ttl_ns);
            if is_done {
                earliest_ns = earliest_ns.max((told.asked_ns + ttl_ns).saturating_sub(slack_ns));
            }
            if is_done || !told.is_answered() {
                latest_ns = latest_ns.max(told.answered_ns.saturating_add(ttl_ns + slack_ns));
            }
        }
        (earliest_ns, latest_ns)
    }

    /// How it ended is how it was asked to, and in time.
    fn judge_end(&self, life: &Life, number: u64, held: &Units, shipped: &Units, findings: &mut Findings) {
        let name = self.name;
        let Some((_, told)) = self.told().find(|(_, told)| told.number == number) else { return };
        if told.asked_ns > life.latest_ns {
            findings.add(Fault::HeldTooLong, || {
                format!("{} ended reservation {name} after its deadline", when(told))
            });
        }
        let expected = match &told.ask {
            Ask::Commit { lines: Some(lines), .. } => {
                lines.iter().map(|line| (line.level, line.units)).collect()
            }
            Ask::Commit { lines: None, .. } => held.clone(),
            _ => Units::new(),
        };
        if *shipped != expected {
            findings.add(Fault::Torn, || {
                format!("{} shipped {shipped:?} of reservation {name}, not {expected:?}", when(told))
            });
        }
    }

    /// What is said of it is so.
    fn answers(&self, life: &Life, shown: &mut Shown, findings: &mut Findings) {
        for (deed, told) in self.told() {
            match &told.answer {
                Answer::Hold(seen) => {
                    if seen.id != self.name {
                        findings.add(Fault::WrongState, || {
                            format!("{} is answered with reservation {}", when(told), seen.id)
                        });
                    }
                    self.is_said((deed, told), seen.state, Some(seen), life, shown, findings);
                }
                Answer::HoldIs(state) => self.is_said((deed, told), *state, None, life, shown, findings),
                Answer::Missing => findings.add(Fault::LostReservation, || {
                    format!("{} is answered as if there was no reservation {}", when(told), self.name)
                }),
                _ => {}
            }
        }
    }

    fn is_said(
        &self,
        (deed, told): (usize, &Told),
        state: HoldState,
        seen: Option<&HoldSeen>,
        life: &Life,
        shown: &mut Shown,
        findings: &mut Findings,
    ) {
        let name = self.name;
        if state == HoldState::Pending {
            // One that was just made, or extended, is not held against the time of its own answer.
            let (_, latest_ns) =
                self.deadline(|other| other.number != told.number && other.asked_ns <= told.answered_ns);
            if latest_ns > 0 && told.asked_ns > latest_ns {
                findings.add(Fault::HeldTooLong, || {
                    format!("{} shows reservation {name} as pending after its deadline", when(told))
                });
            }
            if !matches!(told.ask, Ask::Reserve { .. }) {
                for &at in &life.ended {
                    shown.past(deed, at);
                }
            }
            return;
        }
        if state != life.state {
            findings.add(Fault::WrongState, || {
                let (is, was) = (state.name(), life.state.name());
                format!("{} says that reservation {name} is {is}, and it is {was} by the ledger", when(told))
            });
            return;
        }
        // All of what a client does is done at once. What nobody does is over with its deadline, of each level; the first line that is let go says so of
        // the reservation, and the others may be written down only when somebody comes to their levels. Which is the first, only one order of all can say.
        let first = life.ended.first().filter(|_| self.books.numbered == Numbered::Throughout);
        for at in &life.ended {
            if state == HoldState::Expired && Some(at) != first {
                shown.look_ahead(deed, *at);
            } else {
                shown.look_back(deed, *at);
            }
        }
        if let Some(seen) = seen.filter(|_| state == HoldState::Committed) {
            let told_lines = units(&seen.committed);
            let shipped = self.shipped(life);
            if told_lines != shipped {
                findings.add(Fault::WrongState, || {
                    format!(
                        "{} says that reservation {name} shipped {told_lines:?}, and it was {shipped:?}",
                        when(told)
                    )
                });
            }
        }
    }

    fn shipped(&self, life: &Life) -> Units {
        let changes = life.ended.iter().map(|&at| (self.ledger.at(at).level, self.ledger.at(at).change().0));
        changes
            .filter(|(_, on_hand)| *on_hand != 0)
            .map(|(level, on_hand)| (level, on_hand.unsigned_abs()))
            .collect()
    }
}

fn words(number: Option<u64>, state: HoldState) -> String {
    let state = state.name();
    number.map_or_else(|| state.to_owned(), |number| format!("{state} by question {number}"))
}

impl Bound {
    /// How far the end of so long a time may be off.
    fn of(self, ttl_ns: u64) -> u64 {
        self.ns + ttl_ns / 1_000 * self.per_mille
    }
}

/// Lines, by level.
pub(super) fn units(lines: &[Line]) -> Units {
    lines.iter().map(|line| (line.level, line.units)).collect()
}
