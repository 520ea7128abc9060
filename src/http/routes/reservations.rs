//! `/v1/reservations`: units held until a deadline.

use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::named::{self, Asked};
use super::{BODY_BYTES_MAX, LINES_BYTES_MAX, answer};
use crate::http::dto::{
    CommitRequest, ExtendRequest, ReleaseRequest, ReservationAnswer, ReservationsAnswer, ReserveRequest,
};
use crate::http::extract::{
    Asker, IdempotencyKey, JsonBody, JsonBodyOrNone, PathParams, Query, Service, Unconditional,
};
use crate::http::problem::{Problem, ProblemKind};
use crate::said::Said;
use crate::stock::{HeldLine, Reservation, ReservationId, ReservationState};
use crate::store::{
    Answered, AnyStore, Command, Deed, Idempotency, Outcome, ReservationQuery, ReservationRefused,
    Store as _, Transition,
};

/// Hold units
///
/// All lines or none. The units stay on hand and are not available to anybody else, until the reservation is committed, released, or expires:
/// from `expires_at` on, whatever is asked sees them free.
#[utoipa::path(
    post, path = "/v1/reservations", tag = "reservations", operation_id = "reserve",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = ReserveRequest<'static>, content_type = "application/json"),
    responses(
        (status = 201, description = "The reservation", body = ReservationAnswer<'static>,
         headers(("Location" = String, description = "Where it is"))),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock`: every short line is named. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `quantity-overflow`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded` (also where as many are pending as may be), `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reserve(
    Service(store): Service,
    who: Asker,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBody<LINES_BYTES_MAX>,
) -> Result<Response, Problem> {
    let asked = |request: ReserveRequest<'_>| Ok((request.transaction()?, request.ttl(), request.remark()?));
    let (transaction, ttl, remark) = body.read(asked)?;
    let idempotency = idempotency_key.with_body(body.bytes());
    let deed = Deed::Reserve { transaction: Arc::new(transaction), ttl };
    carry_out(store, Command { deed, idempotency, said: who.says(remark) }, StatusCode::CREATED, &[]).await
}

/// Read a reservation
///
/// Finished ones are kept for a while (`--reservation-retention`), the newest 100 000 of them.
#[utoipa::path(
    get, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "readReservation",
    params(("id" = String, Path, description = "The name of the reservation", min_length = 36, max_length = 36)),
    responses(
        (status = 200, description = "The reservation", body = ReservationAnswer<'static>),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`reservation-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(Service(store): Service, uri: Uri, path: PathParams) -> Result<Response, Problem> {
    let id = id(&path, &uri)?;
    match store.reservation(id).await? {
        Some(reservation) => Ok(told(&reservation, StatusCode::OK)),
        None => Err(not_found(id)),
    }
}

/// List reservations
///
/// In the order in which they were made. Each is current when it is read; a page is not a snapshot of all.
#[utoipa::path(
    get, path = "/v1/reservations", tag = "reservations", operation_id = "listReservations",
    params(
        ("limit" = Option<usize>, Query, description = "How many at most: 1 to 1000, 100 where left out", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next_cursor` of the page before"),
        ("state" = Option<String>, Query, description = "Only those that are `pending`, `committed`, `released` or `expired`"),
    ),
    responses(
        (status = 200, description = "A page", body = ReservationsAnswer<'static>,
         headers(("Link" = String, description = "`rel=\"next\"`: the next page, where there is one"))),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    let named =
        |text: &str| ReservationState::named(text).ok_or("must be pending, committed, released or expired");
    let Asked { limit, after, state } = Asked::parse(&uri, named)?;
    let page = store.reservations(ReservationQuery { state, after, limit }).await?;
    let items = page.reservations.iter().map(ReservationAnswer::new).collect();
    let next = page
        .next
        .map(|after| named::next("/v1/reservations", after, limit, state.map(ReservationState::name)));
    let next_cursor = page.next.map(|id| id.to_string());
    Ok(named::page(&ReservationsAnswer { items, next_cursor }, next))
}

