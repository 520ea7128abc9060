//! [`Problem`]: the one form of every error answer, RFC 9457 `application/problem+json`.
//!
//! This is the one place that knows which status and which words a refusal gets. Nothing else in the service
//! writes an error body.

pub mod catalog;
mod chores;
mod orders;
mod refused;

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub use catalog::ProblemKind;

use crate::store::{self, NotDone, Why};

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
    /// The fields that are wrong (`validation-failed`), or the lines of an import that are refused; at most 100 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    errors: Vec<FieldError>,
    /// Each stock level that stands in the way, with what was asked and what was there.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    lines: Box<[ProblemLine]>,
    /// Of 5xx and 408 only: whether the change was made. After `no` it is safe to repeat the request; after `unknown`
    /// read before repeating.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<WasApplied>,
    #[serde(skip)]
    of: ProblemKind,
    /// In how many seconds it is worth another try, where that is known.
    #[serde(skip)]
    retry_after_s: Option<u32>,
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
    /// Of what is to be given back: the units that still can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// The version of the level at which this was judged; absent where it was not the level that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
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
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let page = kind.page();
        let applied = match kind {
            ProblemKind::Contention
            | ProblemKind::NotReady
            | ProblemKind::NotSupported
            | ProblemKind::Overloaded
            | ProblemKind::QueueFull => Some(WasApplied::No),
            ProblemKind::RequestTimeout
            | ProblemKind::InternalError
            | ProblemKind::JournalUnavailable
            | ProblemKind::StoreUnavailable => Some(WasApplied::Unknown),
            _ => None,
        };
        Self {
            kind: type_of(kind),
            title: page.title,
            status: page.status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            lines: Box::default(),
            applied,
            of: kind,
            retry_after_s: None,
        }
    }

    /// The same, which is worth another try after that time.
    #[must_use]
    pub fn again_after(self, time: Duration) -> Self {
        Self { retry_after_s: Some(seconds_up(time)), ..self }
    }

    /// A body of which not all came in time: nothing was begun.
    pub fn body_timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::REQUEST_TIMEOUT.as_u16();
        Self { status, applied: Some(WasApplied::No), ..Self::new(ProblemKind::RequestTimeout, detail) }
    }

    /// What the service says of itself does not fit what was asked: a defect.
    pub fn unexpected() -> Self {
        Self::new(ProblemKind::InternalError, "what came of the request is of another request")
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
        Self { errors, ..Self::new(ProblemKind::ValidationFailed, detail) }
    }

    /// Lists no more than the first `errors_max` of the fields that are wrong; how many it lists. What there is to say of a list of
    /// one is in the detail, and how many more there were.
    pub fn list_at_most(&mut self, errors_max: usize) -> usize {
        self.errors.truncate(errors_max);
        self.errors.len()
    }

    /// The fields that are wrong.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    /// Which problem it is.
    pub fn kind(&self) -> ProblemKind {
        self.of
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("it was made from one")
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem has string keys and plain values")
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        if !matches!(self.status, 429 | 503) {
            return None;
        }
        let seconds = self.retry_after_s.map_or(1, |seconds| seconds.max(1));
        Some(HeaderValue::try_from(seconds.to_string()).expect("digits are visible ASCII"))
    }
}

impl FieldError {
    fn place(&self) -> Cow<'_, str> {
        if let Some(line) = self.line {
            return match self.pointer.as_deref() {
                None | Some("") => format!("line {line}").into(),
                Some(pointer) => format!("line {line}, {}", pointer.trim_start_matches('/')).into(),
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

impl From<NotDone> for Problem {
    fn from(NotDone { why, applied }: NotDone) -> Self {
        let mut retry_after_s = None;
        let kind = match &why {
            Why::Contention => ProblemKind::Contention,
            Why::Overloaded | Why::LinesFull | Why::TooManyFiles | Why::WaitersFull => {
                ProblemKind::Overloaded
            }
            Why::KeysFull { retry_after: after }
            | Why::ReservationsFull { retry_after: after }
            | Why::DiskFull { retry_after: after }
            | Why::Unwritten { retry_after: after } => {
                retry_after_s = Some(seconds_up(*after));
                ProblemKind::Overloaded
            }
            Why::QueueFull { retry_after: after } => {
                retry_after_s = Some(seconds_up(*after));
                ProblemKind::QueueFull
            }
            Why::KeyInProgress => return Self::new(ProblemKind::IdempotencyKeyInProgress, why.to_string()),
            Why::OutcomeDropped => return Self::new(ProblemKind::HistoryCompacted, why.to_string()),
            Why::KeyReused => return Self::new(ProblemKind::IdempotencyKeyReused, why.to_string()),
            Why::Unavailable(_) => ProblemKind::JournalUnavailable,
            Why::Away(_) => ProblemKind::StoreUnavailable,
            Why::Damaged(_) => ProblemKind::InternalError,
        };
        let applied = Some(match applied {
            store::WasApplied::No => WasApplied::No,
            store::WasApplied::Unknown => WasApplied::Unknown,
        });
        Self { applied, retry_after_s, ..Self::new(kind, why.to_string()) }
    }
}

/// Whole seconds, rounded up: nobody is asked back too early.
fn seconds_up(after: Duration) -> u32 {
    u32::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn type_of(kind: ProblemKind) -> String {
    format!("/problems/{}", kind.page().name)
}
