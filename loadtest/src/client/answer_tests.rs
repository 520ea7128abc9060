//! What the history may believe of each answer of the contract, and of answers that break it.

use history::{Key, Outcome, Reason, Refused, Seen, Stock};
use serde_json::{Value, json};

use super::*;
use crate::client::failure::CONTRACT_BREACH;
use crate::client::{Change, Move};

fn catalogue() -> Catalogue {
    let name = |sku: &str, location: &str| (sku.to_owned(), location.to_owned());
    Catalogue::new(vec![name("a", "annex"), name("a", "main"), name("b", "main")])
}

fn judged(call: &Call, status: u16, etag: Option<u64>, body: &Value) -> Judgement {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers = reqwest::header::HeaderMap::new();
    judge(call, &catalogue(), Ok(Answer { status, etag, replayed: false, headers, body }))
}

fn level(sku: &str, location: &str, on_hand: u64, version: u64) -> Value {
    json!({ "sku": sku, "location": location, "on_hand": on_hand, "reserved": 0, "available": on_hand,
            "version": version, "of_a_later_version": true })
}

fn problem(name: &str, status: u16, more: &Value) -> Value {
    let mut problem =
        json!({ "type": format!("/problems/{name}"), "title": "T", "status": status, "detail": "D" });
    for (member, value) in more.as_object().expect("an object") {
        problem[member] = value.clone();
    }
    problem
}

fn seen(key: u32, version: u64, on_hand: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved: 0 } }
}

const SALE: Call = Call::Adjust(Change { key: Key(1), delta: -3 });

#[test]
fn successes_are_the_levels_they_tell() {
    assert_eq!(
        judged(&SALE, 200, Some(4), &level("a", "main", 5, 4)),
        Judgement::whole(Outcome::Applied(vec![seen(1, 4, 5)]))
    );
    assert_eq!(
        judged(&Call::Read(Key(0)), 200, Some(4), &level("a", "annex", 5, 4)),
        Judgement::whole(Outcome::Read(seen(0, 4, 5)))
    );
    let deleted = Seen { key: Key(0), version: 9, stock: Stock::Absent };
    assert_eq!(
        judged(&Call::Delete(Key(0)), 204, Some(9), &Value::Null),
        Judgement::whole(Outcome::Applied(vec![deleted]))
    );
    let moves = Call::Transfer(vec![Move { from: Key(1), to: Key(0), quantity: 1 }]);
    let levels = json!({ "levels": [level("a", "annex", 1, 1), level("a", "main", 2, 2)] });
    assert_eq!(
        judged(&moves, 200, None, &levels),
        Judgement::whole(Outcome::Applied(vec![seen(0, 1, 1), seen(1, 2, 2)]))
    );
}

#[test]
fn a_refusal_carries_its_witness() {
    let line = json!({ "pointer": "/delta", "sku": "a", "location": "main", "requested": 3, "available": 2,
                       "version": 7 });
    let body = problem("insufficient-stock", 409, &json!({ "lines": [line, line] }));
    let refused = Refused {
        seen: Seen { key: Key(1), version: 7, stock: Stock::Available(2) },
        reason: Reason::Insufficient,
    };
    let judgement = judged(&SALE, 409, None, &body);
    assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::Refused(vec![refused])));
    assert_eq!(judgement.refusals, ["insufficient-stock"]);
    assert_eq!(judgement.failure, None);
}

#[test]
fn a_stale_precondition_means_what_the_call_demanded() {
    let line = json!({ "sku": "a", "location": "main", "version": 7 });
    let body = problem("version-mismatch", 412, &json!({ "lines": [line] }));
    let reason = |call: &Call| match judged(call, 412, None, &body).outcomes {
        Outcomes::Whole(Outcome::Refused(lines)) => Some((lines[0].reason, lines[0].seen.stock)),
        _ => None,
    };
    let count = |if_version| Call::Count { key: Key(1), on_hand: 1, if_version };
    assert_eq!(reason(&count(Some(3))), Some((Reason::VersionMismatch, Stock::Untold)));
    assert_eq!(reason(&count(None)), Some((Reason::Missing, Stock::Absent)));
    assert_eq!(reason(&Call::Create { key: Key(1), on_hand: 1 }), Some((Reason::Exists, Stock::Untold)));
}

