//! Every answer shows a state that was there between its question and itself.
//!
//! What an answer says of a level is a place in the ledger, and that place has two bounds. It is not *later* than the answer: nothing up to it may
//! have been asked for only after the answer came (of the same level, where answers do not wait for the log). And it is not *earlier* than what was known: no answer that came before the question may
//! show a later version of the same level. Both are a maximum over what comes before in some order, so a look costs a binary search.

use super::finding::{Fault, Findings};
use super::holds::Lives;
use super::ledger::when;
use super::{Answer, Ask, Books, Ledger, Line, MovementKind, Seen, Shortage, Told};

/// Whoever made a movement may be held up for so long before it has its number, where no answer waits for that.
const HELD_UP_NS: u64 = 250_000_000;

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
    /// Before which instant a movement cannot have been made, since none was up to that place, and which of them says so. Of a service whose
    /// answers do not wait for the log: none of the same level.
    pub(super) possible: Vec<(u64, usize)>,
    /// When a movement, or one after it, was shown first.
    pub(super) shown_ns: Vec<u64>,
    /// So much later than it was shown first a movement has its number for certain.
    numbered_ns: u64,
}

/// Of one level: who showed which version by when, with the greatest so far.
#[derive(Debug, Clone, Default)]
struct Ladder(Vec<(u64, u64, usize)>);

impl Shown {
    /// An answer shows what was after a movement.
    pub(super) fn look(&mut self, deed: usize, at: usize) {
        self.looks.push(Look { deed, at, since_ns: u64::MAX });
    }

    /// An answer knows of a movement, and not of how the level is: it may be older than what is known of that.
    pub(super) fn look_back(&mut self, deed: usize, at: usize) {
        self.looks.push(Look { deed, at, since_ns: 0 });
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
                self.looks.extend(place.map(|at| Look { deed, at, since_ns: u64::MAX }));
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
                    self.looks.push(Look { deed, at, since_ns });
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
    let ladders = shown.ladders(books, ledger);
    let dues = dues(books, ledger, lives);
    let known = Known::of(books, ledger, lives, &shown);
    for Look { deed, at, since_ns } in &shown.looks {
        let (told, movement) = (&books.told[*deed], ledger.at(*at));
        let (level, since_ns) = (&books.levels[movement.level], told.asked_ns.min(*since_ns));
        let (possible_ns, cause) = known.possible[*at];
        if possible_ns > told.answered_ns {
            let (fault, cause) = (early(ledger, cause), ledger.at(cause).seq);
            findings.add(fault, || {
                let (version, seq) = (movement.version, movement.seq);
                let early_us = (possible_ns - told.answered_ns) / 1_000;
                format!(
                    "{} shows version {version} of {level} (movement {seq}), {early_us} us before movement {cause} can have been made",
                    when(told)
                )
            });
        }
        let (latest, due) = (ladders[movement.level].before(since_ns), dues[movement.level].before(since_ns));
        if let Some((version, by)) = latest.filter(|(version, _)| *version > movement.version) {
            findings.add(Fault::Stale, || {
                let old = movement.version;
                format!(
                    "{} shows version {old} of {level}, and {} had shown version {version}",
                    when(told),
                    when(&books.told[by])
                )
            });
        } else if let Some((version, expired)) = due.filter(|(version, _)| *version > movement.version) {
            findings.add(Fault::HeldTooLong, || {
                let (old, hold) = (movement.version, ledger.at(expired).hold.map_or_else(String::new, |hold| hold.to_string()));
                format!(
                    "{} shows version {old} of {level} after the deadline of reservation {hold}, which expired at version {version}",
                    when(told)
                )
            });
        }
    }
    for &(deed, at) in &shown.pasts {
        let (told, movement) = (&books.told[deed], ledger.at(at));
        if let Some((_, by)) =
            ladders[movement.level].before(told.asked_ns).filter(|(version, _)| *version >= movement.version)
        {
            findings.add(Fault::Stale, || {
                let (level, seq) = (&books.levels[movement.level], movement.seq);
                format!(
                    "{} is answered as if movement {seq} of {level} had not been, and {} had shown it",
                    when(told),
                    when(&books.told[by])
                )
            });
        }
    }
    known
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
    fn of(books: &Books, ledger: &Ledger<'_>, lives: &Lives, shown: &Shown) -> Self {
        let mut possible: Vec<(u64, usize)> = Vec::with_capacity(ledger.movements().len());
        let (mut last, mut last_of) = (None, vec![None; books.levels.len()]);
        for (at, deed) in ledger.deeds().into_iter().enumerate() {
            let movement = ledger.at(at);
            let of_hold = || movement.hold.and_then(|hold| lives.get(&hold)).map(|life| life.earliest_ns);
            let own_ns = match deed {
                Some(deed) => books.told[deed].asked_ns,
                None if movement.kind == MovementKind::Expired => of_hold().unwrap_or(0),
                None => 0,
            };
            let last = if books.is_durable { &mut last } else { &mut last_of[movement.level] };
            let before = last.unwrap_or((0, at));
            possible.push(*last.insert(if own_ns > before.0 { (own_ns, at) } else { before }));
        }
        let mut shown_ns = vec![u64::MAX; possible.len()];
        for look in &shown.looks {
            let answered_ns = books.told[look.deed].answered_ns;
            shown_ns[look.at] = shown_ns[look.at].min(answered_ns);
        }
        let mut earliest = u64::MAX;
        for shown_ns in shown_ns.iter_mut().rev() {
            earliest = earliest.min(*shown_ns);
            *shown_ns = earliest;
        }
        Self { possible, shown_ns, numbered_ns: if books.is_durable { 0 } else { HELD_UP_NS } }
    }

    /// How many movements had been made for certain at that instant.
    pub(super) fn made_before(&self, ns: u64) -> usize {
        self.shown_ns.partition_point(|shown_ns| shown_ns.saturating_add(self.numbered_ns) < ns)
    }
}
