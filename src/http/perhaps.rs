//! [`Known`]: the paths there are and their methods, for those who ask which there are, or asked for one that is not: what was perhaps meant.

use std::borrow::Cow;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi;

use super::problem::{Problem, ProblemKind, clip};
use super::routes::stock_query;

/// Every path of the document, and the methods it has.
#[derive(Debug)]
pub struct Known(Vec<Route>);

#[derive(Debug)]
struct Route {
    /// Such as `/v1/stock/{sku}`.
    template: String,
    /// In alphabetical order.
    methods: Vec<&'static str>,
}

impl Known {
    /// Those of a document.
    pub fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(template, item)| {
            let all = [
                ("DELETE", item.delete.is_some()),
                ("GET", item.get.is_some()),
                // What can be got can be asked for its head as well.
                ("HEAD", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                // The document cannot say so.
                (stock_query::QUERY, template == stock_query::QUERIED),
            ];
            let methods = all.into_iter().filter(|(_, has)| *has).map(|(method, _)| method).collect();
            Route { template: template.clone(), methods }
        });
        Self(routes.collect())
    }

    /// No route has this path.
    pub fn not_found(&self, path: &str) -> Problem {
        let detail = match self.meant_by(path) {
            Some(meant) => format!("no route has this path; perhaps {meant} was meant; /docs lists them all"),
            None => "no route has this path; /docs lists them all".to_owned(),
        };
        Problem::new(ProblemKind::NotFound, detail)
    }

    /// What can be asked of this path, or of the service as a whole (`*`). `None` where no route has it.
    ///
    /// No more than that: it says nothing of other origins, so a browser that asks on behalf of another site's page is told no.
    pub fn options(&self, path: &str) -> Option<Response> {
        let allow = self.allow(path)?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().insert(header::ALLOW, allow);
        Some(response)
    }

    /// The value of `Allow` for this path, or for the service as a whole (`*`). `None` where no route has it.
    pub fn allow(&self, path: &str) -> Option<HeaderValue> {
        let mut methods = match path {
            "*" => methods_of(self.0.iter()),
            path => {
                let segments = segments(path);
                methods_of(self.0.iter().filter(|route| route.fits(&segments, str::eq)))
            }
        };
        if methods.is_empty() {
            return None;
        }
        methods.push(Method::OPTIONS.as_str());
        methods.sort_unstable();
        Some(HeaderValue::try_from(methods.join(", ")).expect("the names of methods are visible ASCII"))
    }

    /// This path does not have this method.
    pub fn not_allowed(&self, method: &Method, path: &str) -> Problem {
        let (method, segments) = (method.as_str(), segments(path));
        let all_here = || self.0.iter().filter(|route| route.fits(&segments, str::eq));
        let Some(here) = all_here().next() else {
            return Problem::new(ProblemKind::MethodNotAllowed, "see the Allow header");
        };
        let elsewhere: Vec<String> = self
            .0
            .iter()
            .filter(|route| route.methods.contains(&method) && route.is_next_to(here))
            .map(|route| format!("{method} {}", shown(&route.filled(&segments))))
            .collect();
        let perhaps = match elsewhere.as_slice() {
            [] => String::new(),
            elsewhere => format!("; perhaps {} was meant", elsewhere.join(" or ")),
        };
        // What is a path of its own may be the name of something as well.
        let methods = methods_of(all_here()).join(", ");
        let detail = format!("{} has {methods}, and not this method{perhaps}", shown(path));
        Problem::new(ProblemKind::MethodNotAllowed, detail)
    }

    /// The path that this one is but for its slashes, its letters' case, or the `/v1` before it.
    fn meant_by(&self, path: &str) -> Option<String> {
        let bare: Vec<&str> = segments(path).into_iter().filter(|segment| !segment.is_empty()).collect();
        let versioned: Vec<&str> = std::iter::once("v1").chain(bare.iter().copied()).collect();
        [bare, versioned].into_iter().find_map(|segments| {
            let route = self.0.iter().find(|route| route.fits(&segments, str::eq_ignore_ascii_case))?;
            Some(shown(&route.filled(&segments)))
        })
    }
}

impl Route {
    fn segments(&self) -> Vec<&str> {
        segments(&self.template)
    }

    fn fits(&self, given: &[&str], is_same: fn(&str, &str) -> bool) -> bool {
        let own = self.segments();
        let fits = |(own, given): (&&str, &&str)| is_parameter(own) || is_same(own, given);
        // As the router has it, a parameter may be empty unless it is the last.
        own.len() == given.len()
            && (given.last() != Some(&"") || own == [""])
            && own.iter().zip(given).all(fits)
    }

    /// Whether one of the two is the other and one segment more.
    fn is_next_to(&self, other: &Self) -> bool {
        let (own, other) = (self.segments(), other.segments());
        let common = own.iter().zip(&other).take_while(|(own, other)| own == other).count();
        own.len().abs_diff(other.len()) == 1 && common == own.len().min(other.len())
    }

    /// The path with the parameters that were given; those that were not stay named.
    fn filled(&self, given: &[&str]) -> String {
        let own = self.segments();
        let fill = |(at, own): (usize, &&str)| match given.get(at) {
            Some(given) if is_parameter(own) => (*given).to_owned(),
            _ => (*own).to_owned(),
        };
        own.iter().enumerate().map(fill).fold(String::new(), |path, segment| path + "/" + &segment)
    }
}

/// Every method that one of these has, once, in alphabetical order.
fn methods_of<'a>(routes: impl Iterator<Item = &'a Route>) -> Vec<&'static str> {
    let mut methods: Vec<&str> = routes.flat_map(|route| route.methods.iter().copied()).collect();
    methods.sort_unstable();
    methods.dedup();
    methods
}

/// What stands between the slashes, after the first.
fn segments(path: &str) -> Vec<&str> {
    path.strip_prefix('/').unwrap_or(path).split('/').collect()
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// A path, or the beginning of a long one.
fn shown(path: &str) -> String {
    let mut path = Cow::from(path).into_owned();
    clip(&mut path);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    #[test]
    fn what_was_perhaps_meant() {
        let known = Known::of(&openapi::document());
        for (path, meant) in [
            ("/v1/stock/", Some("/v1/stock")),
            ("/v1/stock/A/", Some("/v1/stock/A")),
            ("//v1/stock/A//", Some("/v1/stock/A")),
            ("/v1/stock/A/adjust/", Some("/v1/stock/A/adjust")),
            ("/V1/Stock/aB", Some("/v1/stock/aB")),
            ("/stock/A", Some("/v1/stock/A")),
            ("/Docs/", Some("/docs")),
            ("/v1", None),
            ("/v1/stock/A/B", None),
            ("/nothing", None),
        ] {
            assert_eq!(known.meant_by(path).as_deref(), meant, "{path}");
        }
    }
}
