//! A field of a head, found in the cheaper of two ways.
//!
//! A map of fields hashes the name that it is asked for. Most heads have so few that a look at each costs less, and most names that are looked for
//! are not there.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// As many fields are looked at one by one. Measured, in instructions: to hash a name and to find that it is not there costs 110 to 160, a look
/// at a field 12.
const WALKED_MAX: usize = 10;

/// The first value of that name.
#[inline]
pub(super) fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if headers.len() > WALKED_MAX {
        return headers.get(name);
    }
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether there is one of that name.
#[inline]
pub(super) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    first(headers, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_a_short_head_and_in_a_long_one() {
        let name = |number: usize| HeaderName::try_from(format!("x-{number}")).unwrap();
        let mut headers = HeaderMap::new();
        for number in 0..3 * WALKED_MAX {
            assert_eq!(first(&headers, &name(number)), None, "{number}");
            headers.append(name(number), number.into());
            headers.append(name(number), 0.into());
            for before in 0..=number {
                assert_eq!(first(&headers, &name(before)), Some(&HeaderValue::from(before)), "{number}");
            }
            assert!(has(&headers, &name(0)) && !has(&headers, &name(number + 1)), "{number}");
        }
    }
}
