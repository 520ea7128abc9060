//! [`JsonBody`]: a body that says it is JSON and is no longer than it may be.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::BytesMut;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::json;
use super::room::{BodyRoom, Taken};
use crate::http::dto::Object;
use crate::http::problem::{Problem, ProblemKind, clip};
use crate::http::{HttpState, lookup};
use crate::json::Shaped;

/// The body of a request, at most `BYTES_MAX` long. Parsed by the handler, so that what is parsed may borrow
/// from it.
#[derive(Debug)]
pub struct JsonBody<const BYTES_MAX: usize> {
    bytes: Bytes,
    #[expect(dead_code, reason = "held for as long as the bytes")]
    taken: Option<Taken>,
    /// Its text, if that had to be made plain.
    plain: OnceLock<String>,
}

impl<const BYTES_MAX: usize> JsonBody<BYTES_MAX> {
    fn none() -> Self {
        Self { bytes: Bytes::new(), taken: None, plain: OnceLock::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What `take` makes of what the body says. If it finds a field wrong, everything that is wrong with the body is told.
    pub fn read<'a, T: Deserialize<'a> + Shaped, R>(
        &'a self,
        take: impl FnOnce(T) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        json::read(&self.bytes, &self.plain, |Object(value)| take(value))
    }
}

impl<const BYTES_MAX: usize> FromRequest<&'static HttpState> for JsonBody<BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &&'static HttpState) -> Result<Self, Problem> {
        check_media_type(request.headers(), "application/json", is_json)?;
        let (bytes, taken) = read(request.into_body(), BYTES_MAX, &state.bodies).await?;
        Ok(Self { bytes, taken, plain: OnceLock::new() })
    }
}

/// The same, of a request that says what it means without a body: none is `{}`.
#[derive(Debug)]
pub struct JsonBodyOrNone<const BYTES_MAX: usize>(JsonBody<BYTES_MAX>);

impl<const BYTES_MAX: usize> JsonBodyOrNone<BYTES_MAX> {
    /// The bytes, if there are any.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// See [`JsonBody::read`].
    pub fn read<'a, T: Deserialize<'a> + Shaped, R>(
        &'a self,
        take: impl FnOnce(T) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let bytes: &'a [u8] = if self.0.bytes.is_empty() { b"{}" } else { &self.0.bytes };
        json::read(bytes, &self.0.plain, |Object(value)| take(value))
    }
}

impl<const BYTES_MAX: usize> FromRequest<&'static HttpState> for JsonBodyOrNone<BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &&'static HttpState) -> Result<Self, Problem> {
        // What a client sends that always declares a body counts as none, too.
        if request.body().is_end_stream() || request.body().size_hint().exact() == Some(0) {
            return Ok(Self(JsonBody::none()));
        }
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            // Of one that does not say how long it is, only its end tells that there is none.
            let (parts, body) = request.into_parts();
            if read(body, 0, &state.bodies).await.is_ok() {
                return Ok(Self(JsonBody::none()));
            }
            check_media_type(&parts.headers, "application/json", is_json)?;
            return Err(Problem::new(ProblemKind::InvalidRequest, "the body ended before it was complete"));
        }
        JsonBody::from_request(request, state).await.map(Self)
    }
}

/// A request that has no body: a client that sends one believes that it counts.
#[derive(Debug)]
pub struct Bodiless;

impl<S: Sync> FromRequest<S> for Bodiless {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let refused = || {
            let detail =
                "this request takes no body; say reason and reference as parameters; nothing was changed";
            Problem::new(ProblemKind::InvalidRequest, detail)
        };
        let mut body = request.into_body();
        // One that says how long it is need not be sent.
        if body.size_hint().lower() > 0 {
            return Err(refused());
        }
        while let Some(frame) = body.frame().await {
            if frame.is_ok_and(|frame| frame.data_ref().is_some_and(|data| !data.is_empty())) {
                return Err(refused());
            }
        }
        Ok(Self)
    }
}

/// Refuses a body that is not declared as `wanted`, or is compressed.
pub(super) fn check_media_type(
    headers: &HeaderMap,
    wanted: &str,
    is_wanted: impl Fn(&HeaderValue) -> bool,
) -> Result<(), Problem> {
    let unsupported = |detail: String| Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    let Some(declared) = lookup::first(headers, &header::CONTENT_TYPE) else {
        return unsupported(format!("Content-Type is missing; send {wanted}"));
    };
    if !is_wanted(declared) {
        let mut declared = String::from_utf8_lossy(declared.as_bytes()).into_owned();
        clip(&mut declared);
        return unsupported(format!("Content-Type is {declared}; send {wanted}"));
    }
    if !lookup::has(headers, &header::CONTENT_ENCODING) {
        return Ok(());
    }
    // Several fields of one name are one list (RFC 9110, section 5.3): all of it must be none.
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    unsupported("Content-Encoding is not supported; send the body uncompressed".to_owned())
}

/// `application/json` or any `application/...+json`, with any parameters.
fn is_json(declared: &HeaderValue) -> bool {
    let essence = essence(declared);
    if essence.eq_ignore_ascii_case(b"application/json") {
        return true;
    }
    let essence = essence.to_ascii_lowercase();
    essence.starts_with(b"application/") && essence.ends_with(b"+json")
}

/// The type without its parameters.
pub(super) fn essence(declared: &HeaderValue) -> &[u8] {
    declared.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Reads a body whole. One that came in one piece, as small ones do, is not copied. Memory is taken as bytes come, and not as they are
/// announced: to announce megabytes costs a client nothing.
async fn read(
    mut body: Body,
    bytes_max: usize,
    room: &'static BodyRoom,
) -> Result<(Bytes, Option<Taken>), Problem> {
    let too_large =
        || Problem::new(ProblemKind::RequestTooLarge, format!("the body is longer than {bytes_max} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large());
    }
    let (mut whole, mut taken) = (BytesMut::new(), room.for_one());
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::new(ProblemKind::InvalidRequest, "the body ended before it was complete");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let length = whole.len() + data.len();
        if length > bytes_max {
            return Err(too_large());
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok((data, None));
        }
        if length > whole.capacity() {
            // Twice as much as before, so that each byte is copied about twice; and no more than is to come.
            let wanted = length.max((2 * whole.capacity()).min(announced.max(length)));
            taken.grow_to(wanted)?;
            whole.reserve(wanted - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), Some(taken)))
}
