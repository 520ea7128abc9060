//! `run` and `replay` over several replicas: clients are spread, what leads nowhere is asked of the next one under the same key, and one
//! history is judged.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::Output;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::Notify;

use super::ends::serve_until;
use super::fake::{Fault, router};
use super::{assert_exit, loadtest, stdout};

/// Writes that take a key, and nothing else.
const KEYED: &str = "adjust=6,batch=1,independent=1,transfer=1";

/// A run over these, and its report.
fn run(urls: &str, more: &[&str]) -> (Output, Value) {
    let short = ["--requests", "4000", "--skus", "5", "--seed", "7", "--concurrency", "16"];
    let fixed = ["--warmup", "0s", "--ceiling", "none"];
    reported(&[&["run", urls], &short[..], &fixed, more].concat())
}

/// A command and its report.
fn reported(arguments: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let output = loadtest(&[arguments, &["--out", &format!("json={}", file.display())]].concat());
    let report = std::fs::read(file).expect("a report");
    (output, serde_json::from_slice(&report).expect("JSON"))
}

/// How many requests came by each name of a server, and how many of them had a key.
type Asked = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

/// One honest server under two names, and what it is asked by each.
fn twins() -> (String, Asked) {
    let asked = Asked::default();
    let count = {
        let asked = Arc::clone(&asked);
        move |request: Request, next: Next| {
            let headers = request.headers();
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let name = host.split(':').next().unwrap_or_default().to_owned();
            let has_key = headers.contains_key("idempotency-key");
            let mut asked = asked.lock().expect("no panic");
            let (all, keyed) = asked.entry(name).or_default();
            (*all, *keyed) = (*all + 1, *keyed + u64::from(has_key));
            drop(asked);
            async move { next.run(request).await }
        }
    };
    let url = serve_until(router(Fault::None).layer(from_fn(count)), Arc::default());
    (format!("{url},{}", url.replace("127.0.0.1", "localhost")), asked)
}

/// That both names were asked, about as often, and how often under a key.
#[track_caller]
fn assert_spread(asked: &Asked) -> u64 {
    let asked = asked.lock().expect("no panic");
    let names: Vec<&str> = asked.keys().map(String::as_str).collect();
    assert_eq!(names, ["127.0.0.1", "localhost"], "{asked:?}");
    asked.values().map(|(_, keyed)| keyed).sum()
}

#[test]
fn clients_are_spread_over_the_replicas_and_one_history_is_judged() {
    for client in ["reqwest", "hyper"] {
        let (both, asked) = twins();
        let (output, report) = run(&both, &["--client", client]);
        assert_exit(&output, 0);
        assert!(assert_spread(&asked) > 1_000, "{client}: {asked:?}");
        let text = stdout(&output);
        for wanted in ["CONSISTENT", "Failures: none", "strategy fake", "Contention: unknown", &both] {
            assert!(text.contains(wanted), "{client}: {wanted} in {text}");
        }
        assert_eq!((&report["url"], &report["contention_known"]), (&both.as_str().into(), &false.into()));
        // Half of the clients are those of each, and they share the requests out beforehand.
        for (replica, url) in report["replicas"].as_array().expect("a list").iter().zip(both.split(',')) {
            assert_eq!(replica["url"], url);
            assert_eq!((&replica["sent"], &replica["answered"]), (&2_000.into(), &2_000.into()), "{replica}");
            assert_eq!(replica["went_on"], 0);
            assert!(
                text.contains(&format!("Replica {url}: 2000 requests sent, 2000 answered; 0 ")),
                "{text}"
            );
        }
    }
}

#[test]
fn one_server_is_reported_as_it_always_was() {
    let (both, asked) = twins();
    let url = both.split(',').next().expect("the first");
    let (output, report) = run(url, &[]);
    assert_exit(&output, 0);
    assert_eq!((&report["url"], report.get("replicas")), (&url.into(), None));
    assert!(!stdout(&output).contains("Replica "), "{}", stdout(&output));
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.values().map(|(_, keyed)| *keyed).collect::<Vec<_>>(), [0], "{asked:?}");
}

