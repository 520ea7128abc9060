//! The handlers, one file per resource. A handler parses, calls the inventory once, and writes the answer.

mod address;
pub mod adjustments;
pub mod alerts;
mod answer;
pub mod backup;
pub mod backups;
pub mod docs;
pub mod events;
pub mod export;
pub mod import;
mod independent;
pub mod movements;
mod named;
pub mod operations;
pub mod orders;
pub mod page;
pub mod reservations;
pub mod stock;
pub mod stock_query;
pub mod transfers;
pub mod verify;
pub mod webhooks;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;

/// Bodies of most requests.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bodies of reservations and orders.
const LINES_BYTES_MAX: usize = 512 * 1024;
/// Bodies of batches.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Routes that take as long as there is stock, or log. They have [`LONG_TIMEOUT`], whatever the request timeout.
pub(super) const LONG_RUNNING: [&str; 3] = ["/v1/import", "/v1/backup", "/v1/verify"];
/// The one of them whose body may take as long, and bounds the wait for each piece of it by itself.
pub(super) const STREAMED: &str = "/v1/import";
/// How long a request to one of [`LONG_RUNNING`] may take.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_hours(1);

/// Who comes in where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Everybody, for everything.
    All,
    /// Clients, where those who run the service have a way in of their own.
    Public,
    /// Those who run the service.
    Private,
}

/// The routes, each with its part of the OpenAPI document: a route that is not in the document cannot be added.
pub fn of(face: Face) -> (Router<&'static HttpState>, OpenApi) {
    let routes = match face {
        Face::All => stock().merge(operations()),
        Face::Public => stock(),
        Face::Private => operations(),
    };
    routes.merge(health()).split_for_parts()
}

/// What says how the service is: wherever somebody comes in.
fn health() -> OpenApiRouter<&'static HttpState> {
    OpenApiRouter::new()
        .routes(routes!(operations::status))
        .routes(routes!(operations::alive))
        .routes(routes!(operations::ready))
}

/// What is for those who run it.
fn operations() -> OpenApiRouter<&'static HttpState> {
    OpenApiRouter::new()
        .routes(routes!(backup::back_up))
        .routes(routes!(backups::list))
        .routes(routes!(backups::read, backups::delete))
        .routes(routes!(verify::verify))
        .routes(routes!(operations::metrics))
}

/// What it is for.
fn stock() -> OpenApiRouter<&'static HttpState> {
    OpenApiRouter::new()
        .routes(routes!(page::list))
        .routes(routes!(stock::read, stock::put, stock::delete))
        .routes(routes!(stock::adjust))
        .routes(routes!(stock_query::query))
        // A sku may be called so, too.
        .route("/v1/stock/query", get(stock::read).put(stock::put).delete(stock::delete))
        .routes(routes!(adjustments::adjust_many))
        .routes(routes!(transfers::transfer))
        .routes(routes!(reservations::reserve, reservations::list))
        .routes(routes!(reservations::read))
        .routes(routes!(reservations::commit))
        .routes(routes!(reservations::release))
        .routes(routes!(reservations::extend))
        .routes(routes!(orders::place, orders::list))
        .routes(routes!(orders::read, orders::cancel))
        .routes(routes!(orders::give_back))
        .routes(routes!(movements::list))
        .routes(routes!(alerts::put, alerts::read, alerts::delete))
        .routes(routes!(alerts::list))
        .routes(routes!(events::watch))
        .routes(routes!(events::schema))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::read, webhooks::delete))
        .routes(routes!(webhooks::ping))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::enable))
        .routes(routes!(export::export))
        .routes(routes!(import::import))
        .routes(routes!(docs::home))
        .routes(routes!(docs::yaml))
        .routes(routes!(docs::json))
        .routes(routes!(docs::page))
        .routes(routes!(docs::file))
        .routes(routes!(docs::problem))
}
