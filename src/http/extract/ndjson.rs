//! [`NdjsonBody`]: a body of lines, taken in piece by piece, that says it is NDJSON and is no longer than it may be.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderValue;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::body::{check_media_type, essence};
use crate::http::problem::{Problem, ProblemKind};
use crate::store::chores::IMPORT_BYTES_MAX;

/// How long the next piece may take to come. The request as a whole may take long.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The body of an import.
#[derive(Debug)]
pub struct NdjsonBody(Body);

impl NdjsonBody {
    /// The next piece: `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = tokio::time::timeout(PIECE_WAIT_MAX, self.0.frame()).await;
            let stalled = |_| {
                let seconds = PIECE_WAIT_MAX.as_secs();
                Problem::body_timeout(format!(
                    "nothing of the body came for {seconds} s; nothing was imported"
                ))
            };
            let Some(frame) = frame.map_err(stalled)? else { return Ok(None) };
            let broken =
                |_| Problem::new(ProblemKind::InvalidRequest, "the body ended before it was complete");
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// The problem of a body that is longer than it may be.
pub(crate) fn too_large() -> Problem {
    Problem::new(ProblemKind::RequestTooLarge, format!("the body is longer than {IMPORT_BYTES_MAX} bytes"))
}

impl<S: Sync> FromRequest<S> for NdjsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_media_type(request.headers(), "application/x-ndjson", is_ndjson)?;
        let body = request.into_body();
        if body.size_hint().lower() > IMPORT_BYTES_MAX { Err(too_large()) } else { Ok(Self(body)) }
    }
}

/// The two names that are in use; neither is registered.
fn is_ndjson(declared: &HeaderValue) -> bool {
    ["application/x-ndjson", "application/ndjson"]
        .iter()
        .any(|name| essence(declared).eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// A body of which nothing comes.
    struct Never;

    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    /// P10: nothing was imported, and that is what is said.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_408() {
        let stalled = NdjsonBody(Body::new(Never)).next().await.unwrap_err();
        assert_eq!(stalled.status().as_u16(), 408);
        let told: serde_json::Value = serde_json::from_slice(&stalled.to_json()).unwrap();
        assert_eq!((&told["status"], &told["applied"]), (&408.into(), &"no".into()));
    }
}
