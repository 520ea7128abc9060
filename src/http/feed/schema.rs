//! What an event looks like: a JSON Schema (2020-12) for each, of the same parts as the OpenAPI document.

use std::collections::BTreeMap;

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
    let mut parts = BTreeMap::new();
    gather(document, &schema, &mut parts);
    let object = schema.as_object_mut().expect("a movement is an object");
    object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("$id".to_owned(), json!(format!("/schemas/{name}.json")));
    object.insert("title".to_owned(), json!(name));
    object["properties"]["kind"] = json!({ "const": name });
    // Of a movement: which kinds there are, one event of one kind need not say.
    parts.retain(|part, _| !part.ends_with("Kind"));
    object.insert("$defs".to_owned(), parts.into_iter().collect());
    serde_json::to_string_pretty(&moved(schema)).expect("a schema is plain data")
}

/// The parts that a schema refers to, and those that they refer to.
fn gather(document: &Value, schema: &Value, parts: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(PARTS.0));
            if let Some(name) = name.filter(|name| !parts.contains_key(*name)) {
                let part = part(document, name);
                parts.insert(name.to_owned(), part.clone());
                gather(document, &part, parts);
            }
            fields.values().for_each(|field| gather(document, field, parts));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(document, item, parts)),
        _ => {}
    }
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
