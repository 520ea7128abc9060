//! [`PathParams`]: what stands in a path where its template has parameters.

use std::convert::Infallible;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

/// The parameters of a path, decoded.
///
/// It never refuses: that would be an answer of the framework. Who asks for a parameter that is no text is told so, and says which it is.
#[derive(Debug)]
pub struct PathParams(Result<RawPathParams, RawPathParamsRejection>);

/// What is in a path is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

impl PathParams {
    /// The parameter of that name, if the template has one.
    pub fn get(&self, name: &str) -> Result<Option<&str>, NotText> {
        let params = self.0.as_ref().map_err(|_| NotText)?;
        Ok(params.iter().find(|(known, _)| *known == name).map(|(_, value)| value))
    }

    /// The same where no name is anything but text: what is none names nothing, as an empty one does.
    pub fn name(&self, name: &str) -> &str {
        self.get(name).ok().flatten().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(RawPathParams::from_request_parts(parts, state).await))
    }
}
