//! `/v1/backups`: the backups in the data directory: listed, taken off the host, removed.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::{answer, named};
use crate::http::dto::{BackupsAnswer, KeptBackupAnswer, backup_name};
use crate::http::extract::{Bodiless, NeverKeyed, NoConditions, PathParams, Query, Service};
use crate::http::pieces::Pieces;
use crate::http::problem::Problem;
use crate::store::Chores as _;

/// List the backups
///
/// Those in the folder `backups` of the data directory that are whole, by name. One that is being made is not among them.
#[utoipa::path(
    get, path = "/v1/backups", tag = "ledger", operation_id = "listBackups",
    responses(
        (status = 200, description = "The backups", body = BackupsAnswer),
        (status = 404, description = "`ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "`not-supported`: the stock is in a database (--store)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many files are open, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    Query::parse(&uri, &[])?;
    let items = store.backups().await?.into_iter().map(KeptBackupAnswer::new).collect();
    Ok(named::json(&BackupsAnswer { items }, StatusCode::OK))
}

/// Take a backup off the host
///
/// A tar archive of one folder, which has the name of the backup: unpacked, a service can be started with it as its data directory.
/// `Content-Length` says how long it is; an answer that ends before that was cut off.
#[utoipa::path(
    get, path = "/v1/backups/{name}", tag = "ledger", operation_id = "readBackup",
    params(("name" = String, Path, description = "The name of the backup", min_length = 1, max_length = 64)),
    responses(
        (status = 200, description = "The backup", body = String, content_type = "application/x-tar",
         headers(("Content-Disposition" = String, description = "That it is a file: the name, and `.tar`"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`backup-not-found`; `ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-running`: as many backups are being read as may", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "`not-supported`: the stock is in a database (--store)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many files are open, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(Service(store): Service, uri: Uri, path: PathParams) -> Result<Response, Problem> {
    let name = name(&path, &uri)?;
    let archive = store.archive(&name).await?;
    let body = Body::new(Pieces(archive.pieces));
    let mut response = answer::typed(body, HeaderValue::from_static("application/x-tar"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, archive.bytes.into());
    // What may be in a name means nothing in a header.
    let as_a_file = HeaderValue::try_from(format!("attachment; filename=\"{name}.tar\""));
    headers.insert(header::CONTENT_DISPOSITION, as_a_file.expect("it is made of visible ASCII"));
    Ok(response)
}

/// Remove a backup
///
/// The stock is as it was. While anybody takes a backup off the host none is removed.
#[utoipa::path(
    delete, path = "/v1/backups/{name}", tag = "ledger", operation_id = "deleteBackup",
    params(("name" = String, Path, description = "The name of the backup", min_length = 1, max_length = 64)),
    responses(
        (status = 204, description = "Removed"),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`backup-not-found`; `ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-running`: a backup is being read, or removed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "`not-supported`: the stock is in a database (--store)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many files are open, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    Service(store): Service,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: NeverKeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let name = name(&path, &uri)?;
    store.remove_backup(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The name in the path; there are no parameters beside it.
fn name(path: &PathParams, uri: &Uri) -> Result<String, Problem> {
    Query::parse(uri, &[])?;
    let name = path.name("name");
    backup_name(name).map_err(|detail| Problem::parameter("name", detail))?;
    Ok(name.to_owned())
}
