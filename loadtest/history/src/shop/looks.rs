//! Every answer shows a state that was there between its question and itself.
//!
//! What an answer says of a level is a place in the ledger, and that place has two bounds. It is not *later* than the answer: nothing that came
//! before it may have been asked for only after the answer. And it is not *earlier* than what was known: no answer that came before the question
//! may show a later version of the same level, or anything that came after one. What came before and after says [`Precedence`]; all of it is
//! a maximum over what comes before in some order, so a look costs a binary search.

use super::finding::{Fault, Findings};
use super::holds::Lives;
use super::ledger::when;
use super::precedence::{Mark, Precedence};
use super::{Answer, Ask, Books, Ledger, Line, MovementKind, Seen, Shortage, Told};

/// What answers say of places in the ledger.
#[derive(Debug, Default)]
pub(super) struct Shown {
    looks: Vec<Look>,
    pasts: Vec<(usize, usize)>,
}

/// An answer shows the state after that movement.
#[derive(Debug, Clone, Copy)]
struct Look {
    deed: usize,
    at: usize,
    /// From when on the level may have been looked at.
    since_ns: u64,
    /// It is as if that movement had been made, and it may be written down later.
    is_ahead: bool,
}

/// What was refused for want of stock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused<'a> {
    /// From when on the levels may have been looked at, if not only since the question.
    pub(super) since_ns: u64,
    /// What was asked for.
    pub(super) wanted: &'a [Line],
    /// What there was too little of, by the answer.
    pub(super) short: &'a [Shortage],
}

/// What was known, and when.
#[derive(Debug)]
pub(super) struct Known {
    /// Before which instant a movement cannot have been made, since it or one before it was asked for then, or due, and which of them that is.
    pub(super) possible: Vec<Mark>,
    /// The same, of what is before it by levels alone.
    possible_by_level: Vec<Mark>,
    /// When a movement, or one after it, was shown first, and the movement that was shown.
    shown: Vec<Mark>,
    /// The same, of what is after it by levels alone.
    shown_by_level: Vec<Mark>,
}

/// Of one level: who showed which version by when, with the greatest so far.
#[derive(Debug, Clone, Default)]
struct Ladder(Vec<(u64, u64, usize)>);

impl Shown {
    /// An answer shows what was after a movement.
    pub(super) fn look(&mut self, deed: usize, at: usize) {
        self.looks.push(Look { deed, at, since_ns: u64::MAX, is_ahead: false });
    }

    /// An answer knows of a movement, and not of how the level is: it may be older than what is known of that.
    pub(super) fn look_back(&mut self, deed: usize, at: usize) {
        self.looks.push(Look { deed, at, since_ns: 0, is_ahead: false });
    }

    /// The same of a movement that may be written down only when somebody comes to its level, and counts from before on.
    pub(super) fn look_ahead(&mut self, deed: usize, at: usize) {
        self.looks.push(Look { deed, at, since_ns: 0, is_ahead: true });
    }

    /// An answer says that a movement was not made yet.
    pub(super) fn past(&mut self, deed: usize, at: usize) {
        self.pasts.push((deed, at));
    }

    /// What is said of a level is what it was; answers where that is in the ledger.
    pub(super) fn seen(
        &mut self,
        books: &Books,
        ledger: &Ledger<'_>,
        (deed, told): (usize, &Told),
        seen: Seen,
        findings: &mut Findings,
    ) {
        let Seen { level, on_hand, reserved, version } = seen;
        let place = ledger.version(level, version);
        match place.map(|at| ledger.at(at).after) {
            Some(after) if after == (on_hand, reserved) => {
                if let Some(at) = place {
                    self.look(deed, at);
                }
            }
            after => findings.add(Fault::WrongValue, || {
                let name = &books.levels[level];
                let was = after.map_or("there is no such version".to_owned(), |(on_hand, reserved)| {
                    format!("by the ledger there were {on_hand}, and {reserved} reserved")
                });
                format!(
                    "{} shows {on_hand} of {name}, and {reserved} reserved, at version {version}: {was}",
                    when(told)
                )
            }),
        }
    }

