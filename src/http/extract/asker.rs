//! [`Asker`]: who asks for a change, as the ledger names them.
//!
//! It is never taken from what a client says of itself: only from the key that let the request in.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use smol_str::SmolStr;

use crate::access::Principal;
use crate::said::Said;
use crate::stock::Remark;

/// Who asks; nobody where no keys are asked for. Taking the name allocates nothing if it is of 23 bytes at most.
#[derive(Debug)]
pub struct Asker(Option<SmolStr>);

impl Asker {
    /// What the ledger keeps: that, and who said it.
    pub fn says(self, remark: Option<Arc<Remark>>) -> Said {
        Said { remark, actor: self.0 }
    }

    /// The name; `None` for nobody.
    pub fn name(self) -> Option<SmolStr> {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().map(Principal::actor)))
    }
}
