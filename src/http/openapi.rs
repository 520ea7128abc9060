//! The OpenAPI document: generated from the handlers, served, printed, and committed as `openapi.yaml`.

mod guarded;
mod limited;
mod parts;
mod patterns;
mod shared;
mod yaml;

use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;

use super::feed::schema;
use super::routes::{self, Face};

/// What no handler can say.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Inventory",
        description = "Stock counts that never lose an update and never oversell.\n\n\
            A *stock level* is one sku at one location. Each change raises its `version` by exactly 1; the version in \
            quotes is its `ETag`. A sku is 1 to 64 bytes of UTF-8, a location 1 to 32, without control characters and without \
            white space at either end; a sku is not `.` or `..`. Both are told in Unicode's normal form C, so two spellings of \
            one name (`é` may be one character or two) are one level; case matters. In a path and in a query they are \
            percent-encoded. Lists are in the order of the bytes. Quantities are integers from 0 to 1 099 511 627 775 (2^40 - 1).\n\n\
            Errors are `application/problem+json` (RFC 9457); their `type` says which, and its path explains it.\n\n\
            Where the service was started with keys (`--auth-file`) or with those of an issuer of tokens (`--jwt-jwks`), each request \
            but for probes and documents needs a key or a token, as `Authorization: Bearer KEY`; what is asked under an \
            `Idempotency-Key` is of the name of the key, or of the subject of the token.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/", description = "the service that serves this document")),
    tags(
        (name = "stock", description = "Stock levels, one at a time"),
        (name = "batches", description = "Several stock levels in one request"),
        (name = "reservations", description = "Units held for somebody until a deadline"),
        (name = "orders", description = "Units that leave the house in turn, and may come back"),
        (name = "ledger", description = "Every change there was, in the order of the log; whole stocks out and in"),
        (name = "webhooks", description = "Who is told of every change, by signed messages"),
        (name = "operations", description = "For those who run the service")
    )
)]
struct Head;

/// The document in its two forms, built once.
#[derive(Debug)]
pub struct Documents {
    /// YAML.
    pub yaml: String,
    /// JSON.
    pub json: String,
    /// What each event looks like, by its name.
    events: Vec<(&'static str, String)>,
}

impl Documents {
    /// Builds both forms.
    pub fn new() -> Self {
        let document = document();
        let plain = serde_json::to_value(&document).expect("the document is plain data");
        Self {
            yaml: yaml::quoted(&document.to_yaml().expect("the document is plain data")),
            json: document.to_pretty_json().expect("the document is plain data"),
            events: schema::all(&plain),
        }
    }

    /// The JSON Schema of the event of that name.
    pub fn event(&self, name: &str) -> Option<&str> {
        self.events.iter().find(|(event, _)| *event == name).map(|(_, schema)| schema.as_str())
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self::new()
    }
}

/// The document of every route there is.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_routes, paths) = routes::of(Face::All);
    let mut document = Head::openapi();
    document.merge(paths);
    guarded::guard(&mut document);
    limited::limit(&mut document);
    shared::share(&mut document);
    for item in document.paths.paths.values_mut() {
        for (is_read, operation) in shared::operations(item) {
            if !is_read {
                refuse_pages_of_others(operation);
            }
        }
    }
    document
}

/// What the middleware answers on behalf of every route that is no mere read, beside what it answers who has too small a key.
fn refuse_pages_of_others(operation: &mut Operation) {
    let both = "`cross-origin-request`, `forbidden`: a page of another site sent it, or the key is good for less; nothing was changed";
    if let Some(RefOr::T(refused)) = operation.responses.responses.get_mut("403") {
        both.clone_into(&mut refused.description);
    }
}
