//! Request bodies, written byte by byte: the driver shares its cores with the server it measures, so a body costs
//! one allocation and no serializer.

use history::Key;
use itoa::Buffer;

use super::call::{Call, Change, Move};
use crate::catalogue::{Catalogue, DEFAULT_LOCATION};

/// The JSON body of a call; empty where it has none.
pub fn body(call: &Call, catalogue: &Catalogue) -> Vec<u8> {
    match call {
        Call::Read(_) | Call::Delete(_) => Vec::new(),
        Call::Create { on_hand, .. } | Call::Count { on_hand, .. } => {
            let mut body = b"{\"on_hand\":".to_vec();
            body.extend_from_slice(Buffer::new().format(*on_hand).as_bytes());
            body.push(b'}');
            body
        }
        Call::Adjust(change) => {
            let mut body = b"{\"delta\":".to_vec();
            body.extend_from_slice(Buffer::new().format(change.delta).as_bytes());
            body.push(b'}');
            body
        }
        Call::Batch(changes) => adjustments("atomic", changes, catalogue),
        Call::Independent(changes) => adjustments("independent", changes, catalogue),
        Call::Transfer(moves) => transfers(moves, catalogue),
        Call::Query(keys) => query(keys, catalogue),
    }
}

fn adjustments(mode: &str, changes: &[Change], catalogue: &Catalogue) -> Vec<u8> {
    let heads: usize = changes.iter().map(|change| catalogue.entry(change.key).line_head.len()).sum();
    // 22 is the longest delta with its brace and comma, 40 the frame: the body never grows while it is written.
    let mut body = Vec::with_capacity(40 + heads + 22 * changes.len());
    body.extend_from_slice(b"{\"mode\":\"");
    body.extend_from_slice(mode.as_bytes());
    body.extend_from_slice(b"\",\"lines\":[");
    let mut digits = Buffer::new();
    for (index, change) in changes.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(catalogue.entry(change.key).line_head.as_bytes());
        body.extend_from_slice(digits.format(change.delta).as_bytes());
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

fn transfers(moves: &[Move], catalogue: &Catalogue) -> Vec<u8> {
    let mut body = b"{\"lines\":[".to_vec();
    for (index, line) in moves.iter().enumerate() {
        let (from, to) = (catalogue.entry(line.from), catalogue.entry(line.to));
        debug_assert_eq!(from.sku, to.sku, "a transfer moves one sku between locations");
        if index > 0 {
            body.push(b',');
        }
        let names = [
            ("{\"sku\":", &from.quoted_sku),
            (",\"from\":", &from.quoted_location),
            (",\"to\":", &to.quoted_location),
        ];
        for (name, value) in names {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(value.as_bytes());
        }
        body.extend_from_slice(b",\"quantity\":");
        body.extend_from_slice(Buffer::new().format(line.quantity).as_bytes());
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

fn query(keys: &[Key], catalogue: &Catalogue) -> Vec<u8> {
    let heads: usize = keys.iter().map(|key| catalogue.entry(*key).line_head.len()).sum();
    let mut body = Vec::with_capacity(40 + heads);
    body.extend_from_slice(b"{\"keys\":[");
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let head = &catalogue.entry(*key).line_head;
        body.extend_from_slice(head.strip_suffix(",\"delta\":").unwrap_or(head).as_bytes());
        body.push(b'}');
    }
    body.extend_from_slice(b"],\"consistent\":true}");
    body
}

/// An adjustment of one line for a name that may be no sku at all, to see the service refuse it.
pub fn foreign_adjustment(name: &str, delta: i64) -> Vec<u8> {
    let line = serde_json::json!({ "sku": name, "location": DEFAULT_LOCATION, "delta": delta });
    serde_json::json!({ "mode": "atomic", "lines": [line] }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::new(vec![
            ("a".into(), "annex".into()),
            ("a".into(), "main".into()),
            ("b".into(), "main".into()),
        ])
    }

    fn parsed(call: &Call) -> Value {
        serde_json::from_slice(&body(call, &catalogue())).expect("the body is JSON")
    }

    #[test]
    fn bodies_are_the_documented_json() {
        assert_eq!(parsed(&Call::Create { key: Key(1), on_hand: 7 }), json!({ "on_hand": 7 }));
        assert_eq!(parsed(&Call::Adjust(Change { key: Key(1), delta: -3 })), json!({ "delta": -3 }));
        let changes = vec![Change { key: Key(0), delta: -3 }, Change { key: Key(2), delta: 4 }];
        let lines = json!([{ "sku": "a", "location": "annex", "delta": -3 }, { "sku": "b", "delta": 4 }]);
        assert_eq!(parsed(&Call::Batch(changes.clone())), json!({ "mode": "atomic", "lines": lines }));
        assert_eq!(parsed(&Call::Independent(changes)), json!({ "mode": "independent", "lines": lines }));
        let moves = vec![Move { from: Key(0), to: Key(1), quantity: 5 }];
        let line = json!({ "sku": "a", "from": "annex", "to": "main", "quantity": 5 });
        assert_eq!(parsed(&Call::Transfer(moves)), json!({ "lines": [line] }));
        let keys = json!([{ "sku": "a", "location": "annex" }, { "sku": "b" }]);
        let query = json!({ "keys": keys, "consistent": true });
        assert_eq!(parsed(&Call::Query(vec![Key(0), Key(2)])), query);
    }

    #[test]
    fn names_are_escaped_in_every_body() {
        let catalogue =
            Catalogue::new(vec![("1/2\" \\".into(), "a \"b\"".into()), ("1/2\" \\".into(), "main".into())]);
        let parsed =
            |call: &Call| serde_json::from_slice::<Value>(&body(call, &catalogue)).expect("the body is JSON");
        let batch = parsed(&Call::Batch(vec![Change { key: Key(0), delta: -3 }]));
        assert_eq!(batch["lines"][0], json!({ "sku": "1/2\" \\", "location": "a \"b\"", "delta": -3 }));
        let moved = parsed(&Call::Transfer(vec![Move { from: Key(0), to: Key(1), quantity: 5 }]));
        let line = json!({ "sku": "1/2\" \\", "from": "a \"b\"", "to": "main", "quantity": 5 });
        assert_eq!(moved["lines"][0], line);
        let asked = parsed(&Call::Query(vec![Key(1)]));
        assert_eq!(asked["keys"][0], json!({ "sku": "1/2\" \\" }));
    }

    #[test]
    fn a_foreign_name_is_escaped() {
        let body: Value =
            serde_json::from_slice(&foreign_adjustment("a \"b\"", -1)).expect("the body is JSON");
        assert_eq!(body["lines"][0]["sku"], "a \"b\"");
    }
}
