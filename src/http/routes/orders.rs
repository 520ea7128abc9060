//! `/v1/orders`: units that leave the house in turn, and may come back.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::named::{self, Asked};
use super::{LINES_BYTES_MAX, answer};
use crate::http::dto::{OrderAnswer, OrderRequest, OrdersAnswer, ReturnRequest};
use crate::http::extract::{
    Asker, Bodiless, IdempotencyKey, JsonBody, JsonBodyOrNone, NoConditions, PathParams, Patience, Prefer,
    Query, Service, Unconditional, Unkeyed,
};
use crate::http::problem::Problem;
use crate::stock::{Order, OrderId, OrderState, Quantity, RefusedLevel};
use crate::store::{
    Answered, AnyStore, Command, Deed, OrderQuery, OrderRefused, Outcome, ReturnLine, Store as _,
};

/// Place an order
///
/// It is queued, and takes its units when it is its turn: all lines or none. Then it is `fulfilled`; if there is too little, `rejected`, or,
/// with `backorder`, `backordered` until there is enough. With `Prefer: wait=S` the answer waits until it is fulfilled or rejected, S
/// seconds at most; `Preference-Applied` says how long that is.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", operation_id = "placeOrder",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
        ("Prefer" = Option<String>, Header, description = "`wait=S` (RFC 7240): wait up to S seconds, 60 at most and nine tenths of the request timeout, until the order is fulfilled, rejected or cancelled"),
    ),
    request_body(content = OrderRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The order, which is fulfilled, or `rejected` and says why: of a request that waits", body = OrderAnswer<'static>,
         headers(("Location" = String, description = "Where it is"), ("Preference-Applied" = String, description = "`wait=S`: for how long the request would have waited"))),
        (status = 202, description = "The order, which is accepted", body = OrderAnswer<'static>,
         headers(("Location" = String, description = "Where it is"), ("Preference-Applied" = String, description = "`wait=S`: for how long the request has waited, of one that waits"))),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`queue-full`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn place(
    Service(store): Service,
    who: Asker,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    prefer: Prefer,
    body: JsonBody<LINES_BYTES_MAX>,
) -> Result<Response, Problem> {
    let (deed, remark) = body.read(|request: OrderRequest<'_>| {
        let (lines, priority, backorder) = (request.lines()?, request.priority(), request.backorder);
        Ok((Deed::Order { lines, priority, backorder }, request.remark()?))
    })?;
    let idempotency = idempotency_key.with_body(body.bytes());
    // Whoever waits does so without it.
    drop(body);
    let Answered { outcome, replayed } =
        store.execute(Command { deed, idempotency, said: who.says(remark) }).await?;
    let Outcome::Order(Ok(placed)) = outcome else { return Err(Problem::unexpected()) };
    let response = match prefer.patience() {
        Some(patience) => told_when_final(store, *placed, patience).await,
        None => at_its_place(&placed, StatusCode::ACCEPTED),
    };
    Ok(answer::marked(response, replayed))
}

