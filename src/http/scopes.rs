//! What each route needs, in one table. It is read by who lets requests in and by who writes the document; no handler asks again.
//!
//! A route, or a method of one, that the table does not have needs [`Scope::Admin`]: what somebody forgot to put in is shut, not open.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::routes::stock_query::QUERY;
use crate::access::Scope;

/// What a request must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// Nothing.
    Nothing,
    /// A key of that scope, or of a higher one.
    Key(Scope),
}

/// The methods of a route, and what each needs.
pub type Methods = &'static [(&'static str, Needed)];

const OPEN: Needed = Needed::Nothing;
const READ: Needed = Needed::Key(Scope::Read);
const WRITE: Needed = Needed::Key(Scope::Write);
const ADMIN: Needed = Needed::Key(Scope::Admin);

/// Every route, as the router spells it.
///
/// - Probes are asked by who has no key. What explains the service is the same for everybody who has a copy of it, and an answer
///   of 401 leads there.
/// - Whoever may look sees how the service is (`/v1/status`), and which levels have an alert. To say which is to run it.
/// - An import sets counts, as PUT does: that is to write.
/// - Webhooks send stock elsewhere, and their URLs may have a secret in them: they are not even read without `admin`.
pub const TABLE: [(&str, Methods); 40] = [
    ("/", &[("GET", OPEN)]),
    ("/livez", &[("GET", OPEN)]),
    ("/readyz", &[("GET", OPEN)]),
    ("/docs", &[("GET", OPEN)]),
    ("/docs/{file}", &[("GET", OPEN)]),
    ("/openapi.yaml", &[("GET", OPEN)]),
    ("/openapi.json", &[("GET", OPEN)]),
    ("/problems/{name}", &[("GET", OPEN)]),
    ("/schemas/{event}", &[("GET", OPEN)]),
    ("/v1/status", &[("GET", READ)]),
    ("/v1/stock", &[("GET", READ), (QUERY, READ)]),
    ("/v1/stock/{sku}", &[("GET", READ), ("PUT", WRITE), ("DELETE", WRITE)]),
    // A sku may be called so, too.
    ("/v1/stock/query", &[("POST", READ), ("GET", READ), ("PUT", WRITE), ("DELETE", WRITE)]),
    ("/v1/stock/{sku}/adjust", &[("POST", WRITE)]),
    ("/v1/adjustments", &[("POST", WRITE)]),
    ("/v1/transfers", &[("POST", WRITE)]),
    ("/v1/reservations", &[("GET", READ), ("POST", WRITE)]),
    ("/v1/reservations/{id}", &[("GET", READ)]),
    ("/v1/reservations/{id}/commit", &[("POST", WRITE)]),
    ("/v1/reservations/{id}/release", &[("POST", WRITE)]),
    ("/v1/reservations/{id}/extend", &[("POST", WRITE)]),
    ("/v1/orders", &[("GET", READ), ("POST", WRITE)]),
    ("/v1/orders/{id}", &[("GET", READ), ("DELETE", WRITE)]),
    ("/v1/orders/{id}/returns", &[("POST", WRITE)]),
    ("/v1/movements", &[("GET", READ)]),
    ("/v1/events", &[("GET", READ)]),
    ("/v1/export", &[("GET", READ)]),
    ("/v1/import", &[("POST", WRITE)]),
    ("/v1/alerts", &[("GET", READ)]),
    ("/v1/alerts/{sku}", &[("GET", READ), ("PUT", ADMIN), ("DELETE", ADMIN)]),
    ("/v1/webhooks", &[("GET", ADMIN), ("POST", ADMIN)]),
    ("/v1/webhooks/{id}", &[("GET", ADMIN), ("DELETE", ADMIN)]),
    ("/v1/webhooks/{id}/ping", &[("POST", ADMIN)]),
    ("/v1/webhooks/{id}/secret", &[("POST", ADMIN)]),
    ("/v1/webhooks/{id}/enable", &[("POST", ADMIN)]),
    ("/v1/backup", &[("POST", ADMIN)]),
    ("/v1/backups", &[("GET", ADMIN)]),
    ("/v1/backups/{name}", &[("GET", ADMIN), ("DELETE", ADMIN)]),
    ("/v1/verify", &[("POST", ADMIN)]),
    ("/metrics", &[("GET", ADMIN)]),
];

static BY_ROUTE: LazyLock<HashMap<&'static str, Methods, ahash::RandomState>> =
    LazyLock::new(|| TABLE.into_iter().collect());

/// What a request needs. Where there is no such route it needs a key, of any scope, to be told so.
pub fn needed(route: Option<&str>, method: &str) -> Needed {
    let method = match method {
        "HEAD" => "GET",
        // Which methods there are is in the document, which is open.
        "OPTIONS" => return OPEN,
        other => other,
    };
    let Some(route) = route else { return READ };
    let methods = BY_ROUTE.get(route).copied().unwrap_or_default();
    methods.iter().find(|(name, _)| *name == method).map_or(ADMIN, |(_, needed)| *needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    /// Every operation of the document is in the table, once; so none is shut, or open, because nobody thought of it.
    #[test]
    fn every_route_is_in_the_table() {
        let document = openapi::document();
        for (route, item) in &document.paths.paths {
            let documented = [
                ("GET", item.get.is_some()),
                ("PUT", item.put.is_some()),
                ("POST", item.post.is_some()),
                ("DELETE", item.delete.is_some()),
                ("PATCH", item.patch.is_some()),
            ];
            let rows: Vec<_> = TABLE.iter().filter(|(name, _)| name == route).collect();
            assert_eq!(rows.len(), 1, "{route}");
            for (method, _) in documented.into_iter().filter(|(_, is)| *is) {
                let found = rows[0].1.iter().filter(|(name, _)| *name == method).count();
                assert_eq!(found, 1, "{method} {route}");
            }
        }
        assert_eq!(document.paths.paths.len(), TABLE.len(), "the table has no route that is not there");
    }

    #[test]
    fn what_the_table_does_not_have_is_shut() {
        for (route, method) in
            [("/v1/new", "GET"), ("/v1/stock", "DELETE"), ("/livez", "POST"), ("/v1/stock/A", "GET")]
        {
            assert_eq!(needed(Some(route), method), ADMIN, "{method} {route}");
        }
        assert_eq!((needed(None, "GET"), needed(Some("/v1/stock"), "HEAD")), (READ, READ));
        assert_eq!(needed(Some("/v1/backup"), "OPTIONS"), OPEN);
    }
}
