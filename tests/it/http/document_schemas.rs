//! What the document lets a client say is what the service takes: each schema and its parser, held together over texts and values that are
//! well and that are not. It never says which is right.

use axum::http::Method;
use inventory::stock::{Location, Sku};
use inventory::store::MovementCursor;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::documents::resolved;
use crate::support::app::TestApp;
use crate::support::app::contract::{DOCUMENT, conforms};

/// Whether the schema of that name takes a text.
fn takes(schema: &str, text: &str) -> bool {
    conforms(&DOCUMENT["components"]["schemas"][schema], &Value::from(text)).is_ok()
}

/// Texts of every kind of beginning, middle and end.
fn names() -> Vec<String> {
    let pieces = [
        "",
        "a",
        ".",
        "..",
        "-",
        " ",
        "\u{a0}",
        "\u{3000}",
        "\u{2028}",
        "\u{feff}",
        "\t",
        "\n",
        "\u{7f}",
        "\u{85}",
        "\0",
        "/",
        "\"",
        "\\",
        "\u{e4}",
        "\u{1F4E6}",
        "%",
    ];
    let mut texts: Vec<String> = Vec::new();
    for first in pieces {
        for middle in pieces {
            texts.extend(pieces.iter().map(|last| format!("{first}{middle}{last}")));
        }
    }
    texts.extend([32, 33, 64, 65].map(|count| "x".repeat(count)));
    texts
}

#[test]
fn a_name_is_what_the_document_says() {
    for text in names() {
        assert_eq!(takes("Sku", &text), Sku::parse(&text).is_ok(), "sku {text:?}");
        assert_eq!(takes("Location", &text), Location::parse(&text).is_ok(), "location {text:?}");
        // `Sku::parse_prefix` is what reads it.
        let prefix = parameter("/v1/stock", "get", "sku_prefix");
        assert_eq!(
            conforms(prefix, &json!(text)).is_ok(),
            Sku::parse_prefix(&text).is_ok(),
            "prefix {text:?}"
        );
    }
    // What the schema cannot say, its description does: bytes, of normal form C.
    assert!(takes("Sku", &"\u{e4}".repeat(33)) && Sku::parse(&"\u{e4}".repeat(33)).is_err());
}

#[test]
fn a_cursor_is_what_the_document_says() {
    for bytes in 0..=26 {
        for first in [0_u8, 1, 2, 3, 255] {
            for ninth in [0_u8, 2, 7] {
                let mut raw = vec![first; bytes];
                if bytes > 9 {
                    raw[9] = ninth;
                }
                let text = base64_of(&raw);
                let read = text.parse::<MovementCursor>();
                assert_eq!(takes("MovementCursor", &text), read.is_ok(), "{text}");
                let is_place = read.is_ok_and(|cursor| cursor.seq().is_some());
                assert_eq!(takes("EventCursor", &text), is_place, "{text}");
            }
        }
    }
    for wrong in ["", "x", "AAAAAAAAEmd", "AAAAAAAAEm=", "%"] {
        assert!(!takes("MovementCursor", wrong) && wrong.parse::<MovementCursor>().is_err(), "{wrong}");
    }
}

/// The schema of a parameter.
fn parameter(path: &str, method: &str, name: &str) -> &'static Value {
    let parameters = DOCUMENT["paths"][path][method]["parameters"].as_array().expect("parameters");
    let parameter = parameters.iter().map(resolved).find(|parameter| parameter["name"] == name);
    &parameter.unwrap_or_else(|| panic!("{path} has {name}"))["schema"]
}

/// What the number of a movement may look like, and what not.
const NUMBERS: [&str; 12] = [
    "0",
    "007",
    "9999999999999999999",
    "10000000000000000000",
    "-1",
    "+1",
    "1.0",
    "",
    "7-00c0ffee00c0ffee",
    "7-00C0FFEE00C0FFEE",
    "7-1",
    "x",
];

/// Names of keys and of subjects of tokens, and what is neither.
const ACTORS: [&str; 21] = [
    "",
    "till",
    "i",
    "in",
    "inv",
    "inv_",
    "inv_x",
    "inv-x",
    "inx",
    "ix",
    "a b",
    "\u{e4}",
    "a@b.c",
    "jwt:",
    "jwt:auth0|5f7c",
    "jwt:a b",
    "jwt:\u{e4}",
    "jwt:\u{7}",
    "jwt",
    "JWT:a",
    "jwt:inv_x",
];

