//! What descriptions mean, which mistakes in them are told, and what the history may believe of answers.

use std::sync::Arc;
use std::time::Duration;

use history::{Key, Outcome, Reason, Refused, Seen, Stock};
use hyper::header::HeaderMap;

use super::*;
use crate::catalogue::Catalogue;
use crate::client::answer::{Judgement, Outcomes};
use crate::client::failure::{CONTRACT_BREACH, Failure};
use crate::client::{Answer, Change, Client, IdempotencyKey, Move, Options};
use crate::workload::{Keys, Mix, Spec};

/// A shop with versions that begin with 0, in the words of docs/targets.md.
const SHOP: &str = r#"
name = "shop"
first_version = 0
not_applied = [429, 503]
headers = { x-tenant = "7" }

[create]
request = "POST /items"
body = '{"sku":"{sku}","quantity":{quantity}}'
applied = [201]
exists = [409]
version = "/version"

[read]
request = "GET /items/{sku}"
applied = [200]
missing = [404]
quantity = "/quantity"
version = "/version"

[take]
request = "POST /items/{sku}/take?n={quantity}"
headers = { idempotency-key = "{key}" }
applied = [200]
refused = [{ status = 409, body = { "/error" = "out-of-stock" } }]
missing = [404, { status = 409, body = { "/error" = "gone" } }]
quantity = "/quantity"
version = "header:etag"
available = "/left"
refused_version = "/at"

[give]
request = "POST /items/{sku}/give"
headers = { content-type = "application/x-www-form-urlencoded", x-tenant = "8" }
body = "units={quantity}"
applied = [204]

[count_if_version]
request = "PUT /items/{sku}"
headers = { if-match = "\"{version}\"" }
body = '{"quantity":{quantity}}'
applied = [200]
stale = [412]

[transfer]
request = "POST /moves"
body = '{"from":"{from}","to":"{to}","quantity":{quantity}}'
applied = [200]
refused = [409]
missing = [404]
quantity = { from = "/from/quantity", to = "/to/quantity" }
"#;

fn shop() -> Target {
    Target::parse(SHOP, "shop.toml").expect("a description")
}

/// Two skus, which are all there is to a level.
fn catalogue() -> Catalogue {
    Catalogue::new(vec![("a".into(), "main".into()), ("b".into(), "main".into())])
}

fn asked(call: &Call) -> (String, String, HeaderMap) {
    let request = shop().request(call, &catalogue(), None);
    let (head, body) = request.into_parts();
    (format!("{} {}", head.method, head.uri), String::from_utf8(body).unwrap(), head.headers)
}

fn take(units: i64) -> Call {
    Call::Adjust(Change { key: Key(0), delta: -units })
}

fn judged(call: &Call, status: u16, body: &str) -> Judgement {
    let headers = HeaderMap::from_iter([("etag".parse().unwrap(), "\"4\"".parse().unwrap())]);
    shop().judge(call, Ok(Answer { status, etag: None, replayed: false, headers, body: body.into() }))
}

fn outcome(call: &Call, status: u16, body: &str) -> Outcome {
    match judged(call, status, body).outcomes {
        Outcomes::Whole(outcome) => outcome,
        Outcomes::Lines(lines) => panic!("{lines:?}"),
    }
}

fn level(key: u32, version: u64, on_hand: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved: 0 } }
}