#[test]
fn orders_are_spread_over_the_replicas() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    file.write_all(super::replay::orders().as_bytes()).expect("written");
    let (both, asked) = twins();
    let (output, report) = reported(&["replay", &both, file.path().to_str().expect("UTF-8")]);
    assert_exit(&output, 0);
    // Each of 301 invoices.
    assert_eq!(assert_spread(&asked), 301);
    let text = stdout(&output);
    for wanted in ["CONSISTENT", "Final stock: exact: 2 skus exact, 0 wrong", "Replica http://localhost:"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert_eq!((&report["url"], &report["strategy"]), (&both.as_str().into(), &"fake".into()));
    let answered = report["replicas"].as_array().expect("a list").iter();
    assert_eq!(answered.map(|replica| replica["answered"].as_u64().unwrap_or(0)).sum::<u64>(), 301);
}

/// The half of the hashes that a sku is in decides, and of an invoice its first sku.
#[test]
fn orders_go_where_their_first_sku_is() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    file.write_all(super::replay::orders().as_bytes()).expect("written");
    let (both, _) = twins();
    let options = ["--prefix", "z-", "--route", "sku"];
    let command = [&["replay", &both, file.path().to_str().expect("UTF-8")], &options[..]].concat();
    let (output, report) = reported(&command);
    assert_exit(&output, 0);
    let sent = report["replicas"].as_array().expect("a list").iter().map(|replica| replica["sent"].as_u64());
    // Those of `b` alone are 50.
    assert_eq!(sent.collect::<Vec<_>>(), [Some(251), Some(50)], "{report}");
}

/// Whose replica is not there asks the next one, and nothing is lost. But it is another load than the one that was asked for.
#[test]
fn a_replica_that_is_not_there_is_passed_over_and_told() {
    let nobody = "http://127.0.0.1:1";
    for client in ["reqwest", "hyper"] {
        let alive = serve_until(router(Fault::None), Arc::default());
        let (output, report) = run(&format!("{nobody},{alive}"), &["--client", client]);
        assert_exit(&output, 1);
        let text = stdout(&output);
        assert!(
            text.contains(&format!("nothing was answered by {nobody}, so this was not the load")),
            "{text}"
        );
        assert!(text.contains(" x no connection, such as: "), "{text}");
        assert_eq!(
            (&report["verdict"]["result"], &report["total"]["failed"]),
            (&"consistent".into(), &0.into())
        );
        assert_eq!(report["total"]["requests"], 4_000);
        // Each of the eight clients asked there once, and then no more.
        let [absent, present] = [0_usize, 1].map(|number| &report["replicas"][number]);
        assert_eq!(
            (&absent["sent"], &absent["answered"], &absent["went_on"]),
            (&8.into(), &0.into(), &8.into())
        );
        assert_eq!((&present["sent"], &present["answered"]), (&4_000.into(), &4_000.into()));
    }
}

/// What was answered.
type Answer = (StatusCode, HeaderMap, Bytes);

/// An honest service that keeps what it answered under a key, for all its replicas. One of so many of these answers is lost, once: nobody
/// is told what became of the request.
fn keeping_keys(lost_of: usize) -> Router {
    let kept: Arc<Mutex<HashMap<Vec<u8>, Answer>>> = Arc::default();
    let keep = move |request: Request, next: Next| {
        let kept = Arc::clone(&kept);
        let key = request.headers().get("idempotency-key").map(|key| key.as_bytes().to_vec());
        async move {
            let Some(key) = key else { return next.run(request).await };
            let known = kept.lock().expect("no panic").get(&key).cloned();
            if let Some(known) = known {
                return known.into_response();
            }
            let (head, body) = next.run(request).await.into_parts();
            let body = body.collect().await.expect("an answer of ours").to_bytes();
            let answer: Answer = (head.status, head.headers, body);
            let number = {
                let mut kept = kept.lock().expect("no panic");
                kept.insert(key, answer.clone());
                kept.len()
            };
            if number.is_multiple_of(lost_of) {
                let problem = r#"{"type":"/problems/request-timeout","status":503,"applied":"unknown"}"#;
                let kind = [("content-type", "application/problem+json")];
                return (StatusCode::SERVICE_UNAVAILABLE, kind, problem).into_response();
            }
            answer.into_response()
        }
    };
    router(Fault::None).layer(from_fn(keep))
}