/// Each parameter of a query: what its schema takes is not refused with 422, what it does not take is.
#[tokio::test]
async fn a_parameter_is_what_the_document_says() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let times = [
        "2026-11-22",
        "2024-02-29",
        "2023-02-29",
        "2026-04-31",
        "1969-12-31",
        "2026-13-01",
        "2026-1-1",
        "2026-11-22T23:59:60Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:00:00.5Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00+00:00",
        "2026-11-22T10:00:00+01:00",
        "2026-11-22T10:00:00",
        "now",
        "",
    ];
    let places = ["AAAAAAAAEmc", "AAAAAAAAEmd", "AgAAAAAAABJn", "0", "7-00c0ffee00c0ffee", "x y"];
    let kinds = ["adjusted", "adjusted,expired", "adjusted,", "", "Adjusted", "stock.low", "stockxlow"];
    let ids = [
        "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e",
        "0193A6F0-5b7c-7c3a-9d1e-3f6a2b8c4d5e",
        "0193a6f05b7c7c3a9d1e3f6a2b8c4d5e",
        "",
    ];
    let long = "x".repeat(65);
    let tables: [(&str, &str, &[&str]); 12] = [
        ("/v1/movements", "actor", &ACTORS),
        ("/v1/movements", "actor", &[&long, &long[..64]]),
        ("/v1/movements", "from", &times),
        ("/v1/movements", "to", &times),
        ("/v1/movements", "after", &NUMBERS),
        ("/v1/movements", "kind", &kinds[..5]),
        ("/v1/movements", "cursor", &places),
        ("/v1/movements", "reference", &["", "x"]),
        ("/v1/orders", "cursor", &ids),
        ("/v1/reservations", "state", &["pending", "queued", ""]),
        ("/v1/orders", "state", &["pending", "queued", ""]),
        ("/v1/export", "format", &["csv", "CSV", ""]),
    ];
    let mut refused = 0;
    for (path, name, values) in tables {
        let schema = parameter(path, "get", name);
        for value in values {
            let encoded = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            let status = app.get(&format!("{path}?{name}={encoded}")).await.status;
            assert_eq!(
                status != 422,
                conforms(schema, &json!(value)).is_ok(),
                "{path} {name}={value}: {status}"
            );
            refused += usize::from(status == 422);
        }
    }
    assert!(refused > 20, "{refused}");
}

/// The name of a backup, which is asked for by its path.
#[tokio::test]
async fn the_name_of_a_backup_is_what_the_document_says() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let schema = parameter("/v1/backups/{name}", "get", "name");
    let long = "x".repeat(65);
    for name in ["b", "b.c", "-b", "~", "_", ".b", "(", "\u{e4}", "a b", "b@partial", &long, &long[..64]] {
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let status = app.get(&format!("/v1/backups/{encoded}")).await.status;
        assert_eq!(status != 422, conforms(schema, &json!(name)).is_ok(), "{name}: {status}");
    }
}

/// Entity tags and keys, of which a header is made.
#[tokio::test]
async fn a_header_is_what_the_document_says() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let tags = ["*", "\"3\"", "W/\"3\"", "\"\"", "\"a b\"", "\"3\"\"4\"", "3", "w/\"3\"", "\"3", "\"!~#\""];
    let keys = ["k", "\"k\"", "\"", "\"\"", "a\"b", "a\\b", "[x]", "a b", "~!"];
    for (name, values) in [("If-Match", &tags[..]), ("Idempotency-Key", &keys)] {
        let schema = parameter("/v1/stock/{sku}/adjust", "post", name);
        for value in values {
            let call =
                app.call(Method::POST, "/v1/stock/A/adjust").header("content-type", "application/json");
            let status = call.header(name, *value).body(r#"{"delta":1}"#).send().await.status;
            assert_eq!(status != 400, conforms(schema, &json!(value)).is_ok(), "{name}: {value}: {status}");
        }
    }
}

