//! What was found on levels without versions, in words.

use super::super::render::{Parts, Renderer};
use super::super::violation::{Culprit, Kind};
use super::super::words;
use super::books::Imbalance;
use super::shrink::Contradiction;
use super::{Act, Deed};
use crate::model::{Level, Units};
use crate::record::Key;

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
    explanation.push(match found.others {
        0 => "No other change was under way.".to_owned(),
        1 => "Another change was under way, which does not explain it either.".to_owned(),
        others => format!("{others} other changes were under way, which do not explain it either."),
    });
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