/// Without the key each of them would have been made twice, and without the second answer each would be in doubt.
#[test]
fn what_is_in_doubt_at_one_replica_is_settled_by_the_next_under_the_same_key() {
    for client in ["reqwest", "hyper"] {
        let url = serve_until(keeping_keys(20), Arc::default());
        let both = format!("{url},{}", url.replace("127.0.0.1", "localhost"));
        let (output, report) = run(&both, &["--client", client]);
        assert_exit(&output, 0);
        assert!(stdout(&output).contains(" x 503 request-timeout, such as: "), "{}", stdout(&output));
        assert_eq!(
            (&report["verdict"]["result"], &report["total"]["failed"]),
            (&"consistent".into(), &0.into())
        );
        let count = |path| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let settled = count("/verdict/detail/summary/unknown_repeated");
        assert!(settled > 50 && settled == count("/verdict/detail/summary/unknown"), "{settled} in {report}");
        assert!(count("/sometimes/retry-of-unknown") > 0, "{report}");
        // Nothing stands against a headline: the answers that were lost have left no doubt.
        assert_eq!(report["why"], serde_json::json!([]), "{report}");
    }
}

/// Clients whose requests were under way ask the other replica under the same keys: no request fails, none happens twice.
#[test]
fn a_replica_that_dies_costs_nothing_while_another_is_there() {
    for client in ["reqwest", "hyper"] {
        let (service, bell, count) =
            (keeping_keys(usize::MAX), Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let ring = {
            let bell = Arc::clone(&bell);
            move |request: Request, next: Next| {
                // The handler of this request takes its replica with it; those that come while it goes are not answered.
                let number = count.fetch_add(1, Ordering::Relaxed);
                if number == 1_000 {
                    bell.notify_one();
                }
                async move {
                    if number >= 1_000 {
                        std::future::pending::<()>().await;
                    }
                    next.run(request).await
                }
            }
        };
        let dying = serve_until(service.clone().layer(from_fn(ring)), bell);
        let both = format!("{dying},{}", serve_until(service, Arc::default()));
        let (output, report) = run(&both, &["--client", client, "--mix", KEYED]);
        assert_exit(&output, 0);
        assert_eq!(
            (&report["verdict"]["result"], &report["total"]["failed"]),
            (&"consistent".into(), &0.into())
        );
        assert_eq!((report.get("server_died"), &report["total"]["requests"]), (None, &4_000.into()));
        let [dead, alive] = [0_usize, 1].map(|number| &report["replicas"][number]);
        for path in ["answered", "went_on"] {
            assert!(dead[path].as_u64() > Some(0), "{dead}");
        }
        assert!(alive["answered"].as_u64() > Some(2_000), "{alive}");
    }
}

#[test]
fn addresses_that_make_no_sense_are_usage_errors_that_name_the_argument() {
    for (wrong, told) in [
        ("http://127.0.0.1:1,", "an address is missing"),
        (",http://127.0.0.1:1", "an address is missing"),
        ("http://127.0.0.1:1,http://127.0.0.1:1/", "http://127.0.0.1:1/ is there twice"),
        ("http://127.0.0.1:1,https://127.0.0.1:2", "https://127.0.0.1:2: only http is spoken"),
        ("http://127.0.0.1:1,127.0.0.1:2", "give the address of the server as http://HOST:PORT"),
    ] {
        for (command, more) in
            [("run", &[][..]), ("run", &["--profile", "shop"][..]), ("replay", &["orders.csv"][..])]
        {
            let output = loadtest(&[&[command, wrong], more].concat());
            assert_exit(&output, 2);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(errors.contains("<URL>") && errors.contains(told), "{command}: {told} in {errors}");
        }
    }
    // Each replica needs somebody who asks it.
    let three = "http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:3";
    for more in [&[][..], &["--profile", "shop"]] {
        let output = loadtest(&[&["run", three, "--concurrency", "2", "--ceiling", "none"], more].concat());
        assert_exit(&output, 2);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("2 clients cannot ask 3 replicas"), "{errors}");
    }
}
