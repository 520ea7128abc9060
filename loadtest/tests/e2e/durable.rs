//! A little durable inventory service to test `crash` with: honest, or with one deliberate fault.
//!
//! It stands before the service of `fake.rs` and keeps a journal of the requests it has executed, a line each, with
//! their answers. Recovery executes them again. What is written to a file survives `kill -9`, so nothing is synced; but
//! a `write` that the kill meets ends at a page, so a start cuts off what is no whole line: it was never answered, and
//! what is written next would be joined to it and lost with it. Every request waits a moment before it is executed and
//! another before it is answered, so that kills hit either side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tower::ServiceExt;

use super::fake;

/// How long a request waits before it is executed, between the lines of an independent batch, and before its answer.
const MOMENT: Duration = Duration::from_millis(1);

/// How long recovery takes, beside the journal.
const RECOVERY: Duration = Duration::from_millis(15);

/// How often the faulty journals are written.
const FLUSH: Duration = Duration::from_millis(8);

/// How long the last line of a torn transaction is behind the others.
const TEAR: Duration = Duration::from_millis(5);

/// What the service does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Answers first and writes a little later: a kill takes acknowledged changes back.
    Forgetful,
    /// Shows a change to others before it is written, and answers it afterwards.
    Early,
    /// Keeps its keys in memory only: after a restart a retry is executed again.
    Twice,
    /// Writes the lines of an atomic batch one after another: a kill in between tears it.
    Torn,
    /// Never becomes ready on data that was not closed by a clean stop.
    Stuck,
    /// Ends with an error after SIGTERM.
    Unclean,
    /// Knows no idempotency keys, and says so.
    Keyless,
    /// Nothing, but writes seldom, so that a kill finds much that is not written. Nothing of that is answered or shown.
    Deferred,
    /// As `Deferred`, but lists and exports without waiting until it is written.
    Hasty,
    /// As `Deferred`, but leaves levels out of listings and exports as soon as they are deleted. What it shows is written.
    Gone,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "none" => Self::None,
            "forgetful" => Self::Forgetful,
            "early" => Self::Early,
            "twice" => Self::Twice,
            "torn" => Self::Torn,
            "stuck" => Self::Stuck,
            "unclean" => Self::Unclean,
            "keyless" => Self::Keyless,
            "deferred" => Self::Deferred,
            "hasty" => Self::Hasty,
            "gone" => Self::Gone,
            _ => return Err(format!("no fault `{text}`")),
        })
    }
}

impl Fault {
    /// Whether the journal is written now and then, and not with each request.
    fn writes_later(self) -> bool {
        self.answers_later() || self == Self::Forgetful
    }

    /// Whether an answer waits until that is done.
    fn answers_later(self) -> bool {
        matches!(self, Self::Early | Self::Deferred | Self::Hasty | Self::Gone)
    }
}

/// One executed request, as the journal has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    method: String,
    uri: String,
    precondition: Option<(String, String)>,
    body: String,
    /// The key, with `#line` behind it for a line of an independent batch; and its answer.
    stored: Option<(String, Stored)>,
}

/// A stored answer, with the request it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    request: String,
    status: u16,
    body: String,
}

#[derive(Debug)]
struct Journal {
    file: File,
    /// Executed, but not written.
    unwritten: Vec<Entry>,
    written: u64,
    keys: BTreeMap<String, Stored>,
}

#[derive(Debug)]
pub(crate) struct Durable {
    fault: Fault,
    inner: Router,
    /// The stock as it is written, for the fault that shows it.
    written: Router,
    ready: AtomicBool,
    /// Held while a request is executed and written, so the order of the journal is the order of execution.
    journal: Mutex<Journal>,
    in_progress: std::sync::Mutex<BTreeSet<String>>,
}

