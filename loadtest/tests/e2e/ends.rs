//! Runs that do not go as planned: the server dies, is silent about itself, or fails a part of what is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::hostile::{self, Reaction};
use super::{Fault, assert_exit, fake, loadtest, stdout};

/// Serves a router in a thread of its own until the bell rings; then its listener and all its connections are gone.
pub(crate) fn serve_until(router: Router, bell: Arc<Notify>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("as the runtime wants it");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            tokio::select! {
                served = axum::serve(listener, router) => served,
                () = bell.notified() => Ok(()),
            }
        })
    });
    format!("http://{address}")
}

/// An honest service of which the handler below decides what becomes of each request.
fn serve(decide: impl Fn(u64, &Request) -> Option<Response> + Clone + Send + Sync + 'static) -> String {
    let count = Arc::new(AtomicU64::new(0));
    let decide = move |request: Request, next: Next| {
        let decided = decide(count.fetch_add(1, Ordering::Relaxed), &request);
        async move {
            match decided {
                Some(response) => response,
                None => next.run(request).await,
            }
        }
    };
    serve_until(fake::router(Fault::None).layer(from_fn(decide)), Arc::default())
}

/// A run against it, and its report.
fn run(url: &str, more: &[&str]) -> (std::process::Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = format!("json={}", folder.path().join("report.json").display());
    let ceiling = if more.contains(&"--ceiling") { &[][..] } else { &["--ceiling", "none"] };
    let common = ["run", url, "--warmup", "20ms", "--skus", "5", "--seed", "7", "--out", &out];
    let output = loadtest(&[&common[..], more, ceiling].concat());
    let report = std::fs::read(folder.path().join("report.json")).expect("a report");
    (output, serde_json::from_slice(&report).expect("JSON"))
}

#[test]
fn a_server_that_dies_is_told_once_and_the_run_ends_with_what_is_known() {
    let bell = Arc::new(Notify::new());
    let count = Arc::new(AtomicU64::new(0));
    let ring = {
        let bell = Arc::clone(&bell);
        move |request: Request, next: Next| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            // The handler of request number 3000 takes the whole server with it, and what comes while it goes is not answered.
            if number == 3_000 {
                bell.notify_one();
            }
            async move {
                if number >= 3_000 {
                    std::future::pending::<()>().await;
                }
                next.run(request).await
            }
        }
    };
    let url = serve_until(fake::router(Fault::None).layer(from_fn(ring)), bell);
    // Without noticing, it would go on for an hour.
    let (output, report) = run(&url, &["--duration", "1h"]);
    assert_exit(&output, 5);
    let text = stdout(&output);
    assert_eq!(text.matches("the server died").count(), 2, "in the headline and in one note: {text}");
    assert!(text.contains("into the measured part (measuring): from then on nobody listened at"), "{text}");
    assert!(text.contains("Contention: unknown"), "{text}");
    assert_eq!(report["server_died"]["stage"], "measuring");
    assert_eq!(report["headline"], Value::Null);
    let total = &report["total"];
    let answered = total["done"].as_u64().unwrap() + total["refused"].as_u64().unwrap();
    assert!((500..=3_000).contains(&answered), "{total}");
    // Each client was cut off once, and perhaps once more before it was known: nobody went on asking.
    assert!(total["failed"].as_u64().unwrap() <= 4 * 32, "{total}");
    assert!(report["verdict"]["detail"]["summary"]["applied"].as_u64().unwrap() > 0, "{report}");
    assert_ne!(report["verdict"]["result"], "violated");
}

#[test]
fn a_server_that_is_silent_about_its_contention_leaves_it_unknown() {
    let url = serve(|_, request| {
        (request.uri().path() == "/v1/status").then(|| StatusCode::NOT_FOUND.into_response())
    });
    let (output, report) = run(&url, &["--requests", "2000"]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("Contention: unknown"), "{}", stdout(&output));
    assert_eq!(report["contention_known"], false);
}

/// A listener that keeps the first few connections, and closes every other at once.
struct Crowded {
    listener: TcpListener,
    room: usize,
}

impl axum::serve::Listener for Crowded {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = self.listener.accept().await.expect("a connection");
            if let Some(left) = self.room.checked_sub(1) {
                self.room = left;
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Some clients find no connection at all. The others make so many requests that hardly any fails, and still it is another run than the one
/// that was asked for.
#[test]
fn a_run_without_some_of_its_clients_could_not_be_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("as the runtime wants it");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener =
                Crowded { listener: TcpListener::from_std(listener).expect("a listener"), room: 6 };
            axum::serve(listener, fake::router(Fault::None)).await
        })
    });
    let more = ["--requests", "400", "--concurrency", "16", "--client", "hyper", "--max-failed", "100"];
    let (output, report) = run(&url, &more);
    assert_exit(&output, 1);
    assert!(stdout(&output).contains(" of 16 clients were never answered"), "{}", stdout(&output));
    assert_eq!(report["exit_code"], 1);
    assert_ne!(report["verdict"]["result"], "violated");
}

