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
    // From 0 to 1; whoever says anything else is not guessed at.
    let number = |weight: &str| weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight));
    (types, weight.map_or(1.0, |(_, weight)| number(weight).unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_from_0_to_1() {
        let liking = |accept: &'static str| {
            let headers = [(header::ACCEPT, accept.parse().unwrap())].into_iter().collect();
            Accepted::of(&headers).liking(&["text/csv"])
        };
        let likings = ["text/csv", "text/csv;q=0.5", "text/csv; Q=1.000"].map(liking);
        assert!(
            likings.iter().zip([1.0, 0.5, 1.0]).all(|(liking, told)| (liking - told).abs() < f32::EPSILON),
            "{likings:?}"
        );
        for wrong in ["2", "-1", "nan", "inf", "1e9", "", "0.5x"] {
            let accept: &'static str = format!("text/csv;q={wrong}, */*;q=0.7").leak();
            assert!(liking(accept).abs() < f32::EPSILON, "{wrong}");
        }
    }
}
