//! Who it is that tells: the attributes of this process, in all messages the same.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::telemetry::spans::sampling::random_id;

/// The semantic conventions by which things are named.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// What was given, and what is known beside it. What was given counts.
pub(super) fn resource(given: &[(String, String)]) -> Resource {
    let mut attributes: Vec<KeyValue> = given.iter().map(|(name, value)| pair(name, text(value))).collect();
    let known = [
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        // Of this start: what it counts begins at 0.
        ("service.instance.id", text(&format!("{:016x}{:016x}", random_id(), random_id()))),
        ("process.pid", Value::IntValue(std::process::id().into())),
    ];
    for (name, value) in known {
        if !attributes.iter().any(|given| given.key == name) {
            attributes.push(pair(name, value));
        }
    }
    Resource { attributes, ..Resource::default() }
}

/// What it was counted by.
pub(super) fn scope() -> InstrumentationScope {
    let (name, version) = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    InstrumentationScope { name, version, ..InstrumentationScope::default() }
}

pub(super) fn pair(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

pub(super) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}
