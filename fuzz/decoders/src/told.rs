//! What every error has to hold, whatever it is about: it is JSON of a bounded size, and does not send its megabytes back to who sent them.

use inventory::http::problem::{ERRORS_MAX, Problem};
use serde_json::Value;

/// The longest text in an error, in characters: one that repeats something of the request, which is clipped to 256, and what is said about it.
const TEXT_CHARS_MAX: usize = 700;

/// The longest error, in bytes: a hundred places, each with what is wrong there, in characters of up to four bytes or escapes of six.
const PROBLEM_BYTES_MAX: usize = 512 * 1024;

/// Checks a problem as it is sent.
pub(crate) fn problem(problem: &Problem) {
    let status = problem.status().as_u16();
    assert!((400..500).contains(&status), "what is wrong with a request is of the client: {status}");
    json(&problem.to_json());
}

/// The same of its bytes.
pub(crate) fn json(bytes: &[u8]) {
    assert!(bytes.len() <= PROBLEM_BYTES_MAX, "a problem of {} bytes", bytes.len());
    let told: Value = serde_json::from_slice(bytes).expect("a problem is JSON");
    let errors = told["errors"].as_array().map_or(0, Vec::len);
    assert!(errors <= ERRORS_MAX, "{errors} errors");
    texts(&told);
}

fn texts(value: &Value) {
    match value {
        Value::String(told) => text(told),
        Value::Array(values) => values.iter().for_each(texts),
        Value::Object(values) => values.values().for_each(texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Checks a text of an error.
pub(crate) fn text(told: &str) {
    assert!(told.chars().count() <= TEXT_CHARS_MAX, "an error of {} bytes: {told}", told.len());
}