/// Every 20th write is shed: nothing is wrong, nothing is lost, and still it is no good run.
#[test]
fn a_run_that_fails_too_often_is_no_pass_unless_that_is_allowed() {
    let url = serve(|number, request| {
        let sheds = request.uri().path().ends_with("/adjust") && number.is_multiple_of(20);
        sheds.then(|| {
            let body = r#"{"type":"/problems/overloaded","status":503,"applied":"no"}"#;
            let kind = [("content-type", "application/problem+json")];
            (StatusCode::SERVICE_UNAVAILABLE, kind, body).into_response()
        })
    });
    let (output, report) = run(&url, &["--requests", "4000"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("requests failed, more than 1%"), "{}", stdout(&output));
    assert_eq!(report["verdict"]["result"], "consistent");
    assert_eq!(report["headline"], Value::Null);
    assert_exit(&run(&url, &["--requests", "4000", "--max-failed", "10"]).0, 0);
    assert_exit(&run(&url, &["--requests", "4000", "--max-failed", "0.5"]).0, 3);
}

#[test]
fn a_run_has_a_headline_or_says_why_it_has_none() {
    let url = serve(|_, _| None);
    let (output, report) = run(&url, &["--requests", "3000"]);
    assert_exit(&output, 0);
    assert!(stdout(&output).starts_with("Headline: "), "{}", stdout(&output));
    assert_eq!(report["headline"]["shows"], "saturation");
    assert_eq!(report["headline"]["p99_us"], Value::Null);
    assert_eq!(report["why"], serde_json::json!([]));
    assert_eq!((&report["load"]["loop"], &report["load"]["sent"]), (&"closed".into(), &3_000.into()));
    let (output, report) = run(&url, &["--requests", "300"]);
    assert!(stdout(&output).starts_with("No headline: 300 samples are too few"), "{}", stdout(&output));
    assert_eq!(report["headline"], Value::Null);
    assert_eq!(report["why"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_run_near_the_generators_ceiling_has_no_headline() {
    let url = serve(|_, _| None);
    let (output, report) = run(&url, &["--requests", "2000", "--ceiling", "10"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.starts_with("No headline: the generator was at "), "{text}");
    assert!(text.contains("of its own ceiling of 10 requests a second"), "{text}");
    assert_eq!(report["ceiling"]["requests_per_s"], 10.0);
    for client in ["reqwest", "hyper"] {
        let (output, report) = run(&url, &["--requests", "300", "--ceiling", "measure", "--client", client]);
        assert_exit(&output, 0);
        assert!(report["ceiling"]["requests_per_s"].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["ceiling"]["cpu_us_per_request"].as_f64().unwrap() > 0.0, "{report}");
        assert!(stdout(&output).contains("Generator: at "), "{}", stdout(&output));
    }
}

#[test]
fn calibrate_tells_what_the_generator_can_do() {
    let output = loadtest(&["calibrate", "--duration", "100ms", "--client", "hyper", "--out", "json=-"]);
    assert_exit(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["format"], &report["client"]), (&"loadtest-calibrate/1".into(), &"hyper".into()));
    assert!(report["ceiling"]["requests_per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Ceiling: "), "{output:?}");
}

/// Whatever is asked, the answer is 200, or 201 where that is expected: once with the same body for all, once with the level
/// that was asked for, which never changes.
#[test]
fn a_server_that_always_says_yes_is_never_consistent() {
    let same = |_: u64, request: &Request| {
        let body = r#"{"sku":"a","location":"main","on_hand":50,"reserved":0,"available":50,"version":7}"#;
        (request.uri().path() != "/v1/status").then(|| (StatusCode::OK, body).into_response())
    };
    let (output, report) = run(&serve(same), &["--requests", "500"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("so the proof has holes"), "{}", stdout(&output));
    assert_ne!(report["verdict"]["result"], "consistent");
    let fitting = |_: u64, request: &Request| {
        let sku = request.uri().path().strip_prefix("/v1/stock/")?.trim_end_matches("/adjust").to_owned();
        let is_annex = request.uri().query().is_some_and(|query| query.contains("annex"));
        let location = if is_annex { "annex" } else { "main" };
        let is_new = request.headers().contains_key("if-none-match");
        let body = serde_json::json!({ "sku": sku, "location": location, "on_hand": 50, "reserved": 0,
            "available": 50, "version": if is_new { 1 } else { 7 } });
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Some((status, body.to_string()).into_response())
    };
    let (output, report) = run(&serve(fitting), &["--requests", "500", "--mix", "adjust=3,read=1"]);
    assert_exit(&output, 4);
    assert_eq!(report["verdict"]["result"], "violated");
}

#[test]
fn an_answer_without_bound_is_cut_off() {
    let huge = |number: u64, request: &Request| {
        let is_one = request.uri().path().ends_with("/adjust") && number % 100 == 50;
        is_one.then(|| vec![b' '; 20 << 20].into_response())
    };
    for client in ["reqwest", "hyper"] {
        let (output, report) = run(&serve(huge), &["--requests", "600", "--client", client]);
        assert_exit(&output, 5);
        assert!(stdout(&output).contains("more than 16 MiB, cut off there"), "{}", stdout(&output));
        assert_ne!(report["verdict"]["result"], "violated");
    }
}

#[test]
fn a_server_may_close_the_connection_after_each_answer() {
    let close = |request: Request, next: Next| async {
        let mut response = next.run(request).await;
        response.headers_mut().insert("connection", "close".parse().expect("a value"));
        response
    };
    for client in ["reqwest", "hyper"] {
        let url = serve_until(fake::router(Fault::None).layer(from_fn(close)), Arc::default());
        let (output, _) = run(&url, &["--requests", "1000", "--client", client]);
        assert_exit(&output, 0);
        assert!(stdout(&output).contains("Failures: none"), "{}", stdout(&output));
    }
}

#[test]
fn what_does_not_speak_http_could_not_be_run_against() {
    for reaction in [Reaction::Reset, Reaction::Bytes(b"\x00\xff nonsense\r\n\r\n"), Reaction::Hang] {
        let url = hostile::serve(move |_| reaction.clone());
        let output = loadtest(&["run", &url, "--timeout", "200ms", "--ceiling", "none"]);
        assert_exit(&output, 1);
        assert!(String::from_utf8_lossy(&output.stderr).contains("GET /readyz answered"), "{output:?}");
    }
}
