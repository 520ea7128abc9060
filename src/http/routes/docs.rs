//! `/`, `/openapi.*`, `/docs` and `/problems/{name}`: the service explains itself, without fetching anything from
//! elsewhere.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::answer;
use crate::http::HttpState;
use crate::http::extract::PathParams;
use crate::http::problem::{Problem, ProblemKind};

/// This document, as YAML
#[utoipa::path(
    get, path = "/openapi.yaml", tag = "operations", operation_id = "openapiYaml",
    responses((status = 200, description = "The document", body = Object, content_type = "application/yaml"))
)]
pub async fn yaml(State(state): State<&'static HttpState>) -> Response {
    answer::document(state.documents.yaml.as_str(), HeaderValue::from_static("application/yaml"))
}

/// This document, as JSON
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "openapiJson",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json"))
)]
pub async fn json(State(state): State<&'static HttpState>) -> Response {
    answer::document(state.documents.json.as_str(), HeaderValue::from_static("application/json"))
}

/// What a problem means
#[utoipa::path(
    get, path = "/problems/{name}", tag = "operations", operation_id = "problem",
    params(("name" = String, Path, description = "The last segment of the problem's `type`")),
    responses(
        (status = 200, description = "A page that explains it", body = String, content_type = "text/html"),
        (status = 404, description = "`problem-not-found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn problem(path: PathParams) -> Result<Response, Problem> {
    let kind = ProblemKind::named(path.name("name"))
        .ok_or_else(|| Problem::new(ProblemKind::ProblemNotFound, "there is no problem of this name"))?;
    Ok(html(problem_page(kind)))
}

/// This document, to read and to try
#[utoipa::path(
    get, path = "/docs", tag = "operations", operation_id = "docs",
    responses((status = 200, description = "A page that shows it", body = String, content_type = "text/html"))
)]
pub async fn page() -> Response {
    html(include_str!("docs/page.html"))
}

/// Where to begin
#[utoipa::path(
    get, path = "/", tag = "operations", operation_id = "home",
    responses((status = 302, description = "At `/docs`", body = String, content_type = "text/plain",
        headers(("Location" = String, description = "`/docs`"))))
)]
pub async fn home() -> Response {
    let mut response = answer::typed("see /docs\n", HeaderValue::from_static("text/plain"));
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
    response
}

/// A file of that page
#[utoipa::path(
    get, path = "/docs/{file}", tag = "operations", operation_id = "docsFile",
    params(("file" = String, Path, description = "Its name, as the page has it")),
    responses(
        (
            status = 200,
            description = "The file; a large one is compressed with gzip",
            content((String = "text/javascript"), (String = "text/css")),
        ),
        (status = 404, description = "`not-found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn file(path: PathParams) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == path.name("file"));
    let file =
        file.ok_or_else(|| Problem::new(ProblemKind::NotFound, "the page has no file of this name"))?;
    let mut response = answer::document(file.bytes, HeaderValue::from_static(file.media_type));
    let headers = response.headers_mut();
    if file.is_compressed {
        // Whatever is accepted: only browsers ask for these, and each takes gzip.
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Another version has another name.
        let for_good = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(header::CACHE_CONTROL, for_good);
    }
    Ok(response)
}

/// A file that the page at `/docs` asks for.
struct File {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    is_compressed: bool,
}

/// Swagger UI, as its publishers made it, and what starts it. `docs/README.md` says where it is from.
const FILES: [File; 3] = [
    File {
        name: "swagger-ui-5.35.0.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("docs/swagger-ui-5.35.0.js.gz"),
        is_compressed: true,
    },
    File {
        name: "swagger-ui-5.35.0.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("docs/swagger-ui-5.35.0.css.gz"),
        is_compressed: true,
    },
    File {
        name: "start.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("docs/start.js"),
        is_compressed: false,
    },
];

/// A page that may fetch nothing but from here, whatever is in it. Styles may stand in it: the viewer sets them so.
fn html(page: impl Into<Body>) -> Response {
    let mut response = answer::document(page, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                  img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn problem_page(kind: ProblemKind) -> String {
    let page = kind.page();
    let (name, title, explanation) = (page.name, page.title, page.explanation);
    let others = ProblemKind::ALL.map(|other| {
        let other = other.page();
        format!("<li><a href=\"/problems/{0}\">{0}</a> ({1})", other.name, other.status.as_u16())
    });
    let others = others.concat();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}\
         code{{background:#eee;padding:.1em .3em}}</style>\
         <h1>{title}</h1><p><code>{name}</code>, status {status}</p><p>{explanation}</p>\
         <h2>All problems</h2><ul>{others}</ul></html>",
        status = page.status
    )
}
