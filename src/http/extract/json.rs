//! Reading a JSON body, and saying everything that is wrong with one that is not what was asked for.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::http::problem::{FieldError, Problem, ProblemKind};
use crate::json::{self, Faults, Shaped, Wrong};

/// What `take` makes of what the body says. Syntax errors are `invalid-request`; a body that is JSON but not what is asked for
/// is `validation-failed`, with a pointer to each field that is wrong. `plain` is for a text that needs to be made plain first.
pub(super) fn read<'a, T: Deserialize<'a> + Shaped, R>(
    body: &'a [u8],
    plain: &'a OnceLock<String>,
    take: impl FnOnce(T) -> Result<R, Problem>,
) -> Result<R, Problem> {
    // Checked in one go, which is faster than string by string.
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(ProblemKind::InvalidRequest, format!("the body is not UTF-8: {error}"))
    })?;
    read_part(text, plain, "", take)
}

/// The same of a part of the body, which is JSON; `place` is the pointer to it.
pub fn read_part<'a, T: Deserialize<'a> + Shaped, R>(
    text: &'a str,
    plain: &'a OnceLock<String>,
    place: &str,
    take: impl FnOnce(T) -> Result<R, Problem>,
) -> Result<R, Problem> {
    match json::read::<T>(text, plain) {
        Ok(value) => take(value).map_err(|problem| with_faults::<T>(problem, text, place)),
        Err(Wrong::Faults(faults)) => Err(told(faults, place, Vec::new())),
        Err(Wrong::NotJson(detail)) => Err(not_json(text, &detail)),
    }
}

/// Adds to what was found wrong with a value what is wrong with its text: who made the value stopped at the first.
fn with_faults<T: Shaped>(problem: Problem, text: &str, place: &str) -> Problem {
    if problem.kind() != ProblemKind::ValidationFailed {
        return problem;
    }
    let faults = json::faults::<T>(text);
    if faults.total == 0 { problem } else { told(faults, place, problem.into_errors()) }
}

/// Faults, and what else there is at other places.
fn told(faults: Faults, place: &str, others: Vec<FieldError>) -> Problem {
    let Faults { first, total } = faults;
    let field = |fault: json::Fault| {
        let pointer = Some(place.to_owned() + &fault.pointer);
        FieldError { pointer, parameter: None, line: None, detail: fault.detail }
    };
    let mut errors: Vec<FieldError> = first.into_iter().map(field).collect();
    let is_new = |other: &FieldError| errors.iter().all(|error| error.pointer != other.pointer);
    let others: Vec<FieldError> = others.into_iter().filter(is_new).collect();
    let count = total + others.len();
    errors.extend(others);
    Problem::fields_of(errors, count)
}

fn not_json(text: &str, detail: &str) -> Problem {
    let detail = if text.trim().is_empty() {
        "the body is empty".to_owned()
    } else if text.trim_start().starts_with("[object ") {
        "the body is the text \"[object Object]\": that is what JavaScript makes of an object; send JSON.stringify of it"
            .to_owned()
    } else {
        format!("the body is not JSON: {detail}")
    };
    Problem::new(ProblemKind::InvalidRequest, detail)
}
