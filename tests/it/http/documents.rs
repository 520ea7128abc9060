//! The OpenAPI document, the page that shows it, and the pages that explain problems.

use std::collections::BTreeSet;
use std::io::Read as _;

use axum::http::Method;
use flate2::read::GzDecoder;
use inventory::http::problem::ProblemKind as Problem;
use inventory::strategy::StrategyKind;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::app::TestApp;
use crate::support::app::contract::DOCUMENT;

/// The same, or what it refers to.
pub(super) fn resolved(value: &'static Value) -> &'static Value {
    let target = value["$ref"].as_str().and_then(|to| DOCUMENT.pointer(to.trim_start_matches('#')));
    target.unwrap_or(value)
}

/// Every `$ref` below a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The committed document is the one that the handlers generate and the service serves.
#[tokio::test]
async fn the_committed_document_is_the_generated_one() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let yaml = app.get("/openapi.yaml").await;
    assert_eq!(yaml.assert_status(200).media_type(), "application/yaml");
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).unwrap();
    assert!(committed == yaml.text(), "openapi.yaml is out of date: cargo run -- openapi > openapi.yaml");
    let json = app.get("/openapi.json").await;
    assert_eq!(json.assert_status(200).media_type(), "application/json");
    assert_eq!(json.json(), *DOCUMENT);
}

/// Every reference in the document leads somewhere, every schema is used, and every operation has a name of its own.
#[test]
fn the_document_hangs_together() {
    let mut found = Vec::new();
    references(&DOCUMENT, &mut found);
    assert!(found.len() > 20, "references are found");
    for reference in &found {
        let target = reference.strip_prefix('#').and_then(|pointer| DOCUMENT.pointer(pointer));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    for name in DOCUMENT["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}").as_str()), "{name} is used");
    }
    let operations =
        DOCUMENT["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut names: Vec<&str> =
        operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// What a generated program makes of it: no header or parameter may be null, which none of them can say, and what is an object is none of text.
#[test]
fn the_document_says_what_programs_can_send() {
    let mut seen = 0;
    for (path, operations) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(parameter);
                let kind = resolved(&parameter["schema"])["type"].as_str();
                let is_plain = matches!(kind, Some("string" | "integer" | "boolean"));
                assert!(is_plain, "{method} {path}: {} is {kind:?}", parameter["name"]);
                seen += 1;
            }
            let is_read = method == "get";
            let refused = operation["responses"]["403"]["description"].as_str().unwrap_or_default();
            assert_eq!(refused.contains("`cross-origin-request`"), !is_read, "{method} {path}");
        }
    }
    assert!(seen > 40, "{seen}");
    for (path, media) in [
        ("/openapi.json", "application/json"),
        ("/openapi.yaml", "application/yaml"),
        ("/schemas/{event}", "application/schema+json"),
    ] {
        let content = &DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"][media];
        assert_eq!(content["schema"]["type"], "object", "{path}");
    }
}

/// Every problem that the document names exists, under the status it is named for.
#[test]
fn the_problems_of_the_document_exist() {
    let paths = DOCUMENT["paths"].as_object().unwrap().values();
    let mut named = 0;
    for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_problem = response["content"]["application/problem+json"].is_object();
            let description = response["description"].as_str().unwrap();
            for name in description.split('`').skip(1).step_by(2).filter(|_| is_problem) {
                let kind = Problem::named(name).unwrap_or_else(|| panic!("{name} is a problem"));
                assert!(kind.has_status(status.parse().expect("a status")), "{name}: {status}");
                named += 1;
            }
            assert!(
                !is_problem || description.contains('`'),
                "{status} of {} names its problem",
                operation["operationId"]
            );
        }
    }
    assert!(named > 20);
}

/// Every operation stands under a heading, and every heading has some.
#[test]
fn every_tag_is_in_the_list() {
    let paths = DOCUMENT["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let used: BTreeSet<&str> = operations
        .flat_map(|operation| operation["tags"].as_array().expect("tags"))
        .map(|tag| tag.as_str().unwrap())
        .collect();
    let listed = DOCUMENT["tags"].as_array().unwrap().iter();
    assert_eq!(used, listed.map(|tag| tag["name"].as_str().unwrap()).collect());
}

/// The values of that attribute in a page.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!("{name}=\"");
    page.split(&start).skip(1).map(|rest| rest.split('"').next().expect("a value")).collect()
}

