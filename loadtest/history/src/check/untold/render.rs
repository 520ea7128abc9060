//! What was found on levels without versions, in words.

use super::super::render::{Parts, Renderer};
use super::super::violation::{Culprit, Kind};
use super::super::words;
use super::books::Imbalance;
use super::shrink::Contradiction;
use super::torn::Torn;
use super::{Act, Deed};
use crate::model::{Level, Units};
use crate::record::Key;

/// How many levels are told as they were before.
const LEVELS_SHOWN: usize = 4;

pub(in super::super) fn imbalance(renderer: &Renderer<'_>, key: Key, found: &Imbalance) -> Parts {
    let level = renderer.words.level(key);
    let (least, most) = found.allowed;
    let headline = match (found.kind, found.told) {
        (Kind::Unbalanced, _) => {
            format!("the final stock of {level} is not what the acknowledged changes add up to")
        }
        (Kind::Oversold, _) => {
            format!("a change of {level} was applied although fewer units were there than it took")
        }
        (Kind::FalseRefusal, _) => {
            format!("a refusal for {level}, although there were enough units at any time")
        }
        (Kind::WrongChange, _) => {
            format!("the answer to a change of {level} tells units that cannot have been there")
        }
        _ => format!("an answer shows units of {level} that cannot have been there"),
    };
    let told = found.told.map_or(String::new(), |told| format!(" It tells {told}."));
    let there = if least == most { format!("exactly {most}") } else { format!("between {least} and {most}") };
    let (before, around) = found.changes;
    let why = format!(
        "There were {there} units, by the beginning and {before} changes that had been answered before, give or take {around} \
         others that may have come before.{told}"
    );
    let culprits = vec![renderer.culprit(found.record, "The culprit", Some(key))];
    (Some(key), headline, vec![why], culprits)
}

pub(in super::super) fn contradiction(renderer: &Renderer<'_>, key: Key, found: &Contradiction) -> Parts {
    let level = renderer.words.level(key);
    let headline = match (found.kind, found.acts.as_slice()) {
        (Kind::LostUpdate, [_, _]) => {
            format!("two acknowledged changes of {level} cannot both be in it")
        }
        (_, [_]) => format!("no order explains an answer about {level}"),
        (_, acts) => format!("no order explains {} answers about {level} together", acts.len()),
    };
    let state = words::state(found.before);
    let by = match found.told_by {
        Some(record) => format!("when record {record} had been answered"),
        None => "in the beginning".to_owned(),
    };
    let mut explanation = vec![format!("Before: {state}, {by}.")];
    explanation.extend(same_result(&found.acts));
    explanation.push(others(found.others));
    if found.acts.len() > 1 {
        let needed = "Without any one of these answers there is an order.";
        let perhaps = "Not all of these answers may be needed: the bound of the search was reached.";
        explanation.push(if found.is_minimal { needed } else { perhaps }.to_owned());
    }
    let role = |at: usize| {
        if found.acts.len() == 1 { "The culprit".to_owned() } else { format!("Culprit {}", at + 1) }
    };
    let culprits = found.acts.iter().enumerate();
    let mut culprits: Vec<Culprit> =
        culprits.map(|(at, act)| renderer.culprit(act.record, &role(at), Some(key))).collect();
    if let (Some(record), 1) = (found.told_by, culprits.len()) {
        culprits.push(renderer.culprit(record, "What was there before", Some(key)));
    }
    (Some(key), headline, explanation, culprits)
}

pub(in super::super) fn torn(renderer: &Renderer<'_>, found: &Torn) -> Parts {
    let headline = if found.has_snapshot {
        "a consistent read shows levels as they never were together".to_owned()
    } else {
        format!("no order explains {} answers about several levels together", found.records.len())
    };
    let by = match found.told_by {
        Some(record) => format!("when record {record} had been answered"),
        None => "in the beginning".to_owned(),
    };
    let state = |(key, level): &(u32, Level)| {
        format!("Before: {} had {}, {by}.", renderer.words.level(Key(*key)), words::state(*level))
    };
    let mut explanation: Vec<String> = found.before.iter().take(LEVELS_SHOWN).map(state).collect();
    explanation.push("On each level by itself there is an order; what changed or read several of them at one moment has none.".to_owned());
    explanation.push(others(found.others));
    if found.records.len() > 1 {
        explanation.push("Without any one of these answers there is an order.".to_owned());
    }
    let role = |at: usize| format!("Culprit {}", at + 1);
    let culprits = found.records.iter().enumerate();
    let culprits = culprits.map(|(at, record)| renderer.culprit(*record, &role(at), None));
    let tying = found.tying.iter().take(LEVELS_SHOWN);
    let tying =
        tying.map(|record| renderer.culprit(*record, "A change of several of them that was under way", None));
    let culprits = culprits.chain(tying).collect();
    (None, headline, explanation, culprits)
}

/// What else was under way, in a sentence.
fn others(count: usize) -> String {
    match count {
        0 => "No other change was under way.".to_owned(),
        1 => "Another change was under way, which does not explain it either.".to_owned(),
        others => format!("{others} other changes were under way, which do not explain it either."),
    }
}

/// If changes started from the same units, as two do that both looked before either wrote.
fn same_result(acts: &[Act]) -> Option<String> {
    let found = |act: &Act| match act.deed {
        Deed::Change(_, stock) => {
            let after = super::told_units(stock)?;
            u64::try_from(i128::from(after) - i128::from(act.deed.added()?)).ok()
        }
        _ => None,
    };
    let first = found(acts.first()?)?;
    let is_same = acts.len() > 1 && acts.iter().all(|act| found(act) == Some(first));
    let units = Units { on_hand: first, reserved: 0 };
    let state = words::state(Level { version: 0, stock: Some(units) });
    is_same.then(|| format!("By their answers all of them found {state}: one has overwritten the other."))
}
