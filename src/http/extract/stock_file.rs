//! [`StockFile`]: a body of lines, taken in piece by piece, that says what form they have and is no longer than it may be. And which form a
//! client wants its own copy in.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::Query;
use super::accept::Accepted;
use super::body::{check_media_type, essence};
use crate::http::problem::{Problem, ProblemKind};
use crate::store::chores::{IMPORT_BYTES_MAX, StockForm};

/// How long the next piece may take to come. The request as a whole may take long.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The media type of lines of JSON, of the two names in use. Neither is registered.
pub const NDJSON: &str = "application/x-ndjson";
/// The media type of lines of cells (RFC 4180).
const CSV: &str = "text/csv";

/// The body of an import.
#[derive(Debug)]
pub struct StockFile {
    /// The form of its lines.
    pub form: StockForm,
    body: Body,
}

impl StockFile {
    /// The next piece: `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = tokio::time::timeout(PIECE_WAIT_MAX, self.body.frame()).await;
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

impl<S: Sync> FromRequest<S> for StockFile {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let form = |declared: &HeaderValue| form_of(essence(declared));
        check_media_type(headers, "application/x-ndjson or text/csv", |declared| form(declared).is_some())?;
        check_charset(headers)?;
        let form = headers.get(header::CONTENT_TYPE).and_then(form).unwrap_or_default();
        let body = request.into_body();
        if body.size_hint().lower() > IMPORT_BYTES_MAX { Err(too_large()) } else { Ok(Self { form, body }) }
    }
}

fn form_of(essence: &[u8]) -> Option<StockForm> {
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is(NDJSON) || is("application/ndjson") => Some(StockForm::Ndjson),
        () if is(CSV) => Some(StockForm::Csv),
        () => None,
    }
}

/// Refuses a text that says it is not UTF-8.
fn check_charset(headers: &HeaderMap) -> Result<(), Problem> {
    let declared =
        headers.get(header::CONTENT_TYPE).and_then(|declared| declared.to_str().ok()).unwrap_or("");
    let parameters = declared.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let is_utf_8 = |value: &str| {
        let value = value.trim().trim_matches('"');
        value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
    };
    match charsets.find(|(_, value)| !is_utf_8(value)) {
        None => Ok(()),
        Some((_, value)) => {
            let detail = format!("the charset is {}; send the file as UTF-8", value.trim());
            Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
        }
    }
}

/// The form that a client wants: by `format`, or else by what it accepts. One that wants neither, or both alike, gets lines of JSON.
pub fn wanted_form(query: &Query<'_>, headers: &HeaderMap) -> Result<StockForm, Problem> {
    let named = query.read("format", |text| match text {
        "csv" => Ok(StockForm::Csv),
        "ndjson" => Ok(StockForm::Ndjson),
        _ => Err("must be csv or ndjson"),
    })?;
    let accepted = Accepted::of(headers);
    let wants_csv = accepted.liking(&[CSV]) > accepted.liking(&[NDJSON, "application/ndjson"]);
    Ok(named.unwrap_or(if wants_csv { StockForm::Csv } else { StockForm::Ndjson }))
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

    #[test]
    fn the_form_is_the_one_that_is_wanted_most() {
        let form = |query: &str, accept: &str| {
            let uri = format!("/v1/export?{query}").parse().unwrap();
            let query = Query::parse(&uri, &["format"]).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            wanted_form(&query, &headers).map_err(|problem| problem.status().as_u16())
        };
        for csv in [
            "text/csv",
            "TEXT/CSV; header=present",
            "text/csv, application/x-ndjson;q=0.9",
            "text/*",
            "application/x-ndjson;q=0, */*",
            "text/csv;q=0.2, */*;q=0.1",
        ] {
            assert_eq!(form("", csv), Ok(StockForm::Csv), "{csv}");
            assert_eq!(form("format=ndjson", csv), Ok(StockForm::Ndjson), "{csv}");
        }
        for ndjson in [
            "",
            "*/*",
            "image/png",
            "text/csv;q=0.5, application/x-ndjson",
            "text/csv;q=0",
            "text/html, application/xml;q=0.9, */*;q=0.8",
            "text/csv, application/ndjson",
        ] {
            assert_eq!(form("", ndjson), Ok(StockForm::Ndjson), "{ndjson}");
            assert_eq!(form("format=csv", ndjson), Ok(StockForm::Csv), "{ndjson}");
        }
        assert_eq!(form("format=xlsx", "text/csv"), Err(422));
        assert_eq!(form("format=", "text/csv"), Err(422));
    }

    #[test]
    fn a_file_says_its_form_and_is_utf_8() {
        let declared = |content_type: &str| {
            let request =
                Request::builder().header("content-type", content_type).body(Body::empty()).unwrap();
            let taken = tokio::runtime::Builder::new_current_thread().build().unwrap();
            taken
                .block_on(StockFile::from_request(request, &()))
                .map(|file| file.form)
                .map_err(|problem| problem.status().as_u16())
        };
        for csv in ["text/csv", "Text/CSV; Charset=UTF-8", "text/csv;charset=\"utf-8\"; header=present"] {
            assert_eq!(declared(csv), Ok(StockForm::Csv), "{csv}");
        }
        assert_eq!(declared("application/x-ndjson"), Ok(StockForm::Ndjson));
        assert_eq!(declared("application/ndjson; charset=utf-8"), Ok(StockForm::Ndjson));
        for wrong in [
            "text/csv; charset=iso-8859-1",
            "text/csv;header=present;charset=windows-1252",
            "text/plain",
            "application/json",
        ] {
            assert_eq!(declared(wrong), Err(415), "{wrong}");
        }
    }

    /// P10: nothing was imported, and that is what is said.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_408() {
        let stalled = StockFile { form: StockForm::Ndjson, body: Body::new(Never) }.next().await.unwrap_err();
        assert_eq!(stalled.status().as_u16(), 408);
        let told: serde_json::Value = serde_json::from_slice(&stalled.to_json()).unwrap();
        assert_eq!((&told["status"], &told["applied"]), (&408.into(), &"no".into()));
    }
}
