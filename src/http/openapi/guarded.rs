//! What the document says of keys: made from the table of scopes, so that no handler says it as well.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref};

use crate::http::scopes::{Needed, needed};

/// The name of the scheme in the document.
const SCHEME: &str = "key";

/// Says of each operation which scope it needs, and how one is answered who has not got it.
pub(super) fn guard(document: &mut OpenApi) {
    for (route, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let Needed::Key(scope) = needed(Some(route), method) else {
                // Said, so that nobody takes it for forgotten.
                operation.security = Some(Vec::new());
                continue;
            };
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, [scope.name()])]);
            refuse(operation, "401", "`unauthenticated`");
            refuse(operation, "403", "`forbidden`");
        }
    }
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A key that `inventory key new` made, where the service was started with `--auth-file`; or a JSON Web Token of the issuer \
         whose keys it was given with `--jwt-jwks`, signed with RS256, ES256 or EdDSA. Where it was started with neither, none is needed. \
         The scope is read, write or admin, each of which includes the one before; an operation lists the least it needs. In a token \
         it stands in the claim `scope` (or `scp`) as `inventory:read`, `inventory:write` or `inventory:admin`.",
    ));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(SCHEME, SecurityScheme::Http(scheme.build()));
}

fn refuse(operation: &mut Operation, status: &str, problem: &str) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut challenge = Header::default();
    challenge.description = Some("`Bearer`, and what is wrong with the key, or the token".to_owned());
    let response = ResponseBuilder::new()
        .description(problem)
        .content("application/problem+json", content)
        .header("WWW-Authenticate", challenge)
        .build();
    operation.responses.responses.insert(status.to_owned(), response.into());
}
