//! Tokens as an operator has them: trusted by flags, their keys replaced by SIGHUP under load, and in no log.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::access::{ask, logged_with_names, made, status, until, write};
use super::{Served, inventory, refused, serve};
use crate::support::app::WATCHDOG;
use crate::support::tokens::{AUDIENCE, ISSUER, Jwks, Signer};

fn trusting(command: &mut Command, jwks: &Path) {
    command.arg("--jwt-jwks").arg(jwks).args(["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE]);
}

/// With the keys of an issuer there may be others than this machine, and with keys beside them too; all of it may be said by variables.
#[test]
fn tokens_open_an_address_to_those_who_have_one() {
    let signer = Signer::new("k");
    let jwks = Jwks::of(&[&signer]);
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("keys");
    let (key, line) = made("till", "read");
    write(&path, &[&line]);
    let open = &["serve", "--log", "off", "--ephemeral", "--listen", "0.0.0.0:0"][..];
    let mut by_flags = inventory(open);
    trusting(&mut by_flags, &jwks.path());
    let mut by_variables = inventory(open);
    by_variables.env("INVENTORY_JWT_JWKS", jwks.path());
    by_variables.env("INVENTORY_JWT_ISSUER", ISSUER).env("INVENTORY_JWT_AUDIENCE", AUDIENCE);
    let mut both = inventory(open);
    trusting(&mut both, &jwks.path());
    both.arg("--auth-file").arg(&path);
    let token = signer.token("alice", "inventory:read");
    for (mut command, by_key) in [(by_flags, "401"), (by_variables, "401"), (both, "200")] {
        let served = Served::start(&mut command);
        let url = served.url.replace("0.0.0.0", "127.0.0.1");
        let found = ["", &token, &key].map(|shown| ask(&url, "GET /v1/stock", shown));
        assert_eq!(found.each_ref().map(|answer| status(answer)), ["401", "200", by_key], "{command:?}");
    }
}

/// Keys of an issuer without the issuer, or for nobody, would let in whoever has a token for somebody else; an issuer without keys, everybody.
#[test]
fn keys_of_tokens_need_an_issuer_and_an_audience() {
    let jwks = ["serve", "--ephemeral", "--jwt-jwks", "/none"];
    for (args, named) in [
        (&[][..], "--jwt-issuer"),
        (&["--jwt-issuer", "i"], "--jwt-audience"),
        (&["--jwt-audience", "a"], "--jwt-issuer"),
        (&["--jwt-issuer", "", "--jwt-audience", "a"], "--jwt-issuer"),
        (&["--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-leeway", "11m"], "--jwt-leeway"),
        (&["--jwt-issuer", "i", "--jwt-audience", "a"], "--jwt-jwks /none"),
    ] {
        let line = refused(&[&jwks, args].concat(), 2);
        assert!(line.contains(named), "{args:?}: {line}");
    }
    for alone in ["--jwt-issuer", "--jwt-audience"] {
        let line = refused(&["serve", "--ephemeral", alone, "x"], 2);
        assert!(line.contains("--jwt-jwks"), "{alone}: {line}");
    }
}

/// An issuer changes its key again and again, both published in between, while four clients ask all the time with tokens of the newest they know
/// of: no request fails, and a token of an old key is shut out each time, although it was known.
#[test]
fn keys_of_tokens_are_replaced_under_load() {
    let mut old = Signer::new("0");
    let jwks = Jwks::of(&[&old]);
    let mut command = serve(&[]);
    trusting(&mut command, &jwks.path());
    let served = Served::start(&mut command);
    let mut token = old.token("till", "inventory:write");
    let (current, is_over) = (Arc::new(RwLock::new((0, token.clone()))), Arc::new(AtomicBool::new(false)));
    // How far each client is: the number of the key of its last answer.
    let seen: Arc<[AtomicUsize; 4]> = Arc::default();
    let clients: Vec<_> = (0..seen.len())
        .map(|client| {
            let (url, current, is_over) = (served.url.clone(), Arc::clone(&current), Arc::clone(&is_over));
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let (number, token) = current.read().expect("a lock").clone();
                    let answer = ask(&url, "GET /v1/stock", &token);
                    assert_eq!(status(&answer), "200", "{answer}");
                    seen[client].store(number, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..=10 {
        let new = Signer::new(&number.to_string());
        jwks.publish(&[&old, &new]);
        served.signal(Signal::SIGHUP);
        let of_new = new.token("till", "inventory:write");
        until(&served.url, &of_new, "200");
        *current.write().expect("a lock") = (number, of_new.clone());
        let began = Instant::now();
        while seen.iter().any(|seen| seen.load(Ordering::SeqCst) < number) {
            let all_go_on = clients.iter().all(|client| !client.is_finished());
            assert!(began.elapsed() < WATCHDOG && all_go_on, "all go on");
            std::thread::yield_now();
        }
        assert_eq!(
            status(&ask(&served.url, "GET /v1/stock", &token)),
            "200",
            "the old one is still in force"
        );
        jwks.publish(&[&new]);
        served.signal(Signal::SIGHUP);
        until(&served.url, &token, "401");
        (old, token) = (new, of_new);
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no request fails");
    }
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
}

/// No part of a token that was shown, good or not, is in a line of the log, however much is logged, in an answer, or in a metric; nor is what
/// somebody put into the set of keys. A set that is spoilt is told in the log, and the keys stay as they were.
#[test]
fn tokens_are_nowhere_to_be_read() {
    let (signer, stranger) = (Signer::new("k"), Signer::new("other"));
    let jwks = Jwks::of(&[&signer]);
    let folder = TempDir::new().expect("a temporary folder");
    let log = folder.path().join("log");
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log", "trace"]);
    trusting(&mut command, &jwks.path());
    let served = Served::logging_to(Stdio::from(File::create(&log).expect("a file")), &mut command);
    let logged = || std::fs::read_to_string(&log).expect("a log");
    let until_logged = |text: &str| {
        let began = Instant::now();
        while !logged().contains(text) {
            assert!(began.elapsed() < WATCHDOG, "it never says {text}: {}", logged());
            std::thread::yield_now();
        }
    };
    served.signal(Signal::SIGHUP);
    until_logged("the keys of tokens were read again");
    let misplaced = "c2VjcmV0c2VjcmV0c2VjcmV0";
    jwks.write(&format!(r#"{{"keys":[{},{{"kty":"oct","kid":"mac","k":"{misplaced}"}}]}}"#, signer.jwk()));
    served.signal(Signal::SIGHUP);
    until_logged("the keys of tokens stay as they were");
    assert!(logged().contains("mac") && logged().contains("is symmetric"), "{}", logged());
    let admin = signer.token("alice", "inventory:admin");
    let unscoped = signer.token("bob", "openid");
    let strangers = [stranger.token("alice", "inventory:admin"), format!("{admin}x"), format!("{admin}.x")];
    let mut answers = String::new();
    for request in ["GET /v1/stock", "GET /nothing", "PUT /v1/stock/A", "POST /v1/verify", "GET /metrics"] {
        let by_admin = ask(&served.url, request, &admin);
        assert!(!["401", "403"].contains(&status(&by_admin)), "{request}: {by_admin}");
        let by_unscoped = ask(&served.url, request, &unscoped);
        assert_eq!(status(&by_unscoped), "403", "{request}: {by_unscoped}");
        answers += &(by_admin + &by_unscoped);
        for token in &strangers {
            let answer = ask(&served.url, request, token);
            assert_eq!(status(&answer), "401", "{request}: {answer}");
            answers += &answer;
        }
    }
    answers += &ask(&served.url, "GET /metrics", &admin);
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
    let log = logged();
    assert!(log.contains("serving"), "{log}");
    let parts = [&admin, &unscoped, &strangers[0]].into_iter().flat_map(|token| token.split('.'));
    for part in parts.chain([misplaced]) {
        for (where_, text) in [("the log", &log), ("an answer", &answers)] {
            assert!(!text.contains(part), "{where_}: {part}");
        }
    }
}

/// A line of the access log names the subject, also where its token was good for less or for nothing.
#[test]
fn the_access_log_names_the_subject() {
    let signer = Signer::new("k");
    let jwks = Jwks::of(&[&signer]);
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log-format", "json"]);
    command.args(["--access-log-rate", "1000"]);
    trusting(&mut command, &jwks.path());
    let (reader, nobody) = (signer.token("reader", "inventory:read"), signer.token("nobody", "email"));
    let asked = [
        ("GET /v1/stock", &*reader, "200", Some("jwt:reader")),
        ("POST /v1/stock/A/adjust", &reader, "403", Some("jwt:reader")),
        ("GET /v1/stock", &nobody, "403", Some("jwt:nobody")),
        ("GET /v1/stock", "x.y.z", "401", None),
    ];
    logged_with_names(&mut command, &asked);
}
