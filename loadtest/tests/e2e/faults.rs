//! `--fault`: that the server really meets what the report counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http_body_util::BodyExt;

use super::ends::serve_until;
use super::fake::{Fault, router};
use super::{loadtest, stdout};

/// What an honest service saw of the requests' bodies.
#[derive(Debug, Default)]
struct Seen {
    /// Bodies that ended before they were whole.
    broken: u64,
    /// Bodies that came in more than one piece.
    pieces: u64,
    /// By idempotency key: path and body of each request that carried it.
    keys: BTreeMap<String, Vec<(String, Bytes)>>,
}

/// A run against a service that looks at every body, and what it saw. It keeps no keys, so what comes twice happens twice.
fn run(faults: &[&str]) -> (String, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let look = {
        let seen = Arc::clone(&seen);
        move |request: Request, next: Next| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, mut body) = request.into_parts();
                let (mut whole, mut pieces) = (Vec::new(), 0);
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else {
                        seen.lock().expect("no panic").broken += 1;
                        return StatusCode::BAD_REQUEST.into_response();
                    };
                    whole.extend_from_slice(&frame.into_data().unwrap_or_default());
                    pieces += 1;
                }
                let whole = Bytes::from(whole);
                {
                    let mut seen = seen.lock().expect("no panic");
                    seen.pieces += u64::from(pieces > 1);
                    if let Some(key) = head.headers.get("idempotency-key") {
                        let key = key.to_str().expect("visible").to_owned();
                        seen.keys.entry(key).or_default().push((head.uri.to_string(), whole.clone()));
                    }
                }
                next.run(Request::from_parts(head, Body::from(whole))).await
            }
        }
    };
    let url = serve_until(router(Fault::None).layer(from_fn(look)), Arc::default());
    let common = ["run", &url, "--requests", "3000", "--warmup", "0s", "--skus", "5", "--ceiling", "none"];
    let text = stdout(&loadtest(&[&common[..], &["--mix", "adjust=3,read=1"], faults].concat()));
    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    (text, seen)
}

#[test]
fn without_faults_bodies_are_whole_in_one_piece_and_have_no_key() {
    let (text, seen) = run(&[]);
    assert!(!text.contains("Faults of the clients"), "{text}");
    assert_eq!((seen.broken, seen.pieces, seen.keys.len()), (0, 0, 0), "{seen:?}");
}

#[test]
fn a_client_that_goes_away_leaves_a_part_of_its_request() {
    let (text, seen) = run(&["--fault", "disconnect=3%"]);
    assert!(text.contains(" disconnected, 0 replayed"), "{text}");
    assert!(seen.broken > 0 && seen.pieces == 0 && seen.keys.is_empty(), "{seen:?}");
}

#[test]
fn a_slow_client_sends_its_body_in_pieces() {
    let (text, seen) = run(&["--fault", "slow=1%"]);
    assert!(text.contains("CONSISTENT"), "{text}");
    assert!(seen.pieces > 0 && seen.broken == 0, "{seen:?}");
}

#[test]
fn what_is_asked_again_is_the_same_under_the_same_key() {
    let (text, seen) = run(&["--fault", "replay=3%"]);
    assert!(text.contains(&format!(" {} replayed (", seen.keys.len())), "{text}: {}", seen.keys.len());
    assert!(!seen.keys.is_empty());
    for (key, requests) in &seen.keys {
        let [first, again] = requests.as_slice() else { panic!("{key}: {requests:?}") };
        assert_eq!(first, again, "{key}");
    }
}
