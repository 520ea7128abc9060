//! What a crash test means, in words and as exit codes.

use super::counts::Examples;
use super::delivered::WebhookAudit;
use super::outcome::{Crash, End};
use super::sights::TakenBack;
use super::told::EventsAudit;
use crate::exit::Exit;

/// Everything a reader must know beside the figures. The verdict on the history is not among them.
pub fn findings(crash: &Crash) -> Vec<(Exit, String)> {
    let mut findings = broken(crash);
    findings.extend(doubtful(crash));
    findings
}

/// How many kills found writes in flight.
pub fn kills_in_flight(crash: &Crash) -> usize {
    crash.lives.iter().filter(|life| life.end == End::Killed && life.in_doubt > 0).count()
}

/// Promises that the server broke.
fn broken(crash: &Crash) -> Vec<(Exit, String)> {
    let mut broken = Vec::new();
    let mut note = |text: String| broken.push((Exit::Violation, text));
    if let Some(accounts) = &crash.accounts {
        if accounts.missing > 0 {
            note(format!("{} acknowledged changes are missing in the end", accounts.missing));
        }
        if accounts.doubled > 0 {
            note(format!("{} changes are there that nobody was told of: applied twice", accounts.doubled));
        }
        if accounts.torn > 0 {
            note(format!("{} acknowledged transactions are there in part", accounts.torn));
        }
        if accounts.levels_wrong > 0 {
            note(format!(
                "{} levels are not what the acknowledged changes make of them",
                accounts.levels_wrong
            ));
        }
    }
    if crash.torn_pairs > 0 {
        let pairs = crash.torn_pairs;
        note(format!(
            "{pairs} pairs of levels that change only together were seen apart: a torn transaction"
        ));
    }
    let (missing, older): (Vec<_>, Vec<_>) =
        crash.taken_back.iter().partition(|taken_back| taken_back.shown.is_missing);
    note_taken_back(&mut note, &missing, "deletions were taken back that a listing or an export had shown");
    note_taken_back(&mut note, &older, "levels were older than a listing or an export had shown them");
    let left_out = "times a level was missing from a listing or an export although it was there all along";
    note_examples(&mut note, &crash.left_out, left_out);
    note_examples(&mut note, &crash.counts.echoes_differing, "writes were executed again under their key");
    if let Some(EventsAudit { missing, repeated, out_of_order, differing, .. }) = &crash.events {
        note_examples(&mut note, missing, "changes were never told by the event stream");
        note_examples(&mut note, repeated, "changes were told again by the event stream");
        note_examples(&mut note, out_of_order, "changes were told by the event stream after later ones");
        let wrong = "levels are not what a snapshot and the event stream after it make of them";
        note_examples(&mut note, differing, wrong);
    }
    if let Some(webhook) = &crash.webhook {
        let WebhookAudit { missing, gaps, out_of_order, differing, unsigned, succession, .. } = webhook;
        if let Some(succession) = succession.as_ref().filter(|succession| succession.is_broken()) {
            note(format!("the webhook had no heir: {succession}"));
        }
        note_examples(&mut note, missing, "movements were never told by the webhook");
        note_examples(&mut note, gaps, "numbers of movements were left out by the ledger");
        note_examples(&mut note, out_of_order, "movements were told by the webhook after later ones");
        note_examples(
            &mut note,
            differing,
            "movements were told by the webhook otherwise than by the ledger",
        );
        note_examples(&mut note, unsigned, "messages of the webhook were not signed as they should be");
    }
    if let Some(lost) = &crash.lost {
        note(format!("the server did not come back: {lost}"));
    }
    broken
}

/// What leaves holes in the proof.
fn doubtful(crash: &Crash) -> Vec<(Exit, String)> {
    let mut doubtful = Vec::new();
    let mut note = |text: String| doubtful.push((Exit::Inconclusive, text));
    let is_unharmed = crash.outages.iter().all(|outage| outage.failed == 0);
    if !crash.outages.is_empty() && is_unharmed {
        note(
            "no kill of the database found a request in flight, so nothing was tried; raise --clients"
                .to_owned(),
        );
    }
    if crash.outages.is_empty() && kills_in_flight(crash) == 0 {
        note("no kill found a write in flight, so nothing was tried; raise --cycles or --clients".to_owned());
    }
    let unresolved: u64 = crash.counts.writes.values().map(|writes| writes.unresolved).sum();
    let unresolved = unresolved + crash.counts.comings.unresolved;
    if unresolved > 0 {
        note(format!("{unresolved} writes were never answered, so their levels are uncertain"));
    }
    note_examples(
        &mut note,
        &crash.counts.rejected,
        "writes were rejected, or never answered within the contract",
    );
    note_examples(&mut note, &crash.counts.echoes_inexact, "answers were not replayed as the contract says");
    let denied = "writes were said not to have happened, and yet their answer was there";
    note_examples(&mut note, &crash.counts.denied, denied);
    if let Some(EventsAudit { told, breaches, .. }) = &crash.events {
        if *told == 0 {
            note("the event stream told nothing".to_owned());
        }
        note_examples(&mut note, breaches, "answers to who watches the events did not fit the contract");
    }
    if let Some(webhook) = &crash.webhook {
        doubtful_webhook(&mut note, webhook);
    }
    if crash.breaches > 0 {
        note(format!("{} answers did not fit the contract, so the proof has holes", crash.breaches));
    }
    if let Some(unlisted) = &crash.unlisted {
        note(format!("the final stock is not known: {unlisted}"));
    }
    if crash.unread > 0 {
        note(format!("{} levels could not be read back at the end", crash.unread));
    }
    for unclean in &crash.unclean {
        note(unclean.clone());
    }
    doubtful
}

fn doubtful_webhook(note: &mut impl FnMut(String), webhook: &WebhookAudit) {
    let WebhookAudit { told, breaches, stalled, unread, left, succession, .. } = webhook;
    if let Some(left) = left {
        note(format!("the webhook could not be deleted: {left}"));
    }
    if succession.as_ref().is_some_and(|succession| succession.sender.is_none()) {
        note("nobody was found who alone tells the webhook, so it was not tried who takes over".to_owned());
    }
    if let Some(unread) = unread {
        return note(format!("the ledger is not known, so what the webhook told is not judged: {unread}"));
    }
    if *told == 0 {
        note("the webhook told nothing".to_owned());
    }
    if let Some(stalled) = stalled {
        note(format!("the webhook told nothing new any more before the end of the ledger: {stalled}"));
    }
    note_examples(note, breaches, "messages of the webhook did not fit the contract");
}

fn note_taken_back(note: &mut impl FnMut(String), taken_back: &[&TakenBack], what: &str) {
    if let Some(first) = taken_back.first() {
        note(format!("{} {what}, such as: {first}", taken_back.len()));
    }
}

fn note_examples(note: &mut impl FnMut(String), examples: &Examples, what: &str) {
    if examples.count > 0 {
        let first = examples.first.as_deref().unwrap_or_default();
        note(format!("{} {what}, such as: {first}", examples.count));
    }
}
