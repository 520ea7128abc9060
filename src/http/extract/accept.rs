//! [`Accepted`]: what a client wants an answer to be, of what there is (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

/// The ranges of media types that a request names, and how much each is wanted.
#[derive(Debug)]
pub struct Accepted<'a>(Vec<(&'a str, f32)>);

impl<'a> Accepted<'a> {
    /// Of a request.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        Self(accepted.flat_map(|accept| accept.split(',')).map(range).collect())
    }

    /// How much a type is wanted, from 0 to 1, by the most particular range that has any of its names.
    pub fn liking(&self, names: &[&str]) -> f32 {
        let weight = |wanted: &dyn Fn(&str) -> bool| {
            self.0.iter().filter(|(range, _)| wanted(range)).map(|(_, weight)| *weight).reduce(f32::max)
        };
        let by_name = weight(&|range| names.iter().any(|name| range.eq_ignore_ascii_case(name)));
        let by_kind = || {
            weight(&|range| {
                let kind = range.strip_suffix("/*").filter(|kind| *kind != "*");
                kind.is_some_and(|kind| names.iter().any(|name| name.split('/').next() == Some(kind)))
            })
        };
        by_name.or_else(by_kind).or_else(|| weight(&|range| range == "*/*")).unwrap_or(0.0)
    }
}

/// A range, and its weight.
fn range(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let types = parts.next().unwrap_or_default();
    let weight =
        parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
    (types, weight.map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(0.0)))
}
