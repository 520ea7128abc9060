//! What stands in heads, paths and parameters, each alone: the first byte says which, the rest is its text. What needs a whole request
//! is in [`requests`](crate::requests).
//!
//! What is taken, written again, is taken as the same; a name is within its bounds and in its one form; a trace is 32 digits; a liking is from
//! 0 to 1; a header of a proxy is of the bytes that it is of, and of no others.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use inventory::http::extract::{Accepted, Query, wanted_form};
use inventory::http::server::fuzzing::proxied;
use inventory::http::trace_context::TraceContext;
use inventory::outgoing::url::Url;
use inventory::stock::{LOCATION_BYTES_MAX, Location, OrderId, SKU_BYTES_MAX, Sku, StockKey};
use inventory::store::{LevelCursor, Numbered};
use inventory::webhooks::Secret;

use crate::told;

/// Every part, in the order of the first byte.
const PARTS: [fn(&[u8]); 9] = [
    query,
    name,
    trace,
    accept,
    proxy,
    |bytes| text(bytes, id),
    |bytes| text(bytes, url),
    |bytes| text(bytes, secret),
    key,
];

/// The parameters that the routes have.
const PARAMETERS: [&str; 16] = [
    "sku",
    "location",
    "kind",
    "reference",
    "reason",
    "actor",
    "from",
    "to",
    "limit",
    "cursor",
    "at",
    "format",
    "min_available",
    "prefix",
    "after",
    "state",
];

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((part, rest)) = bytes.split_first() else { return };
    PARTS[usize::from(*part) % PARTS.len()](rest);
}

fn text(bytes: &[u8], check: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
}

/// A query string, and what routes make of its parameters.
fn query(bytes: &[u8]) {
    let Ok(uri) = Uri::from_maybe_shared([b"/?", bytes].concat()) else { return };
    let query = match Query::parse(&uri, &PARAMETERS) {
        Ok(query) => query,
        Err(problem) => return told::problem(&problem),
    };
    let raw = uri.query().unwrap_or_default();
    for name in PARAMETERS {
        // Decoding makes nothing longer.
        assert!(query.get(name).is_none_or(|value| value.len() <= raw.len()));
    }
    for problem in [
        query.remark().err(),
        query.movements().err(),
        query.page::<LevelCursor>().err(),
        wanted_form(&query, &HeaderMap::new()).err(),
    ]
    .iter()
    .flatten()
    {
        told::problem(problem);
    }
    if let Ok(page) = query.page::<LevelCursor>() {
        assert!((1..=1_000).contains(&page.limit));
    }
}

/// A sku and a location, with a line feed between them, which is in neither.
fn name(bytes: &[u8]) {
    let Ok(names) = std::str::from_utf8(bytes) else { return };
    let (sku, location) = names.split_once('\n').unwrap_or((names, "main"));
    let (sku, location) = match (Sku::parse(sku), Location::parse(location)) {
        (Ok(sku), Ok(location)) => (sku, location),
        (Err(error), _) | (_, Err(error)) => return told::text(&error.to_string()),
    };
    assert!((1..=SKU_BYTES_MAX).contains(&sku.as_str().len()));
    assert!((1..=LOCATION_BYTES_MAX).contains(&location.as_str().len()));
    let again = Sku::parse(sku.as_str()).expect("what was taken is taken");
    assert_eq!(again.as_str(), sku.as_str(), "a name has one form");
    let again = Location::parse(location.as_str()).expect("what was taken is taken");
    assert_eq!(again.as_str(), location.as_str(), "a name has one form");
    let key = StockKey::new(&sku, &location);
    assert_eq!((key.sku(), key.location()), (sku.as_str(), location.as_str()));
    let read = StockKey::from_text(key.text()).expect("a key is read");
    assert_eq!(read, key);
}

/// The text of a key, as a log has it.
fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(key) = StockKey::from_text(text) {
        assert_eq!(key.text(), text, "a key is its text");
        assert!(!key.sku().is_empty() && !key.location().is_empty());
        assert_eq!(key.sku().len() + 1 + key.location().len(), text.len());
    }
}

fn headers(name: &'static str, bytes: &[u8]) -> Option<HeaderMap> {
    let name = HeaderName::from_static(name);
    // Several fields of one name, as several lines.
    let values = bytes.split(|&byte| byte == b'\n').map(HeaderValue::from_bytes);
    values.map(|value| value.ok().map(|value| (name.clone(), value))).collect()
}

fn trace(bytes: &[u8]) {
    let Some(headers) = headers("traceparent", bytes) else { return };
    if let Some(TraceContext { trace, parent }) = TraceContext::of(&headers) {
        assert!(trace.id() != 0 && parent != 0 && headers.len() == 1);
        assert_eq!(&bytes[3..35], trace.to_string().as_bytes(), "it is what was sent");
        assert_eq!(&bytes[36..52], format!("{parent:016x}").as_bytes(), "and so is the span of the caller");
    }
}

fn accept(bytes: &[u8]) {
    let Some(headers) = headers("accept", bytes) else { return };
    let accepted = Accepted::of(&headers);
    for names in [&["text/csv", "text/*", "*/*"][..], &["application/json", "application/*", "*/*"]] {
        let liking = accepted.liking(names);
        assert!((0.0..=1.0).contains(&liking), "{liking}");
    }
    if let Err(problem) = wanted_form(&Query::default(), &headers) {
        told::problem(&problem);
    }
}

fn proxy(bytes: &[u8]) {
    let (address, length) = match proxied(bytes) {
        Ok(told) => told,
        Err(error) => return told::text(&error),
    };
    assert!((16..=16 + 4 * 1024).contains(&length) && length <= bytes.len());
    // Of that many bytes, whatever follows; and of no fewer.
    assert_eq!(proxied(&bytes[..length]), Ok((address, length)));
    assert!(proxied(&bytes[..length - 1]).is_err());
    match address {
        Some(IpAddr::V4(v4)) => assert_eq!(v4.octets(), bytes[16..20]),
        Some(IpAddr::V6(v6)) => assert_eq!(v6.octets(), bytes[16..32]),
        None => {}
    }
}

/// The names of things, and places in lists.
fn id(text: &str) {
    if let Some(id) = OrderId::parse(text) {
        assert_eq!(OrderId::parse(&id.to_string()), Some(id));
    }
    again::<Numbered>(text);
    again::<LevelCursor>(text);
}

fn again<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        let read = written.parse::<T>().ok().expect("what is written is read");
        assert_eq!(read.to_string(), written);
    }
}

fn url(text: &str) {
    match Url::parse(text) {
        Ok(url) => {
            let written = url.to_string();
            let read = Url::parse(&written).expect("what is written is read");
            assert_eq!(read.to_string(), written);
        }
        Err(error) => told::text(&error),
    }
}

fn secret(text: &str) {
    match Secret::parse(text) {
        Ok(secret) => {
            let read = Secret::parse(secret.reveal()).expect("what is told is taken");
            assert_eq!(read.reveal(), secret.reveal());
        }
        Err(error) => {
            told::text(&error);
            // Whatever it is that is none, the same is said.
            assert_eq!(Err(error), Secret::parse("").map(|_| ()), "no secret is repeated");
        }
    }
}
