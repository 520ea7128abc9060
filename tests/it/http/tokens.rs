//! Tokens in place of keys (`--jwt-jwks`), and beside them: each scope, what is refused and how it is told, and whose an idempotency key is.

use axum::http::Method;
use inventory::access::Scope;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::access::{AuthFile, Shows as _};
use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::tokens::{Jwks, Signer, claims, now};

/// Who trusts that key.
async fn served(signer: &Signer) -> (Jwks, TestApp) {
    let jwks = Jwks::of(&[signer]);
    let app = TestApp::with(StrategyKind::Mutex).with_tokens(jwks.config()).start().await;
    (jwks, app)
}

async fn ask(app: &TestApp, method: Method, path: &str, token: &str) -> Answer {
    let call = app.call(method.clone(), path).shows(token);
    let call = if method == Method::PUT { call.json(&json!({ "on_hand": 5 })) } else { call };
    call.send().await
}

fn assert_refused(answer: &Answer, detail: &str) {
    answer.assert_problem(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(answer.at("/detail"), detail);
}

/// What a scope of a token is good for is what that of a key is; and one for nothing is no stranger's.
#[tokio::test]
async fn each_scope_of_a_token_is_that_of_a_key() {
    let signer = Signer::new("k");
    let (_jwks, app) = served(&signer).await;
    let needs =
        [(Method::GET, "/v1/stock", 0), (Method::PUT, "/v1/stock/A", 1), (Method::GET, "/metrics", 2)];
    let scopes = ["inventory:read", "inventory:write", "inventory:admin"];
    for (has, granted) in
        [(None, "openid email"), (Some(0), scopes[0]), (Some(1), scopes[1]), (Some(2), scopes[2])]
    {
        let token = signer.token("alice", granted);
        for (method, path, needed) in &needs {
            let answer = ask(&app, method.clone(), path, &token).await;
            if has >= Some(*needed) {
                assert!(answer.status < 300 || answer.status == 428, "{granted} {path}: {}", answer.text());
                continue;
            }
            answer.assert_problem(403, "forbidden");
            let needed = scopes[*needed];
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
            assert_eq!(answer.header("www-authenticate"), challenge);
            let has = has.map_or("none", |has: usize| scopes[has]);
            let detail = format!("this needs a token with the scope {needed}; that of jwt:alice has {has}");
            assert_eq!(answer.at("/detail"), detail);
        }
    }
    assert_eq!(app.get("/readyz").await.status, 200);
    let nothing = app.get("/v1/stock").await;
    assert_eq!((nothing.status, nothing.header("www-authenticate")), (401, "Bearer"));
}

/// Each is told what is wrong with it, also when it is asked again; who knows of a token that was good once may not go on with it.
#[tokio::test]
async fn a_token_that_is_not_good_is_told_why() {
    let (signer, stranger, gone) = (Signer::new("k"), Signer::new("k"), Signer::new("gone"));
    let (_jwks, app) = served(&signer).await;
    let with = |name: &str, value: Value| {
        let mut claims = claims("alice", "inventory:admin");
        claims[name] = value;
        signer.sign(&claims)
    };
    let good = signer.token("alice", "inventory:admin");
    ask(&app, Method::GET, "/v1/stock", &good).await.assert_status(200);
    let begins = now() + 100;
    for (token, detail) in [
        (with("exp", json!(1_300_819_380)), "the token expired at 2011-03-22T18:43:00Z".to_owned()),
        (with("nbf", json!(begins)), {
            let at = humantime::format_rfc3339_seconds(
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(begins),
            );
            format!("the token is not good before {at}")
        }),
        (
            with("iss", json!("https://other.example")),
            "the token is not of the issuer https://issuer.example".to_owned(),
        ),
        (with("aud", json!(["shop"])), "the token is not for the audience inventory".to_owned()),
        (
            with("sub", json!("")),
            "the claim sub of the token must be 1 to 60 bytes long, without control characters".to_owned(),
        ),
        (
            stranger.token("alice", "inventory:admin"),
            "the signature of the token is not of the key that it names".to_owned(),
        ),
        (
            gone.token("alice", "inventory:admin"),
            "the token names a key (kid) that is none of those of the issuer".to_owned(),
        ),
        (format!("{good}.x"), "what was shown is neither a key in force nor a JSON Web Token".to_owned()),
        (format!("inv_{good}"), "the key is none of those in force".to_owned()),
    ] {
        for _ in 0..2 {
            let answer = ask(&app, Method::GET, "/v1/stock", &token).await;
            assert_refused(&answer, &detail);
            assert!(token.split('.').filter(|part| part.len() > 8).all(|part| !answer.text().contains(part)));
        }
    }
    ask(&app, Method::GET, "/v1/stock", &good).await.assert_status(200);
}

/// P8: both ways at once. The subject of a token and the key of the same name are two, in what they ask once, in the ledger and in who may ask
/// how often.
#[tokio::test]
async fn a_subject_is_not_the_key_of_its_name() {
    let signer = Signer::new("k");
    let (jwks, file) = (Jwks::of(&[&signer]), AuthFile::of(&[("till", Scope::Write)]));
    let builder = TestApp::with(StrategyKind::Mutex).with_tokens(jwks.config()).with_auth_file(file.path());
    let app = builder.with_rate_limit("10/h", None).start().await;
    let (key, token) = (file.key("till"), signer.token("till", "inventory:write"));
    ask(&app, Method::PUT, "/v1/stock/A", &key).await.assert_level(201, 5, 1);
    let sell = async |shown: &str, delta: i64| {
        let call = app.call(Method::POST, "/v1/stock/A/adjust").json(&json!({ "delta": delta }));
        call.header("idempotency-key", "order-1").shows(shown).send().await
    };
    sell(&key, -1).await.assert_level(200, 4, 2);
    sell(&token, -2).await.assert_level(200, 2, 3);
    sell(&key, -1).await.assert_level(200, 4, 2);
    // Another token of the subject is the same one.
    let again = sell(&signer.token("till", "inventory:admin"), -2).await;
    again.assert_level(200, 2, 3);
    assert_eq!(again.header("idempotent-replayed"), "true");
    for (name, seqs) in [("till", [1, 2].as_slice()), ("jwt:till", &[3])] {
        let path = format!("/v1/movements?actor={}", name.replace(':', "%3A"));
        let found = ask(&app, Method::GET, &path, &token).await;
        let items = found.at("/items").as_array().expect("a list").clone();
        let versions: Vec<_> = items.iter().map(|item| item["version"].as_u64().expect("a number")).collect();
        assert_eq!(versions, seqs, "{name}: {items:?}");
        assert!(items.iter().all(|item| item["actor"] == name), "{items:?}");
    }
    // The key has asked 3 times, the token 4.
    for (shown, left) in [(&key, 7), (&token, 6)] {
        for _ in 0..left {
            ask(&app, Method::GET, "/v1/stock", shown).await.assert_status(200);
        }
        ask(&app, Method::GET, "/v1/stock", shown).await.assert_problem(429, "rate-limited");
    }
}
