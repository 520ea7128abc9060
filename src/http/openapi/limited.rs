//! What the document says of operations of which there may be too many: made for all of them, so that no handler says it as well.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

use crate::http::middleware::needs_a_place;

/// Says of each operation how one is answered who asks too often, and how if too many ask.
pub(super) fn limit(document: &mut OpenApi) {
    for (route, item) in &mut document.paths.paths {
        if !route.starts_with("/v1/") {
            continue;
        }
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let limited = problem("`rate-limited`, where the service has a limit (--rate-limit)");
            let limited = [
                ("Retry-After", "In how many seconds there is one more"),
                ("RateLimit-Policy", "How many requests (`q`) in how many seconds (`w`); on every answer, where there is a limit"),
                ("RateLimit", "How many are left (`r`), and in how many seconds all are back, or, of none, one is (`t`); as well"),
            ]
            .into_iter()
            .fold(limited, |response, (name, says)| response.header(name, header(says)));
            operation.responses.responses.insert("429".to_owned(), limited.build().into());
            if needs_a_place(route) {
                overload(operation);
            }
        }
    }
}

/// An operation that needs a place may be told that there is none, whatever else it may be told with that status.
fn overload(operation: &mut Operation) {
    let told = operation.responses.responses.entry("503".to_owned());
    let told = told.or_insert_with(|| problem("`overloaded`").build().into());
    if let RefOr::T(Response { description, .. }) = told
        && !description.contains("`overloaded`")
    {
        *description = format!("`overloaded`, {description}");
    }
}

fn problem(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content)
}

fn header(says: &str) -> Header {
    let mut header = Header::default();
    header.description = Some(says.to_owned());
    header
}
