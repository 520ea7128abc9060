//! The handlers, one file per resource. A handler parses, calls the inventory once, and writes the answer.

pub mod adjustments;
mod answer;
pub mod docs;
mod independent;
pub mod movements;
pub mod operations;
pub mod page;
pub mod stock;
pub mod transfers;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;

/// Bodies of most requests.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bodies of batches.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Every route, with its part of the OpenAPI document: a route that is not in the document cannot be added.
pub fn all() -> (Router<&'static HttpState>, OpenApi) {
    OpenApiRouter::new()
        .routes(routes!(page::list))
        .routes(routes!(stock::read, stock::put, stock::delete))
        .routes(routes!(stock::adjust))
        .routes(routes!(adjustments::adjust_many))
        .routes(routes!(transfers::transfer))
        .routes(routes!(movements::list))
        .routes(routes!(operations::status))
        .routes(routes!(operations::alive))
        .routes(routes!(operations::ready))
        .routes(routes!(operations::metrics))
        .routes(routes!(docs::yaml))
        .routes(routes!(docs::json))
        .routes(routes!(docs::page))
        .routes(routes!(docs::problem))
        .split_for_parts()
}