#[test]
fn a_call_becomes_the_request_that_is_described() {
    let (line, body, headers) = asked(&Call::Create { key: Key(1), on_hand: 50 });
    assert_eq!((line.as_str(), body.as_str()), ("POST /items", r#"{"sku":"b","quantity":50}"#));
    assert_eq!(
        (&headers["content-type"], &headers["x-tenant"]),
        (&"application/json".parse().unwrap(), &"7".parse().unwrap())
    );
    let (line, body, headers) = asked(&take(3));
    assert_eq!((line.as_str(), body.as_str()), ("POST /items/a/take?n=3", ""));
    let other = asked(&take(3)).2;
    assert_ne!(headers["idempotency-key"], other["idempotency-key"], "a new one for each request");
    let (line, body, headers) = asked(&Call::Adjust(Change { key: Key(0), delta: 4 }));
    assert_eq!((line.as_str(), body.as_str()), ("POST /items/a/give", "units=4"));
    assert_eq!(headers["x-tenant"], "8", "what an operation says itself wins");
    let moves = vec![Move { from: Key(1), to: Key(0), quantity: 2 }];
    assert_eq!(asked(&Call::Transfer(moves)).1, r#"{"from":"b","to":"a","quantity":2}"#);
    // The history counts from 1, this shop from 0.
    let count = Call::Count { key: Key(0), on_hand: 9, if_version: Some(5) };
    assert_eq!(asked(&count).2["if-match"], "\"4\"");
}

#[test]
fn a_key_that_is_given_is_sent_each_time() {
    let key = IdempotencyKey::quoted("k-1").unwrap();
    let target = shop();
    for _ in 0..2 {
        let request = target.request(&take(3), &catalogue(), Some(&key));
        assert_eq!(request.headers()["idempotency-key"], "k-1");
    }
}

/// Both senders send what the description says, byte for byte.
#[test]
fn a_client_follows_its_description() {
    let options = Options { connections: 1, timeout: Duration::from_secs(1) };
    let described = Some(Arc::new(shop()));
    let client = Client::of("http://127.0.0.1:1", Arc::new(catalogue()), described, options).unwrap();
    let request = client.prepare(&take(3));
    assert_eq!(request.url().as_str(), "http://127.0.0.1:1/items/a/take?n=3");
    assert_eq!(request.headers()["x-tenant"], "7");
}

#[test]
fn answers_are_believed_as_far_as_rules_cover_them() {
    let read = Call::Read(Key(0));
    assert_eq!(outcome(&read, 200, r#"{"quantity":7,"version":2}"#), Outcome::Read(level(0, 3, 7)));
    let gone = Seen::unversioned(Key(0), Stock::Absent);
    assert_eq!(outcome(&read, 404, ""), Outcome::Read(gone));
    assert_eq!(outcome(&take(3), 200, r#"{"quantity":7}"#), Outcome::Applied(vec![level(0, 5, 7)]));
    let refused = |reason, seen| Outcome::Refused(vec![Refused { seen, reason }]);
    let short = Seen { key: Key(0), version: 3, stock: Stock::Available(1) };
    assert_eq!(
        outcome(&take(3), 409, r#"{"error":"out-of-stock","left":1,"at":2}"#),
        refused(Reason::Insufficient, short)
    );
    assert_eq!(outcome(&take(3), 409, r#"{"error":"gone"}"#), refused(Reason::Missing, gone));
    let give = Call::Adjust(Change { key: Key(0), delta: 4 });
    assert_eq!(outcome(&give, 204, ""), Outcome::Applied(vec![Seen::unversioned(Key(0), Stock::Untold)]));
    let moves = Call::Transfer(vec![Move { from: Key(1), to: Key(0), quantity: 2 }]);
    let both =
        [(0, 12), (1, 8)].map(|(key, on_hand)| Seen::unversioned(Key(key), level(key, 0, on_hand).stock));
    assert_eq!(
        outcome(&moves, 200, r#"{"from":{"quantity":8},"to":{"quantity":12}}"#),
        Outcome::Applied(both.into())
    );
    // Which of the two is missing is not told, but that nothing happened is.
    assert_eq!((outcome(&moves, 404, ""), judged(&moves, 404, "").failure), (Outcome::NotApplied, None));
}

#[test]
fn what_no_rule_covers_is_unknown() {
    for (status, body, is_breach) in [
        (500, "", false),
        (502, "<html>", false),
        (418, "", true),
        (301, "", true),
        (409, r#"{"error":"new"}"#, true),
        (200, "garbage", true),
        (200, r#"{"quantity":"many"}"#, true),
        (200, r#"{"quantity":99999999999999}"#, true),
        (409, r#"{"error":"out-of-stock"}"#, true),
    ] {
        let judgement = judged(&take(3), status, body);
        assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::Unknown), "{status} {body}");
        let kind = judgement.failure.expect("a failure").kind;
        assert_eq!(kind == CONTRACT_BREACH, is_breach, "{status} {body}: {kind}");
    }
    for status in [429, 503] {
        assert_eq!(outcome(&take(3), status, ""), Outcome::NotApplied);
    }
    let lost = Failure::breach(crate::client::failure::Doubt::Unknown, String::new());
    assert_eq!(shop().judge(&take(3), Err(lost)).outcomes, Outcomes::Whole(Outcome::Unknown));
    // A read has nothing to be in doubt about.
    assert_eq!(outcome(&Call::Read(Key(0)), 500, ""), Outcome::NotApplied);
}

/// Nobody has fewer than no units: what is told is not believed, but what was done was done.
#[test]
fn fewer_units_than_none_are_a_breach_and_hide_no_change() {
    let judgement = judged(&take(3), 200, r#"{"quantity":-2}"#);
    let told = Seen { key: Key(0), version: 5, stock: Stock::Untold };
    assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::Applied(vec![told])));
    assert!(judgement.failure.is_some_and(|failure| failure.example.contains("a level has -2 units")));
    let judgement = judged(&Call::Read(Key(0)), 200, r#"{"quantity":-2,"version":2}"#);
    assert_eq!(judgement.outcomes, Outcomes::Whole(Outcome::NotApplied));
}

/// Each with the line and the words that help.
#[test]
fn a_mistake_is_told_with_its_line_and_key() {
    let with = |from: &str, to: &str| {
        assert!(SHOP.contains(from), "{from}");
        SHOP.replacen(from, to, 1)
    };
    for (text, line, words) in [
        (with("[read]", "[raed]"), 14, "unknown field `raed`"),
        (with("quantity = \"/quantity\"\nversion", "qty = 1\nversion"), 18, "unknown field `qty`"),
        (with("applied = [201]", "applied = 201"), 10, "in `applied = 201`"),
        (with("applied = [201]", "applied = []"), 10, "create.applied: there has to be a rule"),
        (with("applied = [201]", "applied = [9999]"), 10, "create.applied: 9999 is no status"),
        (with("exists = [409]", "exists = [201]"), 11, "create.exists: the same rule stands under applied"),
        (with("exists = [409]", "refused = [409]"), 11, "[create] is never answered so"),
        (with("\"sku\":\"{sku}\"", "\"sku\":\"{item}\""), 9, "create.body: `{item}` is no placeholder"),
        (with("\"sku\":\"{sku}\"", "\"sku\":{sku}"), 9, "Text needs its quotes"),
        (with("\"sku\":\"{sku}\",", ""), 8, "[create] does not name {sku}"),
        (with("units={quantity}", "units={delta}"), 33, "[give] does not name {quantity}"),
        (with("GET /items/{sku}", "items/{sku}"), 15, "read.request: use a method and a path"),
        (with("GET /items/{sku}", "get /items/{sku}"), 15, "read.request: the method is"),
        (with("quantity = \"/quantity\"\nversion", "version"), 15, "read.quantity: where does"),
        (
            with("quantity = \"/quantity\"", "quantity = \"quantity\""),
            18,
            "read.quantity: `quantity` is no place",
        ),
        (
            with("{ from = \"/from/quantity\", to = \"/to/quantity\" }", "\"/quantity\""),
            51,
            "a transfer needs { from",
        ),
        (with("\"/error\" = \"gone\"", "\"error\" = \"gone\""), 26, "`error` is no JSON pointer"),
        (with("first_version = 0", "first_version = 2"), 3, "first_version: 2 is neither"),
        (with("[give]", "[remove]"), 21, "[take] needs a [give] beside it"),
        (with("x-tenant = \"7\"", "x-tenant = \"{sku}\""), 5, "headers.x-tenant: only {key}"),
        (
            with("x-tenant = \"7\"", "x-tenant = \"{env:LOADTEST_NO_SUCH}\""),
            5,
            "LOADTEST_NO_SUCH is not in the environment",
        ),
        (with("name = \"shop\"", "name = \"shop"), 2, "in `name = \"shop`"),
    ] {
        let error = Target::parse(&text, "shop.toml").expect_err(words).to_string();
        assert!(error.starts_with(&format!("shop.toml, line {line}: ")), "line {line}, {words}: {error}");
        assert!(error.contains(words), "{words}: {error}");
    }
    let nothing = "name = \"x\"\n[create]\nrequest = \"POST /{sku}/{quantity}\"\napplied = [200]\n[read]\nrequest = \"GET /{sku}\"\napplied = [200]\nquantity = \"body\"\n";
    let error = Target::parse(nothing, "x.toml").unwrap_err().to_string();
    assert!(error.contains("nothing changes a level"), "{error}");
    assert!(Target::load(Path::new("/no/such.toml")).unwrap_err().to_string().contains("could not be read"));
}

/// What ships, and the example of the documentation, are descriptions; and as short as was promised.
#[test]
fn the_descriptions_that_ship_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.join("targets")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("Cargo.toml") {
            names.push(Target::load(&path).unwrap_or_else(|error| panic!("{error}")).name);
            assert!(std::fs::read_to_string(&path).unwrap().lines().count() <= 60, "{}", path.display());
        }
    }
    assert!(names.contains(&"inventory without its versions".to_owned()), "{names:?}");
    let guide = std::fs::read_to_string(folder.join("../docs/targets.md")).unwrap();
    let example = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(Target::parse(example, "docs/targets.md").unwrap().name, "shop");
    Target::parse(crate::calibrate::noop::DESCRIPTION, "noop").unwrap();
}

fn spec(mix: &str) -> Spec {
    let mix: Mix = if mix.is_empty() { Mix::default() } else { mix.parse().unwrap() };
    Spec { skus: 3, keys: Keys::Uniform, mix, opening_stock: 50, seed: 1 }
}

#[test]
fn a_target_is_asked_for_what_it_has() {
    let target = shop();
    let workload = |mix: &str| target.workload(spec(mix), !mix.is_empty());
    // Giving and moving tell no units, so counting is left to who asks for it.
    assert_eq!(workload("").unwrap().mix.to_string(), "adjust=63,read=20,transfer=5");
    assert_eq!(workload("put=1,read=2").unwrap().mix.shape().read_first_percent, 100);
    let error = workload("batch=1,adjust=2,create-delete=3").unwrap_err().to_string();
    assert_eq!(error, "shop has no batch, create-delete: it can be asked for adjust, read, transfer, put");
    let error = target.can_replay().unwrap_err().to_string();
    assert!(error.contains("[give] of shop names no {key}"), "{error}");
    let removes = format!("{SHOP}\n[remove]\nrequest = \"DELETE /items/{{sku}}\"\napplied = [204]\n");
    let error = Target::parse(&removes, "x").unwrap().workload(spec("create-delete=1"), true).unwrap_err();
    assert!(error.to_string().contains("[give] has no rule for `missing`"), "{error}");
}

/// The numbering of keys relies on it: an even key and the odd one after it are one sku's.
#[test]
fn without_locations_each_level_is_a_sku_of_its_own() {
    let catalogue = shop().catalogue(&spec(""), "lt-");
    assert_eq!(catalogue.len(), 6);
    assert_eq!(catalogue.names()[..3], ["lt-00000-a", "lt-00000-b", "lt-00001-a"]);
}
