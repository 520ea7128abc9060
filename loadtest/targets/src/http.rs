//! A shop over HTTP.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /items` | `{"sku","quantity"}` | 201, or 409 `exists` |
//! | `GET /items/{sku}` | | 200, or 404 `no-such-item` |
//! | `POST /items/{sku}/take` | `{"quantity"}` | 200, or 404, or 409 `out-of-stock` |
//! | `POST /items/{sku}/give` | `{"quantity"}` | 200, or 404 |
//! | `POST /moves` | `{"from","to","quantity"}` | 200 `{"from":item,"to":item}`, or 404, or 409 |
//! | `GET /health` | | 200 |
//!
//! An item is `{"sku","quantity"}`, as it is then; an error is `{"error":name}`. 400 is a request that makes no sense, 503 `busy`
//! certainly changed nothing, and after a 500 nobody knows.

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::shop::{Denial, Shop};

/// The longest name of an item, in bytes.
const SKU_BYTES_MAX: usize = 200;

/// The most units in one request: nine billion of them fit a bigint.
const UNITS_MAX: i64 = 1_000_000_000;

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// An item, as it is made and as answers show it.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: i64,
}

#[derive(Debug, Deserialize)]
struct Units {
    quantity: i64,
}

#[derive(Debug, Deserialize)]
struct Move {
    from: String,
    to: String,
    quantity: i64,
}

#[derive(Debug, Serialize)]
struct Moved {
    from: Item,
    to: Item,
}

#[derive(Debug, Serialize)]
struct Problem {
    error: String,
}

/// What is answered if a request was not carried out.
enum Refused {
    /// It makes no sense.
    Senseless(&'static str),
    Denied(Denial),
}

/// The routes of a shop.
pub fn router(shop: impl Shop) -> Router {
    routes().layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(shop)
}

fn routes<S: Shop>() -> Router<S> {
    Router::new()
        .route("/items", post(create::<S>))
        .route("/items/{sku}", get(read::<S>))
        .route("/items/{sku}/take", post(take::<S>))
        .route("/items/{sku}/give", post(give::<S>))
        .route("/moves", post(transfer::<S>))
        .route("/health", get(async || StatusCode::OK))
}

async fn create<S: Shop>(
    State(shop): State<S>,
    Json(item): Json<Item>,
) -> Result<(StatusCode, Json<Item>), Refused> {
    named(&item.sku)?;
    within(item.quantity, 0)?;
    shop.create(&item.sku, item.quantity).await?;
    Ok((StatusCode::CREATED, Json(item)))
}

async fn read<S: Shop>(State(shop): State<S>, Path(sku): Path<String>) -> Result<Json<Item>, Refused> {
    let quantity = shop.quantity(&sku).await?;
    Ok(Json(Item { sku, quantity }))
}

async fn take<S: Shop>(
    State(shop): State<S>,
    Path(sku): Path<String>,
    Json(units): Json<Units>,
) -> Result<Json<Item>, Refused> {
    let quantity = shop.change(&sku, -within(units.quantity, 1)?).await?;
    Ok(Json(Item { sku, quantity }))
}

async fn give<S: Shop>(
    State(shop): State<S>,
    Path(sku): Path<String>,
    Json(units): Json<Units>,
) -> Result<Json<Item>, Refused> {
    let quantity = shop.change(&sku, within(units.quantity, 1)?).await?;
    Ok(Json(Item { sku, quantity }))
}

async fn transfer<S: Shop>(
    State(shop): State<S>,
    Json(Move { from, to, quantity }): Json<Move>,
) -> Result<Json<Moved>, Refused> {
    if from == to {
        return Err(Refused::Senseless("from-is-to"));
    }
    let (left, there) = shop.transfer(&from, &to, within(quantity, 1)?).await?;
    Ok(Json(Moved { from: Item { sku: from, quantity: left }, to: Item { sku: to, quantity: there } }))
}

fn named(sku: &str) -> Result<(), Refused> {
    let fits = !sku.is_empty() && sku.len() <= SKU_BYTES_MAX && !sku.contains('\0');
    if fits { Ok(()) } else { Err(Refused::Senseless("bad-sku")) }
}

fn within(units: i64, least: i64) -> Result<i64, Refused> {
    if (least..=UNITS_MAX).contains(&units) { Ok(units) } else { Err(Refused::Senseless("bad-quantity")) }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Senseless(what) => (StatusCode::BAD_REQUEST, what.to_owned()),
            Self::Denied(denial) => (status(&denial), denial.to_string()),
        };
        (status, Json(Problem { error })).into_response()
    }
}

fn status(denial: &Denial) -> StatusCode {
    match denial {
        Denial::NoSuchItem => StatusCode::NOT_FOUND,
        Denial::Exists | Denial::OutOfStock => StatusCode::CONFLICT,
        Denial::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Denial::Unknown(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
