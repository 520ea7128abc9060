//! What a handler takes out of a request. Each extractor refuses with a [`Problem`](super::problem::Problem) that
//! names what is wrong, so no rejection of the framework reaches a client.

mod accept;
mod asker;
mod body;
mod conditions;
mod idempotency;
mod json;
mod movements;
mod path;
mod prefer;
mod query;
mod room;
mod service;
mod stock_file;
mod stock_path;

use axum::http::HeaderName;

pub use accept::Accepted;
pub use asker::Asker;
pub use body::{Bodiless, JsonBody, JsonBodyOrNone};
pub use conditions::{Conditions, EntityTags, NeverKeyed, NoConditions, Unconditional, Unkeyed};
pub use idempotency::{BodyHash, IdempotencyKey};
pub use json::read_part;
pub use path::PathParams;
pub use prefer::{PREFERENCE_APPLIED, Patience, Prefer};
pub use query::{Page, Query};
pub use room::BodyRoom;
pub use service::Service;
pub(crate) use stock_file::too_large;
pub use stock_file::{NDJSON, StockFile, wanted_form};
pub use stock_path::{ReadStockPath, RemarkedStockPath, StockPath};

/// The header of an idempotency key. As a text it would be parsed with each request.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
