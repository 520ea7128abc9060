//! What an event looks like: a JSON Schema (2020-12) for each, of the same parts as the OpenAPI document.

use serde_json::{Value, json};

use crate::alerts::Side;
use crate::store::MovementKind;

/// Where the parts of a document are, and where they are in a schema of its own.
const PARTS: (&str, &str) = ("#/components/schemas/", "#/$defs/");

/// The schemas of all events, by name. `document` is the OpenAPI document, which has the parts.
pub fn all(document: &Value) -> Vec<(&'static str, String)> {
    let movements = MovementKind::ALL.map(|kind| (kind.name(), "MovementAnswer"));
    let alerts = Side::ALL.map(|side| (side.event(), "AlertEventAnswer"));
    movements.into_iter().chain(alerts).map(|(name, of)| (name, schema(document, name, of))).collect()
}

fn schema(document: &Value, name: &str, of: &str) -> String {
    let mut schema = part(document, of);
    let parts = [("UnitsAnswer", part(document, "UnitsAnswer"))];
    let object = schema.as_object_mut().expect("a movement is an object");
    object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("$id".to_owned(), json!(format!("/schemas/{name}.json")));
    object.insert("title".to_owned(), json!(name));
    object.insert("$defs".to_owned(), parts.into_iter().collect());
    schema["properties"]["kind"] = json!({ "const": name });
    serde_json::to_string_pretty(&moved(schema)).expect("a schema is plain data")
}

fn part(document: &Value, name: &str) -> Value {
    document["components"]["schemas"][name].clone()
}

/// The same, with its parts beside it.
fn moved(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(PARTS.0, PARTS.1)),
        Value::Array(values) => values.into_iter().map(moved).collect(),
        Value::Object(values) => values.into_iter().map(|(name, value)| (name, moved(value))).collect(),
        value => value,
    }
}