    /// What is said of levels that have too little is what they were, and it was too little.
    pub(super) fn short(
        &mut self,
        books: &Books,
        ledger: &Ledger<'_>,
        (deed, told): (usize, &Told),
        Refused { since_ns, wanted, short }: Refused<'_>,
        findings: &mut Findings,
    ) {
        if !short.iter().any(|line| line.available < line.requested) {
            findings.add(Fault::FalseRefusal, || {
                format!("{} was refused for stock that was there by its own words", when(told))
            });
        }
        for line in short {
            if !wanted.contains(&Line { level: line.level, units: line.requested }) {
                findings.add(Fault::FalseRefusal, || {
                    let (requested, name) = (line.requested, &books.levels[line.level]);
                    format!("{} was refused {requested} of {name}, which nobody had asked for", when(told))
                });
            }
            let place = ledger.version(line.level, line.version);
            let available = place
                .map(|at| ledger.at(at).after)
                .map(|(on_hand, reserved)| on_hand.saturating_sub(reserved));
            match (place, available) {
                (Some(at), Some(available)) if available == line.available => {
                    self.looks.push(Look { deed, at, since_ns, is_ahead: false });
                }
                (_, was) => findings.add(Fault::FalseRefusal, || {
                    let name = &books.levels[line.level];
                    let Shortage { available, version, .. } = line;
                    let was =
                        was.map_or("there is no such version".to_owned(), |was| format!("there were {was}"));
                    format!(
                        "{} was refused for {available} of {name} at version {version}: {was}",
                        when(told)
                    )
                }),
            }
        }
    }
}

impl Ladder {
    fn sort(&mut self) {
        self.0.sort_unstable();
        let mut greatest = (0, 0);
        for (_, version, deed) in &mut self.0 {
            greatest = greatest.max((*version, *deed));
            (*version, *deed) = greatest;
        }
    }

    /// The greatest version that was shown before that instant, and by whom.
    fn before(&self, ns: u64) -> Option<(u64, usize)> {
        let count = self.0.partition_point(|(shown_ns, ..)| *shown_ns < ns);
        count.checked_sub(1).map(|last| (self.0[last].1, self.0[last].2))
    }
}

pub(super) fn judge(
    books: &Books,
    ledger: &Ledger<'_>,
    order: &Precedence,
    lives: &Lives,
    mut shown: Shown,
    findings: &mut Findings,
) -> Known {
    for (deed, told) in books.told.iter().enumerate() {
        match &told.answer {
            Answer::Level(seen) => shown.seen(books, ledger, (deed, told), *seen, findings),
            Answer::Short(short) => {
                let wanted = wanted(&told.ask);
                let refused = Refused { since_ns: u64::MAX, wanted: &wanted, short };
                shown.short(books, ledger, (deed, told), refused, findings);
            }
            _ => {}
        }
    }
    let found = Found {
        books,
        ledger,
        ladders: shown.ladders(books, ledger),
        dues: dues(books, ledger, lives),
        known: Known::of(books, ledger, order, lives, &shown),
    };
    for look in &shown.looks {
        found.not_too_early(look, findings);
        found.not_too_late(look, findings);
    }
    for &(deed, at) in &shown.pasts {
        found.not_past(deed, at, findings);
    }
    found.known
}

/// What looks are judged by.
struct Found<'a> {
    books: &'a Books,
    ledger: &'a Ledger<'a>,
    ladders: Vec<Ladder>,
    dues: Vec<Ladder>,
    known: Known,
}

impl Found<'_> {
    /// Nothing that came before what it shows was asked for after it.
    fn not_too_early(&self, look: &Look, findings: &mut Findings) {
        let (told, movement) = (&self.books.told[look.deed], self.ledger.at(look.at));
        let possible = if look.is_ahead { &self.known.possible_by_level } else { &self.known.possible };
        let Mark { ns: possible_ns, by } = possible[look.at];
        if possible_ns <= told.answered_ns {
            return;
        }
        let (fault, cause) = (early(self.ledger, by), self.ledger.at(by).seq);
        findings.add(fault, || {
            let (level, version, seq) = (&self.books.levels[movement.level], movement.version, movement.seq);
            let early_us = (possible_ns - told.answered_ns) / 1_000;
            format!(
                "{} shows version {version} of {level} (movement {seq}), {early_us} us before movement {cause} can have been made",
                when(told)
            )
        });
    }

    /// What it shows was not known to be over before it was asked for.
    fn not_too_late(&self, look: &Look, findings: &mut Findings) {
        let (told, movement) = (&self.books.told[look.deed], self.ledger.at(look.at));
        let (level, since_ns) = (&self.books.levels[movement.level], told.asked_ns.min(look.since_ns));
        let old = movement.version;
        let (latest, due) =
            (self.ladders[movement.level].before(since_ns), self.dues[movement.level].before(since_ns));
        if let Some((version, by)) = latest.filter(|(version, _)| *version > old) {
            findings.add(Fault::Stale, || {
                let by = when(&self.books.told[by]);
                format!("{} shows version {old} of {level}, and {by} had shown version {version}", when(told))
            });
        } else if let Some((version, expired)) = due.filter(|(version, _)| *version > old) {
            findings.add(Fault::HeldTooLong, || {
                let hold = self.ledger.at(expired).hold.map_or_else(String::new, |hold| hold.to_string());
                format!(
                    "{} shows version {old} of {level} after the deadline of reservation {hold}, which expired at version {version}",
                    when(told)
                )
            });
        } else if let Some(by) =
            self.ledger.version(movement.level, old + 1).and_then(|next| self.shown(next, since_ns))
        {
            findings.add(Fault::Stale, || {
                let by = self.ledger.at(by).seq;
                format!(
                    "{} shows version {old} of {level}, and movement {by} had been shown, which came after version {}",
                    when(told),
                    old + 1
                )
            });
        }
    }

    /// What it says was not yet, nobody had seen before it was asked for.
    fn not_past(&self, deed: usize, at: usize, findings: &mut Findings) {
        let (told, movement) = (&self.books.told[deed], self.ledger.at(at));
        let (level, seq) = (&self.books.levels[movement.level], movement.seq);
        let latest = self.ladders[movement.level].before(told.asked_ns);
        if let Some((_, by)) = latest.filter(|(version, _)| *version >= movement.version) {
            findings.add(Fault::Stale, || {
                let by = when(&self.books.told[by]);
                format!(
                    "{} is answered as if movement {seq} of {level} had not been, and {by} had shown it",
                    when(told)
                )
            });
        } else if let Some(by) = self.shown(at, told.asked_ns) {
            findings.add(Fault::Stale, || {
                let by = self.ledger.at(by).seq;
                format!(
                    "{} is answered as if movement {seq} of {level} had not been, and movement {by} had been shown, which came with it or after",
                    when(told)
                )
            });
        }
    }

    /// The movement that was shown before that instant and came with that one, or after.
    fn shown(&self, at: usize, ns: u64) -> Option<usize> {
        let Mark { ns: shown_ns, by } = self.known.shown_by_level[at];
        (shown_ns < ns).then_some(by)
    }
}

