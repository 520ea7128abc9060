//! Every deed is in the ledger once, whole, or not at all; and nothing else is.

use std::collections::BTreeMap;

use super::finding::{Fault, Findings};
use super::ledger::when;
use super::looks::Shown;
use super::{Answer, Ask, Books, Ledger, Line, Movement, MovementKind, Told};

/// Units added to a level, on hand and reserved.
pub(super) type Change = (usize, (i64, i64));

/// How movements fit what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// There are none.
    None,
    /// Each change once.
    Exact,
    /// Each change more often than once.
    Twice,
    /// Some of it, or something else.
    Torn,
}

pub(super) fn judge(books: &Books, ledger: &Ledger<'_>, shown: &mut Shown, findings: &mut Findings) {
    for (deed, told) in books.told.iter().enumerate() {
        if let Some(wanted) = wanted(&told.ask) {
            whole(books, ledger, (deed, told), &wanted, shown, findings);
        } else if is_refused(&told.answer) && !ledger.of_deed(deed).is_empty() {
            let seq = ledger.at(ledger.of_deed(deed)[0]).seq;
            findings.add(Fault::DoneAllTheSame, || {
                format!("{} was refused, and made movement {seq}", when(told))
            });
        }
    }
    for (at, deed) in ledger.deeds().into_iter().enumerate() {
        let movement = ledger.at(at);
        if !is_explained(movement, deed.map(|deed| &books.told[deed].ask), ledger) {
            let level = &books.levels[movement.level];
            findings.add(Fault::Unexplained, || {
                format!("movement {} of {level} ({:?}) was asked for by nobody", movement.seq, movement.kind)
            });
        }
    }
}

fn whole(
    books: &Books,
    ledger: &Ledger<'_>,
    (deed, told): (usize, &Told),
    wanted: &[Change],
    shown: &mut Shown,
    findings: &mut Findings,
) {
    let made = ledger.of_deed(deed);
    let fit = fit(made.iter().map(|&at| ledger.at(at)), wanted);
    let levels =
        || wanted.iter().map(|(level, _)| books.levels[*level].as_str()).collect::<Vec<_>>().join(", ");
    let is_done = matches!(told.answer, Answer::Level(_) | Answer::Hold(_) | Answer::Order(_));
    match fit {
        Fit::Twice => {
            findings.add(Fault::Twice, || format!("{} is in the ledger of {} twice", when(told), levels()));
        }
        Fit::Torn => findings.add(Fault::Torn, || {
            format!("{} is in the ledger of {} in part, or with other units", when(told), levels())
        }),
        Fit::None if is_done => findings.add(Fault::Lost, || {
            format!("{} was acknowledged, and is not in the ledger of {}", when(told), levels())
        }),
        Fit::Exact if is_refused(&told.answer) => findings.add(Fault::DoneAllTheSame, || {
            format!("{} was refused, and is in the ledger of {}", when(told), levels())
        }),
        Fit::None | Fit::Exact => {}
    }
    if is_done {
        for &at in made {
            shown.look(deed, at);
        }
    }
    if let (Answer::Level(seen), Fit::Exact) = (&told.answer, fit)
        && seen.version != ledger.at(made[0]).version
    {
        let (told_version, made_version) = (seen.version, ledger.at(made[0]).version);
        findings.add(Fault::WrongValue, || {
            format!("{} was told version {told_version}, but made version {made_version}", when(told))
        });
    }
}

/// What a question changes if it is answered well, where that is known without looking at anything else.
fn wanted(ask: &Ask) -> Option<Vec<Change>> {
    let each = |lines: &[Line], change: fn(i64) -> (i64, i64)| {
        lines.iter().map(|line| (line.level, change(line.units.cast_signed()))).collect()
    };
    match ask {
        Ask::Open { level, on_hand } => Some(vec![(*level, (on_hand.cast_signed(), 0))]),
        Ask::Adjust { level, delta } => Some(vec![(*level, (*delta, 0))]),
        Ask::Reserve { lines, .. } => Some(each(lines, |units| (0, units))),
        Ask::Return { lines: Some(lines), .. } => Some(each(lines, |units| (units, 0))),
        _ => None,
    }
}

/// What an order takes.
pub(super) fn taking(lines: &[Line]) -> Vec<Change> {
    lines.iter().map(|line| (line.level, (-line.units.cast_signed(), 0))).collect()
}

/// How movements fit the changes that were wanted, each of another level.
pub(super) fn fit<'m>(made: impl Iterator<Item = &'m Movement>, wanted: &[Change]) -> Fit {
    let mut found: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
    for movement in made {
        found.entry(movement.level).or_default().push(movement.change());
    }
    if found.is_empty() {
        return Fit::None;
    }
    let all_fit = found.len() == wanted.len()
        && wanted
            .iter()
            .all(|(level, change)| found.get(level).is_some_and(|found| found.iter().all(|is| is == change)));
    match (all_fit, found.values().map(Vec::len).max()) {
        (true, Some(1)) => Fit::Exact,
        (true, _) if found.values().all(|found| found.len() > 1) => Fit::Twice,
        _ => Fit::Torn,
    }
}

/// Whether an answer says that nothing was changed.
pub(super) fn is_refused(answer: &Answer) -> bool {
    match answer {
        Answer::Level(_) | Answer::Hold(_) | Answer::Order(_) | Answer::Cancelled | Answer::Unknown => false,
        Answer::Short(_)
        | Answer::HoldIs(_)
        | Answer::OrderIs(_)
        | Answer::Left(_)
        | Answer::Full
        | Answer::Missing => true,
    }
}

fn is_explained(movement: &Movement, ask: Option<&Ask>, ledger: &Ledger<'_>) -> bool {
    match (movement.kind, ask) {
        (MovementKind::Created, Some(Ask::Open { .. }))
        | (MovementKind::Adjusted, Some(Ask::Adjust { .. }))
        | (MovementKind::Reserved, Some(Ask::Reserve { .. }))
        | (MovementKind::Fulfilled, Some(Ask::Order { .. }))
        | (MovementKind::Returned, Some(Ask::Return { .. }))
        | (MovementKind::Released, Some(Ask::Release { .. } | Ask::Commit { .. }))
        | (MovementKind::Shipped, Some(Ask::Commit { .. })) => true,
        (MovementKind::Expired, None) => movement.hold.is_some_and(|name| {
            ledger.of_hold(name).iter().any(|&at| ledger.at(at).kind == MovementKind::Reserved)
        }),
        _ => false,
    }
}