/// The page shows the document without fetching anything from elsewhere, and its policy would forbid it.
#[tokio::test]
async fn the_page_needs_nothing_from_outside() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let page = app.get("/docs").await;
    assert_eq!(page.assert_status(200).header("content-type"), "text/html; charset=utf-8");
    for outside in ["http:", "https:", "src=\"//", "href=\"//", " url(", ":url(", "@import"] {
        assert!(!page.text().contains(outside), "{outside}");
    }
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    let text = page.text();
    let scripts = attributes(text, "src");
    assert_eq!(scripts.len(), 2);
    for script in scripts {
        let script = app.get(script).await;
        assert!(script.assert_status(200).header("content-type").starts_with("text/javascript"));
    }
    let started = app.get("/docs/start.js").await;
    assert!(started.text().contains("url: \"/openapi.json\""), "it shows the document");
    assert!(started.text().contains("validatorUrl: null"), "nobody else is asked about it");
    app.get("/docs/page.html").await.assert_problem(404, "not-found");
    app.get("/docs/%ff").await.assert_problem(404, "not-found");
}

/// The viewer's files are the published ones, compressed.
#[tokio::test]
async fn the_viewer_is_as_published() {
    let readme = include_str!("../../../src/http/routes/docs/README.md");
    let app = TestApp::start(StrategyKind::Mutex).await;
    for name in ["swagger-ui-5.35.0.js", "swagger-ui-5.35.0.css"] {
        let file = app.get(&format!("/docs/{name}")).await;
        assert_eq!(file.assert_status(200).header("content-encoding"), "gzip");
        assert!(file.header("cache-control").contains("immutable"), "its version is in its name");
        let mut whole = Vec::new();
        GzDecoder::new(file.body.as_slice()).read_to_end(&mut whole).expect("gzip");
        let sum = format!("{:x}", Sha256::digest(&whole));
        assert!(readme.contains(&sum), "{name}: {sum}");
    }
}

/// Whoever comes without a path is led to where all of them are.
#[tokio::test]
async fn the_root_leads_to_the_page() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let home = app.get("/").await;
    let page = home.assert_status(302).header("location");
    app.get(page).await.assert_status(200);
    assert_eq!(page, "/docs");
}

/// What a line of an import may leave out the document does not demand.
#[tokio::test]
async fn the_document_demands_what_an_import_demands() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    let content = &DOCUMENT["paths"]["/v1/import"]["post"]["requestBody"]["content"];
    let line = content["application/x-ndjson"]["schema"]["contentSchema"]["items"]["$ref"]
        .as_str()
        .unwrap()
        .trim_start_matches('#');
    let required = DOCUMENT.pointer(line).unwrap()["required"].as_array().unwrap();
    let least: serde_json::Map<String, Value> = required
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .map(|name| if name == "sku" { (name, "A".into()) } else { (name, 1.into()) })
        .collect();
    let without = |left_out: &str| {
        let fields = least.iter().filter(|(name, _)| *name != left_out);
        Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
    };
    let import = async |line: String| {
        let call = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
        call.body(line).send().await.status
    };
    assert_eq!(import(without("")).await, 200);
    for name in least.keys() {
        assert_eq!(import(without(name)).await, 422, "{name} is needed");
    }
}

/// Each problem has a page under its type, with its title and what to do; any other name is a problem itself.
#[tokio::test]
async fn every_problem_is_explained() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    for kind in Problem::ALL {
        let expected = kind.page();
        let page = app.get(&format!("/problems/{}", expected.name)).await;
        assert_eq!(page.assert_status(200).header("content-type"), "text/html; charset=utf-8");
        for told in [expected.name, expected.title, expected.explanation, expected.status.as_str()] {
            assert!(page.text().contains(told), "{}: {told}", expected.name);
        }
    }
    for unknown in ["nothing", "Contention", "%3Cscript%3E", "%ff"] {
        app.get(&format!("/problems/{unknown}")).await.assert_problem(404, "problem-not-found");
    }
}