/// Commit a reservation
///
/// Its units leave the house; with `lines` only those, and the others are let go. Committed once: the same again is answered the same.
#[utoipa::path(
    post, path = "/v1/reservations/{id}/commit", tag = "reservations", operation_id = "commitReservation",
    params(
        ("id" = String, Path, description = "The name of the reservation", min_length = 36, max_length = 36),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = Option<CommitRequest<'static>>, content_type = "application/json"),
    responses(
        (status = 200, description = "The reservation", body = ReservationAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`reservation-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`reservation-committed` (with other lines), `reservation-released`, `reservation-expired`. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed` (also of a line that is not held), `too-many-lines`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn commit(
    Service(store): Service,
    who: Asker,
    uri: Uri,
    path: PathParams,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBodyOrNone<LINES_BYTES_MAX>,
) -> Result<Response, Problem> {
    let id = id(&path, &uri)?;
    let (lines, remark) =
        body.read(|request: CommitRequest<'_>| Ok((request.lines()?, request.remark()?)))?;
    let asked = lines.clone().unwrap_or_default();
    let sorted = lines.map(|mut lines| {
        lines.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        lines
    });
    let idempotency = idempotency_key.with_body(body.bytes());
    settle(store, id, Transition::Commit(sorted), idempotency, who.says(remark), &asked).await
}

/// Release a reservation
///
/// Its units are let go. Released once: the same again is answered the same.
#[utoipa::path(
    post, path = "/v1/reservations/{id}/release", tag = "reservations", operation_id = "releaseReservation",
    params(
        ("id" = String, Path, description = "The name of the reservation", min_length = 36, max_length = 36),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = Option<ReleaseRequest<'static>>, content_type = "application/json"),
    responses(
        (status = 200, description = "The reservation", body = ReservationAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`reservation-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`reservation-committed`, `reservation-expired`. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn release(
    Service(store): Service,
    who: Asker,
    uri: Uri,
    path: PathParams,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBodyOrNone<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let id = id(&path, &uri)?;
    let remark = body.read(|request: ReleaseRequest<'_>| request.remark())?;
    let idempotency = idempotency_key.with_body(body.bytes());
    settle(store, id, Transition::Release, idempotency, who.says(remark), &[]).await
}

/// Extend a reservation
///
/// It holds for `ttl_seconds` from now on, and never for less than before.
#[utoipa::path(
    post, path = "/v1/reservations/{id}/extend", tag = "reservations", operation_id = "extendReservation",
    params(
        ("id" = String, Path, description = "The name of the reservation", min_length = 36, max_length = 36),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = Option<ExtendRequest<'static>>, content_type = "application/json"),
    responses(
        (status = 200, description = "The reservation", body = ReservationAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`reservation-not-found`: there is none of that name, or not any more", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`reservation-committed`, `reservation-released`, `reservation-expired`. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn extend(
    Service(store): Service,
    who: Asker,
    uri: Uri,
    path: PathParams,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBodyOrNone<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let id = id(&path, &uri)?;
    let (ttl, remark) = body.read(|request: ExtendRequest<'_>| Ok((request.ttl(), request.remark()?)))?;
    let idempotency = idempotency_key.with_body(body.bytes());
    settle(store, id, Transition::Extend(ttl), idempotency, who.says(remark), &[]).await
}

async fn settle(
    store: &AnyStore,
    id: ReservationId,
    transition: Transition,
    idempotency: Option<Box<Idempotency>>,
    said: Said,
    asked: &[HeldLine],
) -> Result<Response, Problem> {
    let deed = Deed::Settle { id, transition };
    carry_out(store, Command { deed, idempotency, said }, StatusCode::OK, asked).await
}

/// Carries a command about a reservation out, and answers with the reservation. `asked` are the lines of a commit, in their order.
async fn carry_out(
    store: &AnyStore,
    command: Command,
    status: StatusCode,
    asked: &[HeldLine],
) -> Result<Response, Problem> {
    let named = if let Deed::Settle { id, .. } = command.deed { Some(id) } else { None };
    let Answered { outcome, replayed } = store.execute(command).await?;
    let response = match outcome {
        Outcome::Reservation(Ok(reservation)) => told(&reservation, status),
        Outcome::Reservation(Err(refused)) => match (refused, named) {
            (ReservationRefused::Levels(levels), _) => Problem::refused_together(&levels).into_response(),
            (ReservationRefused::State(reservation), _) => settled_before(&reservation).into_response(),
            (ReservationRefused::NotFound, Some(id)) => not_found(id).into_response(),
            (ReservationRefused::NotHeld { key, held }, _) => {
                let line = asked.iter().position(|line| line.key == key).unwrap_or(0);
                let detail = match held {
                    0 => "is not held by this reservation".to_owned(),
                    held => format!("is more than the {held} units that this reservation holds"),
                };
                let name = if held == 0 { "sku" } else { "quantity" };
                Problem::field(format!("/lines/{line}/{name}"), detail).into_response()
            }
            (ReservationRefused::NotFound, None) => return Err(Problem::unexpected()),
        },
        _ => return Err(Problem::unexpected()),
    };
    Ok(answer::marked(response, replayed))
}

fn told(reservation: &Reservation, status: StatusCode) -> Response {
    let response = named::json(&ReservationAnswer::new(reservation), status);
    if status != StatusCode::CREATED {
        return response;
    }
    named::at(response, format!("/v1/reservations/{}", reservation.term.id))
}

/// The reservation that the path names, of a request without parameters.
fn id(path: &PathParams, uri: &Uri) -> Result<ReservationId, Problem> {
    Query::parse(uri, &[])?;
    named::id(path)
}

fn not_found(id: ReservationId) -> Problem {
    Problem::new(
        ProblemKind::ReservationNotFound,
        format!("there is no reservation {id}, or it was finished long ago"),
    )
}

fn settled_before(reservation: &Reservation) -> Problem {
    let kind = match reservation.state {
        ReservationState::Committed => ProblemKind::ReservationCommitted,
        ReservationState::Released => ProblemKind::ReservationReleased,
        // One that is pending is never in the way.
        ReservationState::Expired | ReservationState::Pending => ProblemKind::ReservationExpired,
    };
    let (id, name) = (reservation.term.id, reservation.state.name());
    let detail = match reservation.state {
        ReservationState::Expired => format!("reservation {id} expired; nothing was changed"),
        _ => format!("reservation {id} was {name} before; nothing was changed"),
    };
    Problem::new(kind, detail)
}