/// The service on a journal, which is recovered in the background.
pub(crate) fn open(folder: &Path, fault: Fault) -> io::Result<Arc<Durable>> {
    let dirty = folder.join("dirty");
    if fault == Fault::Stuck && dirty.exists() {
        return Err(io::Error::other("the data was not closed cleanly"));
    }
    File::create(dirty)?;
    let path = folder.join("journal");
    let file = OpenOptions::new().create(true).append(true).open(&path)?;
    let entries = whole_lines(std::fs::read_to_string(&path)?);
    file.set_len(entries.len() as u64)?;
    let journal = Journal { file, unwritten: Vec::new(), written: 0, keys: BTreeMap::new() };
    let service = Arc::new(Durable {
        fault,
        inner: fake::router(fake::Fault::None),
        written: fake::router(fake::Fault::None),
        ready: AtomicBool::new(false),
        journal: Mutex::new(journal),
        in_progress: std::sync::Mutex::default(),
    });
    let recovering = Arc::clone(&service);
    tokio::spawn(async move {
        sleep(RECOVERY).await;
        recovering.recover(&entries).await;
    });
    if fault.writes_later() {
        let flushing = Arc::clone(&service);
        tokio::spawn(async move {
            loop {
                sleep(FLUSH).await;
                flushing.flush(&mut *flushing.journal.lock().await).await;
            }
        });
    }
    Ok(service)
}

/// A journal without a last line that a kill cut off.
fn whole_lines(mut journal: String) -> String {
    journal.truncate(journal.rfind('\n').map_or(0, |end| end + 1));
    journal
}

/// A clean end.
pub(crate) async fn close(service: &Durable, folder: &Path) -> io::Result<()> {
    service.flush(&mut *service.journal.lock().await).await;
    std::fs::remove_file(folder.join("dirty"))?;
    if service.fault == Fault::Unclean { Err(io::Error::other("something was left over")) } else { Ok(()) }
}

/// The routes.
pub(crate) fn router(service: Arc<Durable>) -> Router {
    Router::new().fallback(serve).with_state(service)
}

