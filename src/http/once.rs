//! Requests that take effect at most once (promise P8): those with an `Idempotency-Key`.
//!
//! The key is claimed before the change, and the record of the change carries it; so does the record of a refusal for the
//! state of the stock. A retry is answered from that record. What was not judged (validation, contention, overload, a
//! failure) is not recorded, and the key is free again.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::extract::Keyring;
use super::problem::{Kind, Problem};
use crate::inventory::{Begun, Inventory, Memo, StoredRecord};
use crate::journal::lanes::Keyed;
use crate::journal::record::Answer;

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Carries the request out with `act`, unless it was before: then `replay` writes the answer of a change that was made.
pub(super) async fn once(
    inventory: &Inventory,
    keyring: Option<Box<Keyring>>,
    memo: Memo,
    act: impl AsyncFnOnce(Memo) -> Result<Response, Problem>,
    replay: impl FnOnce(&StoredRecord) -> Response,
) -> Result<Response, Problem> {
    let Some(keyring) = keyring else { return act(memo).await };
    // A batch of independent lines leaves its key at its lines.
    refuse_other_use(inventory.books().outcome(keyring.line(0)).await?.as_ref())?;
    let keyed = match fresh(inventory.books().begin(keyring.whole()).await?)? {
        Ok(keyed) => keyed,
        Err(stored) => return Ok(mark(replayed(&stored, replay))),
    };
    let memo = Memo { keyed: Some(keyed.clone()), ..memo };
    let outcome = act(memo).await;
    if let Err(problem) = &outcome
        && problem.is_outcome()
    {
        let stored = hand_over(inventory, keyed, problem).await?;
        inventory.books().settle(stored).await?;
    }
    outcome
}

/// Hands the record of a refusal over, under its key.
pub(super) async fn hand_over(
    inventory: &Inventory,
    keyed: Keyed,
    problem: &Problem,
) -> Result<crate::inventory::Told, Problem> {
    let body = problem.to_json();
    let answer = Answer { status: problem.status().as_u16(), body: &body };
    Ok(inventory.books().hand_answer(keyed, answer).await?)
}

/// The claim of a new key, or the record of a used one.
pub(super) fn fresh(begun: Begun) -> Result<Result<Keyed, StoredRecord>, Problem> {
    match begun {
        Begun::Fresh(keyed) => Ok(Ok(keyed)),
        Begun::Done(stored) => Ok(Err(stored)),
        Begun::InProgress => Err(in_progress()),
        Begun::Reused => Err(reused()),
        Begun::Full => Err(Problem::new(
            Kind::Overloaded,
            "as many idempotency keys are held as may be; send this one again when older ones have run out",
        )),
    }
}

fn in_progress() -> Problem {
    let detail = "a request with this idempotency key is under way; repeat it when that one is over";
    Problem::new(Kind::IdempotencyKeyInProgress, detail)
}

/// A key that stands for another request.
pub(super) fn reused() -> Problem {
    let detail = "this idempotency key was used with another request; nothing was changed";
    Problem::new(Kind::IdempotencyKeyReused, detail)
}

/// A key that was used for something else than the request at hand.
pub(super) fn refuse_other_use(outcome: Option<&Begun>) -> Result<(), Problem> {
    match outcome {
        None => Ok(()),
        Some(Begun::InProgress) => Err(in_progress()),
        Some(_) => Err(reused()),
    }
}

/// The answer of a request that was carried out before.
pub(super) fn replayed(stored: &StoredRecord, replay: impl FnOnce(&StoredRecord) -> Response) -> Response {
    let Some(answer) = stored.record().answer() else { return replay(stored) };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // An import's answer is no problem.
    let media = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = Response::new(Body::from(answer.body.to_vec()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Marks an answer as given before.
pub(super) fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
