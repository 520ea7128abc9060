//! Holds every answer against the OpenAPI document, and against what is promised of every answer.
//!
//! What is documented is checked against what the routes answer, not against what anybody thinks they answer: status,
//! type, entity tags, and the shape of each JSON body.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use axum::http::Method;
use inventory::http::openapi::Documents;
use inventory::http::problem::ProblemKind;
use regex::Regex;
use serde_json::{Map, Value};

use super::answer::Answer;

/// The document of the routes.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&Documents::new().json).expect("the document is JSON"));

/// Headers that a route must document when it answers with them.
const DOCUMENTED_HEADERS: [&str; 5] = ["ETag", "Location", "Link", "Preference-Applied", "WWW-Authenticate"];

/// Fails the test if `answer` is not what the document says of `method` and `path`.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let what = format!("{method} {path} -> {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    assert!(!answer.header("x-request-id").is_empty(), "no X-Request-Id: {what}");
    check_caching(path, answer, &what);
    if answer.status >= 400 && *method != Method::HEAD {
        check_problem(answer, &what);
    }
    let path = path.split('?').next().unwrap_or_default();
    // The document cannot say so: the one is documented as the other.
    let is_query = method.as_str() == "QUERY" && path == "/v1/stock";
    let (method, path) = if is_query { (&Method::POST, "/v1/stock/query") } else { (method, path) };
    let mut operations = operations(path).peekable();
    // Who has no key for it, asks too often, or finds no place is not told what there is.
    let turned_away: &[u16] = if path.starts_with("/v1/") { &[401, 403, 429, 503] } else { &[401, 403] };
    let is_turned_away = turned_away.contains(&answer.status);
    if operations.peek().is_none() {
        assert!(answer.status == 404 || is_turned_away, "a path that no route has: {what}");
        return;
    }
    // Nor that every path can be asked what it has.
    if *method == Method::OPTIONS {
        assert!(answer.status == 204 && answer.header("allow").contains("OPTIONS"), "{what}");
        return;
    }
    match operations.find_map(|operations| operation(operations, method)) {
        None if is_turned_away => {}
        None => assert_eq!(answer.status, 405, "a method that the path does not have: {what}"),
        Some(operation) => check_documented(operation, method, answer, &what),
    }
}

/// Nobody may keep an answer (P5), but for what is the same until another version of the service runs: the documentation.
fn check_caching(path: &str, answer: &Answer, what: &str) {
    let path = path.split('?').next().unwrap_or_default();
    let documentation = ["/openapi.", "/docs", "/problems/", "/schemas/"];
    let is_documentation = answer.status == 200 && documentation.iter().any(|start| path.starts_with(start));
    let told = answer.header("cache-control");
    let is_right = if is_documentation { told.starts_with("public, max-age=") } else { told == "no-store" };
    assert!(is_right, "Cache-Control is {told:?}: {what}");
}

/// What is true of each problem (RFC 9457, and DESIGN section 6).
fn check_problem(answer: &Answer, what: &str) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let body = answer.json();
    let name = body["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/"));
    let kind =
        name.and_then(ProblemKind::named).unwrap_or_else(|| panic!("no page explains its type: {what}"));
    let page = kind.page();
    let status = answer.status.try_into().expect("a status");
    assert!(kind.has_status(status) && body["status"] == answer.status, "{what}");
    assert_eq!(body["title"], page.title, "{what}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}");
    let is_in_doubt = answer.status >= 500 || answer.status == 408;
    assert_eq!(body.get("applied").is_some(), is_in_doubt, "applied, of 5xx and 408 only: {what}");
    let is_to_come_back = [429, 503].contains(&answer.status);
    assert_eq!(!answer.header("retry-after").is_empty(), is_to_come_back, "Retry-After: {what}");
    let named = match kind {
        ProblemKind::ValidationFailed => 1..=100,
        // Lines of an import.
        ProblemKind::VersionMismatch | ProblemKind::BelowReserved => 0..=100,
        _ => 0..=0,
    };
    let errors = body["errors"].as_array().map_or(0, Vec::len);
    assert!(named.contains(&errors), "{errors} fields are named: {what}");
}

