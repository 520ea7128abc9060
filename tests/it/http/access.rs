//! Who may do what (`--auth-file`): every scope at every route, from the one table; keys that are missing, wrong, revoked or one of two; whose
//! an idempotency key is. P8 as seen by clients that have keys.

use std::path::PathBuf;

use axum::http::Method;
use inventory::access::{Key, Principal, Scope, file};
use inventory::http::scopes::{Needed, TABLE, needed};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;

use crate::support::app::answer::Answer;
use crate::support::app::{Call, TestApp};

/// A file of keys that a test writes.
pub(super) struct AuthFile {
    folder: TempDir,
    keys: Vec<(&'static str, Scope, Key)>,
}

impl AuthFile {
    pub(super) fn of(names: &[(&'static str, Scope)]) -> Self {
        let mut file = Self { folder: TempDir::new().expect("a temporary folder"), keys: Vec::new() };
        for (name, scope) in names {
            file.add(name, *scope);
        }
        file
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Makes a key, which is in force when the file is read next.
    fn add(&mut self, name: &'static str, scope: Scope) -> String {
        let key = Key::random().expect("randomness");
        let text = key.reveal().to_owned();
        self.keys.push((name, scope, key));
        self.write();
        text
    }

    /// Takes the oldest key of that name out.
    fn revoke(&mut self, name: &str) -> String {
        let at = self.keys.iter().position(|(named, ..)| *named == name).expect("a key");
        let (_, _, key) = self.keys.remove(at);
        self.write();
        key.reveal().to_owned()
    }

    pub(super) fn key(&self, name: &str) -> String {
        let key = self.keys.iter().find(|(named, ..)| *named == name);
        key.expect("a key").2.reveal().to_owned()
    }

    fn write(&self) {
        let line = |(name, scope, key): &(&str, Scope, Key)| {
            file::line_of(&Principal::new((*name).into(), *scope), &key.digest()) + "\n"
        };
        let lines: String = self.keys.iter().map(line).collect();
        std::fs::write(self.path(), lines).expect("a file");
    }

    async fn serve(&self) -> TestApp {
        TestApp::with(StrategyKind::Mutex).with_auth_file(self.path()).start().await
    }
}

pub(super) trait Shows {
    fn shows(self, key: &str) -> Self;
}

impl Shows for Call {
    fn shows(self, key: &str) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }
}

/// A path of that route at which nothing goes on for long: one that is not well formed, where there is one.
fn path_of(route: &str) -> String {
    let path = route.replace("{sku}", "A").replace("{id}", "x").replace("{name}", "forbidden");
    let path = path.replace("{event}", "adjusted.json").replace("{file}", "start.js");
    if path == "/v1/events" { path + "?nothing=1" } else { path }
}

fn assert_unauthenticated(answer: &Answer, challenge: &str, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    answer.assert_problem(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
}

/// Each method of each route in the table, and one that it does not have, with each scope, without a key, with one that was never given out,
/// and with one that was taken back.
#[tokio::test]
async fn every_scope_at_every_route() {
    let mut file = AuthFile::of(&[
        ("reader", Scope::Read),
        ("writer", Scope::Write),
        ("admin", Scope::Admin),
        ("gone", Scope::Admin),
    ]);
    let app = file.serve().await;
    let revoked = file.revoke("gone");
    app.reload_keys();
    let stranger = Key::random().expect("randomness").reveal().to_owned();
    let scopes = [("reader", Scope::Read), ("writer", Scope::Write), ("admin", Scope::Admin)];
    let mut asked = 0;
    for (route, methods) in TABLE {
        let rows = methods.iter().map(|(method, needed)| (*method, *needed));
        for (method, needed) in rows.chain([("PATCH", needed(Some(route), "PATCH"))]) {
            let (path, what) = (path_of(route), format!("{method} {route}"));
            let ask = || app.call(Method::from_bytes(method.as_bytes()).expect("a method"), &path);
            let Needed::Key(scope) = needed else {
                for answer in [ask().send().await, ask().shows(&stranger).send().await] {
                    assert!(![401, 403].contains(&answer.status), "{what} needs nothing");
                }
                continue;
            };
            assert_unauthenticated(&ask().send().await, "Bearer", &what);
            for wrong in [&stranger, &revoked] {
                let answer = ask().shows(wrong).send().await;
                assert_unauthenticated(&answer, "Bearer error=\"invalid_token\"", &what);
            }
            for (name, has) in scopes {
                let answer = ask().shows(&file.key(name)).send().await;
                asked += 1;
                if has >= scope {
                    assert!(![401, 403].contains(&answer.status), "{what} as {name}: {}", answer.text());
                    continue;
                }
                assert_eq!(answer.status, 403, "{what} as {name}: {}", answer.text());
                answer.assert_problem(403, "forbidden");
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                assert_eq!(answer.header("www-authenticate"), challenge);
                let detail = answer.at("/detail").to_string();
                assert!(detail.contains(&format!("scope {scope}")) && detail.contains(name), "{detail}");
            }
        }
    }
    assert!(asked > 200, "{asked}");
    assert_unauthenticated(&app.get("/nothing").await, "Bearer", "a path that is none");
    let reader = app.call(Method::GET, "/nothing").shows(&file.key("reader"));
    reader.send().await.assert_problem(404, "not-found");
}

/// Whatever is refused changes nothing, and whatever is let in does what it does without keys.
#[tokio::test]
async fn who_may_not_changes_nothing() {
    let file = AuthFile::of(&[("reader", Scope::Read), ("writer", Scope::Write)]);
    let app = file.serve().await;
    let put = || app.call(Method::PUT, "/v1/stock/A").json(&json!({ "on_hand": 5 }));
    put().send().await.assert_problem(401, "unauthenticated");
    put().shows(&file.key("reader")).send().await.assert_problem(403, "forbidden");
    let read = || app.call(Method::GET, "/v1/stock/A").shows(&file.key("reader"));
    read().send().await.assert_problem(404, "stock-not-found");
    put().shows(&file.key("writer")).send().await.assert_level(201, 5, 1);
    read().send().await.assert_level(200, 5, 1);
}

/// A key is shown in one way; how it is shown otherwise is told, and so is that nothing else is looked at.
#[tokio::test]
async fn a_key_is_a_bearer_token() {
    let file = AuthFile::of(&[("reader", Scope::Read)]);
    let app = file.serve().await;
    let key = file.key("reader");
    let ask = |value: String| app.call(Method::GET, "/v1/stock").header("authorization", value);
    ask(format!("bearer {key}")).send().await.assert_status(200);
    for wrong in [key.clone(), format!("Basic {key}"), format!("Bearer{key}"), "Bearer".to_owned()] {
        let answer = ask(wrong.clone()).send().await;
        assert_unauthenticated(&answer, "Bearer error=\"invalid_request\"", &wrong);
    }
    for wrong in ["", "password", &key[4..], &format!("{key}="), &key.replace("inv_", "INV_")] {
        let answer = ask(format!("Bearer {wrong}")).send().await;
        assert_eq!(answer.assert_problem(401, "unauthenticated").status, 401, "{wrong}");
    }
    let in_url = app.get(&format!("/v1/stock?access_token={key}")).await;
    assert_unauthenticated(&in_url, "Bearer", "in the URL");
}

/// P8: an idempotency key is its principal's. Another who uses the same one asks for something else; and whoever shows the second key of a
/// name is the same as who showed the first.
#[tokio::test]
async fn idempotency_keys_are_of_who_asks() {
    let mut file = AuthFile::of(&[("till", Scope::Write), ("shop", Scope::Write)]);
    let app = file.serve().await;
    let (old, shop) = (file.key("till"), file.key("shop"));
    app.call(Method::PUT, "/v1/stock/A")
        .json(&json!({ "on_hand": 9 }))
        .shows(&old)
        .send()
        .await
        .assert_status(201);
    let sell = async |key: &str, delta: i64| {
        let call = app.call(Method::POST, "/v1/stock/A/adjust").json(&json!({ "delta": delta }));
        call.header("idempotency-key", "order-1").shows(key).send().await
    };
    sell(&old, -1).await.assert_level(200, 8, 2);
    sell(&shop, -2).await.assert_level(200, 6, 3);
    sell(&shop, -1).await.assert_problem(422, "idempotency-key-reused");
    let new = file.add("till", Scope::Write);
    app.reload_keys();
    let again = sell(&new, -1).await;
    again.assert_level(200, 8, 2);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(file.revoke("till"), old);
    app.reload_keys();
    assert_unauthenticated(&sell(&old, -1).await, "Bearer error=\"invalid_token\"", "revoked");
    assert_eq!(sell(&new, -1).await.header("idempotent-replayed"), "true");
    let read = app.call(Method::GET, "/v1/stock/A").shows(&shop).send().await;
    read.assert_level(200, 6, 3);
}

/// P8: what was asked without keys is kept as it always was, and is nobody's who has one.
#[tokio::test]
async fn idempotency_keys_of_nobody_are_what_they_were() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 9)]).await;
    let sell = |app: &TestApp| {
        let call = app.call(Method::POST, "/v1/stock/A/adjust").json(&json!({ "delta": -1 }));
        call.header("idempotency-key", "order-1")
    };
    sell(&app).send().await.assert_level(200, 8, 2);
    let data = app.end().await;
    let file = AuthFile::of(&[("till", Scope::Write)]);
    let app = TestApp::over(StrategyKind::Mutex, data).with_auth_file(file.path()).start().await;
    sell(&app).shows(&file.key("till")).send().await.assert_level(200, 7, 3);
    let app = TestApp::over(StrategyKind::Mutex, app.end().await).start().await;
    let again = sell(&app).send().await;
    again.assert_level(200, 8, 2);
    assert_eq!(again.header("idempotent-replayed"), "true");
}