#[test]
fn a_missing_level_is_an_answer_to_a_read() {
    let absent = Seen { key: Key(1), version: 3, stock: Stock::Absent };
    let line = json!({ "pointer": "", "sku": "a", "location": "main", "version": 3 });
    for witness in [json!({ "version": 3 }), json!({ "lines": [line] })] {
        let body = problem("stock-not-found", 404, &witness);
        assert_eq!(judged(&Call::Read(Key(1)), 404, None, &body), Judgement::whole(Outcome::Read(absent)));
    }
    let unwitnessed = problem("stock-not-found", 404, &json!({}));
    assert!(judged(&Call::Read(Key(1)), 404, None, &unwitnessed).failure.is_some());
}

#[test]
fn an_independent_batch_has_an_outcome_for_each_line() {
    let call = Call::Independent(vec![Change { key: Key(2), delta: 1 }, Change { key: Key(1), delta: -9 }]);
    let short = json!({ "sku": "a", "location": "main", "requested": 9, "available": 2, "version": 7 });
    let body = json!({ "applied": 1, "refused": 1, "results": [
        { "sku": "b", "location": "main", "status": 200, "level": level("b", "main", 1, 1) },
        { "sku": "a", "location": "main", "status": 409,
          "problem": problem("insufficient-stock", 409, &json!({ "lines": [short] })) },
    ] });
    let judgement = judged(&call, 200, None, &body);
    let Outcomes::Lines(lines) = judgement.outcomes else { panic!("one outcome for two lines") };
    assert!(matches!(lines.as_slice(), [Outcome::Applied(_), Outcome::Refused(_)]));
    assert_eq!(judgement.refusals, ["insufficient-stock"]);
}

#[test]
fn overload_says_whether_it_was_applied() {
    let outcome = |call: &Call, status, more: Value| {
        let judgement = judged(call, status, None, &problem("contention", status, &more));
        assert!(judgement.failure.is_some());
        judgement.outcomes
    };
    assert_eq!(outcome(&SALE, 503, json!({ "applied": "no" })), Outcomes::Whole(Outcome::NotApplied));
    assert_eq!(outcome(&SALE, 503, json!({ "applied": "unknown" })), Outcomes::Whole(Outcome::Unknown));
    assert_eq!(outcome(&SALE, 500, json!({})), Outcomes::Whole(Outcome::Unknown));
    assert_eq!(outcome(&SALE, 422, json!({})), Outcomes::Whole(Outcome::NotApplied));
    assert_eq!(outcome(&Call::Read(Key(0)), 500, json!({})), Outcomes::Whole(Outcome::NotApplied));
}

#[test]
fn an_answer_that_does_not_fit_is_counted_and_never_guessed() {
    let negative = json!({ "sku": "a", "location": "main", "on_hand": -1, "reserved": 0, "available": -1,
                           "version": 4 });
    let uneven =
        json!({ "sku": "a", "location": "main", "on_hand": 5, "reserved": 0, "available": 4, "version": 4 });
    let breaches = [
        (200, Some(4), negative),
        (200, Some(4), uneven),
        (200, Some(3), level("a", "main", 5, 4)),
        (200, Some(4), level("b", "main", 5, 4)),
        (200, None, level("a", "main", 5, u64::MAX)),
        (200, None, level("a", "main", 5, 1 << 44)),
        (201, Some(4), level("a", "main", 5, 4)),
        (200, None, json!("surprise")),
        (502, None, json!("<html>")),
    ];
    for (status, etag, body) in breaches {
        let judgement = judged(&SALE, status, etag, &body);
        assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::Unknown), "{status} {body}");
        assert_eq!(judgement.failure.expect("it counts").kind, CONTRACT_BREACH);
    }
    let unwitnessed = problem("insufficient-stock", 409, &json!({}));
    let judgement = judged(&SALE, 409, None, &unwitnessed);
    assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::NotApplied));
    assert_eq!(judgement.failure.expect("it counts").kind, CONTRACT_BREACH);
}

#[test]
fn a_batch_out_of_key_order_does_not_fit() {
    let call = Call::Batch(vec![Change { key: Key(2), delta: 1 }, Change { key: Key(1), delta: 1 }]);
    let levels = json!({ "levels": [level("b", "main", 1, 1), level("a", "main", 2, 2)] });
    assert!(judged(&call, 200, None, &levels).failure.is_some());
}
