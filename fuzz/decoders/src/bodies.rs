//! The JSON of requests: the first byte says of which, the rest is the body.
//!
//! - What is taken is JSON to `serde_json` as well, and an object; spelt otherwise, it says the same.
//! - What is no JSON is `invalid-request`, and nothing else is.
//! - Whatever is refused is told within bounds (`told`).

use std::fmt::Debug;
use std::sync::OnceLock;

use inventory::http::dto::{
    AdjustRequest, AdjustmentsRequest, AlertRequest, BackupRequest, CommitRequest, ExtendRequest,
    LooseAdjustmentsRequest, Object, OrderRequest, PutRequest, ReleaseRequest, ReserveRequest, ReturnRequest,
    SecretRequest, StockQueryRequest, TransfersRequest, WebhookRequest,
};
use inventory::http::extract::read_part;
use inventory::http::problem::{Problem, ProblemKind};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::told;

/// What a request asks for, in words that can be compared: nothing where a part of it was refused. Or why it is refused.
type Asked = Result<Option<String>, Problem>;

/// Reads a body as one kind of request; the second is for a text that has to be made plain.
type Read = for<'t> fn(&'t str, &'t OnceLock<String>) -> Asked;

/// Every kind of request with a body, in the order of the first byte.
const KINDS: [Read; 16] = [
    |t, p| read_part(t, p, "", |Object(r): Object<PutRequest<'_>>| said(&(r.on_hand, r.remark()?))),
    |t, p| read_part(t, p, "", |Object(r): Object<AdjustRequest<'_>>| said(&(r.delta, r.remark()?))),
    |t, p| read_part(t, p, "", |Object(r): Object<AdjustmentsRequest<'_>>| together(&r)),
    |t, p| read_part(t, p, "", |Object(r): Object<LooseAdjustmentsRequest<'_>>| alone(&r)),
    |t, p| {
        read_part(t, p, "", |Object(r): Object<TransfersRequest<'_>>| said(&(r.transaction()?, r.remark()?)))
    },
    |t, p| {
        let take = |Object(r): Object<ReserveRequest<'_>>| said(&(r.transaction()?, r.ttl(), r.remark()?));
        read_part(t, p, "", take)
    },
    |t, p| read_part(t, p, "", |Object(r): Object<CommitRequest<'_>>| said(&(r.lines()?, r.remark()?))),
    |t, p| read_part(t, p, "", |Object(r): Object<ReleaseRequest<'_>>| said(&r.remark()?)),
    |t, p| read_part(t, p, "", |Object(r): Object<ExtendRequest<'_>>| said(&(r.ttl(), r.remark()?))),
    |t, p| {
        let take =
            |Object(r): Object<OrderRequest<'_>>| said(&(r.lines()?, r.priority(), r.backorder, r.remark()?));
        read_part(t, p, "", take)
    },
    |t, p| read_part(t, p, "", |Object(r): Object<ReturnRequest<'_>>| said(&(r.lines()?, r.remark()?))),
    |t, p| read_part(t, p, "", |Object(r): Object<StockQueryRequest<'_>>| said(&(r.keys()?.0, r.consistent))),
    |t, p| read_part(t, p, "", |Object(r): Object<AlertRequest>| said(&r.low_at)),
    |t, p| read_part(t, p, "", |Object(r): Object<BackupRequest<'_>>| said(&r.checked_name()?)),
    |t, p| read_part(t, p, "", |Object(r): Object<WebhookRequest<'_>>| said(&r.asked()?)),
    |t, p| {
        let take = |Object(r): Object<SecretRequest<'_>>| {
            said(&r.secret()?.map(|secret| secret.reveal().to_owned()))
        };
        read_part(t, p, "", take)
    },
];

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    // What is no UTF-8 is refused before it is read.
    let Ok(text) = std::str::from_utf8(body) else { return };
    let read = KINDS[usize::from(*kind) % KINDS.len()];
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    match read(text, &OnceLock::new()) {
        Ok(asked) => {
            assert!(is_json, "only JSON is taken");
            // A number past what a float can be is JSON, and no value: of a line that is refused alone.
            let Ok(value) = serde_json::from_str::<Value>(text) else { return };
            assert!(value.is_object(), "only an object is taken");
            let otherwise = read(&value.to_string(), &OnceLock::new());
            let otherwise = otherwise.expect("spelt otherwise, it is taken as well");
            assert!(asked.is_none() || asked == otherwise, "{asked:?} is not {otherwise:?}");
        }
        Err(problem) => {
            told::problem(&problem);
            let is_syntax = problem.kind() == ProblemKind::InvalidRequest;
            assert_eq!(is_syntax, !is_json, "what is no JSON is told so, and nothing else: {problem:?}");
        }
    }
}

/// A batch whose lines stand or fall together. Each of them alone is judged as in the batch.
fn together(request: &AdjustmentsRequest<'_>) -> Asked {
    let each = request.each()?;
    let wrong = each.iter().filter(|line| line.is_err()).count();
    let transaction = request.transaction();
    assert!(wrong == 0 || transaction.is_err(), "a batch is as good as its lines");
    said(&(request.mode, transaction?, request.remark()?))
}

/// A batch whose lines stand alone: what is wrong with one is told of that one.
fn alone(request: &LooseAdjustmentsRequest<'_>) -> Asked {
    let each = request.each()?;
    let mut is_well = true;
    for wrong in each.iter().filter_map(|line| line.as_ref().err()) {
        is_well = false;
        told::problem(&wrong.problem);
        wrong.sku.iter().chain(&wrong.location).for_each(|text| told::text(text));
    }
    let remark = request.remark()?;
    // What is wrong may be well when it is spelt otherwise: a field that was there twice, 1e2.
    if is_well { said(&(request.mode, each, remark)) } else { Ok(None) }
}

#[expect(clippy::unnecessary_wraps, reason = "it ends what may be refused")]
fn said(value: &impl Debug) -> Asked {
    Ok(Some(format!("{value:?}")))
}