/// The bodies: what is refused as not well formed is what their schemas do not take, null and all.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_body_is_what_the_document_says() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let line = |sku: &str| json!({"sku": sku, "quantity": 1});
    let most = 1_099_511_627_775_i64;
    let path_of_order = "/v1/orders/0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e/returns";
    let path_of_commit = "/v1/reservations/0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e/commit";
    let bodies = [
        (
            "/v1/stock/A/adjust",
            "AdjustRequest",
            [-most - 1, -most, -1, 0, 1, most, most + 1].map(|delta| json!({"delta": delta})).to_vec(),
        ),
        (
            "/v1/stock/A/adjust",
            "AdjustRequest",
            vec![
                json!({"delta": 1, "reason": null}),
                json!({"delta": null}),
                json!({"delta": 1, "x": 1}),
                json!({}),
                json!(null),
                json!([]),
                json!({"delta": 1, "reason": "x".repeat(64)}),
                json!({"delta": 1, "reason": "x".repeat(65)}),
                json!({"delta": 1, "reference": "\u{e4}".repeat(128)}),
                json!({"delta": 1, "reference": "x".repeat(129)}),
            ],
        ),
        (
            "/v1/reservations",
            "ReserveRequest",
            vec![
                json!({"lines": []}),
                json!({"lines": null}),
                json!({"lines": [line("A")]}),
                json!({"lines": [line(".")]}),
                json!({"lines": [line("A")], "ttl_seconds": null}),
                json!({"lines": [line("A")], "ttl_seconds": 0}),
                json!({"lines": [line("A")], "ttl_seconds": 2_592_000}),
                json!({"lines": [line("A")], "ttl_seconds": 2_592_001}),
                json!({"lines": [line("A"), line("A")]}),
                json!({"lines": [{"sku": "A", "quantity": 0}]}),
            ],
        ),
        (
            "/v1/orders",
            "OrderRequest",
            vec![
                json!({"lines": [line("A")], "priority": 9}),
                json!({"lines": [line("A")], "priority": 10}),
                json!({"lines": [line("A")], "priority": null}),
                json!({"lines": [line("A")], "backorder": null}),
                json!({"lines": [line("A")], "backorder": true}),
            ],
        ),
        (
            path_of_commit,
            "CommitRequest",
            vec![
                json!({}),
                json!({"lines": null}),
                json!({"lines": []}),
                json!(null),
                json!({"lines": [line("A")]}),
            ],
        ),
        (
            path_of_order,
            "ReturnRequest",
            vec![
                json!({}),
                json!({"lines": null}),
                json!({"lines": [{"sku": "A", "quantity": 1, "to": null}]}),
                json!({"lines": [{"sku": "A", "quantity": 1, "to": " "}]}),
            ],
        ),
        (
            "/v1/stock/query",
            "StockQueryRequest",
            vec![
                json!({"keys": [{"sku": "A"}]}),
                json!({"keys": [{"sku": "A", "location": null}]}),
                json!({"keys": []}),
                json!({"keys": [{"sku": "A"}], "consistent": null}),
            ],
        ),
        (
            "/v1/transfers",
            "TransfersRequest",
            vec![
                json!({"lines": [{"sku": "A", "from": "a", "to": "b", "quantity": 1}]}),
                json!({"lines": [{"sku": "A", "from": "a", "to": null, "quantity": 1}]}),
            ],
        ),
        (
            "/v1/adjustments",
            "AdjustmentsRequest",
            vec![
                json!({"lines": [{"sku": "A", "delta": 1}], "mode": null}),
                json!({"lines": [{"sku": "A", "delta": 0}]}),
                json!({"lines": [{"sku": "A", "delta": 1}]}),
            ],
        ),
    ];
    let mut refused = 0;
    for (path, schema, values) in bodies {
        for value in values {
            let call = app.call(Method::POST, path).header("content-type", "application/json");
            let status = call.body(value.to_string()).send().await.status;
            let is_taken = conforms(&DOCUMENT["components"]["schemas"][schema], &value).is_ok();
            // What is well formed may find no level, no order, or no units.
            assert_eq!(status != 422, is_taken, "{path} {value}: {status}");
            refused += usize::from(status == 422);
        }
    }
    assert!(refused > 15, "{refused}");
}

fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(number >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
