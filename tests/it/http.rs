//! The HTTP face over a real socket (DESIGN section 6): each route, method, status and header, each error, and what
//! connections may do. P3, P4, P6, P10, P11 as seen by a client; every answer is held against the OpenAPI document.

mod adjustments;
mod alerts;
mod backups;
mod closing;
mod connections;
mod crowds;
mod disconnects;
mod documents;
mod errors;
mod events;
mod events_bounds;
mod history;
mod import_versions;
mod limits;
mod listing;
mod names;
mod operations;
mod order_disciplines;
mod order_queue;
mod orders;
mod orders_refused;
mod protection;
mod refusals;
mod reservations;
mod shutdown;
mod stock;
mod stock_files;
mod stock_query;
mod strictness;
mod transfers;
mod transport;
mod waiting;
mod webhooks;
mod webhooks_failures;
