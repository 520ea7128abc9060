//! `/openapi.*`, `/docs` and `/problems/{name}`: the service explains itself, without fetching anything from
//! elsewhere.

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::answer;
use crate::http::HttpState;
use crate::http::problem::{Problem, ProblemKind};

/// This document, as YAML
#[utoipa::path(
    get, path = "/openapi.yaml", tag = "operations", operation_id = "openapiYaml",
    responses((status = 200, description = "The document", body = String, content_type = "application/yaml"))
)]
pub async fn yaml(State(state): State<&'static HttpState>) -> Response {
    answer::typed(state.documents.yaml.as_str(), HeaderValue::from_static("application/yaml"))
}

/// This document, as JSON
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "openapiJson",
    responses((status = 200, description = "The document", body = String, content_type = "application/json"))
)]
pub async fn json(State(state): State<&'static HttpState>) -> Response {
    answer::typed(state.documents.json.as_str(), HeaderValue::from_static("application/json"))
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
pub async fn problem(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<Response, Problem> {
    // What is not UTF-8 is no problem's name either.
    let named = |params: RawPathParams| params.iter().next().and_then(|(_, name)| ProblemKind::named(name));
    let kind = params.ok().and_then(named);
    let kind =
        kind.ok_or_else(|| Problem::new(ProblemKind::ProblemNotFound, "there is no problem of this name"))?;
    Ok(html(problem_page(kind)))
}

/// This document, to read
#[utoipa::path(
    get, path = "/docs", tag = "operations", operation_id = "docs",
    responses((status = 200, description = "A page that shows it", body = String, content_type = "text/html"))
)]
pub async fn page() -> Response {
    html(include_str!("docs.html"))
}

/// A page that may fetch nothing but from here, whatever is in it.
fn html(page: impl Into<Body>) -> Response {
    let mut response = answer::typed(page, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy =
        "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";
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