/// Read an order
///
/// Those that are over are kept for a while (`--order-retention`), the newest 100 000 of them. With `Prefer: wait=S` the answer waits until
/// it is over, S seconds at most.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders", operation_id = "readOrder",
    params(
        ("id" = String, Path, description = "The name of the order", min_length = 36, max_length = 36),
        ("Prefer" = Option<String>, Header, description = "`wait=S` (RFC 7240): wait up to S seconds, 60 at most and nine tenths of the request timeout, until the order is fulfilled, rejected or cancelled"),
    ),
    responses(
        (status = 200, description = "The order", body = OrderAnswer<'static>,
         headers(("Preference-Applied" = String, description = "`wait=S`: for how long the request has waited at most, of one that waits"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`order-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    Service(store): Service,
    uri: Uri,
    path: PathParams,
    prefer: Prefer,
) -> Result<Response, Problem> {
    Query::parse(&uri, &[])?;
    let id = named::id(&path)?;
    let Some(patience) = prefer.patience() else {
        let order = store.order(id).await?.ok_or_else(|| Problem::order_not_found(id))?;
        return Ok(told(&order, StatusCode::OK));
    };
    let order = match patience.unless_stopped(store.order_when_final(id, patience.time())).await {
        Some(order) => order?,
        None => store.order(id).await?,
    };
    let order = order.ok_or_else(|| Problem::order_not_found(id))?;
    Ok(answer::having_waited(told(&order, StatusCode::OK), patience))
}

/// List orders
///
/// In the order in which they were placed. Each is current when it is read; a page is not a snapshot of all.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", operation_id = "listOrders",
    params(
        ("limit" = Option<usize>, Query, description = "How many at most: 1 to 1000, 100 where left out", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next_cursor` of the page before"),
        ("state" = Option<String>, Query, description = "Only those that are `queued`, `backordered`, `fulfilled`, `rejected` or `cancelled`"),
    ),
    responses(
        (status = 200, description = "A page", body = OrdersAnswer<'static>,
         headers(("Link" = String, description = "`rel=\"next\"`: the next page, where there is one"))),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    let named = |text: &str| {
        OrderState::named(text).ok_or("must be queued, backordered, fulfilled, rejected or cancelled")
    };
    let Asked { limit, after, state } = Asked::parse(&uri, named)?;
    let page = store.orders(OrderQuery { state, after, limit }).await?;
    let items = page.orders.iter().map(OrderAnswer::new).collect();
    let next = page.next.map(|after| named::next("/v1/orders", after, limit, state.map(OrderState::name)));
    let next_cursor = page.next.map(|id| id.to_string());
    Ok(named::page(&OrdersAnswer { items, next_cursor }, next))
}

/// Cancel an order
///
/// While it is queued or backordered. Cancelled once: the same again is answered the same. There is no body: reason and reference are
/// parameters.
#[utoipa::path(
    delete, path = "/v1/orders/{id}", tag = "orders", operation_id = "cancelOrder",
    params(
        ("id" = String, Path, description = "The name of the order", min_length = 36, max_length = 36),
        ("reason" = Option<String>, Query, description = "Why: free text", max_length = 64),
        ("reference" = Option<String>, Query, description = "What it belongs to, in the client's own books: free text", max_length = 128),
    ),
    responses(
        (status = 204, description = "Cancelled"),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`order-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`order-fulfilled`, `order-rejected`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    Service(store): Service,
    who: Asker,
    uri: Uri,
    path: PathParams,
    _: NoConditions,
    _: Unkeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let remark = Query::parse(&uri, &["reason", "reference"])?.remark()?;
    let id = named::id(&path)?;
    let deed = Deed::Cancel { id };
    let Answered { outcome, .. } =
        store.execute(Command { deed, idempotency: None, said: who.says(remark) }).await?;
    match outcome {
        Outcome::Order(Ok(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Outcome::Order(Err(OrderRefused::NotFound)) => Err(Problem::order_not_found(id)),
        Outcome::Order(Err(OrderRefused::State(order))) => Err(Problem::order_not_cancelled(&order)),
        _ => Err(Problem::unexpected()),
    }
}

/// Give back what an order took
///
/// Each unit once, whatever races and however often it is tried; without `lines`, all that is not back yet. It goes to where it was taken
/// from, or to the location that the line says.
#[utoipa::path(
    post, path = "/v1/orders/{id}/returns", tag = "orders", operation_id = "returnOrder",
    params(
        ("id" = String, Path, description = "The name of the order", min_length = 36, max_length = 36),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = Option<ReturnRequest<'static>>, content_type = "application/json"),
    responses(
        (status = 200, description = "The order", body = OrderAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`order-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`returned-already`: not as many units are left. `order-not-fulfilled`, `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed` (also of a line that the order does not have), `too-many-lines`, `quantity-overflow`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn give_back(
    Service(store): Service,
    who: Asker,
    path: PathParams,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBodyOrNone<LINES_BYTES_MAX>,
) -> Result<Response, Problem> {
    let id = named::id(&path)?;
    let (asked, remark) =
        body.read(|request: ReturnRequest<'_>| Ok((request.lines()?, request.remark()?)))?;
    let lines = asked.as_deref().map(combined).transpose()?;
    let idempotency = idempotency_key.with_body(body.bytes());
    let command = Command { deed: Deed::Return { id, lines }, idempotency, said: who.says(remark) };
    let Answered { outcome, replayed } = store.execute(command).await?;
    let response = match outcome {
        Outcome::Order(Ok(order)) => told(&order, StatusCode::OK),
        Outcome::Order(Err(refused)) => not_returned(refused, id, &asked.unwrap_or_default()).into_response(),
        _ => return Err(Problem::unexpected()),
    };
    Ok(answer::marked(response, replayed))
}

/// An order that was placed, once it is over; if it is not in time, or nobody can say, as it was placed.
async fn told_when_final(store: &AnyStore, placed: Order, patience: Patience) -> Response {
    let order = match patience.unless_stopped(store.order_when_final(placed.id, patience.time())).await {
        Some(Ok(Some(order))) => order,
        // It was accepted, whatever keeps us from a look at it now.
        _ => placed,
    };
    let status = if order.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    answer::having_waited(at_its_place(&order, status), patience)
}

fn told(order: &Order, status: StatusCode) -> Response {
    named::json(&OrderAnswer::new(order), status)
}

fn at_its_place(order: &Order, status: StatusCode) -> Response {
    named::at(told(order, status), format!("/v1/orders/{}", order.id))
}

/// The same, in the order of the levels; lines that name the same levels are one.
fn combined(asked: &[ReturnLine]) -> Result<Vec<ReturnLine>, Problem> {
    let mut numbered: Vec<(usize, &ReturnLine)> = asked.iter().enumerate().collect();
    numbered.sort_by(|(_, a), (_, b)| (&a.key, &a.to).cmp(&(&b.key, &b.to)));
    let mut combined: Vec<ReturnLine> = Vec::with_capacity(asked.len());
    for (at, line) in numbered {
        match combined.last_mut().filter(|last| (&last.key, &last.to) == (&line.key, &line.to)) {
            Some(last) => {
                let sum = Quantity::new(last.quantity.units() + line.quantity.units());
                last.quantity = sum.ok_or_else(|| {
                    let detail = "is with the lines before it more than a level can have";
                    Problem::field(format!("/lines/{at}/quantity"), detail)
                })?;
            }
            None => combined.push(line.clone()),
        }
    }
    Ok(combined)
}

/// Why nothing came back. `asked` are the lines of the request.
fn not_returned(refused: OrderRefused, id: OrderId, asked: &[ReturnLine]) -> Problem {
    let line = |wanted: &dyn Fn(&ReturnLine) -> bool| {
        let line = asked.iter().position(wanted);
        line.map_or_else(String::new, |line| format!("/lines/{line}"))
    };
    match refused {
        OrderRefused::NotFound => Problem::order_not_found(id),
        OrderRefused::State(order) => Problem::order_not_fulfilled(&order),
        OrderRefused::NotOrdered { key } => {
            let place = line(&|line| line.key == key) + "/sku";
            Problem::field(place, "is not of this order at this location")
        }
        OrderRefused::Returned { key, left } => {
            let of_level = asked.iter().filter(|line| line.key == key).map(|line| line.quantity.units());
            let requested = (!asked.is_empty()).then(|| of_level.sum());
            Problem::returned_already(&key, left, requested, line(&|line| line.key == key))
        }
        OrderRefused::Levels(levels) => {
            Problem::refused_at(&levels, |level: &RefusedLevel| line(&|line| line.to == level.key))
        }
    }
}