fn check_documented(operation: &Value, method: &Method, answer: &Answer, what: &str) {
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "a status that is not documented: {what}");
    for name in DOCUMENTED_HEADERS {
        let sent = answer.headers.contains_key(name);
        assert!(!sent || response["headers"][name].is_object(), "{name} is not documented: {what}");
    }
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "a body that is not documented: {what}");
        return;
    };
    let media = content.get(answer.media_type());
    let media =
        media.unwrap_or_else(|| panic!("a type that is not documented: {}: {what}", answer.media_type()));
    // The document itself is JSON that is documented as a text.
    let media_type = answer.media_type();
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    let is_shaped = is_json
        && !["openapiJson", "openapiYaml", "eventSchema"]
            .contains(&operation["operationId"].as_str().unwrap_or_default());
    if is_shaped && *method != Method::HEAD {
        let shape = conforms(&media["schema"], &answer.json());
        assert!(shape.is_ok(), "not as documented: {shape:?}: {what}");
    }
}

/// The operations of each template that a path fits: what is a path of its own may be the name of something as well.
fn operations(path: &str) -> impl Iterator<Item = &'static Map<String, Value>> {
    let fits = move |template: &str| {
        let (wanted, given) = (template.split('/'), path.split('/'));
        wanted.clone().count() == given.clone().count()
            && wanted
                .zip(given)
                .all(|(wanted, given)| wanted == given || (wanted.starts_with('{') && !given.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths
        .iter()
        .filter(move |(template, _)| fits(template))
        .filter_map(|(_, operations)| operations.as_object())
}

/// A path that can be got can be asked for its head as well.
fn operation<'a>(operations: &'a Map<String, Value>, method: &Method) -> Option<&'a Value> {
    let name = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    operations.get(&name)
}

pub(crate) fn conforms(schema: &Value, value: &Value) -> Result<(), String> {
    conforms_in(&DOCUMENT, schema, value)
}

/// As much of JSON Schema as the document uses, and stricter in one point: an answer has no field that is not documented. References
/// are into `document`.
pub(crate) fn conforms_in(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return conforms_in(document, target.ok_or_else(|| format!("{reference} leads nowhere"))?, value);
    }
    if let Some(only) = schema.get("const") {
        return (only == value).then_some(()).ok_or_else(|| format!("{value} is not {only}"));
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let fitting =
                choices.iter().filter(|schema| conforms_in(document, schema, value).is_ok()).count();
            let wanted = if choice == "oneOf" { fitting == 1 } else { fitting >= 1 };
            return wanted.then_some(()).ok_or_else(|| format!("{fitting} of {choice} fit {value}"));
        }
    }
    check_type(schema, value)?;
    if let Some(allowed) = schema["enum"].as_array() {
        allowed.contains(value).then_some(()).ok_or_else(|| format!("{value} is none of {allowed:?}"))?;
    }
    match value {
        Value::Object(fields) => check_fields(document, schema, fields),
        Value::String(text) => check_text(schema, text),
        Value::Array(items) => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            if (items.len() as u64) < least {
                return Err(format!("{} items are less than {least}", items.len()));
            }
            let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
            if items.len() as u64 > most {
                return Err(format!("{} items are more than {most}", items.len()));
            }
            items.iter().try_for_each(|item| conforms_in(document, &schema["items"], item))
        }
        _ => Ok(()),
    }
}

fn check_type(schema: &Value, value: &Value) -> Result<(), String> {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_allowed = match &schema["type"] {
        Value::String(allowed) => allowed == actual,
        Value::Array(allowed) => allowed.iter().any(|allowed| allowed == actual),
        _ => false,
    };
    let below =
        schema["minimum"].as_i64().zip(value.as_i64()).is_some_and(|(minimum, value)| value < minimum);
    let above =
        schema["maximum"].as_i64().zip(value.as_i64()).is_some_and(|(maximum, value)| value > maximum);
    (is_allowed && !below && !above).then_some(()).ok_or_else(|| format!("{value} is not {}", schema["type"]))
}

fn check_text(schema: &Value, text: &str) -> Result<(), String> {
    static READ: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let chars = text.chars().count() as u64;
    let fits = chars >= schema["minLength"].as_u64().unwrap_or(0)
        && chars <= schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let matches = schema["pattern"].as_str().is_none_or(|pattern| {
        let mut read = READ.lock().expect("no test panics with it");
        let regex = read.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).expect(pattern));
        regex.is_match(text)
    });
    (fits && matches).then_some(()).ok_or_else(|| format!("{text:?} is not like {schema}"))
}

fn check_fields(document: &Value, schema: &Value, fields: &Map<String, Value>) -> Result<(), String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        fields.contains_key(name).then_some(()).ok_or_else(|| format!("{name} is missing"))?;
    }
    for (name, value) in fields {
        let documented = schema["properties"].get(name);
        let documented = documented.ok_or_else(|| format!("{name} is not documented"))?;
        conforms_in(document, documented, value).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}
