//! Parsing a JSON body, and saying precisely what is wrong with one that does not parse.

use serde::Deserialize;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::http::problem::{Problem, ProblemKind};

/// What the body says. Syntax errors are `invalid-request`; a body that is JSON but not what is asked for is
/// `validation-failed`, with a pointer to the field.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    // Checked in one go, which is faster than string by string.
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(ProblemKind::InvalidRequest, format!("the body is not UTF-8: {error}"))
    })?;
    // Only a body that does not parse is parsed again with its path tracked.
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error, ""))
}

/// What a part of the body says, which is JSON; `place` is the pointer to it.
pub fn parse_part<'a, T: Deserialize<'a>>(text: &'a str, place: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error, place))
}

fn explain<'a, T: Deserialize<'a>>(body: &'a str, error: &serde_json::Error, place: &str) -> Problem {
    if error.classify() != Category::Data {
        let detail = if body.is_empty() { "the body is empty".to_owned() } else { error.to_string() };
        return Problem::new(ProblemKind::InvalidRequest, format!("the body is not JSON: {detail}"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(body);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Problem::new(ProblemKind::InvalidRequest, error.to_string()),
        Err(tracked) => {
            let message = without_position(&tracked.inner().to_string());
            Problem::field(place.to_owned() + &pointer(tracked.path(), &message), message)
        }
    }
}

/// The parser appends where in the text it stood; the pointer says it better.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// A JSON pointer (RFC 6901) to where the error is. A missing or unknown field is named by the message only, so
/// its name is taken from there.
fn pointer(path: &Path, message: &str) -> String {
    let mut segments: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect();
    let names_field = ["missing field `", "unknown field `", "duplicate field `"];
    let named = names_field.iter().find_map(|prefix| message.strip_prefix(prefix));
    if let Some(name) = named.and_then(|rest| rest.split('`').next())
        && segments.last().is_none_or(|last| last != name)
    {
        segments.push(name.to_owned());
    }
    let escaped = segments.iter().map(|segment| segment.replace('~', "~0").replace('/', "~1"));
    escaped.fold(String::new(), |pointer, segment| pointer + "/" + &segment)
}
