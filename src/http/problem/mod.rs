//! [`Problem`]: the one form of every error answer, RFC 9457 `application/problem+json`.
//!
//! This is the one place that knows which status and which words a refusal gets. Nothing else in the service
//! writes an error body.

pub mod catalog;
mod chores;
mod refused;

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub use catalog::Kind;

use crate::inventory::Obstacle;

/// An error answer.
///
/// Fields the kind of problem has no use for are left out of the JSON.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `/problems/{name}`: which problem it is. The stable contract; the page of that path explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/insufficient-stock")]
    kind: String,
    /// A summary that is the same for every problem of the type.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What went wrong this time.
    detail: Cow<'static, str>,
    /// The fields that are wrong (`validation-failed`), at most 100 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Each stock level that stands in the way, with what was asked and what was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<ProblemLine>,
    /// Of 5xx only: whether the change was made. After `no` it is safe to repeat the request; after `unknown`
    /// read before repeating.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<WasApplied>,
    #[serde(skip)]
    entry: Kind,
}

/// Whether a change was made although its request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WasApplied {
    /// It was not, and will not be.
    No,
    /// Nobody knows.
    Unknown,
}

/// A field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field of the body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/lines/3/delta")]
    pub pointer: Option<String>,
    /// The query or path parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The line of a body that is made of lines, counted from 1; the pointer is into that line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What it must be.
    pub detail: String,
}

/// A stock level that stands in the way of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemLine {
    /// The line of the body, as a JSON pointer: the first, where several name the level. Empty where the
    /// request has no lines.
    #[schema(example = "/lines/3")]
    pub pointer: String,
    /// The sku.
    pub sku: String,
    /// The location.
    pub location: String,
    /// The units asked for, all lines of the level together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<u64>,
    /// The units that were available; absent where there is no level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<u64>,
    /// The version of the level at which this was judged.
    pub version: u64,
}

/// The longest text of a request that an answer repeats, in characters: a client is told what was wrong, not sent
/// its megabytes back.
const ECHO_CHARS_MAX: usize = 256;

/// Cuts a text that repeats something of the request.
pub fn clip(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(ECHO_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

/// The most field errors one problem lists.
pub const ERRORS_MAX: usize = 100;

impl Problem {
    /// A problem of that kind.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let entry = kind.entry();
        let applied = match kind {
            Kind::Contention | Kind::NotReady | Kind::Overloaded => Some(WasApplied::No),
            Kind::RequestTimeout | Kind::InternalError | Kind::JournalUnavailable => {
                Some(WasApplied::Unknown)
            }
            _ => None,
        };
        Self {
            kind: type_of(kind),
            title: entry.title,
            status: entry.status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            lines: Vec::new(),
            applied,
            entry: kind,
        }
    }

    /// One field of the body is not as it must be.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            pointer: Some(pointer.into()),
            parameter: None,
            line: None,
            detail: detail.into(),
        }])
    }

    /// One query or path parameter is not as it must be.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let (parameter, detail) = (Some(name.into()), detail.into());
        Self::fields(vec![FieldError { pointer: None, parameter, line: None, detail }])
    }

    /// Several fields are not as they must be; at least one. The first [`ERRORS_MAX`] are listed.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        Self::fields_of(errors, count)
    }

    /// As [`Problem::fields`], of which there are `count` in all, some of them not given.
    pub fn fields_of(mut errors: Vec<FieldError>, count: usize) -> Self {
        errors.truncate(ERRORS_MAX);
        for error in &mut errors {
            error.pointer.iter_mut().chain(&mut error.parameter).chain([&mut error.detail]).for_each(clip);
        }
        let detail = match errors.first() {
            Some(first) if count > 1 => {
                format!("{}: {} (and {} more)", first.place(), first.detail, count - 1)
            }
            Some(only) => format!("{}: {}", only.place(), only.detail),
            None => String::new(),
        };
        Self { errors, ..Self::new(Kind::ValidationFailed, detail) }
    }

    /// Which problem it is.
    pub fn kind(&self) -> Kind {
        self.entry
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.entry.entry().status
    }

    /// Whether this is what came of a request that was judged by the state of the stock: an idempotency key keeps it.
    pub fn is_outcome(&self) -> bool {
        matches!(
            self.entry,
            Kind::StockNotFound
                | Kind::InsufficientStock
                | Kind::BelowReserved
                | Kind::StockReserved
                | Kind::VersionMismatch
                | Kind::QuantityOverflow
        )
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem has string keys and plain values")
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        matches!(self.status, 429 | 503).then(|| HeaderValue::from_static("1"))
    }
}

impl FieldError {
    fn place(&self) -> Cow<'_, str> {
        if let Some(line) = self.line {
            return match self.pointer.as_deref() {
                None | Some("") => format!("line {line}").into(),
                Some(pointer) => format!("line {line}, {pointer}").into(),
            };
        }
        let pointer =
            self.pointer.as_deref().map(|pointer| if pointer.is_empty() { "the body" } else { pointer });
        pointer.or(self.parameter.as_deref()).unwrap_or("the request").into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Obstacle> for Problem {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Contention(contention) => Self::new(Kind::Contention, contention.to_string()),
            Obstacle::Overloaded => {
                let detail = "the journal took no further change in time: its disk is full, or too slow for what is asked";
                Self::new(Kind::Overloaded, detail)
            }
            Obstacle::Unavailable { failed, applied } => {
                let applied = Some(if applied { WasApplied::Unknown } else { WasApplied::No });
                Self { applied, ..Self::new(Kind::JournalUnavailable, failed.to_string()) }
            }
            Obstacle::Damaged(detail) => Self::new(Kind::InternalError, detail),
        }
    }
}

fn type_of(kind: Kind) -> String {
    format!("/problems/{}", kind.entry().name)
}
