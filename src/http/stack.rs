//! The middleware stack, whole, in order.

use axum::Router;
use tower::ServiceBuilder;

use super::middleware::{
    AccessLayer, AdmitLayer, CorsLayer, LimitLayer, ObserveLayer, ProtectLayer, RequestIdLayer, VetLayer,
    no_store,
};
use super::{HttpConfig, HttpState};

/// Puts the middleware around the routes. A request passes the layers from top to bottom, its answer from bottom
/// to top.
pub fn around(routes: Router, state: &'static HttpState, config: &HttpConfig, is_secured: bool) -> Router {
    let observe = ObserveLayer::new(&state.metrics, &state.access_log).traced_by(state.tracer, is_secured);
    let stack = ServiceBuilder::new()
        // Counts and times everything below, whatever becomes of it, tells the access log, and records some as spans.
        .layer(observe)
        // Names the request, in the answer and so in the log line above.
        .layer(RequestIdLayer)
        // Lets no cache keep an answer, whoever made it, but for those that say how long they may be kept.
        .map_response(no_store)
        // Tells browsers which pages may ask, before anybody is turned away: a preflight shows no key, and a page may read why it was refused.
        .layer(CorsLayer::new(&state.origins))
        // Refuses a head that contradicts itself, and what a page of another site sends that may not ask.
        .layer(VetLayer::new(&state.origins))
        // Turns away who has no key for what is asked; what is below knows whose it was.
        .layer(AccessLayer::new(state.access))
        // Refuses a client that asks too often; before it takes a place from others.
        .layer(LimitLayer::new(state.rate_limit.as_ref()))
        // Lets in as many as can be carried out, and refuses what would come too late.
        .layer(AdmitLayer::new(&state.admission))
        // Turns a handler that panics or takes too long into a problem; so those are counted and named as well.
        .layer(ProtectLayer::new(config.request_timeout));
    // One layer of the router, so that a request pays for one boxed future and not for one per middleware. Layers of
    // a router run after routing, which is how they know the route.
    routes.layer(stack)
}
