//! Export and import over HTTP: all or nothing (P4), once (P8), bounded (P10), and durable (P7).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;

const NDJSON: &str = "application/x-ndjson";

async fn import(app: &TestApp, lines: &str) -> Answer {
    app.call(Method::POST, "/v1/import").header("content-type", NDJSON).body(lines).send().await
}

async fn exported(app: &TestApp) -> String {
    let answer = app.get("/v1/export").await;
    answer.assert_status(200);
    assert_eq!(answer.media_type(), NDJSON);
    answer.text().to_owned()
}

/// What one service exports another imports; the levels are the same but for their versions.
#[tokio::test]
async fn an_import_takes_what_an_export_gives() {
    let first = TestApp::stocked(StrategyKind::Atomic, &[("B", 2), ("A-1", 3), ("A", 1)]).await;
    first.create("A?location=shop", 9).await;
    first.post("/v1/stock/B/adjust", &json!({ "delta": 5 })).await.assert_status(200);
    first.remove("/v1/stock/A-1").await.assert_status(204);
    let text = exported(&first).await;
    let levels: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |sku: &str, location: &str, on_hand: u64, version: u64| json!({ "sku": sku, "location": location, "on_hand": on_hand, "reserved": 0, "version": version });
    assert_eq!(levels, [line("A", "main", 1, 1), line("A", "shop", 9, 1), line("B", "main", 7, 2)]);
    for ephemeral in [false, true] {
        let builder = TestApp::with(StrategyKind::Mutex);
        let second = if ephemeral { builder.ephemeral() } else { builder }.start().await;
        second.create("B", 100).await;
        // Whose versions they are is the first one's business.
        let refused = import(&second, &text).await;
        refused.assert_problem(412, "version-mismatch");
        assert_eq!(refused.count("/errors"), 3);
        let bare = [1, 2].iter().fold(text.clone(), |text, n| text.replace(&format!(",\"version\":{n}"), ""));
        let answer = import(&second, &bare).await;
        assert_eq!(answer.assert_status(200).json(), json!({ "levels": 3, "created": 2, "counted": 1 }));
        assert_eq!(exported(&second).await, text, "the versions are the same by chance");
    }
}

/// More levels than one page of an export, or one chunk of an import, has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_and_exports_have_many_pages_and_chunks() {
    let app = TestApp::start(StrategyKind::Sharded).await;
    // Descending, so that sorting has something to do.
    let lines: Vec<String> =
        (0..25_000).rev().map(|n| format!(r#"{{"sku":"s{n:05}","on_hand":{n}}}"#)).collect();
    let answer = import(&app, &lines.join("\n")).await;
    assert_eq!(
        answer.assert_status(200).json(),
        json!({ "levels": 25_000, "created": 25_000, "counted": 0 })
    );
    let text = exported(&app).await;
    let ascending = text.lines().enumerate().all(|(n, line)| {
        line == format!(r#"{{"sku":"s{n:05}","location":"main","on_hand":{n},"reserved":0,"version":1}}"#)
    });
    assert!(ascending && text.lines().count() == 25_000);
    // The ledger has it, and nothing of the staging is left.
    let newest = app.get("/v1/movements?sku=s24999").await;
    assert_eq!(newest.at("/items/0/kind"), "imported");
    let names = std::fs::read_dir(app.data().path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("import")));
}

/// Whatever is wrong with a line is told with its number, and nothing is applied.
#[tokio::test]
async fn a_wrong_line_stops_the_whole_import() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let wrong = [
        (r#"{"sku":"A","on_hand":1,"colour":"red"}"#, "/colour"),
        (r#"{"sku":"A ","on_hand":1}"#, "/sku"),
        (r#"{"sku":"Z","location":"","on_hand":1}"#, "/location"),
        (r#"{"sku":"Z","on_hand":-1}"#, "/on_hand"),
        (r#"{"sku":"Z","on_hand":1e3}"#, "/on_hand"),
        (r#"{"sku":"Z","on_hand":1,"reserved":2}"#, "/reserved"),
        (r#"{"sku":"B","on_hand":9}"#, "/sku"),
    ];
    for (line, pointer) in wrong {
        let answer = import(&app, &format!("{{\"sku\":\"B\",\"on_hand\":5}}\n{line}\n")).await;
        answer.assert_problem(422, "validation-failed");
        assert_eq!(answer.at("/errors/0/line"), 2, "{}", answer.text());
        let told = answer.at("/errors/0/pointer");
        assert_eq!(told, pointer, "{}", answer.text());
        assert!(answer.at("/detail").as_str().unwrap().starts_with("line 2"), "{}", answer.text());
    }
    let many = import(&app, "{\"sku\":7,\"on_hand\":\"x\"}\n{\"on_hand\":1.5,\"colour\":1}\n").await;
    let told =
        [0, 1].map(|n| ["line", "pointer", "detail"].map(|part| many.at(&format!("/errors/{n}/{part}"))));
    assert_eq!(
        told.each_ref().map(|told| (&told[0], &told[1])),
        [(&json!(1), &json!("/sku")), (&json!(2), &json!("/sku"))]
    );
    let has = |at: usize, field: &str| told[at][2].as_str().unwrap().contains(&format!("; {field}: "));
    assert!(has(0, "on_hand") && has(1, "on_hand") && has(1, "colour"), "{}", many.text());
    assert!(!many.text().contains("u64") && !many.text().contains("struct"), "{}", many.text());
    for (lines, line) in [("x\n", 1), ("{\"sku\":\"B\",\"on_hand\":5}\n\nx\n", 3), (&*"y".repeat(5000), 1)] {
        let answer = import(&app, lines).await;
        answer.assert_problem(422, "validation-failed");
        assert_eq!(answer.at("/errors/0/line"), line);
    }
    import(&app, "").await.assert_problem(422, "validation-failed");
    let json = app.post("/v1/import", &json!({ "sku": "B", "on_hand": 5 })).await;
    json.assert_problem(415, "unsupported-media-type");
    assert_eq!(exported(&app).await.lines().count(), 1);
    assert_eq!(app.level("A").await, (1, 1));
}

/// A retry under the same key is answered as the first time, and takes effect once; another body under it is refused. So it is
/// after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_under_a_key_happens_once() {
    let mut app = TestApp::start(StrategyKind::Atomic).await;
    let under_key = async |app: &TestApp, lines: &str| {
        let call = app.call(Method::POST, "/v1/import").header("content-type", NDJSON);
        call.header("idempotency-key", "k1").body(lines).send().await
    };
    let lines = "{\"sku\":\"A\",\"on_hand\":5}\n";
    under_key(&app, "{\"sku\":\"A\"}\n").await.assert_problem(422, "validation-failed");
    let first = under_key(&app, lines).await;
    assert_eq!(first.assert_status(200).json(), json!({ "levels": 1, "created": 1, "counted": 0 }));
    app.post("/v1/stock/A/adjust", &json!({ "delta": -2 })).await.assert_status(200);
    for restarted in [false, true] {
        if restarted {
            app = TestApp::over(StrategyKind::Atomic, app.end().await).start().await;
        }
        let again = under_key(&app, lines).await;
        assert_eq!(
            (again.header("idempotent-replayed"), again.assert_status(200).json()),
            ("true", first.json())
        );
        under_key(&app, "{\"sku\":\"A\",\"on_hand\":6}\n")
            .await
            .assert_problem(422, "idempotency-key-reused");
        assert_eq!(app.level("A").await, (3, 2));
    }
}
