//! [`Service`]: the service, once it takes requests. First in every handler that needs it: what is not ready looks at nothing.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::HttpState;
use crate::http::problem::Problem;
use crate::store::AnyStore;

/// The service; 503 `not-ready` while it is still reading what it has on disk.
#[derive(Debug, Clone, Copy)]
pub struct Service(pub &'static AnyStore);

impl FromRequestParts<&'static HttpState> for Service {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &&'static HttpState) -> Result<Self, Problem> {
        state.store().map(Self)
    }
}
