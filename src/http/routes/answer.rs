//! Answers: what came of a command, as bytes. The one place that writes them, so a replay is written by what wrote the first.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use http_body::Frame;

use crate::http::dto::{LevelsAnswer, StockLevel, WriteJson};
use crate::http::extract::{PREFERENCE_APPLIED, Patience};
use crate::http::problem::Problem;
use crate::said::Said;
use crate::stock::{Applied, Level, Refusal, RefusedLevel, StockKey, Transaction};
use crate::store::{
    Answered, AnyStore, Command, Deed, Idempotency, Lineage, MovementCursor, Outcome, Store as _,
    TransactionKind, WrittenAnswer,
};

/// Where the events go on after levels that were read.
pub(super) const EVENT_CURSOR: HeaderName = HeaderName::from_static("event-cursor");

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Carries out a change of one level, and answers with what `made` makes of it. `pointer` names the field of the body that
/// asked for it.
pub(super) async fn change(
    store: &AnyStore,
    command: Command,
    pointer: &str,
    made: impl FnOnce(&StockKey, Applied) -> Response,
) -> Result<Response, Problem> {
    let Deed::Change { key, .. } = &command.deed else { unreachable!("a change of one level") };
    let key = key.clone();
    let Answered { outcome, replayed } = store.execute(command).await?;
    let response = match outcome {
        Outcome::Change(Ok(applied)) => made(&key, applied),
        Outcome::Change(Err(refusal)) => refused(refusal, &key, pointer),
        Outcome::Written(answer) => written(answer),
        _ => return Err(Problem::unexpected()),
    };
    Ok(marked(response, replayed))
}

/// Carries out a transaction, and answers with the levels after it.
pub(super) async fn transaction(
    store: &AnyStore,
    transaction: Transaction,
    kind: TransactionKind,
    idempotency: Option<Box<Idempotency>>,
    said: Said,
) -> Result<Response, Problem> {
    let deed = Deed::Transaction { transaction: Arc::new(transaction), kind };
    let Answered { outcome, replayed } = store.execute(Command { deed, idempotency, said }).await?;
    let response = match outcome {
        Outcome::Transaction(Ok(applied)) => levels(&applied),
        Outcome::Transaction(Err(levels)) => refused_together(&levels),
        Outcome::Written(answer) => written(answer),
        _ => return Err(Problem::unexpected()),
    };
    Ok(marked(response, replayed))
}

/// The same answer, which says for how long it would have waited.
pub(super) fn having_waited(mut response: Response, patience: Patience) -> Response {
    response.headers_mut().insert(PREFERENCE_APPLIED, patience.applied());
    response
}

/// The same answer, marked if it was given before.
pub(super) fn marked(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// An answer as the first version of the service stored it.
pub(super) fn written(answer: WrittenAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // An import's answer is no problem.
    let media = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = typed(answer.body, HeaderValue::from_static(media));
    *response.status_mut() = status;
    response
}

fn refused(refusal: Refusal, key: &StockKey, pointer: &str) -> Response {
    Problem::refused(refusal, key, pointer).into_response()
}

fn refused_together(levels: &[RefusedLevel]) -> Response {
    Problem::refused_together(levels).into_response()
}

fn levels(applied: &[(StockKey, Applied)]) -> Response {
    let bytes = StockLevel::JSON_BYTES * (applied.len() + 1);
    let levels = applied.iter().map(|(key, applied)| StockLevel::new(key, applied.after)).collect();
    json(&LevelsAnswer { levels }, bytes)
}

/// A JSON answer of 200. `bytes` is about how long it gets.
pub(super) fn json(answer: &impl WriteJson, bytes: usize) -> Response {
    let mut body = Vec::with_capacity(bytes);
    answer.write_json(&mut body);
    typed(body, HeaderValue::from_static("application/json"))
}

/// An answer of 200 with that type.
pub(super) fn typed(body: impl Into<Body>, content_type: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A part of the documentation, which is the same until another version of the service runs: caches may keep it for a while.
pub(super) fn document(body: impl Into<Body>, content_type: HeaderValue) -> Response {
    let mut response = typed(body, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// A level, with its entity tag.
pub(super) fn level(status: StatusCode, key: &StockKey, level: Level, lineage: Lineage) -> Response {
    let mut response = json(&StockLevel::new(key, level), StockLevel::JSON_BYTES);
    *response.status_mut() = status;
    response.headers_mut().insert(header::ETAG, etag(level, lineage));
    response
}

/// The value of [`EVENT_CURSOR`].
pub(super) fn event_cursor(cursor: MovementCursor) -> HeaderValue {
    HeaderValue::try_from(cursor.to_string()).expect("a cursor is visible ASCII")
}

/// No body, only an entity tag.
pub(super) fn empty(status: StatusCode, level: Level, lineage: Lineage) -> Response {
    let mut response = Response::new(Body::new(Omitted));
    *response.status_mut() = status;
    response.headers_mut().insert(header::ETAG, etag(level, lineage));
    response
}

/// The body of an answer that has none, and does not say how long it would be: a length of 0 would be wrong of a 304, whose length is that of
/// the level (RFC 9110, section 8.6).
#[derive(Debug)]
struct Omitted;

impl http_body::Body for Omitted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// The version in quotes; after a restore, the lineage with it.
fn etag(level: Level, lineage: Lineage) -> HeaderValue {
    if lineage != Lineage::FIRST {
        let tag = format!("\"{}\"", lineage.number(level.version()));
        return HeaderValue::try_from(tag).expect("digits, a dash and quotes are visible ASCII");
    }
    let mut digits = itoa::Buffer::new();
    let version = digits.format(level.version()).as_bytes();
    let mut tag = [b'"'; 2 + 20];
    tag[1..=version.len()].copy_from_slice(version);
    HeaderValue::from_bytes(&tag[..version.len() + 2]).expect("digits and quotes are visible ASCII")
}
