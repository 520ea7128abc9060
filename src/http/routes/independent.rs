//! The lines of a batch, each on its own: as many requests in one body.
//!
//! All lines are applied one after the other, then witnessed together, so that a batch waits for the disk once and not once a
//! line. Under an idempotency key each line is a unit of its own: a retry carries out only the lines that were not.

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::value::RawValue;

use super::answer;
use crate::http::dto::{BatchWriter, LineProblem, LineResult, StockLevel};
use crate::http::extract::Keyring;
use crate::http::once::{fresh, hand_over, mark, refuse_other_use, reused};
use crate::http::problem::Problem;
use crate::inventory::{Begun, ChangeError, Inventory, Memo, StoredRecord};
use crate::journal::lanes::Keyed;
use crate::stock::{Applied, StockKey};

/// Lines between two chances for other tasks of the thread to run: some ten microseconds.
const LINES_PER_TURN: usize = 256;

/// A line: its level, and the units to add.
pub(super) type Line = (StockKey, i64);

/// What came of a line.
enum Outcome {
    /// It was carried out.
    Now(Result<Applied, ChangeError>),
    /// It had been, by an earlier request with the key.
    Before(StoredRecord),
}

/// Carries each line out, and answers line by line.
pub(super) async fn each_alone(
    inventory: &Inventory,
    keyring: Option<Box<Keyring>>,
    memo: Memo,
    lines: &[Line],
) -> Result<Response, Problem> {
    let Some(keyring) = keyring else { return unkeyed(inventory, memo, lines).await };
    // Held to the end, and never handed over: of two requests with the key, one goes on.
    let Ok(_whole) = fresh(inventory.books().begin(keyring.whole()).await?)? else {
        // All lines together, under this key: that was an atomic batch.
        return Err(reused());
    };
    let mut before = Vec::with_capacity(lines.len());
    for line in 0..lines.len() {
        before.push(match inventory.books().outcome(keyring.line(line)).await? {
            Some(Begun::Done(stored)) => Some(stored),
            other => {
                refuse_other_use(other.as_ref())?;
                None
            }
        });
    }
    let replayed = before.iter().all(Option::is_some);
    let response = keyed(inventory, &keyring, &memo, lines, before).await?;
    Ok(if replayed { mark(response) } else { response })
}

async fn unkeyed(inventory: &Inventory, memo: Memo, lines: &[Line]) -> Result<Response, Problem> {
    let mut outcomes = Vec::with_capacity(lines.len());
    for (index, (key, delta)) in lines.iter().enumerate() {
        take_turns(index).await;
        outcomes.push(inventory.adjust_unwitnessed(key, *delta, memo.clone()).await);
    }
    // One wait for all that was made; only what was refused is asked for by itself, since another request made that.
    let made = inventory.books().witness_all().await;
    let mut batch = BatchWriter::new(lines.len());
    for (index, ((key, _), outcome)) in lines.iter().zip(outcomes).enumerate() {
        let witnessed = if outcome.is_ok() { made.clone() } else { inventory.witness(key, &outcome).await };
        let outcome = witnessed.map_err(ChangeError::Obstacle).and(outcome);
        let outcome = outcome.map_err(|rejected| Problem::rejected(rejected, key, &pointer(index)));
        batch.push(&result(key, outcome));
    }
    Ok(finish(batch))
}

async fn keyed(
    inventory: &Inventory,
    keyring: &Keyring,
    memo: &Memo,
    lines: &[Line],
    before: Vec<Option<StoredRecord>>,
) -> Result<Response, Problem> {
    let mut outcomes: Vec<(Option<Keyed>, Outcome)> = Vec::with_capacity(lines.len());
    for (index, ((key, delta), before)) in lines.iter().zip(before).enumerate() {
        take_turns(index).await;
        outcomes.push(match before {
            Some(stored) => (None, Outcome::Before(stored)),
            None => match fresh(inventory.books().begin(keyring.line(index)).await?)? {
                Err(stored) => (None, Outcome::Before(stored)),
                Ok(keyed) => {
                    let memo = Memo { keyed: Some(keyed.clone()), ..memo.clone() };
                    let outcome = inventory.adjust_unwitnessed(key, *delta, memo).await;
                    (Some(keyed), Outcome::Now(outcome))
                }
            },
        });
    }
    for ((key, _), (_, outcome)) in lines.iter().zip(&outcomes) {
        if let Outcome::Now(outcome) = outcome {
            inventory.witness(key, outcome).await?;
        }
    }
    // Refusals are recorded after what they saw is on disk, all of them together.
    let (mut batch, mut handed_over) = (BatchWriter::new(lines.len()), Vec::new());
    for (index, ((key, _), (claim, outcome))) in lines.iter().zip(outcomes).enumerate() {
        match outcome {
            Outcome::Before(stored) => batch.push(&stored_result(key, &stored)?),
            Outcome::Now(outcome) => {
                let outcome = outcome.map_err(|rejected| Problem::rejected(rejected, key, &pointer(index)));
                if let (Err(problem), Some(claim)) = (&outcome, claim)
                    && problem.is_outcome()
                {
                    handed_over.push(hand_over(inventory, claim, problem).await?);
                }
                batch.push(&result(key, outcome));
            }
        }
    }
    for told in handed_over {
        inventory.books().settle(told).await?;
    }
    Ok(finish(batch))
}

async fn take_turns(index: usize) {
    if index % LINES_PER_TURN == LINES_PER_TURN - 1 {
        tokio::task::yield_now().await;
    }
}

fn pointer(index: usize) -> String {
    format!("/lines/{index}")
}

fn finish(batch: BatchWriter) -> Response {
    answer::typed(batch.finish(), HeaderValue::from_static("application/json"))
}

fn result(key: &StockKey, outcome: Result<Applied, Problem>) -> LineResult<'_> {
    let (sku, location) = (key.sku(), key.location());
    match outcome {
        Ok(applied) => {
            let level = Some(StockLevel::new(key, applied.after));
            LineResult { sku, location, status: 200, level, problem: None }
        }
        Err(problem) => {
            let status = problem.status().as_u16();
            let problem = Some(LineProblem::Fresh(Box::new(problem)));
            LineResult { sku, location, status, level: None, problem }
        }
    }
}

fn stored_result<'a>(key: &'a StockKey, stored: &StoredRecord) -> Result<LineResult<'a>, Problem> {
    let (sku, location) = (key.sku(), key.location());
    let Some(answer) = stored.record().answer() else {
        let (_, after) = stored.levels().next().expect("a change has a line");
        let level = Some(StockLevel::new(key, after));
        return Ok(LineResult { sku, location, status: 200, level, problem: None });
    };
    let text = String::from_utf8(answer.body.to_vec()).ok();
    let problem = text.and_then(|text| RawValue::from_string(text).ok());
    let damaged =
        || crate::inventory::Obstacle::Damaged("the stored answer of a line is not JSON".to_owned());
    let problem = Some(LineProblem::Stored(problem.ok_or_else(damaged)?));
    Ok(LineResult { sku, location, status: answer.status, level: None, problem })
}
