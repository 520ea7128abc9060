//! `/v1/webhooks`: who is told of what happens.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::BODY_BYTES_MAX;
use super::named;
use crate::http::HttpState;
use crate::http::dto::{PingAnswer, SecretRequest, WebhookAnswer, WebhookRequest, WebhooksAnswer};
use crate::http::extract::{
    Bodiless, JsonBody, JsonBodyOrNone, NeverKeyed, NoConditions, PathParams, Query, Unconditional,
};
use crate::http::problem::{Problem, ProblemKind};
use crate::webhooks::{HookId, NotChanged};

/// Make a webhook
///
/// From now on every movement it is for is posted to the URL, as JSON, signed (Standard Webhooks 1.0): in the order of the ledger, at least once,
/// tried again until it is taken. The `secret` is shown in this answer and never again.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "createWebhook",
    request_body(content = WebhookRequest<'static>, content_type = "application/json"),
    responses(
        (status = 201, description = "The webhook, with its secret", body = WebhookAnswer,
         headers(("Location" = String, description = "Where it is"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`; also of a URL whose host is at an address that is not public, unless --webhook-allow says so", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: there are as many as may be (--webhooks-max), or the disk is full, `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(state): State<&'static HttpState>,
    _: Unconditional,
    _: NeverKeyed,
    body: JsonBody<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let asked = body.read(|request: WebhookRequest<'_>| request.asked())?;
    let (view, secret) = webhooks.create(asked).await.map_err(problem)?;
    let path = format!("/v1/webhooks/{}", view.id);
    Ok(named::at(named::json(&WebhookAnswer::new(view, Some(&secret)), StatusCode::CREATED), path))
}

/// List webhooks
///
/// All there are, in the order in which they were made, and how each does.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "listWebhooks",
    responses(
        (status = 200, description = "The webhooks", body = WebhooksAnswer),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(state): State<&'static HttpState>, uri: Uri) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    Query::parse(&uri, &[])?;
    let items = webhooks.list().await?.into_iter().map(|view| WebhookAnswer::new(view, None)).collect();
    Ok(named::json(&WebhooksAnswer { items }, StatusCode::OK))
}

/// Read a webhook
///
/// How it does: whether messages are taken, since when not and why, and how far behind it is.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "readWebhook",
    params(("id" = String, Path, description = "The name of the webhook", min_length = 36, max_length = 36)),
    responses(
        (status = 200, description = "The webhook", body = WebhookAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`webhook-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(state): State<&'static HttpState>,
    uri: Uri,
    path: PathParams,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let id = id(&path, &uri)?;
    let view = webhooks.view(id).await?.ok_or_else(|| not_found(id))?;
    Ok(named::json(&WebhookAnswer::new(view, None), StatusCode::OK))
}

/// Delete a webhook
///
/// After the answer nothing more is sent. With `--store` it waits for the replica that sends to stop; where that has died, for some seconds. If it is 503, the webhook may be deleted
/// and still be sent something: send it again until it is 204 or 404.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "deleteWebhook",
    params(("id" = String, Path, description = "The name of the webhook", min_length = 36, max_length = 36)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`webhook-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: the disk is full, `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(state): State<&'static HttpState>,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: NeverKeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    webhooks.delete(id(&path, &uri)?).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ping a webhook
///
/// Posts a signed message of the type `ping` now, once, and answers with what came of it. Nothing else changes: a webhook that is disabled stays so.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/ping", tag = "webhooks", operation_id = "pingWebhook",
    params(("id" = String, Path, description = "The name of the webhook", min_length = 36, max_length = 36)),
    responses(
        (status = 200, description = "What came of it: it may be an error", body = PingAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`webhook-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn ping(
    State(state): State<&'static HttpState>,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: NeverKeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let id = id(&path, &uri)?;
    let attempt = webhooks.ping(id).await?.ok_or_else(|| not_found(id))?;
    Ok(named::json(&PingAnswer::new(attempt), StatusCode::OK))
}

/// Change the secret of a webhook
///
/// From now on messages are signed with another secret, a given one or one that is made; and for 24 hours with the one before it as well, so that a
/// receiver can be changed meanwhile. The `secret` is shown in this answer and never again.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secret", tag = "webhooks", operation_id = "rotateWebhookSecret",
    params(("id" = String, Path, description = "The name of the webhook", min_length = 36, max_length = 36)),
    request_body(content = Option<SecretRequest<'static>>, content_type = "application/json"),
    responses(
        (status = 200, description = "The webhook, with its secret", body = WebhookAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`webhook-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: the disk is full, `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn rotate(
    State(state): State<&'static HttpState>,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: NeverKeyed,
    body: JsonBodyOrNone<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let id = id(&path, &uri)?;
    let secret = body.read(|request: SecretRequest<'_>| request.secret())?;
    let (view, secret) = webhooks.rotate(id, secret).await.map_err(problem)?;
    Ok(named::json(&WebhookAnswer::new(view, Some(&secret)), StatusCode::OK))
}

/// Enable a webhook
///
/// One that was disabled goes on from where it was; one that waits for its next attempt makes it now.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/enable", tag = "webhooks", operation_id = "enableWebhook",
    params(("id" = String, Path, description = "The name of the webhook", min_length = 36, max_length = 36)),
    responses(
        (status = 200, description = "The webhook", body = WebhookAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`webhook-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: the disk is full, `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn enable(
    State(state): State<&'static HttpState>,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: NeverKeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let view = webhooks.enable(id(&path, &uri)?).await.map_err(problem)?;
    Ok(named::json(&WebhookAnswer::new(view, None), StatusCode::OK))
}

/// The webhook that the path names, of a request without parameters.
fn id(path: &PathParams, uri: &Uri) -> Result<HookId, Problem> {
    Query::parse(uri, &[])?;
    named::id(path)
}

fn not_found(id: HookId) -> Problem {
    Problem::new(ProblemKind::WebhookNotFound, NotChanged::NotFound(id).to_string())
}

fn problem(not: NotChanged) -> Problem {
    match not {
        NotChanged::NotFound(id) => not_found(id),
        NotChanged::TooMany(_) => Problem::new(ProblemKind::Overloaded, not.to_string()),
        NotChanged::Address(_) => Problem::field("/url", not.to_string()),
        NotChanged::NotDone(not_done) => not_done.into(),
    }
}
