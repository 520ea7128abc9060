//! A little inventory service to test the load generator with: honest, or with one deliberate fault.
//!
//! It is written from the contract and links neither the service nor the load generator. One lock around everything,
//! no attempt at speed. Faults are counted, not drawn, so that every run of a test meets them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the service does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every 20th single adjustment forgets the change before it and takes its version.
    LostUpdate,
    /// Every 20th single adjustment is refused for want of stock that is there.
    Undersell,
    /// Every 20th single adjustment is sold what is there, as if it were enough.
    Oversell,
    /// Some single adjustments are shed, time out inside after taking effect, or lose their connection after it.
    Unreliable,
    /// Some single adjustments take effect and are never answered.
    Silent,
    /// Every write is shed.
    Overloaded,
    /// Every 20th single adjustment answers something that is no level.
    Gibberish,
    /// The final reads show one unit more than there is.
    WrongReads,
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    on_hand: Option<u64>,
    version: u64,
    before: Option<u64>,
}

type Key = (String, String);

#[derive(Debug)]
struct Shop {
    fault: Fault,
    levels: Mutex<BTreeMap<Key, Level>>,
    adjusts: AtomicU64,
}

/// The whole service.
pub(crate) fn router(fault: Fault) -> Router {
    let shop = Arc::new(Shop { fault, levels: Mutex::default(), adjusts: AtomicU64::new(0) });
    Router::new()
        .route("/readyz", get(|| async { "ok" }))
        .route("/v1/status", get(status))
        .route("/v1/stock", get(list))
        .route("/v1/export", get(export))
        .route("/v1/stock/{sku}", get(read).put(put).delete(delete))
        .route("/v1/stock/{sku}/adjust", post(adjust))
        .route("/v1/adjustments", post(adjustments))
        .route("/v1/transfers", post(transfers))
        .with_state(shop)
}

#[derive(Debug, Deserialize)]
struct Place {
    location: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Change {
    sku: String,
    location: Option<String>,
    delta: i64,
}

#[derive(Debug, Deserialize)]
struct Batch {
    mode: String,
    lines: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Move {
    sku: String,
    from: String,
    to: String,
    quantity: i64,
}

impl Shop {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Level>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn overloaded(&self) -> Option<Response> {
        (self.fault == Fault::Overloaded).then(|| problem("overloaded", 503, json!({ "applied": "no" })))
    }
}

fn key(sku: &str, place: &Place) -> Key {
    (sku.to_owned(), place.location.clone().unwrap_or_else(|| "main".to_owned()))
}

fn show(key: &Key, level: Level) -> Value {
    let on_hand = level.on_hand.unwrap_or_default();
    json!({ "sku": key.0, "location": key.1, "on_hand": on_hand, "reserved": 0, "available": on_hand,
            "version": level.version })
}

fn shown(status: u16, key: &Key, level: Level) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::ETAG, format!("\"{}\"", level.version))], Json(show(key, level))).into_response()
}

fn problem_value(name: &str, status: u16, more: Value) -> Value {
    let mut problem = json!({ "type": format!("/problems/{name}"), "title": name, "status": status });
    if let Value::Object(more) = more {
        for (member, value) in more {
            problem[member] = value;
        }
    }
    problem
}