/// The units that a question asks for.
fn wanted(ask: &Ask) -> Vec<Line> {
    match ask {
        Ask::Adjust { level, delta } => vec![Line { level: *level, units: delta.min(&0).unsigned_abs() }],
        Ask::Reserve { lines, .. } => lines.clone(),
        _ => Vec::new(),
    }
}

/// What it means that something was shown before that movement can have been made.
fn early(ledger: &Ledger<'_>, cause: usize) -> Fault {
    if ledger.at(cause).kind == MovementKind::Expired { Fault::ExpiredEarly } else { Fault::BeforeItsTime }
}

impl Shown {
    /// Who showed what of each level, by when.
    fn ladders(&self, books: &Books, ledger: &Ledger<'_>) -> Vec<Ladder> {
        let mut ladders = vec![Ladder::default(); books.levels.len()];
        for look in &self.looks {
            let movement = ledger.at(look.at);
            ladders[movement.level].0.push((books.told[look.deed].answered_ns, movement.version, look.deed));
        }
        ladders.iter_mut().for_each(Ladder::sort);
        ladders
    }
}

/// The versions that expiries made, by when they are due at the latest. In place of who showed them stands the movement.
fn dues(books: &Books, ledger: &Ledger<'_>, lives: &Lives) -> Vec<Ladder> {
    let mut dues = vec![Ladder::default(); books.levels.len()];
    for life in lives.values() {
        for &at in &life.ended {
            let movement = ledger.at(at);
            if movement.kind == MovementKind::Expired {
                dues[movement.level].0.push((life.latest_ns, movement.version, at));
            }
        }
    }
    dues.iter_mut().for_each(Ladder::sort);
    dues
}

impl Known {
    fn of(books: &Books, ledger: &Ledger<'_>, order: &Precedence, lives: &Lives, shown: &Shown) -> Self {
        let deeds = ledger.deeds();
        let own_ns = |at: usize| {
            let movement = ledger.at(at);
            let of_hold = || movement.hold.and_then(|hold| lives.get(&hold)).map(|life| life.earliest_ns);
            match deeds[at] {
                Some(deed) => books.told[deed].asked_ns,
                None if movement.kind == MovementKind::Expired => of_hold().unwrap_or(0),
                None => 0,
            }
        };
        let mut own_shown_ns = vec![u64::MAX; ledger.movements().len()];
        for look in shown.looks.iter().filter(|look| !look.is_ahead) {
            let answered_ns = books.told[look.deed].answered_ns;
            own_shown_ns[look.at] = own_shown_ns[look.at].min(answered_ns);
        }
        let own_shown = |at: usize| own_shown_ns[at];
        Self {
            possible: order.of_all().latest(own_ns),
            possible_by_level: order.by_level().latest(own_ns),
            shown: order.of_all().earliest(own_shown),
            shown_by_level: order.by_level().earliest(own_shown),
        }
    }

    /// Up to where in the ledger the movements of a level had been made for certain at that instant.
    pub(super) fn made_before(&self, ledger: &Ledger<'_>, level: usize, ns: u64) -> usize {
        let of_level = ledger.of_level(level);
        let count = of_level.partition_point(|&at| self.shown[at].ns < ns);
        count.checked_sub(1).map_or(0, |last| of_level[last] + 1)
    }
}
