//! `/v1/status`, the probes and `/metrics`: for those who run the service.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::answer;
use crate::http::admission::Occupancy;
use crate::http::dto::{AdmissionAnswer, ContentionAnswer, OrderQueueAnswer, PolicyAnswer, StatusAnswer};
use crate::http::extract::Accepted;
use crate::http::policy::Policy;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::{HttpState, metrics as exposed};
use crate::store::{Status, Store as _};
use crate::telemetry::text::Format;

/// How the service is doing
#[utoipa::path(
    get, path = "/v1/status", tag = "operations", operation_id = "status",
    responses((status = 200, description = "What runs, since when, and what sharing has cost", body = StatusAnswer))
)]
pub async fn status(State(state): State<&'static HttpState>) -> Result<Json<StatusAnswer>, Problem> {
    let Status { strategy, durable, levels, contention, lineage, ledger_order, orders, .. } =
        state.store()?.status();
    let holds = contention.holds;
    let Policy { idempotency_key, precondition } = state.policy;
    let Occupancy { in_flight, in_flight_max, waiting, waiting_max, shed } = state.admission.now();
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        strategy,
        durability: if durable { "durable" } else { "ephemeral" },
        uptime_seconds: state.started.elapsed().as_secs(),
        lineage: lineage.id().map(|id| format!("{id:016x}")),
        ledger_order: ledger_order.name(),
        levels,
        contention: ContentionAnswer {
            acquisitions: contention.acquisitions,
            contended: contention.contended,
            timeouts: contention.timeouts,
            retries: contention.retries,
            wait_ns: contention.waits.sum_ns,
            hold_ns_mean: holds.sum_ns.checked_div(holds.count),
        },
        orders: OrderQueueAnswer {
            discipline: orders.discipline.name(),
            ageing_ms: u64::try_from(orders.ageing.as_millis()).unwrap_or(u64::MAX),
            queued: orders.queued,
            backordered: orders.backordered,
        },
        admission: AdmissionAnswer { in_flight, in_flight_max, waiting, waiting_max, shed },
        policy: PolicyAnswer { require_idempotency_key: idempotency_key, require_precondition: precondition },
    }))
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/livez", tag = "operations", operation_id = "alive",
    responses((status = 200, description = "It is: anything else means restart it", body = String, content_type = "text/plain"))
)]
pub async fn alive() -> Response {
    answer::typed("alive\n", HeaderValue::from_static("text/plain"))
}

/// Whether the service takes requests
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "ready",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "`not-ready`: it is starting or shutting down, the disk is full, or the database is away", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn ready(State(state): State<&'static HttpState>) -> Result<Response, Problem> {
    if !state.readiness.get() {
        let told = match state.awaited() {
            Some(why) => format!("the service is starting, and the store cannot be reached: {why}"),
            None => "the service is starting or shutting down".to_owned(),
        };
        return Err(Problem::new(ProblemKind::NotReady, told));
    }
    let Status { full, away, .. } = state.store()?.status();
    if let Some(why) = away {
        return Err(Problem::new(ProblemKind::NotReady, format!("the store cannot be reached: {why}")));
    }
    if full {
        return Err(Problem::new(
            ProblemKind::NotReady,
            "the disk is full: no change is let in until there is room",
        ));
    }
    Ok(answer::typed("ready\n", HeaderValue::from_static("text/plain")))
}

/// Metrics, for Prometheus
///
/// The text format, or `OpenMetrics` if `Accept` would rather have that: it has an exemplar of the requests that are a part of a trace.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "The text format, version 0.0.4, or OpenMetrics 1.0", content((String = "text/plain"), (String = "application/openmetrics-text"))))
)]
pub async fn metrics(State(state): State<&'static HttpState>, headers: HeaderMap) -> Response {
    let accepted = Accepted::of(&headers);
    let open = accepted.liking(&["application/openmetrics-text"]);
    // Prometheus says which of them it would rather have; who wants anything gets what everybody reads.
    let is_open = open > accepted.liking(&["text/plain"]);
    let format = if is_open { Format::OpenMetrics } else { Format::Prometheus };
    let mut response = answer::typed(
        exposed::gathered(state).to_text(format),
        HeaderValue::from_static(format.content_type()),
    );
    response.headers_mut().insert(header::VARY, HeaderValue::from_name(header::ACCEPT));
    response
}