fn problem(name: &str, status: u16, more: Value) -> Response {
    let body = problem_value(name, status, more).to_string();
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// What a refusal says of a level: `available` only where there is one.
fn witness(key: &Key, level: Level, requested: i64) -> Value {
    let mut line = json!({ "pointer": "", "sku": key.0, "location": key.1, "version": level.version });
    if let Some(on_hand) = level.on_hand {
        line["requested"] = json!(requested);
        line["available"] = json!(on_hand);
    }
    line
}

async fn status() -> Json<Value> {
    Json(json!({ "strategy": "fake", "contention": { "acquisitions": 0, "contended": 0, "retries": 0 } }))
}

async fn read(
    State(shop): State<Arc<Shop>>,
    Path(sku): Path<String>,
    Query(place): Query<Place>,
) -> Response {
    let key = key(&sku, &place);
    let mut level = shop.lock().get(&key).copied().unwrap_or_default();
    if shop.fault == Fault::WrongReads {
        level.on_hand = level.on_hand.map(|on_hand| on_hand + 1);
    }
    match level.on_hand {
        Some(_) => shown(200, &key, level),
        None => problem("stock-not-found", 404, json!({ "lines": [witness(&key, level, 0)] })),
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: usize,
    sku_prefix: String,
    cursor: Option<String>,
}

/// The cursor is the last level of the page before, so that whatever is created and deleted in between moves nothing.
async fn list(State(shop): State<Arc<Shop>>, Query(page): Query<Page>) -> Json<Value> {
    let after = page.cursor.map(|cursor| {
        let (sku, location) = cursor.split_once(' ').expect("a cursor of ours");
        (sku.to_owned(), location.to_owned())
    });
    let levels = shop.lock();
    let is_listed = |(key, level): &(&Key, &Level)| {
        key.0.starts_with(&page.sku_prefix) && level.on_hand.is_some() && after.as_ref() < Some(*key)
    };
    let mut rest = levels.iter().filter(is_listed);
    let of_page: Vec<(&Key, &Level)> = rest.by_ref().take(page.limit).collect();
    let items: Vec<Value> = of_page.iter().map(|(key, level)| show(key, **level)).collect();
    match (rest.next(), of_page.last()) {
        (Some(_), Some((last, _))) => {
            Json(json!({ "items": items, "next_cursor": format!("{} {}", last.0, last.1) }))
        }
        _ => Json(json!({ "items": items })),
    }
}

async fn export(State(shop): State<Arc<Shop>>) -> String {
    let levels = shop.lock();
    let existing = levels.iter().filter(|(_, level)| level.on_hand.is_some());
    let lines: Vec<String> = existing.map(|(key, level)| show(key, *level).to_string() + "\n").collect();
    lines.concat()
}

async fn put(
    State(shop): State<Arc<Shop>>,
    Path(sku): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Some(response) = shop.overloaded() {
        return response;
    }
    let key = key(&sku, &place);
    let mut levels = shop.lock();
    let level = levels.entry(key.clone()).or_default();
    let condition = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let holds = match (condition(header::IF_NONE_MATCH), condition(header::IF_MATCH)) {
        (None, Some("*")) => level.on_hand.is_some(),
        (None, Some(tag)) => level.on_hand.is_some() && tag == format!("\"{}\"", level.version),
        (Some(_), _) | (None, None) => level.on_hand.is_none(),
    };
    if !holds {
        return problem("version-mismatch", 412, json!({ "lines": [witness(&key, *level, 0)] }));
    }
    let created = level.on_hand.is_none();
    *level = Level { on_hand: body["on_hand"].as_u64(), version: level.version + 1, before: level.on_hand };
    shown(if created { 201 } else { 200 }, &key, *level)
}

async fn delete(
    State(shop): State<Arc<Shop>>,
    Path(sku): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
) -> Response {
    let key = key(&sku, &place);
    let mut levels = shop.lock();
    let level = levels.entry(key.clone()).or_default();
    if level.on_hand.is_none() {
        return problem("stock-not-found", 404, json!({ "lines": [witness(&key, *level, 0)] }));
    }
    let tag = format!("\"{}\"", level.version);
    if headers.get(header::IF_MATCH).is_some_and(|wanted| wanted != tag.as_str() && wanted != "*") {
        return problem("version-mismatch", 412, json!({ "lines": [witness(&key, *level, 0)] }));
    }
    *level = Level { on_hand: None, version: level.version + 1, before: None };
    (StatusCode::NO_CONTENT, [(header::ETAG, format!("\"{}\"", level.version))]).into_response()
}

async fn adjust(
    State(shop): State<Arc<Shop>>,
    Path(sku): Path<String>,
    Query(place): Query<Place>,
    body: Bytes,
) -> Response {
    let number = shop.adjusts.fetch_add(1, Ordering::Relaxed);
    let key = key(&sku, &place);
    let delta = serde_json::from_slice::<Value>(&body).expect("JSON")["delta"].as_i64().expect("a delta");
    let response = {
        let mut levels = shop.lock();
        let level = levels.entry(key.clone()).or_default();
        match (shop.fault, number % 20) {
            (Fault::Overloaded, _) | (Fault::Unreliable, 7) => {
                return problem("contention", 503, json!({ "applied": "no" }));
            }
            (Fault::LostUpdate, 7) if level.before.is_some() => {
                level.on_hand = level.before;
                level.version -= 1;
            }
            (Fault::Undersell, 7) if level.on_hand.is_some_and(|on_hand| on_hand > 20) => {
                return problem(
                    "insufficient-stock",
                    409,
                    json!({ "lines": [witness(&key, *level, delta)] }),
                );
            }
            (Fault::Oversell, 7) if level.on_hand.is_some_and(|on_hand| on_hand < delta.unsigned_abs()) => {
                let sold = Level { on_hand: Some(0), version: level.version + 1, before: level.on_hand };
                *level = sold;
                return shown(200, &key, sold);
            }
            (Fault::Gibberish, 7) => return Json(json!({ "sku": sku })).into_response(),
            _ => {}
        }
        match apply(&key, level, delta, false) {
            Ok(level) => shown(200, &key, level),
            Err((name, status)) => {
                let problem = problem(name, status, json!({ "lines": [witness(&key, *level, -delta)] }));
                return problem;
            }
        }
    };
    match (shop.fault, number % 100) {
        (Fault::Unreliable, 11) => problem("request-timeout", 503, json!({ "applied": "unknown" })),
        // A handler that panics takes its connection with it.
        (Fault::Unreliable, 13) => panic!("the connection is lost on purpose"),
        (Fault::Silent, 13) => std::future::pending().await,
        _ => response,
    }
}

fn apply(_key: &Key, level: &mut Level, delta: i64, create: bool) -> Result<Level, (&'static str, u16)> {
    let on_hand = match level.on_hand {
        Some(on_hand) => on_hand,
        None if create => 0,
        None => return Err(("stock-not-found", 404)),
    };
    let Some(after) = on_hand.checked_add_signed(delta) else { return Err(("insufficient-stock", 409)) };
    *level = Level { on_hand: Some(after), version: level.version + 1, before: Some(on_hand) };
    Ok(*level)
}

/// All or nothing: lines of one key together.
fn transact(shop: &Shop, lines: Vec<(Key, i64, bool)>) -> Response {
    let mut combined: BTreeMap<Key, (i64, bool)> = BTreeMap::new();
    for (key, delta, create) in lines {
        let sum = combined.entry(key).or_default();
        *sum = (sum.0 + delta, sum.1 || create);
    }
    let mut levels = shop.lock();
    let mut after = Vec::new();
    let mut refused: BTreeMap<(u16, &str), Vec<Value>> = BTreeMap::new();
    for (key, (delta, create)) in combined {
        let mut level = levels.get(&key).copied().unwrap_or_default();
        match apply(&key, &mut level, delta, create) {
            Ok(level) => after.push((key, level)),
            Err((name, status)) => {
                refused.entry((status, name)).or_default().push(witness(&key, level, -delta));
            }
        }
    }
    // 404 sorts before 409: existence is judged before stock.
    if let Some(((status, name), lines)) = refused.into_iter().next() {
        return problem(name, status, json!({ "lines": lines }));
    }
    let shown: Vec<Value> = after.iter().map(|(key, level)| show(key, *level)).collect();
    levels.extend(after);
    Json(json!({ "levels": shown })).into_response()
}

async fn adjustments(State(shop): State<Arc<Shop>>, body: Bytes) -> Response {
    if let Some(response) = shop.overloaded() {
        return response;
    }
    let batch: Batch = serde_json::from_slice(&body).expect("a batch");
    if batch.lines.iter().any(|line| line.sku.trim() != line.sku) {
        return problem("validation-failed", 422, json!({ "detail": "a space at an end of a sku" }));
    }
    let place = |line: &Change| key(&line.sku, &Place { location: line.location.clone() });
    if batch.mode == "atomic" {
        return transact(&shop, batch.lines.iter().map(|line| (place(line), line.delta, false)).collect());
    }
    let mut results = Vec::new();
    let mut applied = 0;
    for line in &batch.lines {
        let key = place(line);
        let mut levels = shop.lock();
        let level = levels.entry(key.clone()).or_default();
        let mut result = json!({ "sku": key.0, "location": key.1, "status": 200 });
        match apply(&key, level, line.delta, false) {
            Ok(level) => {
                applied += 1;
                result["level"] = show(&key, level);
            }
            Err((name, status)) => {
                let lines = json!({ "lines": [witness(&key, *level, -line.delta)] });
                result["status"] = json!(status);
                result["problem"] = problem_value(name, status, lines);
            }
        }
        results.push(result);
    }
    let refused = results.len() - applied;
    Json(json!({ "results": results, "applied": applied, "refused": refused })).into_response()
}

async fn transfers(State(shop): State<Arc<Shop>>, Json(body): Json<Value>) -> Response {
    if let Some(response) = shop.overloaded() {
        return response;
    }
    let moves: Vec<Move> = serde_json::from_value(body["lines"].clone()).expect("moves");
    let lines = moves.into_iter().flat_map(|line| {
        let to = (line.sku.clone(), line.to);
        [((line.sku, line.from), -line.quantity, false), (to, line.quantity, true)]
    });
    transact(&shop, lines.collect())
}