async fn serve(State(service): State<Arc<Durable>>, request: Request) -> Response {
    if !service.ready.load(Ordering::Acquire) {
        return problem("not-ready", 503, json!({ "applied": "no" }));
    }
    if request.method() == Method::GET {
        let is_list = matches!(request.uri().path(), "/v1/stock" | "/v1/export");
        return match service.fault {
            Fault::Hasty if is_list => answer(&service.inner, request).await,
            Fault::Gone if is_list => service.list_without_deleted(request).await,
            _ => {
                let seen = answer(&service.inner, request).await;
                service.witness().await;
                seen
            }
        };
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.map(text).unwrap_or_default();
    let key = parts.headers.get("idempotency-key").map(|key| {
        let key = key.to_str().expect("visible characters");
        key.trim_matches('"').to_owned()
    });
    if key.is_some() && service.fault == Fault::Keyless {
        return problem("invalid-request", 400, json!({ "detail": "no such header" }));
    }
    sleep(MOMENT).await;
    let request = Asked {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        precondition: precondition(&parts.headers),
        body,
    };
    // It goes on when its client is gone: a retry meets a key in progress, or the stored answer.
    let task = tokio::spawn(async move { service.keyed(request, key).await });
    task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A write, as it is kept.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    uri: String,
    precondition: Option<(String, String)>,
    body: String,
}

impl Durable {
    async fn recover(&self, entries: &str) {
        let mut journal = self.journal.lock().await;
        for line in entries.lines() {
            let entry: Entry = serde_json::from_str(line).expect("an entry is a whole line");
            let Entry { method, uri, precondition, body, stored } = entry;
            let asked = Asked { method, uri, precondition, body };
            execute(&self.inner, &asked).await;
            if self.fault == Fault::Gone {
                execute(&self.written, &asked).await;
            }
            if let Some((key, stored)) = stored.filter(|_| self.fault != Fault::Twice) {
                journal.keys.insert(key, stored);
            }
        }
        self.ready.store(true, Ordering::Release);
    }

    async fn keyed(&self, asked: Asked, key: Option<String>) -> Response {
        let Some(key) = key else { return self.once(&asked, None).await.respond() };
        if !self.in_progress.lock().expect("no panic").insert(key.clone()) {
            return problem("idempotency-key-in-progress", 409, json!({}));
        }
        let response = self.unit(&asked, &key).await;
        self.in_progress.lock().expect("no panic").remove(&key);
        response
    }

    async fn unit(&self, asked: &Asked, key: &str) -> Response {
        let batch: Value = serde_json::from_str(&asked.body).expect("JSON");
        if batch["mode"] == "independent" {
            return self.independent(asked, key, &batch).await;
        }
        if let Some(stored) = self.stored(key).await {
            if stored.request != asked.body {
                return problem("idempotency-key-reused", 422, json!({}));
            }
            return respond(stored.status, stored.body, true);
        }
        self.once(asked, Some((key.to_owned(), asked.body.clone()))).await.respond()
    }

    /// Each line is a unit of its own: its own record, its own key.
    async fn independent(&self, asked: &Asked, key: &str, batch: &Value) -> Response {
        let (mut results, mut replayed) = (Vec::new(), true);
        for (number, line) in batch["lines"].as_array().expect("lines").iter().enumerate() {
            let key = format!("{key}#{number}");
            let body = match self.stored(&key).await {
                Some(stored) => stored.body,
                None => {
                    replayed = false;
                    let body = json!({ "mode": "independent", "lines": [line] }).to_string();
                    let one = Asked { body: body.clone(), ..asked.clone() };
                    self.once(&one, Some((key, body))).await.body
                }
            };
            let mut one: Value = serde_json::from_str(&body).expect("JSON");
            results.push(one["results"][0].take());
        }
        let applied = results.iter().filter(|line| line["status"] == 200).count();
        let refused = results.len() - applied;
        let body = json!({ "results": results, "applied": applied, "refused": refused });
        respond(200, body.to_string(), replayed)
    }

    async fn stored(&self, key: &str) -> Option<Stored> {
        self.journal.lock().await.keys.get(key).cloned()
    }

    /// Executes a write, writes it down, and answers a moment later.
    async fn once(&self, asked: &Asked, key: Option<(String, String)>) -> Executed {
        let mut journal = self.journal.lock().await;
        let executed = execute(&self.inner, asked).await;
        let stored = key.map(|(key, request)| {
            (key, Stored { request, status: executed.status, body: executed.body.clone() })
        });
        if let Some((key, stored)) = stored.clone() {
            journal.keys.insert(key, stored);
        }
        let entries = self.entries(asked, stored, executed.status);
        let last = entries.len() - 1;
        for (number, entry) in entries.into_iter().enumerate() {
            if number > 0 && number == last {
                sleep(TEAR).await;
            }
            journal.unwritten.push(entry);
            if !self.fault.writes_later() {
                self.flush(&mut journal).await;
            }
        }
        let mine = journal.known();
        drop(journal);
        if self.fault.answers_later() {
            self.reach(mine).await;
        }
        sleep(MOMENT).await;
        executed
    }

    /// Writes what was executed.
    async fn flush(&self, journal: &mut Journal) {
        for entry in std::mem::take(&mut journal.unwritten) {
            let mut line = serde_json::to_string(&entry).expect("plain data");
            line.push('\n');
            journal.file.write_all(line.as_bytes()).expect("room on the disk");
            if self.fault == Fault::Gone {
                let Entry { method, uri, precondition, body, .. } = entry;
                execute(&self.written, &Asked { method, uri, precondition, body }).await;
            }
            journal.written += 1;
        }
    }

    /// Waits until so many entries are written.
    async fn reach(&self, entries: u64) {
        while self.journal.lock().await.written < entries {
            sleep(MOMENT).await;
        }
    }

    /// Waits until what a request has seen is written, as far as the fault lets it: it was executed under the lock of the
    /// journal, so it is known there.
    async fn witness(&self) {
        let known = self.journal.lock().await.known();
        if self.fault.answers_later() && self.fault != Fault::Early {
            self.reach(known).await;
        }
    }

    /// A listing or an export of what is written, without the levels that are deleted.
    async fn list_without_deleted(&self, request: Request) -> Response {
        let listing = request.uri().path() == "/v1/stock";
        let written = answer(&self.written, request).await;
        let body = to_bytes(written.into_body(), 1 << 20).await.map(text).unwrap_or_default();
        if listing {
            let mut page: Value = serde_json::from_str(&body).expect("JSON");
            let items = page["items"].take();
            page["items"] = self.existing(items.as_array().expect("items").clone()).await.into();
            return respond(200, page.to_string(), false);
        }
        let lines = body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let lines = self.existing(lines).await;
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        respond(200, lines.concat(), false)
    }

    async fn existing(&self, levels: Vec<Value>) -> Vec<Value> {
        let mut existing = Vec::new();
        for level in levels {
            let [sku, location] = ["sku", "location"].map(|name| level[name].as_str().expect("a name"));
            let read = Request::get(format!("/v1/stock/{sku}?location={location}")).body(Body::empty());
            if answer(&self.inner, read.expect("a request")).await.status() == StatusCode::OK {
                existing.push(level);
            }
        }
        existing
    }

    /// What is written of one write: one record, unless it is to be torn.
    fn entries(&self, asked: &Asked, stored: Option<(String, Stored)>, status: u16) -> Vec<Entry> {
        let entry = |body: String, stored| Entry {
            method: asked.method.clone(),
            uri: asked.uri.clone(),
            precondition: asked.precondition.clone(),
            body,
            stored,
        };
        let batch: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let lines = batch["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let level = |line: &Value| (line["sku"].to_string(), line["location"].to_string());
        let levels: BTreeSet<_> = lines.iter().map(level).collect();
        // Lines of one level count together, which records of a line each could not say.
        let tearable = batch["mode"] == "atomic" && levels.len() == lines.len() && status == 200;
        if self.fault != Fault::Torn || !tearable {
            return vec![entry(asked.body.clone(), stored)];
        }
        let one = |line: &Value| json!({ "mode": "atomic", "lines": [line] }).to_string();
        let mut entries: Vec<Entry> = lines.iter().map(|line| entry(one(line), None)).collect();
        if let Some(last) = entries.last_mut() {
            last.stored = stored;
        }
        entries
    }
}

impl Journal {
    /// Entries, written or not.
    fn known(&self) -> u64 {
        self.written + self.unwritten.len() as u64
    }
}

/// The answer to a write.
struct Executed {
    status: u16,
    etag: Option<header::HeaderValue>,
    body: String,
}

impl Executed {
    fn respond(self) -> Response {
        let mut response = respond(self.status, self.body, false);
        response.headers_mut().extend(self.etag.map(|etag| (header::ETAG, etag)));
        response
    }
}

async fn execute(service: &Router, asked: &Asked) -> Executed {
    let mut request = Request::builder().method(asked.method.as_str()).uri(&asked.uri);
    request = request.header(header::CONTENT_TYPE, "application/json");
    if let Some((name, value)) = &asked.precondition {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(asked.body.clone())).expect("it was one before");
    let response = answer(service, request).await;
    let (status, etag) = (response.status().as_u16(), response.headers().get(header::ETAG).cloned());
    let body = to_bytes(response.into_body(), 1 << 20).await.map(text).unwrap_or_default();
    Executed { status, etag, body }
}

async fn answer(inner: &Router, request: Request) -> Response {
    inner.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn text(bytes: Bytes) -> String {
    String::from_utf8(bytes.into()).expect("UTF-8")
}

fn precondition(headers: &HeaderMap) -> Option<(String, String)> {
    [header::IF_NONE_MATCH, header::IF_MATCH].into_iter().find_map(|name| {
        let value = headers.get(&name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    })
}

fn respond(status: u16, body: String, replayed: bool) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut response = (status, body).into_response();
    if replayed {
        response.headers_mut().insert("idempotent-replayed", header::HeaderValue::from_static("true"));
    }
    response
}

fn problem(name: &str, status: u16, more: Value) -> Response {
    let mut problem = json!({ "type": format!("/problems/{name}"), "title": name, "status": status });
    if let (Some(problem), Value::Object(more)) = (problem.as_object_mut(), more) {
        problem.extend(more);
    }
    respond(status, problem.to_string(), false)
}
